//! The fields of one YAML map, read one by one; every mistake keeps its place.

use std::collections::{BTreeMap, HashSet};

use super::mistake::{Found, Mistake, Problem, Spot, quoted, shortened};
use crate::render::PathProblem;
use crate::spelling::near;
use crate::yaml::{self, Data, Field, Limits, Node, Place, Style};

/// A near spelling is looked for in so many mistakes: a line of an error holds fewer.
const MOST_HINTS: usize = 100;

/// The fields of one YAML map in a parameter, and the mistakes found so far.
pub(super) struct Fields<'a> {
    parameter: &'static str,
    path: String,
    at: Place,
    fields: &'a [Field],
    mistakes: &'a mut Found,
}

/// A text of a field and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) at: Place,
    /// Whether its lines stand in the parameter as they are.
    pub(super) is_block: bool,
}

/// The one document of a parameter's text; nothing where there is none.
///
/// # Errors
/// The text is no YAML, or has more documents; `expected` and `remedy` say what belongs there.
pub(super) fn document(
    parameter: &str,
    text: &str,
    expected: &'static str,
    remedy: &'static str,
) -> Result<Option<Node>, Box<Mistake>> {
    let mut documents = yaml::documents_within(text, Limits::CLASS).map_err(|error| {
        let problem = Problem::Yaml(error.problem);
        Mistake::at(parameter, error.at, problem)
    })?;
    let document = documents.pop();
    if documents.is_empty() {
        return Ok(document);
    }
    let found = "more than one document";
    Err(wrong_document(parameter, found, expected, remedy).into())
}

/// A parameter whose document is of another kind than expected.
pub(super) fn wrong_document(
    parameter: &str,
    found: &'static str,
    expected: &'static str,
    remedy: &'static str,
) -> Mistake {
    let problem = Problem::Kind {
        found,
        expected,
        remedy,
    };
    Mistake::at(parameter, Place { line: 1, column: 1 }, problem)
}

impl<'a> Text<'a> {
    /// The text of a node; of a block without the line end that nobody means,
    /// unless it is kept.
    fn of(node: &'a Node, keep: bool) -> Option<Self> {
        let (Data::Text { text, style }, false) = (&node.data, node.is_null()) else {
            return None;
        };
        let (at, is_block) = match style {
            Style::Literal { from } => (*from, true),
            Style::Plain | Style::Quoted => (node.at, false),
        };
        Some(Self {
            text: if is_block && !keep {
                text.trim_end()
            } else {
                text
            },
            at,
            is_block,
        })
    }
}

impl<'a> Fields<'a> {
    /// The fields of `node`, all of them known; nothing where it is no map.
    pub(super) fn of(
        parameter: &'static str,
        path: String,
        node: &'a Node,
        known: &[&'static str],
        remedy: &'static str,
        mistakes: &'a mut Found,
    ) -> Option<Self> {
        let mut form = Self {
            parameter,
            path,
            at: node.at,
            fields: node.map().unwrap_or_default(),
            mistakes,
        };
        if node.map().is_none() {
            let found = node.kind();
            let expected = "a map of fields";
            form.wrong(Problem::Kind {
                found,
                expected,
                remedy,
            });
            return None;
        }
        form.refuse_unknown(known);
        Some(form)
    }

    fn refuse_unknown(&mut self, known: &[&'static str]) {
        let mut seen = HashSet::new();
        for field in self.fields {
            let name = shortened(&field.key);
            if !known.contains(&field.key.as_str()) {
                let problem = Problem::Unknown {
                    what: "field",
                    name: name.clone(),
                    meant: self.meant(&field.key, known),
                };
                self.wrong_at(&name, field.at, problem);
            } else if !seen.insert(&field.key) {
                self.wrong_at(&name, field.at, Problem::Twice { name: name.clone() });
            }
        }
    }

    /// The spelling that was meant; not looked for once there are very many mistakes.
    fn meant(&self, wrong: &str, known: &[&'static str]) -> Option<&'static str> {
        if self.mistakes.count() > MOST_HINTS {
            return None;
        }
        near(wrong, known)
    }

    /// Where the map begins.
    pub(super) const fn at(&self) -> Place {
        self.at
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.node(name).is_some()
    }

    fn node(&self, name: &str) -> Option<&'a Node> {
        let field = self.fields.iter().find(|field| field.key == name)?;
        Some(&field.value)
    }

    /// A mistake of the whole map.
    pub(super) fn wrong(&mut self, problem: Problem) {
        let path = self.path.clone();
        self.push(path, self.at, problem);
    }

    /// A mistake of one of its fields.
    pub(super) fn wrong_at(&mut self, name: &str, at: Place, problem: Problem) {
        self.push(format!("{}.{name}", self.path), at, problem);
    }

    fn push(&mut self, path: String, at: Place, problem: Problem) {
        self.mistakes.push(Mistake {
            place: Spot {
                parameter: self.parameter.to_owned(),
                path,
                at: Some(at),
            },
            problem,
        });
    }

    /// A text that may be absent but not empty.
    pub(super) fn text(&mut self, name: &'static str) -> Option<Text<'a>> {
        let found = self.any_text(name)?;
        if found.text.is_empty() {
            let remedy = "write a text, or leave the field out";
            self.wrong_at(name, found.at, Problem::Empty { name, remedy });
            return None;
        }
        Some(found)
    }

    /// A text that may be absent or empty.
    pub(super) fn any_text(&mut self, name: &'static str) -> Option<Text<'a>> {
        let node = self.node(name)?;
        let text = Text::of(node, name == "template");
        if text.is_none() {
            let (expected, remedy) = ("a text", "write a text, or leave the field out");
            self.wrong_kind(name, node, expected, remedy);
        }
        text
    }

    /// A list of texts.
    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<Text<'a>>> {
        let node = self.node(name)?;
        let texts = node.list().and_then(|items| {
            let texts = items.iter().map(|item| Text::of(item, false));
            texts.collect::<Option<Vec<_>>>()
        });
        if texts.is_none() {
            let remedy = "write for example [\"DB_*\", \"API_KEY\"]";
            self.wrong_kind(name, node, "a list of texts", remedy);
        }
        texts
    }

    /// The fields of a map within this one; nothing where there is none.
    pub(super) fn map(
        &mut self,
        name: &'static str,
        known: &[&'static str],
        remedy: &'static str,
    ) -> Option<Fields<'_>> {
        let node = self.node(name)?;
        let path = format!("{}.{name}", self.path);
        Fields::of(self.parameter, path, node, known, remedy, self.mistakes)
    }

    /// A map of texts, such as labels.
    pub(super) fn texts(&mut self, name: &'static str) -> BTreeMap<String, String> {
        let Some(node) = self.node(name) else {
            return BTreeMap::new();
        };
        let texts = node.map().and_then(|fields| {
            let texts = fields.iter().map(|field| {
                let text = Text::of(&field.value, false)?;
                Some((field.key.clone(), text.text.to_owned()))
            });
            texts.collect::<Option<BTreeMap<_, _>>>()
        });
        texts.unwrap_or_else(|| {
            let remedy = "write for example {team: shop}";
            self.wrong_kind(name, node, "a map of texts", remedy);
            BTreeMap::new()
        })
    }

    fn wrong_kind(
        &mut self,
        name: &str,
        node: &Node,
        expected: &'static str,
        remedy: &'static str,
    ) {
        let found = node.kind();
        let problem = Problem::Kind {
            found,
            expected,
            remedy,
        };
        self.wrong_at(name, node.at, problem);
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, name: &'static str) -> Option<bool> {
        self.choice(name, &["true", "false"], |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// One of some names.
    pub(super) fn choice<T>(
        &mut self,
        name: &'static str,
        names: &[&'static str],
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let Text { text, at, .. } = self.text(name)?;
        let chosen = parse(text);
        if chosen.is_none() {
            self.wrong_at(
                name,
                at,
                Problem::Value {
                    name,
                    value: shortened(text),
                    allowed: quoted(names),
                    meant: near(text, names),
                },
            );
        }
        chosen
    }

    /// The text of a field that names a file, if the driver accepts it.
    pub(super) fn path(
        &mut self,
        name: &'static str,
        Text { text, at, .. }: Text<'_>,
        check: Result<(), PathProblem>,
    ) -> Option<String> {
        let Err(problem) = check else {
            return Some(text.to_owned());
        };
        let text = shortened(text);
        let problem = Problem::Path {
            name,
            text,
            problem,
        };
        self.wrong_at(name, at, problem);
        None
    }
}
