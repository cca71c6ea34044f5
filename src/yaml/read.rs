//! Reads YAML: everything is counted before it is made.

use std::collections::HashMap;

use granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, options,
};

use super::{Data, Field, Limits, Node, Place, Style, YamlError, YamlProblem};

/// Lists and maps within each other; ours need four.
const DEEPEST: usize = 32;

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
