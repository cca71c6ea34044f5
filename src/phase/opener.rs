//! Opens many rows on all cores, in turns with other mounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::environment::{Environment, RowError, Secret};
use super::keys::Keys;
use crate::awaited::{Awaited, waiting};

/// Opens many rows on all cores, in turns with other mounts.
///
/// Rows are opened in small pieces on the blocking threads, at most one piece a
/// core at a time. After each piece whoever waits is let in first, so a small
/// mount overtakes a large one; while nobody waits, no thread is given up.
#[derive(Clone, Debug)]
pub struct Opener {
    turns: Arc<Semaphore>,
    cores: usize,
}

/// A row of an environment.
#[derive(Clone)]
pub struct Sealed {
    /// The environment.
    pub environment: Arc<Environment>,
    /// The row's index in it.
    pub row: usize,
    /// Whose globs decide whether it is wanted; nothing means it is.
    pub wanted: Option<Wanted>,
}

/// Whose globs decide, by the key, whether a row is wanted.
#[derive(Clone)]
pub struct Wanted {
    /// What each selection takes.
    pub keys: Arc<[Keys]>,
    /// Which of them may take the row.
    pub by: Arc<[usize]>,
}

impl Sealed {
    /// A row that is wanted whatever its key.
    #[must_use]
    pub const fn new(environment: Arc<Environment>, row: usize) -> Self {
        Self {
            environment,
            row,
            wanted: None,
        }
    }

    fn open(&self) -> Result<Option<Secret>, RowError> {
        let Some(Wanted { keys, by }) = &self.wanted else {
            return self.environment.open(self.row).map(Some);
        };
        let wanted = |key: &str| by.iter().any(|&number| keys[number].take(key));
        self.environment.open_if(self.row, wanted)
    }
}

/// A piece takes about 2 ms: two X25519 agreements of 25 µs a row, and the rest.
const ROWS_A_PIECE: usize = 32;

impl Opener {
    /// For this many cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(cores.max(1))),
            cores: cores.max(1),
        }
    }

    /// Opens rows, in the order given; nothing for one whose key is not wanted. Dropping the future ends the work after
    /// the pieces under way.
    ///
    /// # Errors
    /// The first row that does not open.
    pub async fn open(&self, rows: Vec<Sealed>) -> Result<Vec<Option<Secret>>, RowError> {
        let workers = rows.len().div_ceil(ROWS_A_PIECE).min(self.cores);
        let job = StopOnDrop(Arc::new(Job::new(rows)));
        let workers = (0..workers).map(|_| self.worker(&job.0));
        let mut pieces: Vec<Piece> = join_all(workers).await.into_iter().flatten().collect();
        pieces.sort_by_key(|piece| piece.first);
        let opened: Result<Vec<_>, _> = pieces.into_iter().map(|piece| piece.opened).collect();
        Ok(opened?.into_iter().flatten().collect())
    }

    async fn worker(&self, job: &Arc<Job>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while job.is_open() {
            let turn = {
                let _waiting = waiting(Awaited::Turn);
                let turn = Arc::clone(&self.turns).acquire_owned();
                turn.await.expect("the semaphore is never closed")
            };
            let (job, turns) = (Arc::clone(job), Arc::clone(&self.turns));
            match spawn_blocking(move || job.work(&turns, turn)).await {
                Ok(more) => pieces.extend(more),
                // A panic in our code costs this mount only: the provider room answers for it.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        pieces
    }
}

impl Default for Opener {
    fn default() -> Self {
        Self::new(available_parallelism().map_or(1, Into::into))
    }
}

/// The rows of one call, and how far they are handed out.
struct Job {
    rows: Vec<Sealed>,
    next: AtomicUsize,
}

/// Some rows, opened.
struct Piece {
    first: usize,
    opened: Result<Vec<Option<Secret>>, RowError>,
}

impl Job {
    const fn new(rows: Vec<Sealed>) -> Self {
        Self {
            rows,
            next: AtomicUsize::new(0),
        }
    }

    fn is_open(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.rows.len()
    }

    /// Hands out no more pieces.
    fn stop(&self) {
        self.next.store(self.rows.len(), Ordering::Relaxed);
    }

    /// Opens pieces until there are none, or somebody else's turn has come.
    fn work(&self, turns: &Arc<Semaphore>, mut turn: OwnedSemaphorePermit) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let Some(piece) = self.piece() {
            if piece.opened.is_err() {
                self.stop();
            }
            pieces.push(piece);
            // A turn that is given back goes to whoever waits, before we can take it again.
            drop(turn);
            match Arc::clone(turns).try_acquire_owned() {
                Ok(again) => turn = again,
                Err(_) => break,
            }
        }
        pieces
    }

    fn piece(&self) -> Option<Piece> {
        let first = self.next.fetch_add(ROWS_A_PIECE, Ordering::Relaxed);
        let rows = self.rows.get(first..).filter(|rows| !rows.is_empty())?;
        let rows = rows.iter().take(ROWS_A_PIECE);
        Some(Piece {
            first,
            opened: rows.map(Sealed::open).collect(),
        })
    }
}

/// Ends the work of a call whose asker went away.
struct StopOnDrop(Arc<Job>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
