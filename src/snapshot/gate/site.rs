//! One host: its lanes, and the places that they share.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::limit::{Limit, Outcome};
use super::pause::Pause;
use super::places::Places;
use super::queue::Queue;
use super::{Asker, Lane, Priority};
use crate::quota::Tenant;

/// One host: its lanes, and the places that they share.
pub(super) struct Site {
    pub(super) lanes: HashMap<Lane, Queue>,
    places: Places,
    /// While Phase wants no requests at all.
    pause: Pause,
}

/// How long a host is left alone at first, if it wants that: shorter than a lane, since
/// it concerns everybody.
const MOST_PAUSE: Duration = Duration::from_secs(60);

impl Site {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            lanes: HashMap::new(),
            places: Places::new(Limit::new(now)),
            pause: Pause::over(now),
        }
    }

    /// The lane, which may be new; whose it is then.
    pub(super) fn lane(
        &mut self,
        lane: &Lane,
        per_minute: u32,
        tenant: Option<&Tenant>,
        now: Instant,
    ) -> &mut Queue {
        self.lanes.entry(lane.clone()).or_insert_with(|| {
            let mut queue = Queue::new(per_minute, now, tenant.cloned());
            if self.pause.holds(now) {
                queue.block_until(self.pause.until());
            }
            queue
        })
    }

    /// Phase wants no requests for so long: nobody is admitted, in no lane, as far as
    /// that is believed, and then one after the other.
    pub(super) fn block(&mut self, wait: Duration, now: Instant, random: f64) {
        self.pause.begin(now, wait, MOST_PAUSE, random);
        for queue in self.lanes.values_mut() {
            queue.block_until(self.pause.until());
        }
    }

    /// A request of a lane succeeded.
    pub(super) fn succeeded(&mut self, lane: &Lane, now: Instant) {
        self.pause.succeeded(now);
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.succeeded(now);
        }
    }

    /// Answers everybody who can be answered: no to those who are late, and
    /// then yes to those whose turn it is.
    pub(super) fn settle(&mut self, now: Instant) {
        for queue in self.lanes.values_mut().filter(|queue| queue.waiting() > 0) {
            for (arrival, reason) in queue.late(now, &self.places) {
                if let Some(waiter) = queue.remove(arrival) {
                    waiter.answer(Err(reason));
                }
            }
        }
        self.admit_due(now);
    }

    /// Admits whoever's turn it is, while there are places: mounts first, then tenants
    /// with few requests under way, then those who came first.
    fn admit_due(&mut self, now: Instant) {
        for queue in self.lanes.values_mut() {
            queue.expire(now);
        }
        while !self.places.is_full()
            && let Some((lane, arrival)) = self.due(now)
        {
            let queue = self.lanes.get_mut(&lane);
            if let Some(waiter) = queue.and_then(|queue| queue.admit(arrival, now, &self.places)) {
                self.places.take(&waiter.asker, waiter.priority, now);
                self.pause.admit(arrival, now);
                waiter.answer(Ok(()));
            }
        }
        let mut lanes = self.lanes.values();
        let wanted = lanes.any(|queue| queue.wants_places(now, &self.places));
        self.places.limit.wanted(wanted, now);
    }

    fn due(&self, now: Instant) -> Option<(Lane, u64)> {
        if self.pause.is_tried(now) {
            return None;
        }
        let of_lane = |(lane, queue): (_, &Queue)| {
            let (arrival, waiter, group, due) = queue.next(now, &self.places)?;
            let held = self.places.of_tenant(&waiter.asker.tenant);
            (due <= now).then_some(((group, held, arrival), lane))
        };
        let first = self.lanes.iter().filter_map(of_lane);
        let ((_, _, arrival), lane): (_, &Lane) = first.min_by_key(|&(rank, _)| rank)?;
        Some((lane.clone(), arrival))
    }

    /// When somebody may have to be answered, if nothing happens before.
    pub(super) fn next_event(&self, now: Instant) -> Option<Instant> {
        let of_lane = |queue: &Queue| {
            let due = queue.next(now, &self.places).map(|(.., due)| due);
            let deadlines = queue.waiters().map(|(_, waiter)| waiter.deadline);
            let trial = queue.end_of_trial(now).filter(|_| queue.waiting() > 0);
            // What is due already waits for a place, and that is no matter of time.
            let due = due.filter(|due| *due > now);
            deadlines.chain(due).chain(trial).min()
        };
        let first = self.lanes.values().filter_map(of_lane).min()?;
        let trial = self.pause.next_event(now);
        Some(trial.map_or(first, |trial| trial.min(first)))
    }

    /// A request has ended, in some way.
    pub(super) fn give_back(
        &mut self,
        of: &Request<'_>,
        begun: Instant,
        outcome: Outcome,
        now: Instant,
    ) {
        self.places.limit.ended(of.lane, begun, now, outcome);
        self.ended(of, outcome, now);
    }

    /// Undoes an admission of which nobody made use.
    pub(super) fn undo(&mut self, of: &Request<'_>, now: Instant) {
        self.ended(of, Outcome::Neither, now);
        if let Some(queue) = self.lanes.get_mut(of.lane) {
            queue.undo(of.arrival, of.asker, now);
        }
    }

    fn ended(&mut self, of: &Request<'_>, outcome: Outcome, now: Instant) {
        self.places.give_back(of.asker, of.priority, outcome, now);
        self.pause.ended(of.arrival);
        if let Some(queue) = self.lanes.get_mut(of.lane) {
            queue.ended(of.arrival);
        }
    }

    #[cfg(test)]
    pub(super) const fn places(&self) -> usize {
        self.places.limit.places()
    }

    /// Forgets the lanes with which nothing is lost.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.lanes.retain(|_, queue| !queue.is_idle(now));
        self.places.standings.sweep(now);
    }

    /// Whether nothing is lost with it.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.is_unused(now) && self.places.standings.is_empty()
    }

    /// Whether nothing is lost with it but what is known of tenants.
    pub(super) fn is_unused(&self, now: Instant) -> bool {
        self.lanes.is_empty() && self.places.is_empty() && !self.pause.is_wanted(now)
    }
}

/// One request that was admitted.
pub(super) struct Request<'a> {
    pub(super) lane: &'a Lane,
    pub(super) asker: &'a Asker,
    pub(super) priority: Priority,
    pub(super) arrival: u64,
}
