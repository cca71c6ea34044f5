//! Gathers everything that references lead to, wave by wave.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use secrecy::ExposeSecret;

use super::Error;
use super::account::Account;
use super::environment::{Environment, Secret};
use super::opener::{Opener, Sealed};
use super::reference::{self, Found, Reference};
use super::resolve::Problem;
use super::selection::{self, AppSelector, SelectionError};
use super::wire::{App, EnvironmentKey};
use crate::cause::Cause;

const MOST_SECRETS: usize = 10_000;
/// How many environments one mount may read.
pub(super) const MOST_ENVIRONMENTS: usize = 64;
/// How many requests of one mount run at once.
pub(super) const FETCHES_AT_ONCE: usize = 4;

/// A secret that is asked for or referred to, and where its references lead.
pub(super) struct Node {
    environment: Arc<Environment>,
    pub(super) secret: Secret,
    pub(super) edges: Vec<Edge>,
}

/// One reference of a node.
pub(super) struct Edge {
    pub(super) place: Range<usize>,
    pub(super) target: Result<usize, Problem>,
}

/// What has been gathered so far: each environment fetched once, each row opened once.
pub(super) struct Gathering<'a> {
    account: &'a Account<'a>,
    opener: &'a Opener,
    environments: HashMap<String, Result<Arc<Environment>, Problem>>,
    pub(super) nodes: Vec<Node>,
    known: HashMap<(String, usize), usize>,
}

/// A reference whose app and environment are known by id.
type Located<'a> = (&'a App, &'a EnvironmentKey);

impl<'a> Gathering<'a> {
    pub(super) fn new(
        account: &'a Account<'a>,
        opener: &'a Opener,
        environments: Vec<Arc<Environment>>,
        secrets: Vec<(Sealed, Secret)>,
    ) -> Self {
        let id = |environment: &Environment| environment.place().environment_id.clone();
        let place = |(node, (sealed, _)): (usize, &(Sealed, Secret))| {
            ((id(&sealed.environment), sealed.row), node)
        };
        let known = secrets.iter().enumerate().map(place).collect();
        let nodes = secrets.into_iter().map(|(sealed, secret)| Node {
            environment: sealed.environment,
            secret,
            edges: Vec::new(),
        });
        let environments = environments.into_iter();
        Self {
            account,
            opener,
            environments: environments.map(|home| (id(&home), Ok(home))).collect(),
            nodes: nodes.collect(),
            known,
        }
    }

    /// How many environments were fetched.
    pub(super) fn fetched(&self) -> usize {
        self.environments.len()
    }

    /// Wave by wave: what the newest nodes refer to becomes the next wave.
    pub(super) async fn run(&mut self) -> Result<(), Error> {
        let mut wave = 0;
        while wave < self.nodes.len() {
            let found: Vec<Vec<Found>> = self.nodes[wave..]
                .iter()
                .map(|node| reference::find(node.secret.value.expose_secret()))
                .collect();
            self.fetch_missing(wave, &found).await?;
            let opened_before = self.nodes.len();
            let rows = self.connect(wave, found);
            self.open(rows).await?;
            wave = opened_before;
        }
        Ok(())
    }

    async fn fetch_missing(&mut self, wave: usize, found: &[Vec<Found>]) -> Result<(), Error> {
        let missing = self.missing(wave, found);
        if self.environments.len() + missing.len() > MOST_ENVIRONMENTS {
            return Err(Error::TooManyReferences {
                what: "environments",
                most: MOST_ENVIRONMENTS,
            });
        }
        let fetches: Vec<_> = missing
            .into_iter()
            .map(|place| fetch(self.account, place).boxed())
            .collect();
        let fetched: Vec<_> = stream::iter(fetches)
            .buffer_unordered(FETCHES_AT_ONCE)
            .try_collect()
            .await?;
        self.environments.extend(fetched);
        Ok(())
    }

    fn missing(&self, wave: usize, found: &[Vec<Found>]) -> Vec<Located<'a>> {
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        for (node, found) in self.nodes[wave..].iter().zip(found) {
            for target in found.iter().filter_map(|found| found.target.as_ref()) {
                let Ok((app, key)) = self.locate(&node.environment, target) else {
                    continue;
                };
                let id = key.environment.id.as_str();
                if !self.environments.contains_key(id) && seen.insert(id) {
                    missing.push((app, key));
                }
            }
        }
        missing
    }

    /// Which app and environment a reference read in `here` means.
    fn locate(
        &self,
        here: &Environment,
        target: &Reference,
    ) -> Result<Located<'a>, SelectionError> {
        let place = here.place();
        let app = match &target.app {
            Some(name) => AppSelector::Name(name.clone()),
            None => AppSelector::Id(place.app_id.clone()),
        };
        let app = app.choose(self.account.apps)?;
        let key = match &target.environment {
            Some(name) => selection::environment(app, name)?,
            None => app
                .environment_keys
                .iter()
                .find(|key| key.environment.id == place.environment_id)
                .ok_or_else(|| SelectionError::UnknownEnvironment {
                    app: app.name.clone(),
                    name: place.environment.clone(),
                    known: "none".to_owned(),
                })?,
        };
        Ok((app, key))
    }

    /// Gives the nodes of a wave their edges; returns the rows to open, which
    /// become the next nodes in that order.
    fn connect(&mut self, wave: usize, found: Vec<Vec<Found>>) -> Vec<Sealed> {
        let mut next = Vec::new();
        for (node, found) in (wave..).zip(found) {
            let here = Arc::clone(&self.nodes[node].environment);
            let edges = found.into_iter().map(|Found { place, target }| Edge {
                place,
                target: self.target(&here, target, &mut next),
            });
            self.nodes[node].edges = edges.collect();
        }
        next
    }

    fn target(
        &mut self,
        here: &Environment,
        target: Option<Reference>,
        next: &mut Vec<Sealed>,
    ) -> Result<usize, Problem> {
        let target = target.ok_or(Problem::Malformed)?;
        let (_, key) = self.locate(here, &target).map_err(Problem::Place)?;
        let id = &key.environment.id;
        let environment = match self.environments.get(id) {
            Some(Ok(environment)) => Arc::clone(environment),
            Some(Err(problem)) => return Err(problem.clone()),
            None => return Err(Problem::Malformed),
        };
        let row = environment
            .find(&target.folder, &target.key)
            .ok_or_else(|| missing(&environment, &target))?;
        let fresh = self.nodes.len() + next.len();
        let node = *self.known.entry((id.clone(), row)).or_insert(fresh);
        if node == fresh {
            next.push(Sealed::new(environment, row));
        }
        Ok(node)
    }

    async fn open(&mut self, rows: Vec<Sealed>) -> Result<(), Error> {
        if self.nodes.len() + rows.len() > MOST_SECRETS {
            return Err(Error::TooManyReferences {
                what: "secrets",
                most: MOST_SECRETS,
            });
        }
        let environments: Vec<_> = rows
            .iter()
            .map(|row| Arc::clone(&row.environment))
            .collect();
        let opened = self.opener.open(rows).await?;
        let nodes = environments.into_iter().zip(opened.into_iter().flatten());
        self.nodes.extend(nodes.map(|(environment, secret)| Node {
            environment,
            secret,
            edges: Vec::new(),
        }));
        Ok(())
    }
}

/// An environment with its id, or why references into it cannot be resolved.
type Fetched = (String, Result<Arc<Environment>, Problem>);

async fn fetch(account: &Account<'_>, (app, key): Located<'_>) -> Result<Fetched, Error> {
    let fetched = match account.fetch(app, key).await {
        Ok(environment) => Ok(environment),
        Err(error) => Err(refusal(app, key, error)?),
    };
    Ok((key.environment.id.clone(), fetched))
}

/// An environment that is listed and yet refused is a problem of the reference;
/// every other failure is one of the mount.
fn refusal(app: &App, key: &EnvironmentKey, error: Error) -> Result<Problem, Error> {
    match error.cause() {
        Cause::Forbidden | Cause::NotFound => Ok(Problem::Forbidden {
            app: app.name.clone(),
            environment: key.environment.name.clone(),
        }),
        _ => Err(error),
    }
}

fn missing(environment: &Environment, target: &Reference) -> Problem {
    let place = environment.place();
    Problem::Missing {
        key: target.key.clone(),
        folder: target.folder.to_string(),
        environment: place.environment.clone(),
        app: place.app.clone(),
    }
}
