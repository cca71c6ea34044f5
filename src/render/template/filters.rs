//! The filters and tests of templates, each bounded.
//!
//! They replace minijinja's own: some of those make texts first and count them
//! as work after.

use std::fmt::Write;

use base64ct::{Base64, Encoding as _};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use secrecy::ExposeSecret;

use super::MOST_OUTPUT;
use super::problem::TemplateProblem;
use super::text::{comma, for_shell, json, quoted};
use super::values::{self, All, Binary, forgive, lower, refused};
use crate::render::encoding::Encoding;
use crate::render::wiped::WipedBuffer;

/// The filters that templates have, in the order in which errors list them.
pub(super) const NAMES: [&str; 18] = [
    "b64decode",
    "b64encode",
    "default",
    "first",
    "indent",
    "items",
    "join",
    "json",
    "last",
    "length",
    "lines",
    "lower",
    "quote",
    "replace",
    "shellquote",
    "sort",
    "trim",
    "upper",
];

/// The tests that templates have.
pub(super) const TESTS: [&str; 4] = ["defined", "endingwith", "startingwith", "undefined"];

/// How far a text may be indented.
const WIDEST: usize = 80;

type Filtered = Result<Value, Error>;

/// Adds all of them.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("b64decode", b64decode);
    environment.add_filter("b64encode", b64encode);
    environment.add_filter("default", default);
    environment.add_filter("first", first);
    environment.add_filter("indent", indent);
    environment.add_filter("items", items);
    environment.add_filter("join", join);
    environment.add_filter("json", to_json);
    environment.add_filter("last", last);
    environment.add_filter("length", length);
    environment.add_filter("lines", lines);
    environment.add_filter("lower", |state: &State<'_, '_>, value: &Value| {
        mapped(state, value, str::to_lowercase)
    });
    environment.add_filter("quote", quote);
    environment.add_filter("replace", replace);
    environment.add_filter("shellquote", shellquote);
    environment.add_filter("sort", sort);
    environment.add_filter("trim", |state: &State<'_, '_>, value: &Value| {
        mapped(state, value, |text| text.trim().to_owned())
    });
    environment.add_filter("upper", |state: &State<'_, '_>, value: &Value| {
        mapped(state, value, str::to_uppercase)
    });
    environment.add_test("defined", |state: &State<'_, '_>, value: &Value| {
        !is_missing(state, value)
    });
    environment.add_test("undefined", is_missing);
    environment.add_test(
        "endingwith",
        |state: &State<'_, '_>, a: &Value, b: &Value| {
            Ok::<_, Error>(text(state, a)?.ends_with(&text(state, b)?))
        },
    );
    environment.add_test(
        "startingwith",
        |state: &State<'_, '_>, a: &Value, b: &Value| {
            Ok::<_, Error>(text(state, a)?.starts_with(&text(state, b)?))
        },
    );
}

const fn mistake(filter: &'static str, problem: &'static str) -> TemplateProblem {
    TemplateProblem::Filter { filter, problem }
}

/// A value's text. Reading it is work, which the engine counts only of ordinary
/// texts before the first bar.
fn text(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    if let Some(binary) = value.downcast_object_ref::<Binary>() {
        return Err(refused(binary.not_text()));
    }
    match (value.as_str(), value.kind()) {
        (Some(text), _) => {
            spend(state, text.len())?;
            fitting(text)
        }
        (None, ValueKind::Number) => Ok(value.to_string()),
        (None, ValueKind::Bool) => Ok(lower(value).to_owned()),
        (None, ValueKind::Undefined) => Err(Error::from(ErrorKind::UndefinedError)),
        _ => Err(refused(TemplateProblem::Mismatch)),
    }
}

fn fitting(text: &str) -> Result<String, Error> {
    if text.len() > MOST_OUTPUT {
        return Err(refused(TemplateProblem::TooLarge));
    }
    Ok(text.to_owned())
}

/// Counts the reading of so many bytes as work.
fn spend(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64)
}

/// A text that never outgrows the file it is for, made by `write`.
fn made(write: impl FnOnce(&mut WipedBuffer) -> Result<(), Error>) -> Filtered {
    let mut buffer = WipedBuffer::new(MOST_OUTPUT);
    // Passing the limit shows as the buffer's own refusal.
    let written = write(&mut buffer);
    let bytes = buffer.finish();
    let bytes = bytes.map_err(|_| refused(TemplateProblem::TooLarge))?;
    written?;
    let text = std::str::from_utf8(bytes.expose_secret());
    text.map(Value::from)
        .map_err(|_| refused(TemplateProblem::Mismatch))
}

fn mapped(state: &State<'_, '_>, value: &Value, map: impl Fn(&str) -> String) -> Filtered {
    Ok(Value::from(map(&text(state, value)?)))
}

fn b64encode(state: &State<'_, '_>, value: &Value) -> Filtered {
    if let Some(binary) = value.downcast_object_ref::<Binary>() {
        spend(state, binary.bytes().len())?;
        return encoded(binary.bytes());
    }
    encoded(text(state, value)?.as_bytes())
}

fn encoded(bytes: &[u8]) -> Filtered {
    if bytes.len() > MOST_OUTPUT / 4 * 3 {
        return Err(refused(TemplateProblem::TooLarge));
    }
    Ok(Value::from(Base64::encode_string(bytes)))
}

fn b64decode(state: &State<'_, '_>, value: &Value) -> Filtered {
    const NOT_BASE64: TemplateProblem = mistake(
        "b64decode",
        "needs base64 (standard alphabet, padded): check what is stored",
    );
    const NOT_TEXT: TemplateProblem = mistake(
        "b64decode",
        "makes bytes that are not UTF-8 text: mount them as a file of their own, with encoding: base64",
    );
    let text = text(state, value)?;
    let bytes = Encoding::Base64.decode(&text);
    let bytes = bytes.map_err(|_| refused(NOT_BASE64))?;
    let text = std::str::from_utf8(bytes.expose_secret());
    text.map(Value::from).map_err(|_| refused(NOT_TEXT))
}

/// Whether a value is not there; if so, that is no mistake.
fn is_missing(state: &State<'_, '_>, value: &Value) -> bool {
    let missing = value.is_undefined();
    if missing {
        forgive(state);
    }
    missing
}

/// The optional argument at a place. minijinja would take a missing secret for
/// an argument that is not given.
fn given(arguments: &[Value], at: usize, most: usize) -> Result<Option<&Value>, Error> {
    if arguments.len() > most {
        return Err(refused(TemplateProblem::Mismatch));
    }
    match arguments.get(at) {
        Some(argument) if argument.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        argument => Ok(argument),
    }
}

fn default(state: &State<'_, '_>, value: Value, arguments: &[Value]) -> Filtered {
    let empty_too = given(arguments, 1, 2)?.is_some_and(Value::is_true);
    if value.is_undefined() || empty_too && !value.is_true() {
        let other = given(arguments, 0, 2)?.cloned();
        is_missing(state, &value);
        return Ok(other.unwrap_or_else(|| Value::from("")));
    }
    if arguments.first().is_some_and(Value::is_undefined) {
        forgive(state);
    }
    Ok(value)
}

/// The items of a list, each counted as work. Of a map they are its keys.
fn list(state: &State<'_, '_>, value: &Value, filter: &'static str) -> Result<Vec<Value>, Error> {
    const NEEDS_LIST: &str = "needs a list, such as secrets|items or text|lines";
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Seq | ValueKind::Iterable => every(state, value),
        ValueKind::Map if value.downcast_object_ref::<All>().is_some() => every(state, value),
        _ => Err(refused(mistake(filter, NEEDS_LIST))),
    }
}

fn every(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    let items: Vec<_> = value.try_iter()?.collect();
    state.consume_fuel(items.len() as u64)?;
    Ok(items)
}

fn first(state: &State<'_, '_>, value: &Value) -> Filtered {
    let first = list(state, value, "first")?.into_iter().next();
    first.ok_or_else(|| refused(mistake("first", "has an empty list: check for that before")))
}

fn last(state: &State<'_, '_>, value: &Value) -> Filtered {
    let last = list(state, value, "last")?.into_iter().next_back();
    last.ok_or_else(|| refused(mistake("last", "has an empty list: check for that before")))
}

fn items(state: &State<'_, '_>, value: &Value) -> Filtered {
    let Some(All(secrets)) = value.downcast_object_ref::<All>() else {
        let problem = mistake("items", "is for the map of all secrets: secrets|items");
        return Err(refused(problem));
    };
    let pairs = secrets.pairs();
    let pairs: Vec<_> = pairs
        .map(|(key, value)| values::list(state, vec![Value::from(key), value.clone()]))
        .collect();
    state.consume_fuel(2 * pairs.len() as u64)?;
    Ok(values::list(state, pairs))
}

fn length(state: &State<'_, '_>, value: &Value) -> Filtered {
    let length = match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.len().unwrap_or_default(),
        ValueKind::Map if value.downcast_object_ref::<All>().is_some() => {
            value.len().unwrap_or_default()
        }
        _ => text(state, value)?.chars().count(),
    };
    Ok(Value::from(length))
}

fn lines(state: &State<'_, '_>, value: &Value) -> Filtered {
    let text = text(state, value)?;
    // A line costs more than its bytes.
    state.consume_fuel(text.lines().count() as u64)?;
    let lines = text.lines().map(Value::from).collect();
    Ok(values::list(state, lines))
}

fn join(state: &State<'_, '_>, value: &Value, arguments: &[Value]) -> Filtered {
    let items = list(state, value, "join")?;
    let between = given(arguments, 0, 1)?;
    let between = between.map(|between| text(state, between)).transpose()?;
    made(|out| {
        for (number, item) in items.iter().enumerate() {
            if let Some(between) = between.as_ref().filter(|_| number > 0) {
                spend(state, between.len())?;
                out.write_str(between)?;
            }
            out.write_str(&text(state, item)?)?;
        }
        Ok(())
    })
}

fn sort(state: &State<'_, '_>, value: &Value) -> Filtered {
    let mut items = list(state, value, "sort")?;
    let bytes = items.iter().filter_map(Value::as_str).map(str::len);
    let each = items.len().max(1).ilog2() as usize + 1;
    spend(state, (bytes.sum::<usize>() + 64 * items.len()) * each)?;
    items.sort();
    Ok(values::list(state, items))
}

fn replace(state: &State<'_, '_>, value: &Value, old: &Value, new: &Value) -> Filtered {
    let (value, old, new) = (text(state, value)?, text(state, old)?, text(state, new)?);
    if old.is_empty() {
        let problem = mistake("replace", "needs the text to replace: it is empty");
        return Err(refused(problem));
    }
    made(|out| {
        for (number, piece) in value.split(&old).enumerate() {
            if number > 0 {
                out.write_str(&new)?;
            }
            out.write_str(piece)?;
        }
        Ok(())
    })
}

fn indent(state: &State<'_, '_>, value: &Value, arguments: &[Value]) -> Filtered {
    let width = given(arguments, 0, 2)?.cloned().map(usize::try_from);
    let width = width.transpose()?.unwrap_or(4);
    let first = given(arguments, 1, 2)?.is_some_and(Value::is_true);
    if width > WIDEST {
        let problem = mistake("indent", "indents by at most 80 columns: take fewer");
        return Err(refused(problem));
    }
    let text = text(state, value)?;
    made(|out| {
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let blank = line.trim_end_matches(['\r', '\n']).is_empty();
            if !blank && (number > 0 || first) {
                write!(out, "{:width$}", "")?;
            }
            out.write_str(line)?;
        }
        Ok(())
    })
}

fn quote(state: &State<'_, '_>, value: &Value) -> Filtered {
    let text = text(state, value)?;
    made(|out| Ok(quoted(out, &text)?))
}

fn shellquote(state: &State<'_, '_>, value: &Value) -> Filtered {
    let text = text(state, value)?;
    if text.contains('\0') {
        let problem = mistake(
            "shellquote",
            "has a text with a NUL, which no shell can hold",
        );
        return Err(refused(problem));
    }
    made(|out| Ok(for_shell(out, &text)?))
}

fn to_json(state: &State<'_, '_>, value: &Value) -> Filtered {
    let texts = |value: &Value| -> Result<Option<String>, Error> {
        match value.kind() {
            ValueKind::Number | ValueKind::Bool | ValueKind::None => Ok(None),
            ValueKind::Seq | ValueKind::Iterable => Ok(None),
            _ => text(state, value).map(Some),
        }
    };
    let Some(All(secrets)) = value.downcast_object_ref::<All>() else {
        return made(|out| json(out, value, &texts));
    };
    made(|out| {
        out.write_char('{')?;
        for (number, (key, value)) in secrets.pairs().enumerate() {
            comma(out, number)?;
            quoted(out, key)?;
            out.write_char(':')?;
            json(out, value, &texts)?;
        }
        Ok(out.write_char('}')?)
    })
}
