//! One lane: its budget, and who waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::places::Places;
use super::recent::Recent;
use super::{Asker, Priority, Throttled};

/// One lane: its budget, and who waits for it.
pub(super) struct Queue {
    bucket: Bucket,
    /// Until when Phase wants none of its requests.
    not_before: Instant,
    /// The last pause that Phase did not choose.
    back_off: Option<Duration>,
    recent: Recent,
    /// By the number of their arrival.
    waiters: BTreeMap<u64, Waiter>,
}

/// A call that has no answer yet.
pub(super) struct Waiter {
    pub(super) asker: Asker,
    pub(super) priority: Priority,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<(), Throttled>>,
}

/// The first back-off when Phase names none; it doubles up to [`LAST_BACK_OFF`].
const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
const LAST_BACK_OFF: Duration = Duration::from_secs(60);

impl Queue {
    pub(super) fn new(per_minute: u32, now: Instant) -> Self {
        Self {
            bucket: Bucket::full(per_minute, now),
            not_before: now,
            back_off: None,
            recent: Recent::default(),
            waiters: BTreeMap::new(),
        }
    }

    pub(super) fn push(&mut self, arrival: u64, waiter: Waiter) {
        self.waiters.insert(arrival, waiter);
    }

    pub(super) fn remove(&mut self, arrival: u64) -> Option<Waiter> {
        self.waiters.remove(&arrival)
    }

    pub(super) fn waiters(&self) -> impl Iterator<Item = (u64, &Waiter)> {
        self.waiters
            .iter()
            .map(|(&arrival, waiter)| (arrival, waiter))
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// The whole requests that are left.
    pub(super) fn left(&self, now: Instant) -> u32 {
        self.bucket.level(now)
    }

    /// Whether nothing is lost with it: a full budget, and nobody who waits.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.waiters.is_empty() && self.left(now) == self.bucket.capacity()
    }

    /// Forgets what does not count any more.
    pub(super) fn expire(&mut self, now: Instant) {
        self.recent.expire(now);
    }

    /// Admits nobody before `until`, and then one after the other.
    pub(super) fn block_until(&mut self, until: Instant) {
        self.not_before = self.not_before.max(until);
        self.bucket.empty_until(self.not_before);
    }

    /// How long it still admits nobody, if so.
    pub(super) fn blocked(&self, now: Instant) -> Option<Duration> {
        let left = self.not_before.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// The next pause where Phase names none. What comes within a pause was
    /// asked before it, and does not make the next one longer.
    pub(super) fn back_off(&mut self, now: Instant) -> Duration {
        let pause = match self.back_off {
            None => FIRST_BACK_OFF,
            Some(last) if self.is_blocked(now) => last,
            Some(last) => (last * 2).min(LAST_BACK_OFF),
        };
        self.back_off = Some(pause);
        pause
    }

    /// Ends the back-off; what succeeds within a pause was asked before it.
    pub(super) fn succeeded(&mut self, now: Instant) {
        if !self.is_blocked(now) {
            self.back_off = None;
        }
    }

    /// Takes a waiter out and its request off the budget.
    pub(super) fn admit(&mut self, arrival: u64, now: Instant) -> Option<Waiter> {
        let waiter = self.waiters.remove(&arrival)?;
        self.bucket.take(now);
        self.recent.add(now, waiter.asker);
        Some(waiter)
    }

    /// Undoes an admission of which nobody made use.
    pub(super) fn undo(&mut self, asker: &Asker, now: Instant) {
        self.bucket.put_back();
        if self.is_blocked(now) {
            self.bucket.empty_until(self.not_before);
        }
        self.recent.undo(asker);
    }

    /// Who is admitted next if the host has a place, and when.
    pub(super) fn next(&self, now: Instant, places: &Places) -> Option<(u64, &Waiter, Instant)> {
        let (arrival, waiter) = self
            .waiters()
            .filter(|(_, waiter)| !places.is_held(&waiter.asker))
            .min_by_key(|(_, waiter)| (waiter.priority, self.recent.count(&waiter.asker)))?;
        let needed = self.needed(waiter.priority, self.held_mounts(places));
        let due = self.bucket.when(needed, now.max(self.not_before));
        Some((arrival, waiter, due))
    }

    /// Who cannot be admitted before its deadline any more, and why, if nobody
    /// else comes and the host always has a place.
    pub(super) fn late(&self, now: Instant, places: &Places) -> Vec<(u64, Throttled)> {
        let (held, free): (Vec<_>, Vec<_>) = self
            .waiters()
            .partition(|(_, waiter)| places.is_held(&waiter.asker));
        if held.is_empty() {
            return self.forecast(free, 0, now);
        }
        // The others do not wait for those who are held, who may be free at any time.
        let mut late = self.forecast(free, self.held_mounts(places), now);
        let all = self.forecast(self.waiters().collect(), 0, now);
        let is_held = |arrival| held.iter().any(|&(other, _)| other == arrival);
        late.extend(all.into_iter().filter(|&(arrival, _)| is_held(arrival)));
        late
    }

    /// Plays the admissions of these waiters through, and tells who is late.
    fn forecast(
        &self,
        mut race: Vec<(u64, &Waiter)>,
        held_mounts: usize,
        now: Instant,
    ) -> Vec<(u64, Throttled)> {
        if self.all_in_time(&race, held_mounts, now) {
            return Vec::new();
        }
        let (mut bucket, mut recent) = (self.bucket, self.recent.clone());
        let from = now.max(self.not_before);
        let mut late = Vec::new();
        while let Some(first) = race.iter().map(|(_, waiter)| waiter.priority).min() {
            let due = bucket.when(self.needed(first, held_mounts), from);
            let in_time = |waiter: &Waiter| waiter.priority != first || waiter.deadline > due;
            let gone = race.extract_if(.., |(_, waiter)| !in_time(waiter));
            late.extend(gone.map(|(arrival, _)| (arrival, self.reason(due, now))));
            recent.expire(due);
            let next = (0..race.len())
                .filter(|&place| race[place].1.priority == first)
                .min_by_key(|&place| recent.count(&race[place].1.asker));
            if let Some(next) = next {
                let (_, waiter) = race.remove(next);
                bucket.take(due);
                recent.add(due, waiter.asker);
            }
        }
        late
    }

    /// Whether even the last of them is before the earliest deadline, so that the
    /// order among them, which is dearer to find out, does not matter.
    fn all_in_time(&self, race: &[(u64, &Waiter)], held_mounts: usize, now: Instant) -> bool {
        let mut priorities: Vec<_> = race.iter().map(|(_, waiter)| waiter.priority).collect();
        priorities.sort_unstable();
        let (mut bucket, mut at) = (self.bucket, now.max(self.not_before));
        for priority in priorities {
            at = bucket.when(self.needed(priority, held_mounts), at);
            bucket.take(at);
        }
        race.iter().all(|(_, waiter)| waiter.deadline > at)
    }

    /// Why a call that could be admitted at `due` is not now.
    fn reason(&self, due: Instant, now: Instant) -> Throttled {
        let wait = due.saturating_duration_since(now);
        if self.is_blocked(now) {
            Throttled::ByPhase { wait }
        } else if due > now {
            Throttled::ByBudget { wait }
        } else {
            Throttled::ByCrowd
        }
    }

    /// What the bucket must hold: a poll leaves a quarter for mounts, and one
    /// for every mount that waits for its own asker's requests only.
    fn needed(&self, priority: Priority, held_mounts: usize) -> u32 {
        match priority {
            Priority::Mount => 1,
            Priority::Poll => {
                let held = u32::try_from(held_mounts).unwrap_or(u32::MAX);
                let reserve = self.bucket.capacity() / 4;
                reserve.saturating_add(1).saturating_add(held)
            }
        }
    }

    fn held_mounts(&self, places: &Places) -> usize {
        let mounts = self
            .waiters
            .values()
            .filter(|waiter| waiter.priority == Priority::Mount);
        mounts
            .filter(|waiter| places.is_held(&waiter.asker))
            .count()
    }

    fn is_blocked(&self, now: Instant) -> bool {
        self.not_before > now
    }
}
