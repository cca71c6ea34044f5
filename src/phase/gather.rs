//! Gathers everything that references lead to, wave by wave.
//!
//! [`Gathering::advance`] goes on until it needs something from outside: an environment
//! to be fetched, or many rows to be opened. It owns all it works on, so that it can run
//! on another thread.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use secrecy::{ExposeSecret, SecretString};

use super::Error;
use super::account::Account;
use super::choose::Home;
use super::directory::{Directory, Key};
use super::environment::{Environment, Secret};
use super::opener::{self, Opened, ROWS_A_PIECE, Sealed, Wanted};
use super::reference::{self, Found, Reference};
use super::resolve::Problem;
use super::selection::{self, AppSelector, clipped};
use crate::cause::Cause;
use crate::quota::{Meter, Turn};

const MOST_SECRETS: usize = 10_000;
/// How many references the values of one mount may hold.
const MOST_REFERENCES: usize = 20_000;
/// How many references one value may hold.
const MOST_IN_VALUE: usize = 4_096;
/// How far the secrets that references lead to may lead on.
const MOST_WAVES: usize = 64;
/// How many environments one mount may read.
pub(super) const MOST_ENVIRONMENTS: usize = 64;
/// How many requests of one mount run at once.
pub(super) const FETCHES_AT_ONCE: usize = 4;

/// A secret that is asked for or referred to, and where its references lead.
pub(super) struct Node {
    home: u32,
    /// With its value as it is stored.
    pub(super) secret: Secret,
    pub(super) edges: Vec<Edge>,
    /// Its value with references replaced, where there are any.
    pub(super) value: Option<SecretString>,
}

/// One reference of a node.
pub(super) struct Edge {
    pub(super) place: Range<usize>,
    pub(super) target: Result<u32, Arc<Problem>>,
}

/// What has been gathered so far: each environment fetched once, each row opened once.
pub(super) struct Gathering {
    directory: Arc<Directory>,
    homes: Vec<Home>,
    nodes: Vec<Node>,
    /// Nodes by home and row.
    known: HashMap<(u32, u32), u32>,
    /// Environments that were fetched, or why they could not be.
    environments: HashMap<Key, Result<u32, Arc<Problem>>>,
    /// Which environment a reference means, by its app, its environment and where it is
    /// read.
    places: HashMap<Named, Result<Key, Arc<Problem>>>,
    references: usize,
    waves: usize,
    stage: Stage,
}

/// An environment as a reference names it.
type Named = (Option<String>, Option<String>, Key);

/// What is to be done next.
enum Stage {
    /// Find the references of the nodes from here on.
    Search(usize),
    /// Lead them to their targets.
    Connect(usize, Vec<Vec<Found>>),
    /// Take in rows that were to be opened.
    Open(Vec<u32>),
    Done,
}

/// What is needed from outside.
pub(super) enum Step {
    /// These environments.
    Fetch(Vec<Key>),
    /// These rows, opened.
    Open(Vec<Sealed>),
    /// Nothing any more.
    Done,
}

impl Gathering {
    pub(super) fn new(
        directory: Arc<Directory>,
        homes: Vec<Home>,
        secrets: Vec<((u32, u32), Opened)>,
    ) -> Self {
        let known = (0..).zip(&secrets).map(|(node, (at, _))| (*at, node));
        let environments = (0..).zip(&homes).map(|(home, it)| (it.key, Ok(home)));
        Self {
            directory,
            known: known.collect(),
            environments: environments.collect(),
            homes,
            nodes: secrets
                .into_iter()
                .map(|((home, _), opened)| Node::new(home, opened))
                .collect(),
            places: HashMap::new(),
            references: 0,
            waves: 0,
            stage: Stage::Search(0),
        }
    }

    /// How many environments were fetched.
    pub(super) fn fetched(&self) -> usize {
        self.environments.len()
    }

    /// The environments that could be fetched, each once.
    pub(super) fn homes(&self) -> &[Home] {
        &self.homes
    }

    /// The nodes, which are all there once it is done.
    pub(super) fn take(&mut self) -> Vec<Node> {
        std::mem::take(&mut self.nodes)
    }

    /// Wave by wave: what the newest nodes refer to becomes the next wave.
    pub(super) fn advance(&mut self, memory: &Meter, turn: &Turn) -> Result<Step, Error> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Done => return Ok(Step::Done),
                Stage::Search(wave) if wave == self.nodes.len() => return Ok(Step::Done),
                Stage::Search(wave) => {
                    let found = self.search(wave, turn)?;
                    let missing = self.missing(wave, &found, turn)?;
                    self.stage = Stage::Connect(wave, found);
                    if !missing.is_empty() {
                        return Ok(Step::Fetch(missing));
                    }
                }
                Stage::Connect(wave, found) => {
                    let (homes, rows) = self.connect(wave, found, turn)?;
                    self.stage = Stage::Open(homes);
                    if rows.len() > ROWS_A_PIECE {
                        return Ok(Step::Open(rows));
                    }
                    let opened = opener::open_here(&rows, memory, turn)?;
                    self.opened(opened);
                }
                // Somebody forgot to bring the rows: they are not there.
                Stage::Open(_) => return Ok(Step::Done),
            }
        }
    }

    /// Takes in environments that were to be fetched.
    pub(super) fn fetched_now(&mut self, fetched: Vec<Fetched>) {
        for (key, home) in fetched {
            let known = home.map(|home| {
                self.homes.push(home);
                self.homes.len() as u32 - 1
            });
            self.environments.insert(key, known);
        }
    }

    /// Takes in rows that were to be opened: they are the next wave.
    pub(super) fn opened(&mut self, opened: Vec<Option<Opened>>) {
        let wave = self.nodes.len();
        if let Stage::Open(homes) = std::mem::replace(&mut self.stage, Stage::Search(wave)) {
            let opened = homes.into_iter().zip(opened.into_iter().flatten());
            let nodes = opened.map(|(home, opened)| Node::new(home, opened));
            self.nodes.extend(nodes);
        }
    }

    fn search(&mut self, wave: usize, turn: &Turn) -> Result<Vec<Vec<Found>>, Error> {
        self.waves += 1;
        bounded("levels", MOST_WAVES, self.waves)?;
        let mut all = Vec::with_capacity(self.nodes.len() - wave);
        for node in &self.nodes[wave..] {
            let value = node.secret.value.expose_secret();
            // One more than may be, so that too many are noticed and no more are kept.
            let found: Vec<_> = reference::find(value).take(MOST_IN_VALUE + 1).collect();
            if found.len() > MOST_IN_VALUE {
                return Err(many("one value", MOST_IN_VALUE));
            }
            self.references += found.len();
            if self.references > MOST_REFERENCES {
                return Err(many("the values of one class", MOST_REFERENCES));
            }
            all.push(found);
            turn.checkpoint()?;
        }
        Ok(all)
    }

    /// The environments that references lead to and that are not there.
    fn missing(
        &mut self,
        wave: usize,
        found: &[Vec<Found>],
        turn: &Turn,
    ) -> Result<Vec<Key>, Error> {
        let mut missing = Vec::new();
        for (node, found) in (wave..).zip(found) {
            let here = self.homes[self.nodes[node].home as usize].key;
            for target in found.iter().filter_map(|found| found.target.as_ref()) {
                if let Ok(key) = self.locate(here, target)
                    && !self.environments.contains_key(&key)
                    && !missing.contains(&key)
                {
                    missing.push(key);
                    let all = self.environments.len() + missing.len();
                    bounded("environments", MOST_ENVIRONMENTS, all)?;
                }
            }
            turn.checkpoint()?;
        }
        Ok(missing)
    }

    /// Which environment a reference read in `here` means.
    fn locate(&mut self, here: Key, target: &Reference) -> Result<Key, Arc<Problem>> {
        if target.app.is_none() && target.environment.is_none() {
            return Ok(here);
        }
        let name = (target.app.clone(), target.environment.clone(), here);
        let directory = &self.directory;
        let find = || {
            let app = match &target.app {
                Some(name) => AppSelector::Name(name.clone()).choose(directory)?,
                None => here.app,
            };
            match &target.environment {
                Some(name) => selection::environment(directory, app, name),
                None => Ok(here),
            }
        };
        let find = || find().map_err(|error| Arc::new(Problem::Place(error)));
        self.places.entry(name).or_insert_with(find).clone()
    }

    /// Gives the nodes of a wave their edges; returns the rows to open, which become the
    /// next nodes in that order, with their homes.
    fn connect(
        &mut self,
        wave: usize,
        found: Vec<Vec<Found>>,
        turn: &Turn,
    ) -> Result<(Vec<u32>, Vec<Sealed>), Error> {
        let (mut homes, mut next) = (Vec::new(), Vec::new());
        for (node, found) in (wave..).zip(found) {
            let here = self.homes[self.nodes[node].home as usize].key;
            let mut edges = Vec::with_capacity(found.len());
            for Found { place, target } in found {
                let target = match target {
                    Some(target) => self.target(here, target, &mut homes, &mut next)?,
                    None => Err(Arc::new(Problem::Malformed)),
                };
                edges.push(Edge { place, target });
            }
            bounded("secrets", MOST_SECRETS, self.nodes.len() + next.len())?;
            self.nodes[node].edges = edges;
            turn.checkpoint()?;
        }
        Ok((homes, next))
    }

    /// The node that a reference leads to, or why it leads nowhere.
    fn target(
        &mut self,
        here: Key,
        target: Reference,
        homes: &mut Vec<u32>,
        next: &mut Vec<Sealed>,
    ) -> Result<Result<u32, Arc<Problem>>, Error> {
        let home = self.locate(here, &target);
        let home = home.and_then(|key| match self.environments.get(&key) {
            Some(home) => home.clone(),
            None => Err(Arc::new(Problem::Malformed)),
        });
        let home = match home {
            Ok(home) => home,
            Err(problem) => return Ok(Err(problem)),
        };
        let environment = &self.homes[home as usize].environment;
        let Some(row) = environment.find(&target.folder, &target.key) else {
            return Ok(Err(Arc::new(missing(environment, &target))));
        };
        let fresh = (self.nodes.len() + next.len()) as u32;
        let node = *self.known.entry((home, row as u32)).or_insert(fresh);
        if node == fresh {
            homes.push(home);
            next.push(Sealed {
                environment: Arc::clone(environment),
                row,
                wanted: Wanted::As(target.key),
            });
        } else if let Some(known) = self.nodes.get(node as usize)
            && known.secret.key != target.key
        {
            return Err(environment.is_another(row, &target.key).into());
        }
        Ok(Ok(node))
    }
}

impl Node {
    fn new(home: u32, opened: Opened) -> Self {
        Self {
            home,
            secret: opened.secret,
            edges: Vec::new(),
            value: None,
        }
    }

    /// Its value as far as it is resolved.
    pub(super) fn shown(&self) -> &SecretString {
        self.value.as_ref().unwrap_or(&self.secret.value)
    }

    /// The secret with its value resolved.
    pub(super) fn resolved(self) -> Secret {
        Secret {
            value: self.value.unwrap_or(self.secret.value),
            references: self.edges.len(),
            ..self.secret
        }
    }
}

impl Edge {
    /// The node that it leads to, if any.
    pub(super) fn target(&self) -> Option<usize> {
        self.target.as_ref().ok().map(|&node| node as usize)
    }
}

const fn many(holder: &'static str, most: usize) -> Error {
    Error::ManyReferences { holder, most }
}

const fn bounded(what: &'static str, most: usize, count: usize) -> Result<(), Error> {
    match count > most {
        true => Err(Error::TooManyReferences { what, most }),
        false => Ok(()),
    }
}

/// An environment, or why references into it cannot be resolved.
pub(super) type Fetched = (Key, Result<Home, Arc<Problem>>);

/// Environments that references lead to.
pub(super) async fn fetch(account: &Account<'_>, missing: Vec<Key>) -> Result<Vec<Fetched>, Error> {
    let each = missing
        .into_iter()
        .map(|key| fetch_one(account, key).boxed());
    let each: Vec<_> = each.collect();
    stream::iter(each)
        .buffer_unordered(FETCHES_AT_ONCE)
        .try_collect()
        .await
}

/// An environment that is listed and yet refused is a problem of the reference; every
/// other failure is one of the mount.
async fn fetch_one(account: &Account<'_>, key: Key) -> Result<Fetched, Error> {
    let error = match account.fetch(key).await {
        Ok(home) => return Ok((key, Ok(home))),
        Err(error) => error,
    };
    match error.cause() {
        Cause::Forbidden | Cause::NotFound => {
            let problem = Problem::Forbidden {
                app: clipped(&account.directory.app(key.app).name),
                environment: clipped(&account.directory.key(key).environment.name),
            };
            Ok((key, Err(Arc::new(problem))))
        }
        _ => Err(error),
    }
}

fn missing(environment: &Environment, target: &Reference) -> Problem {
    let place = environment.place();
    let (key, folder) = (clipped(&target.key), clipped(target.folder.as_str()));
    let (app, name) = (clipped(&place.app), clipped(&place.environment));
    match environment.is_dynamic(&target.folder, &target.key) {
        true => Problem::Dynamic {
            key,
            folder,
            environment: name,
            app,
        },
        false => Problem::Missing {
            key,
            folder,
            environment: name,
            app,
        },
    }
}
