//! Why secrets could not be read.

use super::client::{ClientError, UnusableBearer};
use super::environment::RowError;
use super::folder::Folder;
use super::keyring::KeyringError;
use super::resolve::BadReferences;
use super::selection::SelectionError;
use crate::cause::Cause;
use crate::quota::{Exceeded, Stopped};

/// Why secrets could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A token that no header can carry.
    #[error(transparent)]
    Bearer(#[from] UnusableBearer),
    /// Keys do not open.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// All values with references grew too large together.
    #[error(
        "references make {bytes} bytes of the values of one class, and at most {most} are made: refer to large values less often, or make two classes"
    )]
    LargeSum {
        /// How many it would be.
        bytes: u64,
        /// The limit in bytes.
        most: u64,
    },
    /// A value grew too large by its references.
    #[error(
        "secret \"{key}\" in folder \"{folder}\" is larger than {most} bytes once its references are resolved: shorten it"
    )]
    LargeValue {
        /// Its key.
        key: String,
        /// Its folder.
        folder: Folder,
        /// The limit in bytes.
        most: u64,
    },
    /// More references than is sane.
    #[error("{holder} may hold at most {most} references, and there are more: use fewer")]
    ManyReferences {
        /// What holds them.
        holder: &'static str,
        /// The limit.
        most: usize,
    },
    /// The tenant's memory does not suffice.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// What somebody else was told who asked the same.
    #[error("{text}")]
    Told {
        /// Why.
        cause: Cause,
        /// In which words.
        text: String,
    },
    /// What was listed is not what is there any more.
    #[error(
        "environments changed in Phase while they were read: the mount is retried automatically"
    )]
    Moved,
    /// References cannot be resolved.
    #[error("{0}")]
    References(BadReferences),
    /// A row does not open.
    #[error(transparent)]
    Row(#[from] RowError),
    /// App or environment not found.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The work took too long, or too many wait to work.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Selections name more environments than is sane.
    #[error("objects name more than {most} environments: mount fewer in one class")]
    TooManyEnvironments {
        /// The limit.
        most: usize,
    },
    /// Selections take more secrets than is sane.
    #[error(
        "objects take more than {most} secrets together: select fewer in each entry, or make two classes"
    )]
    TooManySelected {
        /// The limit.
        most: usize,
    },
    /// The globs of a class are too much work for the keys that there are.
    #[error(
        "include and exclude take more than {most} steps to match the keys there are: write fewer globs, or globs with fewer \"*\""
    )]
    TooMuchMatching {
        /// The limit.
        most: u64,
    },
    /// References lead to more than is sane.
    #[error("references lead to more than {most} {what}: mount fewer secrets in one class")]
    TooManyReferences {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        most: usize,
    },
}

impl Error {
    /// The cause that decides the gRPC code.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Bearer(_) => Cause::RefusedCredential,
            Self::Client(error) => error.cause(),
            Self::Keyring(error) => error.cause(),
            Self::Exceeded(error) => error.cause(),
            Self::Stopped(error) => error.cause(),
            Self::LargeSum { .. }
            | Self::LargeValue { .. }
            | Self::ManyReferences { .. }
            | Self::TooManyEnvironments { .. }
            | Self::TooManyReferences { .. }
            | Self::TooManySelected { .. }
            | Self::TooMuchMatching { .. } => Cause::TooLarge,
            Self::Moved => Cause::Unreachable,
            Self::Told { cause, .. } => *cause,
            Self::References(bad) => {
                let first = bad.first.first();
                first.map_or(Cause::NotFound, |bad| bad.problem.cause())
            }
            Self::Row(error) => error.cause(),
            Self::Selection(error) => error.cause(),
        }
    }
}
