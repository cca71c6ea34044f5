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
    #[error("more than {MOST_NODES} values, counting what aliases stand for: make it smaller")]
    Large,
    /// Not YAML, in the parser's words.
    #[error("not YAML: {0}: mend it there, or a line before")]
    Syntax(String),
}

/// No class or manifest comes near; etcd holds 1.5 MiB of an object.
pub const MOST_NODES: usize = 100_000;
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

/// All documents of a text; empty ones are left out.
///
/// # Errors
/// At the first place where the text is no YAML, or too large or deep.
pub fn documents(source: &str) -> Result<Vec<Node>, YamlError> {
    let mut options = options! {
        block_nesting_limit: DEEPEST,
        flow_nesting_limit: DEEPEST,
    };
    options.set_emit_comments(false);
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(source, options),
        anchors: HashMap::new(),
        nodes: 0,
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
    nodes: usize,
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
        self.count(1, at)?;
        let (anchor, data) = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, anchor, _) => {
                let style = style_of(style, &text, at);
                let text = text.into_owned();
                (anchor, Data::Text { text, style })
            }
            Event::SequenceStart(_, anchor, _) => {
                self.anchors.insert(anchor, None);
                (anchor, Data::List(self.items()?))
            }
            Event::MappingStart(_, anchor, _) => {
                self.anchors.insert(anchor, None);
                (anchor, Data::Map(self.fields()?))
            }
            _ => (0, Data::List(Vec::new())),
        };
        let node = Node { data, at };
        if anchor > 0 {
            self.count(size(&node), at)?;
            self.anchors.insert(anchor, Some(node.clone()));
        }
        Ok(node)
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
                key: key.text().unwrap_or("?").to_owned(),
            });
        }
    }

    fn alias(&mut self, id: usize, at: Place) -> Result<Node, YamlError> {
        let known = self.anchors.get(&id).and_then(Option::as_ref);
        let Some(node) = known else {
            let problem = YamlProblem::Circle;
            return Err(YamlError { at, problem });
        };
        let nodes = size(node);
        let node = node.clone();
        self.count(nodes, at)?;
        Ok(node)
    }

    /// Before anything is copied, so that a bomb of aliases stays small.
    fn count(&mut self, nodes: usize, at: Place) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MOST_NODES {
            let problem = YamlProblem::Large;
            return Err(YamlError { at, problem });
        }
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

/// All nodes of a tree.
fn size(node: &Node) -> usize {
    1 + match &node.data {
        Data::Text { .. } => 0,
        Data::List(items) => items.iter().map(size).sum(),
        Data::Map(fields) => fields.iter().map(|field| 1 + size(&field.value)).sum(),
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
mod tests {
    use super::*;

    fn at(line: usize, column: usize) -> Place {
        Place { line, column }
    }

    fn only(source: &str) -> Node {
        let mut documents = documents(source).expect("is YAML");
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    #[test]
    fn every_node_knows_its_place_and_its_writing() {
        let node =
            only("- secretKey: A\n  optional: true\n-  {path: \"/b\", filePermission: 0644}\n");
        let items = node.list().expect("a list");
        assert_eq!(items[0].map().expect("a map")[1].at, at(2, 3));
        assert_eq!(items[0].get("optional").expect("there").at, at(2, 13));
        assert_eq!(items[1].at, at(3, 4));
        let mode = items[1].get("filePermission").expect("there");
        let Data::Text { text, style } = &mode.data else {
            panic!("{mode:?}");
        };
        assert_eq!((text.as_str(), *style), ("0644", Style::Plain));
        let path = items[1].get("path").expect("there");
        assert!(matches!(
            path.data,
            Data::Text {
                style: Style::Quoted,
                ..
            }
        ));
    }

    #[test]
    fn a_block_knows_where_its_text_begins() {
        let node = only("spec:\n  objects: |\n    - a\n    - b\n  x: |+\n\n     y\n");
        let spec = node.get("spec").expect("there");
        let style = |key: &str| match spec.get(key).expect("there").data {
            Data::Text { style, .. } => style,
            _ => panic!("no text"),
        };
        assert_eq!(style("objects"), Style::Literal { from: at(3, 5) });
        assert_eq!(style("x"), Style::Literal { from: at(6, 6) });
    }

    #[test]
    fn aliases_are_what_they_stand_for() {
        let node = only("a: &x [1, 2]\nb: *x\n");
        assert_eq!(
            node.get("b").expect("there").list().expect("a list").len(),
            2
        );
    }

    #[test]
    fn a_bomb_of_aliases_stays_small() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..20 {
            let before = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(","));
        }
        let error = documents(&bomb).expect_err("too large");
        assert_eq!(error.problem, YamlProblem::Large);
        assert_eq!(
            error.to_string(),
            format!(
                "{}: more than 100000 values, counting what aliases stand for: make it smaller",
                error.at
            )
        );
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_place() {
        for (source, line) in [
            ("a: [1, 2\n", 1),
            ("a: b: c\n", 1),
            ("x:\n  - a\n b: c\n", 3),
            ("a: &x [*x]\n", 1),
            ("*nowhere\n", 1),
            ("\"open\n", 1),
        ] {
            let error = documents(source).expect_err(source);
            assert_eq!(error.at.line, line, "{error}");
        }
        let deep = "[".repeat(1000);
        let error = documents(&deep).expect_err("too deep");
        assert!(matches!(error.problem, YamlProblem::Syntax(_)), "{error}");
    }

    #[test]
    fn documents_are_told_apart_and_empty_ones_left_out() {
        assert_eq!(documents("").expect("nothing"), []);
        assert_eq!(
            documents("---\n---\na: 1\n---\n# b\n").expect("one").len(),
            1
        );
        assert_eq!(documents("a: 1\n---\nb: 2\n").expect("two").len(), 2);
    }
}
