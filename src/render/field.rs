//! One field of a value that is JSON.

mod pick;
mod unescape;

use secrecy::SecretString;
use serde_json::value::RawValue;

/// The way to one field of a JSON text (a JSON pointer, RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<Step>,
}

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// The field's name, or an element's number, without escapes.
    name: String,
    /// Where the step ends in the pointer's text.
    end: usize,
}

/// Why a text is no pointer. Each needs the text beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum PointerProblem {
    /// More than 32 steps, or 1,024 bytes.
    #[error("it is longer than 32 steps or 1024 bytes")]
    Long,
    /// A `~` that begins no escape.
    #[error("\"~\" must be written \"~0\", and a \"/\" in a name \"~1\"")]
    Tilde,
    /// It does not begin with a slash.
    #[error("a JSON pointer begins with \"/\", like \"/password\"")]
    NoSlash,
}

/// Why a value has no such field. The texts say nothing of the value but that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum FieldProblem {
    /// Not JSON.
    #[error("its value is not JSON")]
    NotJson,
    /// A text in JSON that no UTF-8 can hold (half of a surrogate pair).
    #[error("its value has a text at {pointer:?} that is not Unicode")]
    NotUnicode {
        /// The whole pointer.
        pointer: String,
    },
    /// The way ends before the field.
    #[error("its value has no field {pointer:?}{}", ending(.pointer, .at))]
    Missing {
        /// The whole pointer.
        pointer: String,
        /// Its beginning, up to the first step that leads nowhere.
        at: String,
    },
}

fn ending(pointer: &str, at: &str) -> String {
    if at == pointer {
        return String::new();
    }
    format!(" (there is no {at:?})")
}

/// How many steps a pointer may have: each reads the rest of the value again.
const MOST_STEPS: usize = 32;
/// How many bytes a pointer may have: it stands in errors.
const MOST_BYTES: usize = 1024;

impl Pointer {
    /// Reads a pointer: empty (the whole value), or `/name/name`, where an
    /// element of an array is its number from 0.
    ///
    /// # Errors
    /// When it does not begin with a slash, has a wrong escape, or is too long.
    pub fn parse(text: &str) -> Result<Self, PointerProblem> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(PointerProblem::NoSlash);
        }
        if text.len() > MOST_BYTES || text.matches('/').count() > MOST_STEPS {
            return Err(PointerProblem::Long);
        }
        let mut end = 0;
        let steps = text.split('/').skip(1).map(|escaped| {
            end += 1 + escaped.len();
            let name = unescaped(escaped).ok_or(PointerProblem::Tilde)?;
            Ok(Step { name, end })
        });
        Ok(Self {
            steps: steps.collect::<Result<_, _>>()?,
            text: text.to_owned(),
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The field of a JSON text: a string's text, of anything else its JSON text
    /// exactly as it is stored. Of a name that an object has twice, the last
    /// counts, as for the usual readers.
    ///
    /// # Errors
    /// When the text is not JSON, or has no such field.
    pub fn find(&self, json: &str) -> Result<SecretString, FieldProblem> {
        // However deep it is: serde_json reads raw text without recursion.
        let mut here: &RawValue = serde_json::from_str(json).map_err(|_| FieldProblem::NotJson)?;
        for step in &self.steps {
            let next = pick::pick(here, &step.name).map_err(|_| FieldProblem::NotJson)?;
            here = next.ok_or_else(|| self.missing(step))?;
        }
        let Some(quoted) = here.get().strip_prefix('"') else {
            return Ok(SecretString::from(here.get()));
        };
        let inside = quoted.strip_suffix('"').ok_or(FieldProblem::NotJson)?;
        let text = unescape::text(inside).ok_or_else(|| FieldProblem::NotUnicode {
            pointer: self.text.clone(),
        })?;
        Ok(SecretString::from(text.as_str()))
    }

    fn missing(&self, step: &Step) -> FieldProblem {
        FieldProblem::Missing {
            pointer: self.text.clone(),
            at: self.text[..step.end].to_owned(),
        }
    }
}

/// A step without its escapes; `None` when a `~` begins none.
fn unescaped(step: &str) -> Option<String> {
    let mut pieces = step.split('~');
    let mut name = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (tilde, rest) = match piece.as_bytes().first()? {
            b'0' => ('~', &piece[1..]),
            b'1' => ('/', &piece[1..]),
            _ => return None,
        };
        name.push(tilde);
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests;
