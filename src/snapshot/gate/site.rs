//! One host: its lanes, and the places that they share.

use std::collections::HashMap;

use tokio::time::Instant;

use super::places::Places;
use super::queue::{Queue, Waiter};
use super::{Asker, Lane, Throttled};

/// One host: its lanes, and the places that they share.
pub(super) struct Site {
    pub(super) lanes: HashMap<Lane, Queue>,
    places: Places,
    /// Until when Phase wants no requests at all.
    not_before: Instant,
}

impl Site {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            lanes: HashMap::new(),
            places: Places::default(),
            not_before: now,
        }
    }

    /// The lane, which may be new.
    pub(super) fn lane(&mut self, lane: &Lane, per_minute: u32, now: Instant) -> &mut Queue {
        self.lanes.entry(lane.clone()).or_insert_with(|| {
            let mut queue = Queue::new(per_minute, now);
            if self.not_before > now {
                queue.block_until(self.not_before);
            }
            queue
        })
    }

    /// Admits nobody before `until`, in no lane, and then one after the other.
    pub(super) fn block_until(&mut self, until: Instant) {
        self.not_before = self.not_before.max(until);
        for queue in self.lanes.values_mut() {
            queue.block_until(until);
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

    /// Admits whoever's turn it is, while there are places: mounts first, then
    /// those who came first.
    fn admit_due(&mut self, now: Instant) {
        for queue in self.lanes.values_mut() {
            queue.expire(now);
        }
        while !self.places.is_full()
            && let Some((lane, arrival)) = self.due(now)
        {
            let queue = self.lanes.get_mut(&lane);
            if let Some(waiter) = queue.and_then(|queue| queue.admit(arrival, now)) {
                self.places.take(waiter.asker);
                waiter.answer(Ok(()));
            }
        }
    }

    fn due(&self, now: Instant) -> Option<(Lane, u64)> {
        let of_lane = |(lane, queue): (_, &Queue)| {
            let (arrival, waiter, due) = queue.next(now, &self.places)?;
            (due <= now).then_some((waiter.priority, arrival, lane))
        };
        let first = self.lanes.iter().filter_map(of_lane);
        let (_, arrival, lane): (_, _, &Lane) =
            first.min_by_key(|&(priority, arrival, _)| (priority, arrival))?;
        Some((lane.clone(), arrival))
    }

    /// When somebody may have to be answered, if nothing happens before.
    pub(super) fn next_event(&self, now: Instant) -> Option<Instant> {
        let of_lane = |queue: &Queue| {
            let due = queue.next(now, &self.places).map(|(_, _, due)| due);
            let deadlines = queue.waiters().map(|(_, waiter)| waiter.deadline);
            // What is due already waits for a place, and that is no matter of time.
            deadlines.chain(due.filter(|due| *due > now)).min()
        };
        self.lanes.values().filter_map(of_lane).min()
    }

    /// A request has ended.
    pub(super) fn give_back(&mut self, asker: &Asker) {
        self.places.give_back(asker);
    }

    /// Undoes an admission of which nobody made use.
    pub(super) fn undo(&mut self, lane: &Lane, asker: &Asker, now: Instant) {
        self.places.give_back(asker);
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.undo(asker, now);
        }
    }

    /// Forgets the lanes with which nothing is lost.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.lanes.retain(|_, queue| !queue.is_idle(now));
    }

    /// Whether nothing is lost with it.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.lanes.is_empty() && self.places.is_empty() && self.not_before <= now
    }
}

impl Waiter {
    /// Ends its waiting; if it has gone in this moment, its ticket finds the answer.
    pub(super) fn answer(self, answer: Result<(), Throttled>) {
        let _ = self.answer.send(answer);
    }
}
