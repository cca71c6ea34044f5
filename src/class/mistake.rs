//! What can be wrong with a class: where, why, what to do.

use std::collections::BTreeSet;
use std::fmt;

use crate::phase::host::HostError;
use crate::phase::keys::GlobError;
use crate::render::field::PointerProblem;
use crate::render::template::TemplateError;
use crate::render::{NameMistake, PathProblem};
use crate::shown::shown;
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

/// How many mistakes of a class are kept: more than anybody shows.
pub(super) const MOST_MISTAKES: usize = 5_000;

/// The mistakes found so far; of very many the first, and how many more there are.
#[derive(Default)]
pub(super) struct Found {
    kept: Vec<Mistake>,
    more: usize,
}

impl Found {
    pub(super) fn push(&mut self, mistake: Mistake) {
        if self.kept.len() < MOST_MISTAKES {
            self.kept.push(mistake);
        } else {
            self.more += 1;
        }
    }

    /// How many there are, kept or not.
    pub(super) const fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// All that are kept; the last says how many more there are.
    pub(super) fn finish(self) -> Vec<Mistake> {
        let Self { mut kept, more } = self;
        if let (Some(last), true) = (kept.last(), more > 0) {
            let problem = Problem::More { count: more };
            kept.push(Mistake::new(&last.place.parameter, problem));
        }
        // Of a parameter that is refused whole nothing else is said.
        let refused = kept.iter().filter(|mistake| mistake.problem.is_of_all());
        let refused: BTreeSet<_> = refused.map(|of| of.place.parameter.clone()).collect();
        kept.retain(|of| of.problem.is_of_all() || !refused.contains(&of.place.parameter));
        kept
    }
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
    /// Too many parameters.
    #[error("more than {most} parameters: a class knows 15")]
    Crowd {
        /// The limit.
        most: usize,
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
    /// A text that is longer than anything it could mean.
    #[error("{name} has {bytes} bytes, and may have {most}: shorten it")]
    Long {
        /// Which.
        name: &'static str,
        /// How many it has.
        bytes: usize,
        /// The limit.
        most: usize,
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
    /// More mistakes than are told.
    #[error("{count} more mistakes: mend the others first")]
    More {
        /// How many.
        count: usize,
    },
    /// Too much text.
    #[error("{what} have {bytes} bytes together, and may have {most}: make two classes")]
    Much {
        /// Of what.
        what: &'static str,
        /// How many.
        bytes: usize,
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
    /// A token in a parameter's name.
    #[error(
        "the name {name:?} holds a Phase token: remove it, replace that token in Phase, and name a Secret with nodePublishSecretRef on the pod's volume"
    )]
    TokenName {
        /// The name, up to the token.
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

/// No parameter's name is longer in Kubernetes' schemas.
const LONGEST_NAME: usize = 253;

impl Problem {
    /// Whether it refuses a parameter whole, so that nothing else of it matters.
    const fn is_of_all(&self) -> bool {
        matches!(
            self,
            Self::Token { .. } | Self::TokenName { .. } | Self::Long { .. }
        )
    }
}

impl Mistake {
    /// A mistake in a parameter that is one text. Its name may be anything.
    pub(super) fn new(parameter: &str, problem: Problem) -> Self {
        let parameter = shown(parameter, LONGEST_NAME);
        Self {
            place: Spot {
                path: parameter.clone(),
                parameter,
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
    shown(text, 40)
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
