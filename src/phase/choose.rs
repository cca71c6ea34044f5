//! The secrets that a query's selections ask for: every environment is fetched
//! once and every row opened once, however many selections want it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::account::Account;
use super::directory::Key;
use super::environment::Environment;
use super::folder::Folder;
use super::gather::{FETCHES_AT_ONCE, MOST_ENVIRONMENTS};
use super::keys::{Fuel, Keys, MOST_STEPS};
use super::opener::{self, Opened, ROWS_A_PIECE, Sealed, Wanted};
use super::selection::clipped;
use super::{Error, Selection, run, selection};
use crate::quota::{Allowance, Meter, Turn};

/// How many secrets all selections may take together, each counted as often as
/// it is taken: a hundred entries that each take ten thousand.
const MOST_SELECTED: usize = 1_000_000;

/// What is remembered of a row that selections may take, in bytes.
const A_ROW: u64 = 128;
/// And of each selection that may take it.
const TAKEN: u64 = 8;

/// An environment that was fetched.
#[derive(Clone)]
pub(super) struct Home {
    /// Which.
    pub(super) key: Key,
    /// What is in it.
    pub(super) environment: Arc<Environment>,
}

impl Home {
    /// The environment's name, as Phase spells it.
    pub(super) fn name(&self) -> &str {
        &self.environment.place().environment
    }
}

/// What was opened for a query, before references are resolved.
pub(super) struct Chosen {
    /// The environments, each once.
    pub(super) homes: Vec<Home>,
    /// The secrets, each once, with where they are: by home and row.
    pub(super) secrets: Vec<((u32, u32), Opened)>,
    /// What each selection took.
    pub(super) taken: Vec<Taken>,
}

/// What one selection took.
pub(super) struct Taken {
    /// Its environment, among the homes.
    pub(super) home: u32,
    /// Its secrets, by index.
    pub(super) secrets: Vec<u32>,
    /// Dynamic secrets that it would take if they were served: a line for each of a few.
    pub(super) dynamic: Vec<String>,
}

pub(super) async fn choose(
    account: &Account<'_>,
    allowance: &Allowance,
    app: u32,
    selections: &Arc<[Selection]>,
) -> Result<Chosen, Error> {
    let (homes, wanted) = fetch(account, app, selections).await?;
    let rows = Rows {
        selections: Arc::clone(selections),
        homes,
        taken: wanted.into_iter().map(Taken::nothing).collect(),
        rows: Vec::new(),
        known: HashMap::new(),
    };
    let memory = allowance.memory.clone();
    let (rows, sealed, opened) = run(allowance, move |turn| {
        let mut rows = rows;
        rows.select(&memory, turn)?;
        let sealed = rows.sealed(turn)?;
        // A few rows are not worth another turn.
        let opened = (sealed.len() <= ROWS_A_PIECE)
            .then(|| opener::open_here(&sealed, &memory, turn))
            .transpose()?;
        Ok((rows, sealed, opened))
    })
    .await?;
    let opened = match opened {
        Some(opened) => opened,
        None => opener::open(allowance, sealed).await?,
    };
    if opened.len() <= ROWS_A_PIECE {
        return Ok(rows.chosen(opened));
    }
    run(allowance, move |_| Ok(rows.chosen(opened))).await
}

/// The environments, each once, and which of them each selection names.
async fn fetch(
    account: &Account<'_>,
    app: u32,
    selections: &[Selection],
) -> Result<(Vec<Home>, Vec<u32>), Error> {
    let mut keys = Vec::new();
    let mut known: HashMap<Key, u32> = HashMap::new();
    let mut wanted = Vec::with_capacity(selections.len());
    for selection in selections {
        let key = selection::environment(account.directory, app, &selection.environment)?;
        wanted.push(*known.entry(key).or_insert_with(|| {
            keys.push(key);
            keys.len() as u32 - 1
        }));
    }
    if keys.len() > MOST_ENVIRONMENTS {
        return Err(Error::TooManyEnvironments {
            most: MOST_ENVIRONMENTS,
        });
    }
    let fetches: Vec<_> = keys.into_iter().map(|key| account.fetch(key)).collect();
    let homes = stream::iter(fetches)
        .buffered(FETCHES_AT_ONCE)
        .try_collect()
        .await?;
    Ok((homes, wanted))
}

/// The rows that selections may take, each once.
struct Rows {
    selections: Arc<[Selection]>,
    homes: Vec<Home>,
    taken: Vec<Taken>,
    rows: Vec<Row>,
    /// By home and index in it.
    known: HashMap<(u32, u32), u32>,
}

struct Row {
    at: (u32, u32),
    /// The selections whose keys decide.
    some: Vec<u32>,
    /// Whether a selection takes it whatever its key is.
    always: bool,
}

impl Rows {
    fn select(&mut self, memory: &Meter, turn: &Turn) -> Result<(), Error> {
        let selections = Arc::clone(&self.selections);
        let mut selected = 0;
        for (number, selection) in (0..).zip(selections.iter()) {
            let home = self.taken[number as usize].home;
            let environment = Arc::clone(&self.homes[home as usize].environment);
            let rows = environment.select(&selection.filter)?;
            selected += rows.len();
            if selected > MOST_SELECTED {
                return Err(Error::TooManySelected {
                    most: MOST_SELECTED,
                });
            }
            memory.take(rows.len() as u64 * TAKEN)?;
            let known = self.rows.len();
            let is_whole = matches!(selection.filter.keys, Keys::All);
            for row in rows {
                let index = self.index((home, row as u32));
                let row = &mut self.rows[index as usize];
                if is_whole {
                    row.always = true;
                    self.taken[number as usize].secrets.push(index);
                } else {
                    row.some.push(number);
                }
            }
            memory.take((self.rows.len() - known) as u64 * A_ROW)?;
            self.taken[number as usize].dynamic = dynamic(&environment, selection);
            turn.checkpoint()?;
        }
        Ok(())
    }

    fn index(&mut self, at: (u32, u32)) -> u32 {
        let next = self.rows.len() as u32;
        let index = *self.known.entry(at).or_insert(next);
        if index == next {
            self.rows.push(Row {
                at,
                some: Vec::new(),
                always: false,
            });
        }
        index
    }

    fn sealed(&mut self, turn: &Turn) -> Result<Vec<Sealed>, Error> {
        turn.checkpoint()?;
        let fuel = Arc::new(Fuel::new(MOST_STEPS));
        let sealed = self.rows.iter_mut().map(|row| Sealed {
            environment: Arc::clone(&self.homes[row.at.0 as usize].environment),
            row: row.at.1 as usize,
            wanted: Wanted::By {
                selections: Arc::clone(&self.selections),
                some: std::mem::take(&mut row.some).into(),
                always: row.always,
                fuel: Arc::clone(&fuel),
            },
        });
        Ok(sealed.collect())
    }

    fn chosen(mut self, opened: Vec<Option<Opened>>) -> Chosen {
        let mut places = vec![None; self.rows.len()];
        let mut secrets = Vec::new();
        for (index, (row, opened)) in self.rows.iter().zip(opened).enumerate() {
            if let Some(opened) = opened {
                places[index] = Some(secrets.len() as u32);
                for &number in &opened.by {
                    self.taken[number as usize].secrets.push(index as u32);
                }
                secrets.push((row.at, opened));
            }
        }
        for taken in &mut self.taken {
            let rows = std::mem::take(&mut taken.secrets).into_iter();
            taken.secrets = rows.filter_map(|row| places[row as usize]).collect();
        }
        Chosen {
            homes: self.homes,
            secrets,
            taken: self.taken,
        }
    }
}

impl Taken {
    const fn nothing(home: u32) -> Self {
        Self {
            home,
            secrets: Vec::new(),
            dynamic: Vec::new(),
        }
    }
}

/// The dynamic secrets that a selection would take, up to a few.
fn dynamic(environment: &Environment, selection: &Selection) -> Vec<String> {
    const SHOWN: usize = 3;
    let found = environment.dynamic(&selection.filter).take(SHOWN);
    let line = |(folder, name): (&Folder, &str)| {
        format!(
            "dynamic secret \"{}\" in folder \"{}\" of environment \"{}\" is not served yet: its keys are left out",
            clipped(name),
            clipped(folder.as_str()),
            clipped(&environment.place().environment)
        )
    };
    found.map(line).collect()
}
