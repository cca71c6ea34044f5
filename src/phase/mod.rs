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
pub mod directory;
pub mod envelope;
pub mod environment;
mod error;
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
mod tags;
pub mod token;
pub mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use account::Account;
pub use account::{EnvironmentRows, Source};
use choose::Chosen;
use client::{Authorization, Client};
use directory::Directory;
use environment::{Filter, Secret, Table};
pub use error::Error;
use host::Host;
use keyring::Keyring;
use primitives::SecretKey;
pub use resolve::{BadReference, BadReferences};
use selection::AppSelector;
use token::Token;
use wire::EnvironmentKey;

use crate::deadline::Deadline;
use crate::quota::{Allowance, Turn};

/// The door of this room.
pub struct Phase {
    client: Client,
}

/// What a mount wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which console.
    pub host: Host,
    /// Which app.
    pub app: AppSelector,
    /// Which secrets of the app.
    pub selections: Arc<[Selection]>,
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
    /// References whose text was kept.
    pub kept: BadReferences,
    /// How many environments were fetched, referenced ones included: one request each.
    pub fetched: usize,
    /// A key for [`VERSION_PURPOSE`]: equal for every token and account, and made only by who
    /// may read all environments that were fetched.
    pub version_key: SecretKey,
}

impl Answer {
    /// What was left as it is, or left out, one line each, without any value: a bounded
    /// number of lines.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.kept.lines().chain(self.unserved()).collect()
    }

    /// The same for the log, which each mount writes to: the first three of either kind,
    /// and how many there are beside them.
    #[must_use]
    pub fn first_warnings(&self) -> Vec<String> {
        const FIRST: usize = 3;
        let dynamic = self.dynamic();
        let more = match dynamic.len().saturating_sub(FIRST) {
            0 => None,
            1 => Some("1 more dynamic secret is left out".to_owned()),
            more => Some(format!("{more} more dynamic secrets are left out")),
        };
        let first = dynamic.into_iter().take(FIRST).map(str::to_owned);
        self.kept.lines_of(FIRST).chain(first).chain(more).collect()
    }

    /// Dynamic secrets that were left out, one line each: the first few.
    pub fn unserved(&self) -> impl Iterator<Item = String> {
        let dynamic = self.dynamic().into_iter().map(str::to_owned);
        dynamic.take(BadReferences::SHOWN)
    }

    fn dynamic(&self) -> BTreeSet<&str> {
        let dynamic = self.selected.iter().flat_map(|selected| &selected.dynamic);
        dynamic.map(String::as_str).collect()
    }

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
    /// Dynamic secrets that it would have taken if they were served: a line for each of
    /// the first few.
    pub dynamic: Vec<String>,
}

/// What the answer's version key is derived for.
pub const VERSION_PURPOSE: &str = "phase-csi-provider object version v2";

impl Phase {
    /// Over this client, for one person alone.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
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
        let directory = Arc::new(Directory::from(tokens));
        open(&Allowance::alone(), token, &directory, query, &source).await
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
    allowance: &Allowance,
    token: &Token,
    directory: &Arc<Directory>,
    query: &Query,
    source: &dyn Source,
) -> Result<Answer, Error> {
    let keyring = Keyring::unlock(token, &directory.answer().wrapped_key_share)?;
    let app = query.app.choose(directory)?;
    let account = Account {
        source,
        keyring: &keyring,
        directory,
    };
    let Chosen {
        homes,
        secrets,
        taken,
    } = choose::choose(&account, allowance, app, &query.selections).await?;
    let names: Vec<_> = homes.iter().map(|home| home.name().to_owned()).collect();
    let mode = query.on_reference_error;
    let resolve::Outcome {
        resolved,
        fetched,
        version_key,
    } = resolve::resolve(&account, allowance, homes, secrets, mode).await?;
    let selected = taken.into_iter().map(|taken| {
        let secrets = taken.secrets.into_iter();
        Selected {
            environment: names[taken.home as usize].clone(),
            secrets: secrets
                .map(|index| Arc::clone(&resolved.secrets[index as usize]))
                .collect(),
            dynamic: taken.dynamic,
        }
    });
    Ok(Answer {
        app: directory.app(app).name.clone(),
        selected: selected.collect(),
        kept: resolved.kept,
        fetched,
        version_key,
    })
}

/// Runs heavy work off the runtime's workers, in turns; it ends when nobody waits for it
/// any more.
async fn run<T: Send + 'static>(
    allowance: &Allowance,
    work: impl FnOnce(&Turn) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    allowance.job.run(work).await?
}
