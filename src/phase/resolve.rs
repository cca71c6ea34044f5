//! Replaces references by what they name, across environments and apps.
//!
//! First everything reachable is gathered, wave by wave: each environment is
//! fetched once, each row opened once. Then values are filled in, targets
//! before those who refer to them, so nothing is ever expanded twice and no
//! recursion can run deep. What is left over refers to itself in a circle.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::account::Account;
use super::environment::{Environment, Secret};
use super::expand::{DEEPEST, fill_in};
use super::gather::Gathering;
use super::opener::{Opener, Sealed};
use super::reference;
use super::selection::SelectionError;
use super::{Error, OnReferenceError};
use crate::cause::Cause;

/// Why a reference cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It leads back to itself.
    #[error("it leads back to itself")]
    Circle,
    /// More than 25 references one behind the other.
    #[error("more than {DEEPEST} references follow one another")]
    Deep,
    /// The token may not read that environment.
    #[error("the token may not read environment \"{environment}\" of app \"{app}\"")]
    Forbidden {
        /// The app's name.
        app: String,
        /// The environment's name.
        environment: String,
    },
    /// Not of any known form.
    #[error("it has no known form: use ${{KEY}}, ${{env.KEY}} or ${{app::env./folder/KEY}}")]
    Malformed,
    /// No such key.
    #[error(
        "there is no \"{key}\" in folder \"{folder}\" of environment \"{environment}\" in app \"{app}\""
    )]
    Missing {
        /// The key.
        key: String,
        /// The folder.
        folder: String,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
    },
    /// No such app or environment.
    #[error("{0}")]
    Place(SelectionError),
    /// It names nothing that exists, and may not be quoted.
    #[error("it names nothing that the token can read")]
    Unnamed,
}

impl Problem {
    /// The same without any word of the reference.
    fn unquoted(self) -> Self {
        match self {
            Self::Forbidden { .. } | Self::Missing { .. } | Self::Place(_) => Self::Unnamed,
            Self::Circle | Self::Deep | Self::Malformed | Self::Unnamed => self,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Circle | Self::Deep | Self::Malformed => Cause::InvalidClass,
            Self::Forbidden { .. } => Cause::Forbidden,
            Self::Missing { .. } | Self::Unnamed => Cause::NotFound,
            Self::Place(error) => error.cause(),
        }
    }
}

/// Secrets whose references are resolved.
pub(super) struct Resolved {
    /// The secrets, in the order given.
    pub(super) secrets: Vec<Arc<Secret>>,
    /// References whose text was kept, one line each.
    pub(super) warnings: Vec<String>,
    /// How many environments were fetched in all.
    pub(super) fetched: usize,
}

/// Resolves all references of `secrets`, which were opened from `environments`.
///
/// # Errors
/// With [`OnReferenceError::Fail`] the first reference that cannot be resolved.
/// A backend that cannot be reached, a row that does not decrypt and a limit
/// that is passed fail in either mode: the literal text would be a lie.
pub(super) async fn resolve(
    account: &Account<'_>,
    opener: &Opener,
    environments: Vec<Arc<Environment>>,
    secrets: Vec<(Sealed, Secret)>,
    mode: OnReferenceError,
) -> Result<Resolved, Error> {
    let wanted = secrets.len();
    let mut gathering = Gathering::new(account, opener, environments, secrets);
    gathering.run().await?;
    let fetched = gathering.fetched();
    let Gathering { nodes, .. } = gathering;
    let (values, problems) = fill_in(&nodes)?;
    let mut warnings = Vec::new();
    for (node, found, problem) in problems {
        let secret = &nodes[node].secret;
        let text = &secret.value.expose_secret()[found];
        let (reference, problem) = if reference::is_quotable(text) {
            (text.to_owned(), problem)
        } else {
            ("a malformed reference ${…}".to_owned(), problem.unquoted())
        };
        let error = Error::Reference {
            reference,
            key: secret.key.clone(),
            folder: secret.folder.clone(),
            problem: Box::new(problem),
        };
        match mode {
            OnReferenceError::Fail => return Err(error),
            OnReferenceError::Warn => warnings.push(error.to_string()),
        }
    }
    let resolved = nodes.into_iter().zip(values).take(wanted);
    let secrets = resolved.map(|(node, value)| {
        let references = node.edges.len();
        Arc::new(node.secret.resolved(value, references))
    });
    Ok(Resolved {
        secrets: secrets.collect(),
        warnings,
        fetched,
    })
}
