//! YAML as a tree in which every node knows its line and column.
//!
//! A deserialiser stops at the first mistake and loses what was written: `0644`
//! arrives as a number. Here the text of a plain scalar is kept as it stands, and
//! whoever reads the tree can name every mistake with its place.

mod read;

use std::fmt;

use zeroize::Zeroize;

pub use read::documents_within;

/// Where something stands in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// One node of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it holds.
    pub data: Data,
    /// Where it begins.
    pub at: Place,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Anything that is neither a list nor a map, as it is written.
    Text {
        /// The text, after quotes and escapes.
        text: String,
        /// How it is written.
        style: Style,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order in which it is written; keys may repeat.
    Map(Vec<Field>),
}

/// One key of a map with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key; a list or map as key is `?`.
    pub key: String,
    /// Where the key stands.
    pub at: Place,
    /// Its value.
    pub value: Node,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: `true`, `0644` and nothing at all are of this kind.
    Plain,
    /// In quotes, or folded.
    Quoted,
    /// A block after `|`, whose lines stand in the source as they are.
    Literal {
        /// Where its first line begins.
        from: Place,
    },
}

/// Why a text is no YAML that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct YamlError {
    /// Where.
    pub at: Place,
    /// Why.
    pub problem: YamlProblem,
}

/// What is wrong with a YAML text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum YamlProblem {
    /// An alias of no anchor: most often a text that begins with `*`.
    #[error(
        "* begins an alias, and this one names nothing: put a text that begins with * in quotes"
    )]
    Alias,
    /// An alias within what it stands for.
    #[error("an alias leads back to itself: write the value out")]
    Circle,
    /// Too many nodes, aliases counted as what they stand for.
    #[error("more than {most} values, counting what aliases stand for: make it smaller")]
    Large {
        /// The limit.
        most: usize,
    },
    /// Too much text, aliases counted as what they stand for.
    #[error("more than {most} bytes of text, counting what aliases stand for: make it smaller")]
    Long {
        /// The limit.
        most: usize,
    },
    /// Not YAML, in the parser's words.
    #[error("not YAML: {0}: mend it there, or a line before")]
    Syntax(String),
}

/// How much a text may hold, aliases counted as what they stand for. Both are checked
/// before anything is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values, keys among them. Each takes some 100 bytes.
    pub nodes: usize,
    /// Bytes of keys and texts; the source itself may not have more either.
    pub bytes: usize,
}

impl Limits {
    /// A parameter of a class. It comes through etcd, whose objects have 1.5 MiB at most;
    /// a class of 2,000 entries has some 100 kB.
    pub const CLASS: Self = Self {
        nodes: 100_000,
        bytes: 1 << 20,
    };
    /// A file of manifests, read by a person's own process: a rendered chart may be large.
    pub const MANIFESTS: Self = Self {
        nodes: 100_000,
        bytes: 32 << 20,
    };
}

impl Node {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether nothing is written, or a word for nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        let words = ["", "~", "null", "Null", "NULL"];
        matches!(&self.data, Data::Text { text, style: Style::Plain } if words.contains(&text.as_str()))
    }

    /// The fields, if it is a map.
    #[must_use]
    pub fn map(&self) -> Option<&[Field]> {
        match &self.data {
            Data::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a key, if it is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let field = self.map()?.iter().find(|field| field.key == key)?;
        Some(&field.value)
    }

    /// Wipes every text in it.
    pub fn wipe(&mut self) {
        match &mut self.data {
            Data::Text { text, .. } => text.zeroize(),
            Data::List(items) => items.iter_mut().for_each(Self::wipe),
            Data::Map(fields) => {
                for field in fields {
                    field.key.zeroize();
                    field.value.wipe();
                }
            }
        }
    }

    /// What kind of value it is, for errors.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.data {
            _ if self.is_null() => "nothing",
            Data::Text { .. } => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// All documents of a file of manifests; empty ones are left out.
///
/// # Errors
/// As [`documents_within`] of [`Limits::MANIFESTS`].
pub fn documents(source: &str) -> Result<Vec<Node>, YamlError> {
    documents_within(source, Limits::MANIFESTS)
}

#[cfg(test)]
mod tests;
