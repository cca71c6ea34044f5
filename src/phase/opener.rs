//! Opens many rows on all cores, in turns with other mounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use futures_util::future::join_all;

use super::environment::{Environment, Secret};
use super::keys::{Fuel, Keys, MOST_STEPS};
use super::{Error, Selection, run};
use crate::quota::{Allowance, Meter, Turn};

/// A row of an environment.
#[derive(Clone)]
pub struct Sealed {
    /// The environment.
    pub environment: Arc<Environment>,
    /// The row's index in it.
    pub row: usize,
    /// As what it is wanted.
    pub wanted: Wanted,
}

/// As what a row is wanted.
#[derive(Clone)]
pub enum Wanted {
    /// Whatever its key is.
    Whole,
    /// As this key, by whose digest it was found.
    As(String),
    /// By some of these selections.
    By {
        /// All selections of the query.
        selections: Arc<[Selection]>,
        /// Those whose keys decide whether they take it.
        some: Box<[u32]>,
        /// Whether it is wanted also where none of them takes it.
        always: bool,
        /// The work of matching that is left to all rows.
        fuel: Arc<Fuel>,
    },
}

/// An opened row.
pub struct Opened {
    /// What was in it.
    pub secret: Secret,
    /// Which of the selections that were to decide take it.
    pub by: Vec<u32>,
}

impl Sealed {
    /// A row that is wanted whatever its key.
    #[must_use]
    pub const fn new(environment: Arc<Environment>, row: usize) -> Self {
        Self {
            environment,
            row,
            wanted: Wanted::Whole,
        }
    }

    fn open(&self, turn: &Turn) -> Result<Option<Opened>, Error> {
        let mut by = Vec::new();
        let opened = self
            .environment
            .open_if(self.row, |key| match &self.wanted {
                Wanted::Whole => Ok(true),
                Wanted::As(wanted) => self.is(key, wanted),
                Wanted::By {
                    selections,
                    some,
                    always,
                    fuel,
                } => {
                    for &number in some {
                        turn.checkpoint()?;
                        if self.takes(&selections[number as usize].filter.keys, key, fuel)? {
                            by.push(number);
                        }
                    }
                    Ok(*always || !by.is_empty())
                }
            })?;
        Ok(opened.map(|secret| Opened { secret, by }))
    }

    /// What was found by a key's digest must have that key.
    fn is(&self, key: &str, wanted: &str) -> Result<bool, Error> {
        match key == wanted {
            true => Ok(true),
            false => Err(self.environment.is_another(self.row, wanted).into()),
        }
    }

    fn takes(&self, keys: &Keys, key: &str, fuel: &Fuel) -> Result<bool, Error> {
        match keys {
            Keys::One(wanted) => self.is(key, wanted),
            Keys::All | Keys::Matching(_) => {
                let takes = keys.take_within(key, fuel);
                match fuel.left() {
                    0 => Err(Error::TooMuchMatching { most: MOST_STEPS }),
                    _ => Ok(takes),
                }
            }
        }
    }
}

/// A piece takes about 2 ms: two X25519 agreements of 25 µs a row, and the rest.
pub(super) const ROWS_A_PIECE: usize = 32;

/// Opens rows, in the order given; nothing for one whose key is not wanted. Dropping
/// the future ends the work after the pieces under way.
///
/// # Errors
/// The first row that does not open, and what the allowance has not enough of.
pub async fn open(allowance: &Allowance, rows: Vec<Sealed>) -> Result<Vec<Option<Opened>>, Error> {
    let cores = available_parallelism().map_or(1, Into::into);
    let workers = rows.len().div_ceil(ROWS_A_PIECE).min(cores);
    let batch = Arc::new(Batch {
        rows,
        next: AtomicUsize::new(0),
        memory: allowance.memory.clone(),
    });
    let workers = (0..workers).map(|_| {
        let batch = Arc::clone(&batch);
        run(allowance, move |turn| batch.work(turn))
    });
    let pieces: Result<Vec<_>, _> = join_all(workers).await.into_iter().collect();
    let mut pieces: Vec<Piece> = pieces?.into_iter().flatten().collect();
    pieces.sort_by_key(|piece| piece.first);
    let opened: Result<Vec<_>, _> = pieces.into_iter().map(|piece| piece.opened).collect();
    Ok(opened?.into_iter().flatten().collect())
}

/// The same for a few rows, here and now.
pub(super) fn open_here(
    rows: &[Sealed],
    memory: &Meter,
    turn: &Turn,
) -> Result<Vec<Option<Opened>>, Error> {
    let sizes = rows.iter().map(|row| row.environment.size(row.row) as u64);
    let sizes: Vec<_> = sizes.collect();
    memory.take(sizes.iter().sum())?;
    let each = rows.iter().zip(sizes).map(|(row, size)| {
        let opened = row.open(turn)?;
        if opened.is_none() {
            memory.give_back(size);
        }
        Ok(opened)
    });
    each.collect()
}

/// The rows of one call, and how far they are handed out.
struct Batch {
    rows: Vec<Sealed>,
    next: AtomicUsize,
    memory: Meter,
}

/// Some rows, opened.
struct Piece {
    first: usize,
    opened: Result<Vec<Option<Opened>>, Error>,
}

impl Batch {
    /// Opens pieces until there are none.
    fn work(&self, turn: &Turn) -> Result<Vec<Piece>, Error> {
        let mut pieces = Vec::new();
        while let Some(piece) = self.piece(turn) {
            if piece.opened.is_err() {
                // Hands out no more pieces.
                self.next.store(self.rows.len(), Ordering::Relaxed);
            }
            pieces.push(piece);
            turn.checkpoint()?;
        }
        Ok(pieces)
    }

    fn piece(&self, turn: &Turn) -> Option<Piece> {
        let first = self.next.fetch_add(ROWS_A_PIECE, Ordering::Relaxed);
        let rows = self.rows.get(first..).filter(|rows| !rows.is_empty())?;
        let rows = &rows[..rows.len().min(ROWS_A_PIECE)];
        Some(Piece {
            first,
            opened: open_here(rows, &self.memory, turn),
        })
    }
}
