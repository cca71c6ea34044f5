//! Everything a gate knows, behind its lock.

use std::collections::HashMap;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::limit::Outcome;
use super::queue::{Queue, Waiter};
use super::site::{Request, Site};
use super::{Asker, Lane, Priority, Throttled};
use crate::phase::host::Host;
use crate::quota::Tenant;

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
    /// The lane is new and there are too many, or its tenant has too many.
    pub(super) fn enter(
        &mut self,
        lane: &Lane,
        waiter: Waiter,
        now: Instant,
    ) -> Result<u64, Throttled> {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let tenant = waiter.asker.tenant.clone();
        let queue = self.lane(lane, Some(&tenant), now)?;
        queue.push(arrival, waiter);
        if let Some(site) = self.sites.get_mut(lane.host()) {
            site.settle(now);
        }
        self.make_room(&tenant);
        Ok(arrival)
    }

    /// A call went away: out of the line, or with an answer of which it made no use.
    pub(super) fn leave(
        &mut self,
        of: &Request<'_>,
        answer: &mut oneshot::Receiver<Result<(), Throttled>>,
        now: Instant,
    ) {
        let Some(site) = self.sites.get_mut(of.lane.host()) else {
            return;
        };
        let queue = site.lanes.get_mut(of.lane);
        let waited = queue.and_then(|queue| queue.remove(of.arrival)).is_some();
        if !waited && matches!(answer.try_recv(), Ok(Ok(()))) {
            site.undo(of, now);
        }
    }

    /// A request has ended, in some way.
    pub(super) fn give_back(
        &mut self,
        of: &Request<'_>,
        begun: Instant,
        outcome: Outcome,
        now: Instant,
    ) {
        if let Some(site) = self.sites.get_mut(of.lane.host()) {
            site.give_back(of, begun, outcome, now);
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

    /// The lane; whose it is, if it is new.
    ///
    /// # Errors
    /// It is new and there are too many, or the tenant has as many as are left free for
    /// all others.
    pub(super) fn lane(
        &mut self,
        lane: &Lane,
        tenant: Option<&Tenant>,
        now: Instant,
    ) -> Result<&mut Queue, Throttled> {
        if self.known_lane(lane).is_none() {
            if self.has_no_lane_for(tenant).is_some() {
                self.sweep(now);
            }
            if let Some(reason) = self.has_no_lane_for(tenant) {
                return Err(reason);
            }
        }
        let per_minute = self.per_minute;
        let site = self.site(lane.host(), now).ok_or(Throttled::ByCrowd)?;
        Ok(site.lane(lane, per_minute, tenant, now))
    }

    fn has_no_lane_for(&self, tenant: Option<&Tenant>) -> Option<Throttled> {
        let lanes = self.lanes();
        if lanes >= MOST_LANES {
            return Some(Throttled::ByCrowd);
        }
        let own = self.queues().filter(|queue| queue.opened_by() == tenant);
        let own = tenant.map_or(0, |_| own.count());
        (own > 0 && own >= MOST_LANES - lanes).then_some(Throttled::ByShare {
            what: "accounts and hosts that are asked",
            used: own,
            most: MOST_LANES,
        })
    }

    /// The host, or nothing if it is new and there are too many.
    pub(super) fn site(&mut self, host: &Host, now: Instant) -> Option<&mut Site> {
        if !self.sites.contains_key(host) && self.sites.len() >= MOST_LANES {
            self.sweep(now);
            self.sites.retain(|_, site| !site.is_unused(now));
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

    /// A request of a lane succeeded.
    pub(super) fn succeeded(&mut self, lane: &Lane, now: Instant) {
        if let Some(site) = self.sites.get_mut(lane.host()) {
            site.succeeded(lane, now);
        }
    }

    /// How many requests of a host may be under way.
    #[cfg(test)]
    pub(super) fn places(&self, host: &Host) -> usize {
        self.sites.get(host).map_or(0, Site::places)
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

    /// Turns calls away until no tenant has more in line than are left free for all
    /// others, and those whose credentials have not worked no more than half.
    fn make_room(&mut self, tenant: &Tenant) {
        let crowd = Crowd::of(self.queues());
        let own = crowd.of_tenant(tenant);
        if own > 1 && own > MOST_WAITERS.saturating_sub(crowd.all()) {
            let reason = Throttled::ByShare {
                what: "requests that wait for Phase",
                used: own - 1,
                most: MOST_WAITERS,
            };
            let last = crowd.last(|waiter| waiter.asker.tenant == *tenant);
            self.turn_away(last, reason);
        } else if crowd.strangers() > MOST_WAITERS / 2 {
            let last = crowd.last(|waiter| waiter.priority == Priority::Stranger);
            self.turn_away(last, Throttled::ByCrowd);
        } else if crowd.all() > MOST_WAITERS {
            let last = crowd.last(|_| true);
            self.turn_away(last, Throttled::ByCrowd);
        }
    }

    fn turn_away(&mut self, arrival: Option<u64>, reason: Throttled) {
        let mut queues = self
            .sites
            .values_mut()
            .flat_map(|site| site.lanes.values_mut());
        let waiter = arrival.and_then(|arrival| queues.find_map(|queue| queue.remove(arrival)));
        if let Some(waiter) = waiter {
            waiter.answer(Err(reason));
        }
    }
}

/// All who wait.
struct Crowd<'a> {
    waiters: Vec<(u64, &'a Waiter)>,
    tenants: HashMap<&'a Tenant, usize>,
    askers: HashMap<&'a Asker, usize>,
}

impl<'a> Crowd<'a> {
    fn of(queues: impl Iterator<Item = &'a Queue>) -> Self {
        let waiters: Vec<_> = queues.flat_map(Queue::waiters).collect();
        let mut tenants: HashMap<_, usize> = HashMap::new();
        let mut askers: HashMap<_, usize> = HashMap::new();
        for (_, waiter) in &waiters {
            *tenants.entry(&waiter.asker.tenant).or_default() += 1;
            *askers.entry(&waiter.asker).or_default() += 1;
        }
        Self {
            waiters,
            tenants,
            askers,
        }
    }

    fn all(&self) -> usize {
        self.waiters.len()
    }

    fn of_tenant(&self, tenant: &Tenant) -> usize {
        self.tenants.get(tenant).copied().unwrap_or_default()
    }

    fn strangers(&self) -> usize {
        let strangers = self.waiters.iter();
        strangers
            .filter(|(_, waiter)| waiter.priority.is_stranger())
            .count()
    }

    /// Who of some goes first when there are too many: of the tenant with most, those
    /// whose credential has not worked before polls before mounts, of the asker with
    /// most, the last who came. A tenant, and a credential, that asks all the time turns
    /// away itself.
    fn last(&self, among: impl Fn(&Waiter) -> bool) -> Option<u64> {
        let some = self.waiters.iter().filter(|(_, waiter)| among(waiter));
        let weighed = some.map(|&(arrival, waiter)| {
            let priority = match waiter.priority {
                Priority::Stranger => 2,
                Priority::Poll => 1,
                Priority::Mount => 0,
            };
            let tenant = self.tenants[&waiter.asker.tenant];
            (tenant, priority, self.askers[&waiter.asker], arrival)
        });
        weighed.max().map(|(.., arrival)| arrival)
    }
}
