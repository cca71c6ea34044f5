//! Texts as other languages quote them.

use std::fmt::{self, Write};

use minijinja::value::{Value, ValueKind};

use super::values::lower;

/// Writes a text in double quotes, as JSON, YAML (1.1 and 1.2), TOML and
/// JavaScript read it: `"`, `\` and whatever is a control character or a line
/// end to any of them are escaped, nothing else is.
pub(super) fn quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                write!(out, "\\u{:04x}", u32::from(letter))?;
            }
            letter => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}

/// Writes a text in single quotes, as every shell of the POSIX family reads it.
pub(super) fn for_shell(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('\'')?;
    for (number, piece) in text.split('\'').enumerate() {
        if number > 0 {
            out.write_str("'\\''")?;
        }
        out.write_str(piece)?;
    }
    out.write_char('\'')
}

/// Writes a value as JSON on one line; `texts` gives the text of a value that is
/// one. Lists and maps hold only texts and pairs of them.
pub(super) fn json<E: From<fmt::Error>>(
    out: &mut impl Write,
    value: &Value,
    texts: &dyn Fn(&Value) -> Result<Option<String>, E>,
) -> Result<(), E> {
    if let Some(text) = texts(value)? {
        return Ok(quoted(out, &text)?);
    }
    match value.kind() {
        ValueKind::Number => Ok(write!(out, "{value}")?),
        ValueKind::Bool => Ok(out.write_str(lower(value))?),
        ValueKind::Seq | ValueKind::Iterable => {
            out.write_char('[')?;
            for (number, item) in value.try_iter().into_iter().flatten().enumerate() {
                comma(out, number)?;
                json(out, &item, texts)?;
            }
            Ok(out.write_char(']')?)
        }
        _ => Ok(out.write_str("null")?),
    }
}

/// What stands before the item of this number.
pub(super) fn comma(out: &mut impl Write, number: usize) -> fmt::Result {
    if number > 0 {
        return out.write_char(',');
    }
    Ok(())
}
