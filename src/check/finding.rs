//! What a rule finds.

use std::collections::HashMap;

use super::rule::{Rule, Severity};
use crate::manifest::{self, Manifest};
use crate::yaml::{Node, Place};

/// How every token of Phase begins.
const TOKEN: &str = "pss_";

/// Findings of the driver's side of one object; nobody reads more at once.
const MOST: usize = 100;
/// Mistakes in the parameters of one class: two for each entry that it can have.
const MOST_IN_PARAMETERS: usize = 4_000;

/// One thing to mend, or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// The file's name.
    pub file: String,
    /// Where in the file, when that is known.
    pub place: Option<Place>,
    /// The object: kind, and namespace and name.
    pub object: String,
    /// Cause and next step; no value of a secret.
    pub message: String,
}

impl Finding {
    /// How grave it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.rule.severity()
    }
}

/// Collects the findings about one object.
pub(super) struct Findings {
    file: String,
    object: String,
    found: Vec<Finding>,
    in_parameters: usize,
}

impl Findings {
    pub(super) fn about(file: &manifest::File, manifest: &Manifest) -> Self {
        Self::named(file.name(), object(manifest))
    }

    pub(super) fn named(file: &str, object: String) -> Self {
        Self {
            file: file.to_owned(),
            object,
            found: Vec::new(),
            in_parameters: 0,
        }
    }

    pub(super) fn add(&mut self, rule: Rule, at: Place, message: impl Into<String>) {
        self.push(rule, Some(at), &message.into());
    }

    pub(super) fn push(&mut self, rule: Rule, place: Option<Place>, message: &str) {
        let (so_far, most) = self.room(rule);
        if so_far >= most {
            return;
        }
        let message = if so_far + 1 == most {
            "there are more mistakes than are shown: mend these first"
        } else {
            message
        };
        if rule == Rule::Parameters {
            self.in_parameters += 1;
        }
        self.found.push(Finding {
            rule,
            file: self.file.clone(),
            place,
            object: without_tokens(&self.object),
            message: without_tokens(message),
        });
    }

    /// How many findings there are of what a rule counts for, and how many there may be.
    fn room(&self, rule: Rule) -> (usize, usize) {
        if rule == Rule::Parameters {
            (self.in_parameters, MOST_IN_PARAMETERS)
        } else {
            (self.found.len() - self.in_parameters, MOST)
        }
    }

    /// Whether looking for more of a rule is of no use.
    pub(super) fn is_full(&self, rule: Rule) -> bool {
        let (so_far, most) = self.room(rule);
        so_far >= most
    }

    pub(super) fn into_object(self) -> String {
        without_tokens(&self.object)
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.found
    }

    /// Fields that repeat, and those that are not among the known ones.
    pub(super) fn fields(&mut self, node: &Node, known: &[&str], of: &str) {
        self.repeated(node, of);
        for field in node.map().unwrap_or_default() {
            if self.is_full(Rule::UnknownField) {
                return;
            }
            if !known.contains(&field.key.as_str()) {
                let name = shortened(&field.key);
                let hint = hint(&field.key, known);
                let message = format!("{of} has no field {name:?}{hint}");
                self.add(Rule::UnknownField, field.at, message);
            }
        }
    }

    /// Fields that repeat.
    pub(super) fn repeated(&mut self, node: &Node, of: &str) {
        let mut seen = HashMap::new();
        for field in node.map().unwrap_or_default() {
            let earlier = seen.insert(field.key.as_str(), field);
            if let Some(earlier) = earlier {
                let name = shortened(&field.key);
                let line = earlier.at.line;
                let message =
                    format!("{of} has {name:?} twice, first on line {line}: remove one of them");
                self.add(Rule::DuplicateField, field.at, message);
            }
        }
    }

    /// The text of a field that must be there.
    pub(super) fn text<'a>(&mut self, of: &'a Node, field: &str, path: &str) -> Option<&'a str> {
        let Some(value) = of.get(field).filter(|value| !value.is_null()) else {
            let message = format!("{path} is missing: add it");
            self.add(Rule::MissingField, of.at, message);
            return None;
        };
        self.expect_text(value, path);
        value.text().map(str::trim)
    }

    /// Refuses what kubectl does not take for a text.
    pub(super) fn expect_text(&mut self, value: &Node, path: &str) -> bool {
        use crate::manifest::Scalar::{List, Map, Nothing, Number, Switch, Text};
        let message = match manifest::scalar(value) {
            Text => return true,
            Switch | Number => {
                let text = shortened(value.text().unwrap_or_default());
                let kind = match manifest::scalar(value) {
                    Number => "a number",
                    _ => "true or false",
                };
                format!("{path} is {kind} to Kubernetes, not a text: quote it: \"{text}\"")
            }
            Nothing => format!("{path} is empty, not a text: write \"\", or remove it"),
            List => {
                format!("{path} is a list, not a text: put it in a block: write | after the colon")
            }
            Map => {
                format!("{path} is a map, not a text: put it in a block: write | after the colon")
            }
        };
        self.add(Rule::WrongType, value.at, message);
        false
    }
}

/// An object as people call it.
pub(super) fn object(manifest: &Manifest) -> String {
    let kind = &manifest.kind;
    let name = if manifest.name.is_empty() {
        "without a name"
    } else {
        &manifest.name
    };
    match &manifest.namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The next step for a wrong name: the near one, or to remove it.
pub(super) fn hint(wrong: &str, known: &[&str]) -> String {
    match crate::spelling::near(wrong, known) {
        Some(meant) => format!(": did you mean \"{meant}\"?"),
        None => format!(": remove it; there are {}", known.join(", ")),
    }
}

/// What somebody wrote, short enough for a message.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.contains(TOKEN) {
        return "(a token)".to_owned();
    }
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// Somebody may have pasted a token anywhere, even as a name.
fn without_tokens(text: &str) -> String {
    let mut parts = text.split(TOKEN);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || "\"'".contains(c));
        kept += "(a token)";
        kept += &part[end.unwrap_or(part.len())..];
    }
    kept
}
