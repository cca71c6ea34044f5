//! One lane: its budget, and who waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::order::{Group, POLL_PATIENCE, Parts, Race, needed};
use super::pause::Pause;
use super::places::Places;
use super::recent::Recent;
use super::standing::Standing;
use super::{Asker, Priority, Throttled};
use crate::quota::Tenant;

/// One lane: its budget, and who waits for it.
pub(super) struct Queue {
    bucket: Bucket,
    /// While Phase wants none of its requests.
    pause: Pause,
    /// The last pause that Phase did not choose.
    back_off: Option<Duration>,
    recent: Recent,
    /// By the number of their arrival.
    waiters: BTreeMap<u64, Waiter>,
    /// Whose request was the first.
    opened_by: Option<Tenant>,
}

/// A call that has no answer yet.
pub(super) struct Waiter {
    pub(super) asker: Asker,
    pub(super) priority: Priority,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<(), Throttled>>,
}

/// The first back-off when Phase names none; it doubles up to [`LAST_BACK_OFF`].
const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
const LAST_BACK_OFF: Duration = Duration::from_secs(60);
/// How long Phase is left alone at first, if it wants that.
const MOST_PAUSE: Duration = Duration::from_secs(5 * 60);

impl Queue {
    pub(super) fn new(per_minute: u32, now: Instant, opened_by: Option<Tenant>) -> Self {
        Self {
            bucket: Bucket::full(per_minute, now),
            pause: Pause::over(now),
            opened_by,
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

    /// How often a tenant was admitted lately, to mount or to poll.
    pub(super) fn of_tenant(&self, tenant: &Tenant, priority: Priority) -> u32 {
        self.recent.of_tenant(tenant, priority)
    }

    /// The whole requests that are left.
    pub(super) fn left(&self, now: Instant) -> u32 {
        self.bucket.level(now)
    }

    /// Whether nothing is lost with it: a full budget, and nobody who waits.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.waiters.is_empty()
            && self.left(now) == self.bucket.capacity()
            && !self.pause.is_wanted(now)
    }

    /// Forgets what does not count any more.
    pub(super) fn expire(&mut self, now: Instant) {
        self.recent.expire(now);
    }

    /// Whose request was the first.
    pub(super) const fn opened_by(&self) -> Option<&Tenant> {
        self.opened_by.as_ref()
    }

    /// Phase wants no requests for so long: nobody is admitted, as far as that is
    /// believed, and then one after the other.
    pub(super) fn block(&mut self, wait: Duration, now: Instant, random: f64) {
        self.pause.begin(now, wait, MOST_PAUSE, random);
        self.bucket.empty_until(self.pause.until());
    }

    /// Admits nobody before `until`, and then one after the other.
    pub(super) fn block_until(&mut self, until: Instant) {
        self.pause.extend(until);
        self.bucket.empty_until(self.pause.until());
    }

    /// How long it still admits nobody, if so.
    pub(super) fn blocked(&self, now: Instant) -> Option<Duration> {
        let left = self.pause.until().checked_duration_since(now)?;
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
        self.pause.succeeded(now);
    }

    /// A request has ended, however.
    pub(super) fn ended(&mut self, arrival: u64) {
        self.pause.ended(arrival);
    }

    /// Takes a waiter out and its request off the budget.
    pub(super) fn admit(&mut self, arrival: u64, now: Instant, places: &Places) -> Option<Waiter> {
        let waiter = self.waiters.remove(&arrival)?;
        let standing = places.standings.of(&waiter.asker.tenant, now);
        self.bucket.take(now);
        self.pause.admit(arrival, now);
        self.recent
            .add(now, &waiter.asker, waiter.priority, standing);
        Some(waiter)
    }

    /// Undoes an admission of which nobody made use.
    pub(super) fn undo(&mut self, arrival: u64, asker: &Asker, now: Instant) {
        self.bucket.put_back();
        self.pause.ended(arrival);
        if self.is_blocked(now) {
            self.bucket.empty_until(self.pause.until());
        }
        self.recent.undo(asker);
    }

    /// Who is admitted next if the host has a place, before whom of other lanes, and
    /// when.
    pub(super) fn next(
        &self,
        now: Instant,
        places: &Places,
    ) -> Option<(u64, &Waiter, Group, Instant)> {
        if self.waiters.is_empty() || self.pause.is_tried(now) {
            return None;
        }
        let parts = Parts::new(&self.recent, self.bucket.capacity());
        let free = || {
            let waiters = self.waiters();
            waiters.filter(|(_, waiter)| !places.is_held(&waiter.asker))
        };
        let ranked = free().map(|(arrival, waiter)| {
            let of_tenant = self.recent.of_tenant(&waiter.asker.tenant, waiter.priority);
            let of_asker = self.recent.count(&waiter.asker, waiter.priority);
            let standing = places.standings.of(&waiter.asker.tenant, now);
            (
                parts.rank(waiter, now, standing, of_tenant, of_asker),
                arrival,
                waiter,
            )
        });
        let (rank, arrival, waiter) = ranked.min_by_key(|&(rank, arrival, _)| (rank, arrival))?;
        let from = now.max(self.pause.until());
        let capacity = self.bucket.capacity();
        let needed = needed(rank.0, capacity, self.held_mounts(now, places));
        let mut due = self.bucket.when(needed, from);
        if rank.0 == Group::Polls && parts.owes_polls() {
            let polls = free().filter(|(_, waiter)| waiter.priority.is_poll());
            let impatient = polls.map(|(_, waiter)| waiter.impatient_at()).min();
            let owed = impatient.map(|at| at.max(self.bucket.when(1, from)));
            due = owed.map_or(due, |owed| owed.min(due));
        }
        Some((arrival, waiter, rank.0, due))
    }

    /// Whether somebody waits for nothing but a place.
    pub(super) fn wants_places(&self, now: Instant, places: &Places) -> bool {
        let left = self.left(now);
        let reserve = needed(Group::Doubtful, self.bucket.capacity(), 0);
        !self.is_blocked(now)
            && !self.pause.is_tried(now)
            && left > 0
            && self.waiters().any(|(_, waiter)| {
                !places.has_its_own(&waiter.asker)
                    && (left >= reserve || !waiter.is_doubtful(now, places))
            })
    }

    /// When others may be admitted while one is tried.
    pub(super) fn end_of_trial(&self, now: Instant) -> Option<Instant> {
        self.pause.next_event(now)
    }

    /// Who cannot be admitted before its deadline any more, and why, if nobody
    /// else comes and the host always has a place.
    pub(super) fn late(&self, now: Instant, places: &Places) -> Vec<(u64, Throttled)> {
        let (held, free): (Vec<_>, Vec<_>) = self
            .waiters()
            .partition(|(_, waiter)| places.is_held(&waiter.asker));
        if held.is_empty() {
            return self.forecast(&free, 0, now, places);
        }
        // The others do not wait for those who are held, who may be free at any time.
        let mut late = self.forecast(&free, self.held_mounts(now, places), now, places);
        let all = self.forecast(&self.waiters().collect::<Vec<_>>(), 0, now, places);
        let is_held = |arrival| held.iter().any(|&(other, _)| other == arrival);
        late.extend(all.into_iter().filter(|&(arrival, _)| is_held(arrival)));
        late
    }

    /// Plays the admissions of these waiters through, and tells who is late.
    fn forecast(
        &self,
        race: &[(u64, &Waiter)],
        held_mounts: usize,
        now: Instant,
        places: &Places,
    ) -> Vec<(u64, Throttled)> {
        if self.all_in_time(race, held_mounts, now, places) {
            return Vec::new();
        }
        let from = now.max(self.pause.until());
        let capacity = self.bucket.capacity();
        let of = |tenant: &Tenant| places.standings.of(tenant, now);
        let race = Race::new(race, &self.recent, capacity, of);
        let late = race.late(self.bucket, held_mounts, from).into_iter();
        late.map(|(arrival, due)| (arrival, self.reason(due, now)))
            .collect()
    }

    /// Whether even the last of them is before the earliest deadline, so that the
    /// order among them, which is dearer to find out, does not matter.
    fn all_in_time(
        &self,
        race: &[(u64, &Waiter)],
        held_mounts: usize,
        now: Instant,
        places: &Places,
    ) -> bool {
        // What is new may be doubtful after its first request.
        let leaves_a_reserve = |waiter: &Waiter| {
            let is_known = || {
                let tenant = &waiter.asker.tenant;
                places.standings.of(tenant, now) == Standing::Known
            };
            waiter.priority.is_poll() || (waiter.priority.is_stranger() && !is_known())
        };
        let last = race.iter().filter(|(_, waiter)| leaves_a_reserve(waiter));
        let last = last.count();
        let groups = [(Group::Mounts, race.len() - last), (Group::Doubtful, last)];
        let (mut bucket, mut at) = (self.bucket, now.max(self.pause.until()));
        for (group, count) in groups {
            let needed = needed(group, bucket.capacity(), held_mounts);
            for _ in 0..count {
                at = bucket.when(needed, at);
                bucket.take(at);
            }
        }
        race.iter().all(|(_, waiter)| waiter.deadline > at)
    }

    /// Why a call that could be admitted at `due` is not now.
    fn reason(&self, due: Instant, now: Instant) -> Throttled {
        let wait = due.saturating_duration_since(now);
        if self.pause.is_wanted(now) {
            Throttled::ByPhase { wait }
        } else if due > now {
            Throttled::ByBudget { wait }
        } else {
            Throttled::ByCrowd
        }
    }

    fn held_mounts(&self, now: Instant, places: &Places) -> usize {
        let mounts = self
            .waiters
            .values()
            .filter(|waiter| !waiter.priority.is_poll() && !waiter.is_doubtful(now, places));
        mounts
            .filter(|waiter| places.is_held(&waiter.asker))
            .count()
    }

    fn is_blocked(&self, now: Instant) -> bool {
        self.pause.holds(now)
    }
}

impl Waiter {
    /// From when on a poll does not let all mounts pass any more.
    pub(super) fn impatient_at(&self) -> Instant {
        self.since + POLL_PATIENCE
    }

    /// Whether it is a mount that leaves a part of the budget to others.
    fn is_doubtful(&self, now: Instant, places: &Places) -> bool {
        self.priority.is_stranger()
            && places.standings.of(&self.asker.tenant, now) == Standing::Doubtful
    }

    /// Ends its waiting; if it has gone in this moment, its ticket finds the answer.
    pub(super) fn answer(self, answer: Result<(), Throttled>) {
        let _ = self.answer.send(answer);
    }
}
