//! YAML as a tree in which every node knows its line and column.
//!
//! A deserialiser stops at the first mistake and loses what was written: `0644`
//! arrives as a number. Here the text of a plain scalar is kept as it stands, and
//! whoever reads the tree can name every mistake with its place.

use std::collections::HashMap;
use std::fmt;

use granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, options,
};
use zeroize::Zeroize;

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

/// Lists and maps within each other; ours need four.
const DEEPEST: usize = 32;

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

/// All documents of a text; empty ones are left out.
///
/// # Errors
/// At the first place where the text is no YAML, too deep, or beyond a limit.
pub fn documents_within(source: &str, limits: Limits) -> Result<Vec<Node>, YamlError> {
    if source.len() > limits.bytes {
        let most = limits.bytes;
        return Err(YamlError {
            at: Place { line: 1, column: 1 },
            problem: YamlProblem::Long { most },
        });
    }
    let mut options = options! {
        block_nesting_limit: DEEPEST,
        flow_nesting_limit: DEEPEST,
    };
    options.set_emit_comments(false);
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(source, options),
        anchors: HashMap::new(),
        has_aliases: source.contains('*'),
        left: limits,
        limits,
    };
    let mut documents = Vec::new();
    loop {
        match builder.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::DocumentStart(..), _) => builder.anchors.clear(),
            (Event::StreamStart | Event::DocumentEnd, _) => {}
            (event, span) => {
                let node = builder.node(event, span)?;
                if !node.is_null() {
                    documents.push(node);
                }
            }
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// What aliases stand for; nothing while the node is being read.
    anchors: HashMap<usize, Option<Node>>,
    /// Whether there can be any; without them nothing is kept for them.
    has_aliases: bool,
    left: Limits,
    limits: Limits,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next_event() {
            Some(event) => event.map_err(|error| syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, YamlError> {
        let at = place(&span.start);
        let (anchor, data) = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, anchor, _) => {
                self.count(1, text.len(), at)?;
                let style = style_of(style, &text, at);
                let text = text.into_owned();
                (anchor, Data::Text { text, style })
            }
            Event::SequenceStart(_, anchor, _) => {
                self.count(1, 0, at)?;
                self.begin(anchor);
                (anchor, Data::List(self.items()?))
            }
            Event::MappingStart(_, anchor, _) => {
                self.count(1, 0, at)?;
                self.begin(anchor);
                (anchor, Data::Map(self.fields()?))
            }
            _ => (0, Data::List(Vec::new())),
        };
        let node = Node { data, at };
        if anchor > 0 && self.has_aliases {
            let copy = self.copy(&node, at)?;
            self.anchors.insert(anchor, Some(copy));
        }
        Ok(node)
    }

    fn begin(&mut self, anchor: usize) {
        if anchor > 0 && self.has_aliases {
            self.anchors.insert(anchor, None);
        }
    }

    fn items(&mut self) -> Result<Vec<Node>, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<Field>, YamlError> {
        let mut fields = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(fields);
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            fields.push(Field {
                value: self.node(event, span)?,
                at: key.at,
                key: match key.data {
                    Data::Text { text, .. } => text,
                    Data::List(_) | Data::Map(_) => "?".to_owned(),
                },
            });
        }
    }

    fn alias(&mut self, id: usize, at: Place) -> Result<Node, YamlError> {
        let Some(known) = self.anchors.get_mut(&id).and_then(Option::take) else {
            let problem = YamlProblem::Circle;
            return Err(YamlError { at, problem });
        };
        let copy = self.copy(&known, at);
        self.anchors.insert(id, Some(known));
        copy
    }

    /// What an anchor keeps and an alias puts in: counted before it is made.
    fn copy(&mut self, node: &Node, at: Place) -> Result<Node, YamlError> {
        let (nodes, bytes) = size(node);
        self.count(nodes, bytes, at)?;
        Ok(node.clone())
    }

    fn count(&mut self, nodes: usize, bytes: usize, at: Place) -> Result<(), YamlError> {
        let refused = |problem| YamlError { at, problem };
        let most = self.limits.nodes;
        let left = self.left.nodes.checked_sub(nodes);
        self.left.nodes = left.ok_or_else(|| refused(YamlProblem::Large { most }))?;
        let most = self.limits.bytes;
        let left = self.left.bytes.checked_sub(bytes);
        self.left.bytes = left.ok_or_else(|| refused(YamlProblem::Long { most }))?;
        Ok(())
    }
}

/// The parser places a block at its first line with text.
fn style_of(style: ScalarStyle, text: &str, at: Place) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::Literal => {
            let blank = text.len() - text.trim_start_matches('\n').len();
            let line = at.line.saturating_sub(blank);
            Style::Literal {
                from: Place { line, ..at },
            }
        }
        _ => Style::Quoted,
    }
}

/// All nodes of a tree, keys among them, and the bytes of its texts.
fn size(node: &Node) -> (usize, usize) {
    let sum = |(nodes, bytes): (usize, usize), (more, longer)| (nodes + more, bytes + longer);
    match &node.data {
        Data::Text { text, .. } => (1, text.len()),
        Data::List(items) => items.iter().map(size).fold((1, 0), sum),
        Data::Map(fields) => {
            let fields = fields
                .iter()
                .flat_map(|Field { key, value, .. }| [(1, key.len()), size(value)]);
            fields.fold((1, 0), sum)
        }
    }
}

fn place(mark: &Marker) -> Place {
    Place {
        line: mark.line(),
        column: mark.col() + 1,
    }
}

fn syntax(error: &ScanError) -> YamlError {
    YamlError {
        at: place(error.marker()),
        problem: match error.kind() {
            ErrorKind::UnknownAnchor => YamlProblem::Alias,
            _ => YamlProblem::Syntax(error.info()),
        },
    }
}

#[cfg(test)]
mod tests;
