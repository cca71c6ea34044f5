//! Phase itself: token, key chain, HTTP, selection, references.
//!
//! [`open`] is the way through: the tokens answer opens the account's keys, names
//! choose app and environment, a [`Source`] brings its rows, the selected ones are
//! opened, references are replaced. [`Phase::read`] is the same with everything
//! asked for anew. This room knows nothing of Kubernetes or files.

mod account;
pub mod agreed;
pub mod allowed;
pub mod args;
mod choose;
pub mod client;
pub mod envelope;
pub mod environment;
mod expand;
pub mod folder;
mod gather;
pub mod host;
pub mod keyring;
pub mod keys;
pub mod opener;
pub mod primitives;
pub mod reference;
pub mod resolve;
pub mod retry;
pub mod selection;
pub mod token;
pub mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use account::Account;
pub use account::{EnvironmentRows, Source};
use choose::Chosen;
use client::{Authorization, Client, ClientError, UnusableBearer};
use environment::{Filter, RowError, Secret, Table};
use folder::Folder;
use host::Host;
use keyring::{Keyring, KeyringError};
use opener::Opener;
use primitives::SecretKey;
use resolve::Problem;
use selection::{AppSelector, SelectionError};
use token::Token;
use wire::{EnvironmentKey, TokensAnswer};

use crate::cause::Cause;
use crate::deadline::Deadline;
use crate::quota::Exceeded;

/// The door of this room.
pub struct Phase {
    client: Client,
    opener: Opener,
}

/// What a mount wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which console.
    pub host: Host,
    /// Which app.
    pub app: AppSelector,
    /// Which secrets of the app.
    pub selections: Vec<Selection>,
    /// What becomes of a reference that cannot be resolved.
    pub on_reference_error: OnReferenceError,
}

/// Some secrets of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which environment, by its whole name in any case.
    pub environment: String,
    /// Which of its secrets.
    pub filter: Filter,
}

/// What becomes of a reference that cannot be resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReferenceError {
    /// The mount fails and names it.
    #[default]
    Fail,
    /// Its text stays, and a warning is logged.
    Warn,
}

/// The secrets of one query, opened and resolved.
pub struct Answer {
    /// The app's name as Phase spells it.
    pub app: String,
    /// What each selection of the query took, in the query's order.
    pub selected: Vec<Selected>,
    /// References whose text was kept, one line each, without any value.
    pub warnings: Vec<String>,
    /// How many environments were fetched, referenced ones included: one request each.
    pub fetched: usize,
    /// A key of the account for [`VERSION_PURPOSE`]: equal for all its tokens.
    pub version_key: SecretKey,
}

impl Answer {
    /// The environments that were read, for people.
    #[must_use]
    pub fn environments(&self) -> String {
        listed(self.selected.iter().map(|of| of.environment.as_str()))
    }
}

/// Each name once, sorted; up to eight.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<_> = names.collect();
    names.into_iter().take(8).collect::<Vec<_>>().join(", ")
}

/// The secrets of one selection, in no particular order.
pub struct Selected {
    /// The environment's name as Phase spells it.
    pub environment: String,
    /// The secrets; one that several selections took is shared.
    pub secrets: Vec<Arc<Secret>>,
}

/// What the answer's version key is derived for.
pub const VERSION_PURPOSE: &str = "phase-csi-provider object version v1";

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
    /// There is no room for what was opened or made of it.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// Keys do not open.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
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
        most: usize,
    },
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
    /// A reference cannot be resolved.
    #[error(
        "{reference} in secret \"{key}\" of folder \"{folder}\" cannot be resolved: {problem}: mend it, or keep its text with onSecretReferenceError: Warn"
    )]
    Reference {
        /// The reference as it may be shown.
        reference: String,
        /// The key whose value holds it.
        key: String,
        /// That key's folder.
        folder: Folder,
        /// Why.
        problem: Box<Problem>,
    },
    /// A row does not open.
    #[error(transparent)]
    Row(#[from] RowError),
    /// App or environment not found.
    #[error(transparent)]
    Selection(#[from] SelectionError),
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
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Bearer(_) => Cause::RefusedCredential,
            Self::Client(error) => error.cause(),
            Self::Exceeded(error) => error.cause(),
            Self::Keyring(error) => error.cause(),
            Self::LargeValue { .. }
            | Self::TooManyEnvironments { .. }
            | Self::TooManyReferences { .. }
            | Self::TooManySelected { .. } => Cause::TooLarge,
            Self::Moved => Cause::Unreachable,
            Self::Told { cause, .. } => *cause,
            Self::Reference { problem, .. } => problem.cause(),
            Self::Row(error) => error.cause(),
            Self::Selection(error) => error.cause(),
        }
    }
}

impl Phase {
    /// Over this client, opening on all cores.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            opener: Opener::default(),
        }
    }

    /// The secrets that a query names, as a token opens them, asked for here and
    /// now: two requests, and one more for each further environment that
    /// references lead to.
    ///
    /// # Errors
    /// [`Error`]; all or nothing, never a part.
    pub async fn read(
        &self,
        token: &Token,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Answer, Error> {
        let authorization = token.authorization()?;
        let tokens = self
            .client
            .tokens(&query.host, &authorization, deadline)
            .await?;
        let source = Direct {
            client: &self.client,
            host: &query.host,
            authorization: &authorization,
            deadline,
        };
        open(&self.opener, token, &tokens, query, &source).await
    }
}

/// Asks Phase for every environment.
struct Direct<'a> {
    client: &'a Client,
    host: &'a Host,
    authorization: &'a Authorization,
    deadline: Deadline,
}

impl Source for Direct<'_> {
    fn rows<'a>(
        &'a self,
        key: &'a EnvironmentKey,
    ) -> BoxFuture<'a, Result<EnvironmentRows, Error>> {
        let id = &key.environment.id;
        let rows = self
            .client
            .secrets(self.host, self.authorization, id, self.deadline);
        async {
            Ok(EnvironmentRows {
                table: Arc::new(Table::from(rows.await?)),
                agreed: Arc::default(),
            })
        }
        .boxed()
    }
}

/// The secrets that a query names, out of a tokens answer and the rows that a
/// source has.
///
/// # Errors
/// [`Error`]; all or nothing, never a part.
pub async fn open(
    opener: &Opener,
    token: &Token,
    tokens: &TokensAnswer,
    query: &Query,
    source: &dyn Source,
) -> Result<Answer, Error> {
    let keyring = Keyring::unlock(token, &tokens.wrapped_key_share)?;
    let app = query.app.choose(&tokens.apps)?;
    let account = Account {
        source,
        keyring: &keyring,
        apps: &tokens.apps,
    };
    let Chosen {
        environments,
        secrets,
        taken,
    } = choose::choose(&account, opener, app, &query.selections).await?;
    let mode = query.on_reference_error;
    let resolved = resolve::resolve(&account, opener, environments, secrets, mode).await?;
    let secrets = |taken: Vec<usize>| {
        let taken = taken.into_iter();
        taken.map(|index| Arc::clone(&resolved.secrets[index]))
    };
    let selected = taken.into_iter().map(|taken| Selected {
        environment: taken.environment,
        secrets: secrets(taken.secrets).collect(),
    });
    Ok(Answer {
        app: app.name.clone(),
        selected: selected.collect(),
        warnings: resolved.warnings,
        fetched: resolved.fetched,
        version_key: keyring.derive(VERSION_PURPOSE),
    })
}
