//! What can be wrong with a template, in our own words.
//!
//! minijinja's own messages quote values; nothing of them is shown once there
//! are values.

use crate::render::path::shown;

/// What is wrong with a template, and in which of its lines. No text of it is
/// computed from a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{}{problem}", place(.line))]
pub struct TemplateError {
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong there.
    pub problem: TemplateProblem,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateProblem {
    /// Two selected secrets have one key.
    #[error("two secrets named {:?} are selected: a template needs one of each", shown(.key))]
    Duplicate {
        /// The key.
        key: String,
    },
    /// A filter cannot do its work.
    #[error("the filter {filter} {problem}")]
    Filter {
        /// Its name.
        filter: &'static str,
        /// Why not, and what to do.
        problem: &'static str,
    },
    /// The template's text is too long.
    #[error("it is longer than 65536 bytes: make it two files")]
    LongSource,
    /// A tag is too long.
    #[error("this tag has more than 256 words and signs: make it two")]
    LongTag,
    /// Too many branches.
    #[error("it has more than 64 elif: make it two files")]
    ManyBranches,
    /// A value is not of the kind that an operator or a filter needs.
    #[error("an operator or a filter does not fit its values: check this expression")]
    Mismatch,
    /// A key that is not selected.
    #[error("no secret {:?} is selected{}", shown(.key), meant_or(.meant, "select it, or give it a default: |default(\"\")"))]
    Missing {
        /// The key.
        key: String,
        /// The selected key that was likely meant.
        meant: Option<String>,
    },
    /// A value that is no text, where text is needed.
    #[error("secret {:?} is not UTF-8 text: write it with the filter b64encode, or mount it as a file of its own", shown(.key))]
    NotText {
        /// Its key.
        key: String,
    },
    /// A list or a map where text is needed.
    #[error("a list or a map cannot be printed: loop over it, or use the filter join or json")]
    NotPrintable,
    /// Not the template language.
    #[error("{0}: mend the template")]
    Syntax(String),
    /// More than the driver takes.
    #[error("it makes more than 4194304 bytes: make it two files")]
    TooLarge,
    /// The work of a render is limited.
    #[error("it takes more work than 131072 steps or 8 MiB of text: make it simpler")]
    TooMuchWork,
    /// Something is used that is not there and is no key.
    #[error("it uses something that is not there: check the names in this line")]
    Undefined,
    /// A filter, test, function or statement that does not exist.
    #[error("there is no {kind} {:?}{}", shown(.name), meant_or(.meant, .known))]
    Unknown {
        /// What it would be.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The name that was likely meant.
        meant: Option<&'static str>,
        /// What there is instead.
        known: String,
    },
    /// A part of Jinja that is left out.
    #[error("{what} are not part of the template language: {instead}")]
    Unsupported {
        /// What it is.
        what: &'static str,
        /// What to write instead.
        instead: &'static str,
    },
}

fn place(line: &Option<usize>) -> String {
    line.map(|line| format!("line {line}: "))
        .unwrap_or_default()
}

fn meant_or(meant: &Option<impl AsRef<str>>, otherwise: impl AsRef<str>) -> String {
    match meant {
        Some(meant) => format!(": did you mean {:?}?", meant.as_ref()),
        None => format!(": {}", otherwise.as_ref()),
    }
}

impl TemplateProblem {
    pub(super) const fn at(self, line: Option<usize>) -> TemplateError {
        TemplateError {
            line,
            problem: self,
        }
    }

    /// A name that does not exist, and the nearest that does.
    pub(super) fn unknown(kind: &'static str, name: &str, known: &[&'static str]) -> Self {
        Self::Unknown {
            kind,
            name: name.to_owned(),
            meant: near(name, known),
            known: if known.is_empty() {
                "use a filter".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            },
        }
    }
}

/// The known name that was likely meant by one of a sane length.
pub(super) fn near<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let sane = |name: &&str| (3..=64).contains(&name.len());
    let known: Vec<_> = known.iter().copied().filter(sane).collect();
    let near = || crate::spelling::near(name, &known);
    sane(&name).then(near).flatten()
}
