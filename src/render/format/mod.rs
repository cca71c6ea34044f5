//! One file that holds many secrets: `dotenv`, `json`, `yaml`, `toml`,
//! `properties`, `shell`.
//!
//! Each is written so that the format's usual readers give back the exact bytes
//! (`tests/readers` proves it with the readers themselves), in the order given,
//! and equal pairs give equal bytes. What a format cannot carry is an error.

pub mod dotenv;
mod json;
mod properties;
mod shell;
mod toml;
mod yaml;

use std::fmt::{self, Write};

use secrecy::SecretSlice;

use super::path::shown;
use super::wiped::WipedBuffer;

/// One named value of a file.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// Its name in the file.
    pub name: &'a str,
    /// Phase's key, for errors.
    pub key: &'a str,
    /// Its bytes.
    pub value: &'a [u8],
}

/// How a file holds many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `KEY=value`, as the dotenv libraries read it: see [`dotenv`].
    Dotenv,
    /// One JSON object of strings, indented by two spaces.
    Json,
    /// One mapping whose values are strings to YAML 1.1 and 1.2 readers alike.
    Yaml,
    /// One table of basic or literal strings, each on one line.
    Toml,
    /// What `java.util.Properties` loads, from bytes or from characters.
    Properties,
    /// `export KEY='value'`, for `sh` to source.
    Shell,
}

/// A value that a format cannot carry. Its text names the key and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("secret {key:?} cannot be written as {}: {problem}", .format.name())]
pub struct Unwritable {
    /// Phase's key.
    pub key: String,
    /// The format.
    pub format: Format,
    /// Why not.
    pub problem: Problem,
}

/// Why a format cannot carry a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The name is none that a variable can have.
    #[error(
        "its name {name:?} is no variable name (letters, digits and _, no digit first): give it another by nameTransformer or by asName in processors"
    )]
    Name {
        /// The name in the file.
        name: String,
    },
    /// NUL ends a text for whatever reads variables.
    #[error("its value holds a NUL byte: mount it as a file of its own")]
    Nul,
    /// The shell keeps this variable for itself, and would drop the value.
    #[error(
        "the shell keeps a variable {name} for itself: give it another name by nameTransformer or by asName in processors"
    )]
    Reserved {
        /// The name in the file.
        name: String,
    },
    /// Binary data.
    #[error("its value is not UTF-8 text: mount it as a file of its own")]
    NotText,
}

/// A pair whose value is known to be text.
#[derive(Clone, Copy)]
struct Line<'a> {
    name: &'a str,
    value: &'a str,
}

impl Format {
    /// The names of all formats, sorted.
    pub const NAMES: [&'static str; 6] = ["dotenv", "json", "properties", "shell", "toml", "yaml"];

    /// The format of an exact name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "dotenv" => Self::Dotenv,
            "json" => Self::Json,
            "properties" => Self::Properties,
            "shell" => Self::Shell,
            "toml" => Self::Toml,
            "yaml" => Self::Yaml,
            _ => return None,
        })
    }

    /// Its name, as a class spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dotenv => "dotenv",
            Self::Json => "json",
            Self::Properties => "properties",
            Self::Shell => "shell",
            Self::Toml => "toml",
            Self::Yaml => "yaml",
        }
    }

    /// The file of these pairs, which are sorted by name and whose names are unique.
    ///
    /// # Errors
    /// What the format cannot carry, all of it at once.
    pub fn write(self, pairs: &[Pair<'_>]) -> Result<SecretSlice<u8>, Vec<Unwritable>> {
        let mut lines = Vec::with_capacity(pairs.len());
        let mut mistakes = Vec::new();
        for pair in pairs {
            match self.check(pair) {
                Ok(line) => lines.push(line),
                Err(problems) => mistakes.extend(problems.into_iter().map(|problem| Unwritable {
                    key: shown(pair.key),
                    format: self,
                    problem,
                })),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let mut out = WipedBuffer::new(most(&lines));
        self.put(&lines, &mut out)
            .expect("no format writes a byte as more than six");
        Ok(out.finish().expect("every write was within the limit"))
    }

    fn check<'a>(self, pair: &Pair<'a>) -> Result<Line<'a>, Vec<Problem>> {
        let name = || shown(pair.name);
        let mut problems = Vec::new();
        if self.has_variables() && !is_identifier(pair.name) {
            problems.push(Problem::Name { name: name() });
        }
        if self == Self::Shell && shell::is_reserved(pair.name) {
            problems.push(Problem::Reserved { name: name() });
        }
        if self.has_variables() && pair.value.contains(&0) {
            problems.push(Problem::Nul);
        }
        match std::str::from_utf8(pair.value) {
            Ok(value) if problems.is_empty() => {
                return Ok(Line {
                    name: pair.name,
                    value,
                });
            }
            Ok(_) => {}
            Err(_) => problems.push(Problem::NotText),
        }
        Err(problems)
    }

    /// Whether its names are those of environment variables.
    const fn has_variables(self) -> bool {
        matches!(self, Self::Dotenv | Self::Shell)
    }

    fn put(self, lines: &[Line<'_>], out: &mut WipedBuffer) -> fmt::Result {
        match self {
            Self::Dotenv => each(lines, out, dotenv::write),
            Self::Json => json::write(lines, out),
            Self::Properties => each(lines, out, properties::write),
            Self::Shell => each(lines, out, shell::write),
            Self::Toml => each(lines, out, toml::write),
            Self::Yaml => yaml::write(lines, out),
        }
    }
}

/// What the largest format needs: six bytes for one, and what stands around a pair.
fn most(lines: &[Line<'_>]) -> usize {
    const AROUND: usize = 16;
    let pair = |line: &Line<'_>| 6 * (line.name.len() + line.value.len()) + AROUND;
    lines.iter().map(pair).sum::<usize>() + AROUND
}

fn each(
    lines: &[Line<'_>],
    out: &mut WipedBuffer,
    write: fn(&Line<'_>, &mut WipedBuffer) -> fmt::Result,
) -> fmt::Result {
    lines.iter().try_for_each(|line| write(line, out))
}

fn is_identifier(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(word) && name.starts_with(|first: char| !first.is_ascii_digit())
}

/// Writes a text: runs of plain characters as they are, the others by `escape`.
fn escaped(
    text: &str,
    out: &mut WipedBuffer,
    plain: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut WipedBuffer) -> fmt::Result,
) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|character| !plain(character)) {
        out.write_str(&rest[..at])?;
        let mut characters = rest[at..].chars();
        characters
            .next()
            .map_or(Ok(()), |character| escape(character, out))?;
        rest = characters.as_str();
    }
    out.write_str(rest)
}
