//! What can be wrong with the secrets of an object: the object, why, what to do.

use super::encoding::DecodeProblem;
use super::field::FieldProblem;
use super::format::Unwritable;
use super::names::{NameMistake, Source};
use super::template::{TemplateError, TemplateProblem};
use crate::cause::Cause;
use crate::phase::folder::Folder;

/// A secret that is missing, or that cannot be what an object makes of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", prefix(.label))]
pub struct ObjectMistake {
    /// The object; nothing for a class without `objects`.
    pub label: Option<String>,
    /// What is wrong.
    pub problem: ObjectProblem,
}

/// What is wrong with the secrets of one object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectProblem {
    /// The stored text is not of its encoding.
    #[error(
        "secret {key:?} in folder \"{folder}\" cannot be decoded: {problem}: mend its value in Phase, or the encoding"
    )]
    Decode {
        /// The key.
        key: String,
        /// Its folder.
        folder: Folder,
        /// Why.
        problem: DecodeProblem,
    },
    /// A selection of many keys has none.
    #[error(
        "no secrets selected: folder \"{folder}\" of environment \"{environment}\" in app \"{app}\" has none that match: check path, tag, include and exclude, or set optional: true"
    )]
    Empty {
        /// The folder.
        folder: Folder,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
    },
    /// A field that the value does not have.
    #[error(
        "secret {key:?} in folder \"{folder}\": {problem}: mend its value in Phase, or the field"
    )]
    Field {
        /// The key.
        key: String,
        /// Its folder.
        folder: Folder,
        /// Why.
        problem: FieldProblem,
    },
    /// A format cannot carry a value.
    #[error("{0}")]
    Format(Unwritable),
    /// The one key does not exist.
    #[error(
        "secret {key:?} not found: folder \"{folder}\" of environment \"{environment}\" in app \"{app}\" has no such key{}: create it in Phase, or set optional: true", with_tag(*.tagged)
    )]
    Missing {
        /// The key.
        key: String,
        /// The folder.
        folder: Folder,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
        /// Whether only keys with a tag count.
        tagged: bool,
    },
    /// The one key is one of a dynamic secret.
    #[error(
        "secret {key:?} is a key of a dynamic secret, which is not served yet: folder \"{folder}\" of environment \"{environment}\" in app \"{app}\": name a static secret, or set optional: true"
    )]
    Dynamic {
        /// The key.
        key: String,
        /// The folder.
        folder: Folder,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
    },
    /// A name that no file can have, or that two files would have.
    #[error("{0}")]
    Name(Box<NameMistake>),
    /// Two keys have one name in a file of a format or template.
    #[error(
        "{} and {} would both be {name:?} in one file: give one another name by asName in processors, or select one", both.0, both.1
    )]
    SameName {
        /// The name.
        name: String,
        /// The two secrets.
        both: Box<(Source, Source)>,
    },
    /// The template cannot be filled in.
    #[error("template: {0}")]
    Template(TemplateError),
}

impl ObjectMistake {
    /// Of names, which say themselves whose they are.
    pub(super) fn name(mistake: NameMistake) -> Self {
        Self {
            label: None,
            problem: ObjectProblem::Name(Box::new(mistake)),
        }
    }

    /// What the driver's code follows from.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match &self.problem {
            ObjectProblem::Dynamic { .. }
            | ObjectProblem::Empty { .. }
            | ObjectProblem::Missing { .. } => Cause::NotFound,
            ObjectProblem::Template(error) => match error.problem {
                TemplateProblem::Missing { .. } => Cause::NotFound,
                TemplateProblem::TooLarge | TemplateProblem::TooMuchWork => Cause::TooLarge,
                _ => Cause::InvalidClass,
            },
            ObjectProblem::Decode { .. }
            | ObjectProblem::Field { .. }
            | ObjectProblem::Format(_)
            | ObjectProblem::Name(_)
            | ObjectProblem::SameName { .. } => Cause::InvalidClass,
        }
    }
}

fn prefix(label: &Option<String>) -> String {
    label
        .as_ref()
        .map_or_else(String::new, |label| format!("{label}: "))
}

const fn with_tag(tagged: bool) -> &'static str {
    if tagged { " with the tag" } else { "" }
}
