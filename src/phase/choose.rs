//! The secrets that a query's selections ask for: every environment is fetched
//! once and every row opened once, however many selections want it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::yield_now;

use super::account::Account;
use super::environment::{Environment, Secret};
use super::gather::{FETCHES_AT_ONCE, MOST_ENVIRONMENTS};
use super::keys::Keys;
use super::opener::{Opener, Sealed, Wanted};
use super::wire::App;
use super::{Error, Selection, selection};

/// How many secrets all selections may take together, each counted as often as
/// it is taken: a hundred entries that each take ten thousand.
const MOST_SELECTED: usize = 1_000_000;

/// What was opened for a query, before references are resolved.
pub(super) struct Chosen {
    /// The environment of each selection; one that several name is shared.
    pub(super) environments: Vec<Arc<Environment>>,
    /// The secrets, each once, with where they are.
    pub(super) secrets: Vec<(Sealed, Secret)>,
    /// What each selection took.
    pub(super) taken: Vec<Taken>,
}

/// What one selection took.
pub(super) struct Taken {
    /// Its environment's name, as Phase spells it.
    pub(super) environment: String,
    /// Its secrets, by index.
    pub(super) secrets: Vec<usize>,
}

pub(super) async fn choose(
    account: &Account<'_>,
    opener: &Opener,
    app: &App,
    selections: &[Selection],
) -> Result<Chosen, Error> {
    let environments = fetch(account, app, selections).await?;
    let mut rows = Rows::default();
    let mut candidates = Vec::with_capacity(selections.len());
    let mut selected = 0;
    for (number, selection) in selections.iter().enumerate() {
        let rows = rows.add(&environments[number], number, selection);
        selected += rows.len();
        if selected > MOST_SELECTED {
            return Err(Error::TooManySelected {
                most: MOST_SELECTED,
            });
        }
        candidates.push(rows);
        yield_now().await;
    }
    let rows = rows.sealed(selections);
    let opened = opener.open(rows.clone()).await?;
    let mut places = vec![None; rows.len()];
    let mut secrets = Vec::new();
    for (index, (row, secret)) in rows.into_iter().zip(opened).enumerate() {
        if let Some(secret) = secret {
            places[index] = Some(secrets.len());
            secrets.push((row, secret));
        }
    }
    let mut taken = Vec::with_capacity(selections.len());
    for ((selection, environment), rows) in selections.iter().zip(&environments).zip(candidates) {
        let opened = rows.into_iter().filter_map(|row| places[row]);
        let takes = |&index: &usize| selection.filter.keys.take(&secrets[index].1.key);
        taken.push(Taken {
            environment: environment.place().environment.clone(),
            secrets: opened.filter(takes).collect(),
        });
        yield_now().await;
    }
    Ok(Chosen {
        environments,
        secrets,
        taken,
    })
}

/// The environment of each selection.
async fn fetch(
    account: &Account<'_>,
    app: &App,
    selections: &[Selection],
) -> Result<Vec<Arc<Environment>>, Error> {
    let mut keys = Vec::new();
    let mut ids: HashMap<&str, usize> = HashMap::new();
    let mut wanted = Vec::with_capacity(selections.len());
    for selection in selections {
        let key = selection::environment(app, &selection.environment)?;
        let index = *ids.entry(key.environment.id.as_str()).or_insert_with(|| {
            keys.push(key);
            keys.len() - 1
        });
        wanted.push(index);
    }
    if keys.len() > MOST_ENVIRONMENTS {
        return Err(Error::TooManyEnvironments {
            most: MOST_ENVIRONMENTS,
        });
    }
    let fetches: Vec<_> = keys.iter().map(|key| account.fetch(app, key)).collect();
    let fetched: Vec<_> = stream::iter(fetches)
        .buffered(FETCHES_AT_ONCE)
        .try_collect()
        .await?;
    let fetched = wanted.into_iter().map(|index| Arc::clone(&fetched[index]));
    Ok(fetched.collect())
}

/// The rows that selections may take, each once.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// By the environment's address and the row's index in it.
    known: HashMap<(usize, usize), usize>,
}

struct Row {
    environment: Arc<Environment>,
    row: usize,
    /// The selections whose globs decide; nothing once one takes it in any case.
    globs: Option<Vec<usize>>,
}

impl Rows {
    /// Adds the rows that one selection may take; their indices here.
    fn add(
        &mut self,
        environment: &Arc<Environment>,
        number: usize,
        selection: &Selection,
    ) -> Vec<usize> {
        let decided = !matches!(selection.filter.keys, Keys::Matching(_));
        let rows = environment.select(&selection.filter).into_iter();
        let add = |row| {
            let index = self.index(environment, row);
            match &mut self.rows[index].globs {
                globs if decided => *globs = None,
                Some(globs) => globs.push(number),
                None => {}
            }
            index
        };
        rows.map(add).collect()
    }

    fn index(&mut self, environment: &Arc<Environment>, row: usize) -> usize {
        let address = Arc::as_ptr(environment).addr();
        let next = self.rows.len();
        let index = *self.known.entry((address, row)).or_insert(next);
        if index == next {
            self.rows.push(Row {
                environment: Arc::clone(environment),
                row,
                globs: Some(Vec::new()),
            });
        }
        index
    }

    fn sealed(self, selections: &[Selection]) -> Vec<Sealed> {
        let keys: Arc<[Keys]> = selections
            .iter()
            .map(|selection| selection.filter.keys.clone())
            .collect();
        let sealed = |row: Row| Sealed {
            environment: row.environment,
            row: row.row,
            wanted: row.globs.map(|by| Wanted {
                keys: Arc::clone(&keys),
                by: by.into(),
            }),
        };
        self.rows.into_iter().map(sealed).collect()
    }
}
