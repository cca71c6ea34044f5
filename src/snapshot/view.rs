//! What one credential sees at one moment: a tokens answer, and the environments
//! that were fetched under it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use tokio::time::Instant;

use super::disk::Moment;
use super::shared::Shared;
use super::times::{Fetched, Proven};
use super::{digest, lock};
use crate::phase::Error;
use crate::phase::agreed::Agreed;
use crate::phase::client::{Target, parse};
use crate::phase::directory::Directory;
use crate::phase::environment::Table;
use crate::phase::wire::{EnvironmentKey, TokensAnswer};
use crate::quota::{Exceeded, Meter};

/// Everything that one credential sees at one moment. Never changed: a newer
/// moment is a new view, and whoever reads an old one reads it whole.
pub(super) struct View {
    /// Grows with every view of this credential.
    pub(super) generation: u64,
    /// What Phase listed.
    pub(super) listing: Arc<Listing>,
    /// The environments that somebody wanted, by id.
    pub(super) rows: HashMap<String, Arc<Rows>>,
    /// When Phase last said that this is how things are.
    pub(super) confirmed: Arc<Confirmed>,
}

/// A tokens answer.
pub(super) struct Listing {
    /// What it says.
    pub(super) directory: Arc<Directory>,
    /// As Phase sent it.
    pub(super) body: Bytes,
    /// Of everything but the environments' own stamps: apps, names, key share.
    frame: [u8; 32],
    stamps: HashMap<String, Stamp>,
    /// What it costs its tenant.
    _memory: Meter,
}

/// Changes whenever an environment must be fetched again: its time of change, which
/// is compared and never read (clocks of several servers differ), and its keys.
pub(super) type Stamp = [u8; 32];

/// The rows of one environment, as Phase sent them.
pub(super) struct Rows {
    /// Differs for every content that was ever seen in this process.
    pub(super) serial: u64,
    /// What the environment was listed with before it was fetched.
    pub(super) stamp: Stamp,
    /// As Phase sent them.
    pub(super) body: Bytes,
    /// Whether they were read from disk.
    pub(super) from_disk: bool,
    /// The keys of their fields, as far as they have been needed.
    pub(super) agreed: Arc<Agreed>,
    table: tokio::sync::Mutex<Weak<Table>>,
    fetched: Mutex<Fetched>,
    proven: Mutex<Proven>,
    /// What they cost their tenant.
    memory: Meter,
}

/// When Phase last said that a view is how things are: the moment before it was
/// asked, so that no change can hide behind the answer's way.
pub(super) struct Confirmed(Mutex<Confirmation>);

#[derive(Clone, Copy)]
struct Confirmation {
    at: Instant,
    /// What had passed already at that instant; nothing if that cannot be known.
    before: Option<Duration>,
    moment: Option<Moment>,
}

impl View {
    /// What the rows of an environment are, if they are there.
    pub(super) fn rows_of(&self, id: &str) -> Option<&Arc<Rows>> {
        self.rows.get(id)
    }

    /// The same moment with one environment more, or another.
    pub(super) fn with(&self, id: &str, rows: Arc<Rows>) -> Self {
        let mut all = self.rows.clone();
        all.insert(id.to_owned(), rows);
        Self {
            generation: self.generation + 1,
            listing: Arc::clone(&self.listing),
            rows: all,
            confirmed: Arc::clone(&self.confirmed),
        }
    }

    /// The same moment without one environment.
    pub(super) fn without(&self, id: &str) -> Self {
        let mut all = self.rows.clone();
        all.remove(id);
        Self {
            generation: self.generation + 1,
            listing: Arc::clone(&self.listing),
            rows: all,
            confirmed: Arc::clone(&self.confirmed),
        }
    }

    /// A newer moment: what was fetched and has not changed since stays.
    pub(super) fn followed_by(&self, listing: Arc<Listing>, confirmed: Confirmed) -> Self {
        let unchanged = self
            .rows
            .iter()
            .filter(|(id, rows)| listing.stamp(id) == Some(&rows.stamp));
        Self {
            generation: self.generation + 1,
            rows: unchanged
                .map(|(id, rows)| (id.clone(), Arc::clone(rows)))
                .collect(),
            listing,
            confirmed: Arc::new(confirmed),
        }
    }
}

impl Listing {
    /// A tokens answer; `memory` has paid for its body, and for what it says.
    pub(super) fn new(directory: Directory, body: Bytes, memory: Meter) -> Self {
        let answer = directory.answer();
        let keys = || answer.apps.iter().flat_map(|app| &app.environment_keys);
        let stamp = |key: &EnvironmentKey| (key.environment.id.clone(), stamp(key));
        let stamps = keys().filter(|key| key.is_usable()).map(stamp).collect();
        Self {
            frame: frame(answer),
            stamps,
            directory: Arc::new(directory),
            body,
            _memory: memory,
        }
    }

    /// The stamp of an environment that the account may read.
    pub(super) fn stamp(&self, id: &str) -> Option<&Stamp> {
        self.stamps.get(id)
    }

    /// The public key that an environment is listed with; the last of several, as its stamp.
    pub(super) fn identity_key(&self, id: &str) -> Option<&str> {
        let apps = self.directory.answer().apps.iter();
        let mut keys = apps.flat_map(|app| &app.environment_keys).rev();
        let key = keys.find(|key| key.environment.id == id && key.is_usable());
        key.map(|key| key.identity_key.as_str())
    }

    /// Whether both say the same of everything that matters here.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.has_frame_of(other) && self.stamps == other.stamps
    }

    /// Whether names and keys mean the same in both.
    pub(super) fn has_frame_of(&self, other: &Self) -> bool {
        self.frame == other.frame
    }

    /// Of names and keys.
    pub(super) const fn frame(&self) -> &[u8; 32] {
        &self.frame
    }
}

/// The length of a body, as budgets count.
pub(super) fn amount(body: &[u8]) -> u64 {
    body.len() as u64
}

/// Every text with its length before it, so that two lists cannot read alike.
fn put(context: &mut Context, text: &str) {
    context.update(&(text.len() as u64).to_be_bytes());
    context.update(text.as_bytes());
}

fn stamp(key: &EnvironmentKey) -> Stamp {
    let mut context = Context::new(&SHA256);
    for text in [
        &key.environment.updated_at,
        &key.identity_key,
        &key.wrapped_seed,
        &key.wrapped_salt,
    ] {
        put(&mut context, text);
    }
    digest(context)
}

/// In an order of its own: Phase's moves with every change.
fn frame(answer: &TokensAnswer) -> [u8; 32] {
    let mut lines: Vec<_> = answer
        .apps
        .iter()
        .flat_map(|app| {
            let alone = [&*app.id, &app.name, "", "", ""];
            let keys = app.environment_keys.iter().map(|key| {
                let usable = if key.is_usable() { "usable" } else { "gone" };
                let environment = &key.environment;
                [
                    &*app.id,
                    &app.name,
                    &environment.id,
                    &environment.name,
                    usable,
                ]
            });
            std::iter::once(alone).chain(keys)
        })
        .collect();
    lines.sort_unstable();
    let mut context = Context::new(&SHA256);
    put(&mut context, &answer.wrapped_key_share);
    for text in lines.into_iter().flatten() {
        put(&mut context, text);
    }
    digest(context)
}

impl Rows {
    /// Fetched just now; `memory` has paid for the body.
    pub(super) fn new(stamp: Stamp, body: Bytes, agreed: Arc<Agreed>, memory: Meter) -> Self {
        let times = (Fetched::now(), Proven::now());
        Self::of(stamp, body, agreed, false, times, memory)
    }

    /// Read from disk, that long after Phase confirmed them.
    pub(super) fn from_disk(
        stamp: Stamp,
        body: Bytes,
        agreed: Arc<Agreed>,
        age: Option<Duration>,
        memory: Meter,
    ) -> Self {
        let times = (Fetched::once(), Proven::before(age));
        Self::of(stamp, body, agreed, true, times, memory)
    }

    fn of(
        stamp: Stamp,
        body: Bytes,
        agreed: Arc<Agreed>,
        from_disk: bool,
        (fetched, proven): (Fetched, Proven),
        memory: Meter,
    ) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        Self {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            stamp,
            body,
            from_disk,
            agreed,
            table: tokio::sync::Mutex::default(),
            fetched: Mutex::new(fetched),
            proven: Mutex::new(proven),
            memory,
        }
    }

    /// The same, which came after others: most of their fields are the same, too.
    pub(super) fn after(self, before: &Self) -> Self {
        before.agreed.turn();
        Self {
            agreed: Arc::clone(&before.agreed),
            ..self
        }
    }

    /// What they say; they are read once for all who want to know it at the same time.
    ///
    /// # Errors
    /// It is not what Phase sends, or there was no turn.
    pub(super) async fn table<U>(
        &self,
        shared: &Shared<U>,
        target: Target,
    ) -> Result<Arc<Table>, Error> {
        let mut known = self.table.lock().await;
        if let Some(table) = known.upgrade() {
            return Ok(table);
        }
        let (body, tenant) = (self.body.clone(), self.memory.tenant());
        let read = move || parse(&body, &target);
        let table: Table = shared.in_turn(tenant, self.body.len(), read).await??;
        let table = Arc::new(table);
        *known = Arc::downgrade(&table);
        Ok(table)
    }

    /// Whether the keys that were agreed on for its fields are paid for; they take a
    /// fifth of what the fields do.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn charge_agreed(&self) -> Result<(), Exceeded> {
        let wanted = amount(&self.body) + self.agreed.bytes() as u64;
        match wanted.saturating_sub(self.memory.used()) {
            0 => Ok(()),
            more => self.memory.take(more),
        }
    }

    /// When Phase last sent them.
    pub(super) fn fetched(&self) -> Fetched {
        *lock(&self.fetched)
    }

    /// When Phase last let them be read.
    pub(super) fn proven(&self) -> Proven {
        *lock(&self.proven)
    }

    /// Phase sent the very same again.
    pub(super) fn fetched_again(&self) {
        *lock(&self.fetched) = Fetched::now();
        *lock(&self.proven) = Proven::now();
    }

    /// Phase was asked at this instant whether they may still be read, and said yes.
    pub(super) fn proven_again(&self, at: Instant) {
        let mut proven = lock(&self.proven);
        *proven = proven.later(Proven::at(at));
    }
}

impl Confirmed {
    /// Confirmed by the answer to a question that was asked at this instant.
    pub(super) const fn at(at: Instant, moment: Option<Moment>) -> Self {
        Self(Mutex::new(Confirmation {
            at,
            before: Some(Duration::ZERO),
            moment,
        }))
    }

    /// Confirmed that long before now, by an earlier life of this process.
    pub(super) fn before(age: Option<Duration>, moment: Option<Moment>) -> Self {
        Self(Mutex::new(Confirmation {
            at: Instant::now(),
            before: age,
            moment,
        }))
    }

    /// Confirmed once more, as the other one is.
    pub(super) fn follow(&self, other: &Self) {
        let newer = *lock(&other.0);
        let mut confirmation = lock(&self.0);
        // A slow answer does not undo a quicker one.
        if confirmation.before != Some(Duration::ZERO) || confirmation.at < newer.at {
            *confirmation = newer;
        }
    }

    /// How long ago; nothing if that cannot be known.
    pub(super) fn age(&self) -> Option<Duration> {
        let confirmation = *lock(&self.0);
        Some(confirmation.at.elapsed() + confirmation.before?)
    }

    /// The moment for the disk, if there is one.
    pub(super) fn moment(&self) -> Option<Moment> {
        lock(&self.0).moment
    }
}

#[cfg(test)]
mod tests;
