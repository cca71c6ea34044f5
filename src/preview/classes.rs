//! Which classes of the files are wanted, and what of them is wrong.

use std::collections::HashSet;

use crate::class::{Class, Mistake};
use crate::console::{ConsoleArgs, STANDARD_INPUT};
use crate::manifest::{File, ProviderClass, Scalar, is_object_name};
use crate::yaml::Place;

use super::error::Error;

/// A class that is fine so far.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) class: Class,
}

/// Which of several.
pub(super) struct Choice<'a> {
    pub(super) class: Option<&'a str>,
    pub(super) namespace: Option<&'a str>,
}

impl Wanted {
    /// How lines for people name it.
    pub(super) fn label(&self) -> String {
        label(self.namespace.as_deref(), &self.name)
    }
}

/// The classes of provider `phase` in files, all or the chosen ones.
///
/// # Errors
/// Every mistake of every one of them.
pub(super) fn wanted(
    paths: &[String],
    choice: &Choice<'_>,
    console: &ConsoleArgs,
) -> Result<Vec<Wanted>, Vec<Error>> {
    let files = read(paths)?;
    let classes = files.iter().flat_map(|file| {
        let ours = file.classes().into_iter().filter(ProviderClass::is_phase);
        ours.map(move |class| (file, class))
    });
    let classes: Vec<_> = classes.collect();
    let chosen: Vec<_> = classes
        .iter()
        .filter(|(_, class)| choice.fits(class))
        .collect();
    if chosen.is_empty() {
        return Err(vec![nothing(&files, &classes, choice)]);
    }
    let (mut wanted, mut errors) = (Vec::new(), Vec::new());
    for (file, class) in chosen {
        match of(file, class, console) {
            Ok(one) => wanted.push(one),
            Err(mistakes) => errors.extend(mistakes),
        }
    }
    if errors.is_empty() {
        Ok(wanted)
    } else {
        Err(errors)
    }
}

fn read(paths: &[String]) -> Result<Vec<File>, Vec<Error>> {
    if paths.iter().filter(|path| *path == STANDARD_INPUT).count() > 1 {
        return Err(vec![Error::StandardInput("two -f -")]);
    }
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match File::read(path) {
            Ok(file) => files.push(file),
            Err(error) => errors.push(error.into()),
        }
    }
    if errors.is_empty() {
        Ok(files)
    } else {
        Err(errors)
    }
}

impl Choice<'_> {
    /// A class without a namespace lands in whichever is asked for.
    fn fits(&self, class: &ProviderClass) -> bool {
        let own = class.namespace.as_deref();
        self.class.is_none_or(|name| name == class.name)
            && self
                .namespace
                .is_none_or(|namespace| own.is_none_or(|own| own == namespace))
    }
}

fn nothing(files: &[File], classes: &[(&File, ProviderClass)], choice: &Choice<'_>) -> Error {
    if classes.is_empty() {
        let names: Vec<_> = files.iter().map(File::name).collect();
        let files = names.join(", ");
        return Error::NoClass { files };
    }
    let named = choice.class.map(|name| format!("named {name:?}"));
    let within = choice
        .namespace
        .map(|namespace| format!("in namespace {namespace:?}"));
    let chosen: Vec<_> = named.into_iter().chain(within).collect();
    let known = classes.iter().take(SHOWN);
    let known: Vec<_> = known
        .map(|(_, class)| label(class.namespace.as_deref(), &class.name))
        .collect();
    let more = match classes.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Error::Choice {
        chosen: chosen.join(" "),
        known: known.join(", ") + &more,
    }
}

const SHOWN: usize = 8;

fn of(file: &File, class: &ProviderClass, console: &ConsoleArgs) -> Result<Wanted, Vec<Error>> {
    let hosts = console.hosts().map_err(|error| vec![error.into()])?;
    let mut mistakes: Vec<_> = kinds(class)
        .chain(twice(class))
        .chain(unnamed(class))
        .collect();
    let read = Class::read(class.pairs(), &hosts);
    if let Err(found) = &read {
        let located = |mistake: &Mistake| (class.place_of(mistake), mistake.to_string_in_place());
        mistakes.extend(found.iter().map(located));
    }
    mistakes.sort_by_key(|(at, _)| *at);
    match read {
        Ok(read) if mistakes.is_empty() => Ok(Wanted {
            name: class.name.clone(),
            namespace: class.namespace.clone(),
            class: read,
        }),
        _ => {
            let error = |(at, text)| Error::Mistake {
                file: file.name().to_owned(),
                at,
                class: label(class.namespace.as_deref(), &class.name),
                text,
            };
            Err(mistakes.into_iter().map(error).collect())
        }
    }
}

/// A name that cannot be one.
fn unnamed(class: &ProviderClass) -> Option<(Place, String)> {
    let text = format!(
        "metadata.name {:?} is not a name: use lower-case letters, digits, \"-\" and \".\"",
        class.name
    );
    (!is_object_name(&class.name)).then_some((class.at, text))
}

/// Values that the API server refuses, since parameters are texts.
fn kinds(class: &ProviderClass) -> impl Iterator<Item = (Place, String)> {
    class.parameters.iter().filter_map(|parameter| {
        let (found, remedy) = match parameter.written() {
            Scalar::Text => return None,
            Scalar::Switch => ("true or false", "put it into quotes"),
            Scalar::Number => ("a number", "put it into quotes"),
            Scalar::Nothing => ("nothing", "give it a text, or remove it"),
            Scalar::List => ("a list", "write it as a text: \"|\" after the name"),
            Scalar::Map => ("a map", "write it as a text: \"|\" after the name"),
        };
        let name = &parameter.name;
        let text = format!("{name}: {found} stands where a text belongs: {remedy}");
        Some((parameter.node.at, text))
    })
}

/// Parameters of one name: kubectl refuses them.
fn twice(class: &ProviderClass) -> impl Iterator<Item = (Place, String)> {
    let mut seen = HashSet::new();
    let again = class
        .parameters
        .iter()
        .filter(move |parameter| !seen.insert(&parameter.name));
    again.map(|parameter| {
        let name = super::shown(&parameter.name);
        let text = format!("{name} stands here twice: remove one");
        (parameter.name_at, text)
    })
}

fn label(namespace: Option<&str>, name: &str) -> String {
    let name = super::shown(match name {
        "" => "without a name",
        name => name,
    });
    match namespace {
        Some(namespace) => format!("{}/{name}", super::shown(namespace)),
        None => name,
    }
}
