//! Everything a gate knows, behind its lock.

use std::collections::HashMap;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::queue::{Queue, Waiter};
use super::site::Site;
use super::{Asker, Lane, Throttled};
use crate::phase::host::Host;

/// Everything a gate knows, behind its lock.
pub(super) struct State {
    per_minute: u32,
    sites: HashMap<Host, Site>,
    /// How many came so far.
    arrivals: u64,
    /// The task that wakes those who wait, while somebody does.
    pub(super) clock: Option<AbortHandle>,
}

/// The most lanes, and so the most hosts.
pub(super) const MOST_LANES: usize = 256;
/// The most who wait, in all lanes together.
pub(super) const MOST_WAITERS: usize = 512;

impl State {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            per_minute: per_minute.max(1),
            sites: HashMap::new(),
            arrivals: 0,
            clock: None,
        }
    }

    /// Lets a call in line; the answer may be there already. Gives its number.
    ///
    /// # Errors
    /// The lane is new and there are too many.
    pub(super) fn enter(
        &mut self,
        lane: &Lane,
        waiter: Waiter,
        now: Instant,
    ) -> Result<u64, Throttled> {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let queue = self.lane(lane, now).ok_or(Throttled::ByCrowd)?;
        queue.push(arrival, waiter);
        if let Some(site) = self.sites.get_mut(lane.host()) {
            site.settle(now);
        }
        while self.waiting() > MOST_WAITERS {
            self.turn_one_away();
        }
        Ok(arrival)
    }

    /// A call went away: out of the line, or with an answer of which it made no use.
    pub(super) fn leave(
        &mut self,
        lane: &Lane,
        arrival: u64,
        asker: &Asker,
        answer: &mut oneshot::Receiver<Result<(), Throttled>>,
        now: Instant,
    ) {
        let Some(site) = self.sites.get_mut(lane.host()) else {
            return;
        };
        let queue = site.lanes.get_mut(lane);
        let waited = queue.and_then(|queue| queue.remove(arrival)).is_some();
        if !waited && matches!(answer.try_recv(), Ok(Ok(()))) {
            site.undo(lane, asker, now);
        }
    }

    /// A request has ended.
    pub(super) fn give_back(&mut self, host: &Host, asker: &Asker) {
        if let Some(site) = self.sites.get_mut(host) {
            site.give_back(asker);
        }
    }

    /// Answers everybody who can be answered, and tells when to come again;
    /// nothing if nobody waits any more.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Instant> {
        for site in self.sites.values_mut() {
            site.settle(now);
        }
        self.sites
            .values()
            .filter_map(|site| site.next_event(now))
            .min()
    }

    /// The lane, or nothing if it is new and there are too many.
    pub(super) fn lane(&mut self, lane: &Lane, now: Instant) -> Option<&mut Queue> {
        let known = |state: &Self| {
            let site = state.sites.get(lane.host());
            site.is_some_and(|site| site.lanes.contains_key(lane))
        };
        if !known(self) && self.lanes() >= MOST_LANES {
            self.sweep(now);
        }
        if !known(self) && self.lanes() >= MOST_LANES {
            return None;
        }
        let per_minute = self.per_minute;
        let site = self.site(lane.host(), now)?;
        Some(site.lane(lane, per_minute, now))
    }

    /// The host, or nothing if it is new and there are too many.
    pub(super) fn site(&mut self, host: &Host, now: Instant) -> Option<&mut Site> {
        if !self.sites.contains_key(host) && self.sites.len() >= MOST_LANES {
            self.sweep(now);
            if self.sites.len() >= MOST_LANES {
                return None;
            }
        }
        let site = self.sites.entry(host.clone());
        Some(site.or_insert_with(|| Site::new(now)))
    }

    /// The lane, if it is known.
    pub(super) fn known_lane(&mut self, lane: &Lane) -> Option<&mut Queue> {
        self.sites.get_mut(lane.host())?.lanes.get_mut(lane)
    }

    /// Forgets the lanes and hosts with which nothing is lost.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.sites.retain(|_, site| {
            site.sweep(now);
            !site.is_idle(now)
        });
    }

    /// The whole requests left in the lane that has least.
    pub(super) fn remaining(&self, now: Instant) -> u32 {
        let left = self.queues().map(|queue| queue.left(now));
        left.min().unwrap_or(self.per_minute)
    }

    pub(super) fn waiting(&self) -> usize {
        self.queues().map(Queue::waiting).sum()
    }

    pub(super) fn lanes(&self) -> usize {
        self.sites.values().map(|site| site.lanes.len()).sum()
    }

    fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.sites.values().flat_map(|site| site.lanes.values())
    }

    /// Polls go before mounts, those of the asker with most before others, the
    /// last who came before the first: a credential that asks all the time
    /// turns away itself.
    fn turn_one_away(&mut self) {
        let mut by_asker: HashMap<Asker, usize> = HashMap::new();
        let everybody = || self.queues().flat_map(Queue::waiters);
        for (_, waiter) in everybody() {
            *by_asker.entry(waiter.asker).or_default() += 1;
        }
        let last = everybody()
            .map(|(arrival, waiter)| (waiter.priority, by_asker[&waiter.asker], arrival))
            .max();
        let Some((_, _, arrival)) = last else {
            return;
        };
        let mut queues = self
            .sites
            .values_mut()
            .flat_map(|site| site.lanes.values_mut());
        if let Some(waiter) = queues.find_map(|queue| queue.remove(arrival)) {
            waiter.answer(Err(Throttled::ByCrowd));
        }
    }
}
