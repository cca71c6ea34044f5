//! What can be wrong with a class: where, why, what to do.

use std::fmt;

use crate::phase::host::HostError;
use crate::phase::keys::GlobError;
use crate::render::field::PointerProblem;
use crate::render::template::TemplateError;
use crate::render::{NameMistake, PathProblem};
use crate::yaml::{Place, YamlProblem};

/// One mistake in a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Spot,
    /// Why, and what to do.
    pub problem: Problem,
}

/// Where in a class something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The parameter.
    pub parameter: String,
    /// The way into it: `objects[2].encoding`, or the parameter itself.
    pub path: String,
    /// The place in the parameter's text, where that is YAML.
    pub at: Option<Place>,
}

/// What is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Two fields that say different things.
    #[error("{first} and {second} cannot stand together: {remedy}")]
    Both {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A text that is no length of time.
    #[error("{name} is {value:?}, which is {reason}: for example \"24h\", or \"0s\" for never")]
    Duration {
        /// Which.
        name: &'static str,
        /// What was given.
        value: String,
        /// Why it is none.
        reason: String,
    },
    /// A parameter or field without text.
    #[error("{name} is empty: {remedy}")]
    Empty {
        /// Which.
        name: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A glob that is none.
    #[error("{text:?} {problem}")]
    Glob {
        /// What was given.
        text: String,
        /// Why.
        problem: GlobError,
    },
    /// The host is not one that this node talks to.
    #[error("phaseHost: {0}")]
    Host(HostError),
    /// A value of the wrong kind.
    #[error("{found} stands where {expected} belongs: {remedy}")]
    Kind {
        /// What there is.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Too many of something.
    #[error("{count} {what} are more than {most}: make two classes")]
    Many {
        /// How many.
        count: usize,
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// Names that cannot be files.
    #[error("{0}")]
    Names(NameMistake),
    /// No app is named.
    #[error("phaseApp is missing: name the app, or give its id as phaseAppId")]
    NoApp,
    /// A field that needs one key.
    #[error("{field} needs secretKey: name the one key that it is for")]
    NoKey {
        /// Which.
        field: &'static str,
    },
    /// An entry that makes one file of many keys, and names none.
    #[error("objectName is missing: name the file that {by} makes, for example \"{example}\"")]
    NoName {
        /// `format` or `template`.
        by: &'static str,
        /// A good name.
        example: &'static str,
    },
    /// An entry whose `objectName` says nothing of a secret.
    #[error(
        "objectName {name:?} names a file but no secret: add secretKey: {name:?} for one key, or format or template for a file of many"
    )]
    NoSource {
        /// The name.
        name: String,
    },
    /// An entry of `mirror` without a name.
    #[error("secretName is missing: name the Secret to write")]
    NoSecretName,
    /// A name that no object can have.
    #[error(
        "{name} {value:?} is no name of a Kubernetes object: use lower-case letters, digits, \"-\" and \".\""
    )]
    ObjectName {
        /// Which field.
        name: &'static str,
        /// What was given.
        value: String,
    },
    /// A mirror that would overwrite its token.
    #[error("secretName {name:?} is the Secret that holds the token: name another")]
    OverToken {
        /// The name.
        name: String,
    },
    /// A path that the driver does not accept.
    #[error("{name} {text:?} cannot be a file: {problem}: {}", other_name(.name))]
    Path {
        /// Which field.
        name: &'static str,
        /// What was given.
        text: String,
        /// Why.
        problem: PathProblem,
    },
    /// A permission that is none.
    #[error(
        "filePermission {value:?} is not an octal permission from 0001 to 0777: write for example \"0644\""
    )]
    Permission {
        /// What was given.
        value: String,
    },
    /// A JSON pointer that is none.
    #[error("field {text:?}: {problem}")]
    Pointer {
        /// What was given.
        text: String,
        /// Why.
        problem: PointerProblem,
    },
    /// A template that does not parse.
    #[error("template: {0}")]
    Template(TemplateError),
    /// A token where none belongs; anyone who may read the class could use it.
    #[error(
        "{name:?} holds a Phase token: remove it, replace that token in Phase, and name a Secret with nodePublishSecretRef on the pod's volume"
    )]
    Token {
        /// The parameter's name.
        name: String,
    },
    /// A field that stands twice.
    #[error("{name} stands here twice: remove one")]
    Twice {
        /// Which.
        name: String,
    },
    /// A parameter or field that does not exist.
    #[error("unknown {what} {name:?}{}", hint(*.meant))]
    Unknown {
        /// `parameter` or `field`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What may have been meant.
        meant: Option<&'static str>,
    },
    /// A value that the parameter or field does not take.
    #[error("{name} {value:?} is not one of {allowed}{}", meant_too(*.meant))]
    Value {
        /// Which parameter or field.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        allowed: String,
        /// What may have been meant.
        meant: Option<&'static str>,
    },
    /// Not YAML.
    #[error("{0}")]
    Yaml(YamlProblem),
}

impl Mistake {
    /// A mistake in a parameter that is one text.
    pub(super) fn new(parameter: &str, problem: Problem) -> Self {
        Self {
            place: Spot {
                parameter: parameter.to_owned(),
                path: parameter.to_owned(),
                at: None,
            },
            problem,
        }
    }

    /// Without the place inside the parameter's text, for those who say where in
    /// the file it is.
    #[must_use]
    pub fn to_string_in_place(&self) -> String {
        match self.place.at {
            None => self.problem.to_string(),
            Some(_) => format!("{}: {}", self.place.path, self.problem),
        }
    }
}

impl Mistake {
    /// A mistake at a place in the text of a parameter that is YAML.
    pub(super) fn at(parameter: &str, at: Place, problem: Problem) -> Self {
        let mut mistake = Self::new(parameter, problem);
        mistake.place.at = Some(at);
        mistake
    }
}

impl std::error::Error for Mistake {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.at {
            None => self.problem.fmt(f),
            Some(at) => write!(f, "{} ({at}): {}", self.place.path, self.problem),
        }
    }
}

/// What a pod author wrote, short enough for an error.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// Names in quotes, for errors.
pub(super) fn quoted(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(
        || ": remove it".to_owned(),
        |meant| format!(": did you mean \"{meant}\"?"),
    )
}

fn meant_too(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!(": did you mean \"{meant}\"?"))
}

fn other_name(field: &str) -> &'static str {
    match field {
        "secretKey" => "add objectName",
        "asName" => "choose a name such as \"password\"",
        _ => "choose a relative path such as \"db/password\"",
    }
}
