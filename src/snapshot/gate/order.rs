//! Who goes first in a lane.
//!
//! Tenants take turns, by what each was admitted for in the last minute, and within a
//! tenant its credentials do. Two parts are kept: polls that have waited for a while go
//! in turn with mounts until they had half of the budget, and while credentials that have not
//! worked yet had half of it, those that have go first. Nobody is held back while
//! nobody else wants the requests.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;
use super::queue::Waiter;
use super::recent::{MINUTE, Recent};
use super::{Asker, Priority};
use crate::quota::Tenant;

/// How long a poll lets all mounts pass.
pub(super) const POLL_PATIENCE: Duration = Duration::from_secs(5);

/// What goes before what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Polls to which a part of the budget is owed.
    Owed,
    Mounts,
    /// Mounts of credentials that have not worked, beyond their part.
    Strangers,
    Polls,
}

/// A place in the order; the smallest goes first.
pub(super) type Rank = (Group, u32, bool, u32);

/// Who had which part of the budget in the last minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    polls: u32,
    strangers: u32,
    last_is_poll: bool,
    capacity: u32,
}

impl Parts {
    pub(super) fn new(recent: &Recent, capacity: u32) -> Self {
        Self {
            polls: recent.polls(),
            strangers: recent.strangers(),
            last_is_poll: recent.last().is_some_and(Priority::is_poll),
            capacity,
        }
    }

    /// Whether polls had less than half.
    pub(super) const fn owes_polls(self) -> bool {
        self.polls < self.capacity.div_ceil(2)
    }

    /// Whether a poll that waited long enough goes before mounts: they alternate.
    const fn is_a_polls_turn(self) -> bool {
        self.owes_polls() && !self.last_is_poll
    }

    const fn strangers_had_theirs(self) -> bool {
        self.strangers >= self.capacity.div_ceil(2)
    }

    /// The rank of a call, by what its tenant and its asker were admitted for.
    pub(super) fn rank(self, waiter: &Waiter, at: Instant, of_tenant: u32, of_asker: u32) -> Rank {
        let group = match waiter.priority {
            Priority::Mount => Group::Mounts,
            Priority::Stranger if self.strangers_had_theirs() => Group::Strangers,
            Priority::Stranger => Group::Mounts,
            Priority::Poll if self.is_a_polls_turn() && waiter.impatient_at() <= at => Group::Owed,
            Priority::Poll => Group::Polls,
        };
        (group, of_tenant, waiter.priority.is_stranger(), of_asker)
    }
}

/// What a request of a group needs of the budget, of which so many mounts wait for
/// nothing but an end of their own requests: polls leave a quarter for mounts, and one
/// for each of these.
pub(super) fn needed(group: Group, capacity: u32, held_mounts: usize) -> u32 {
    if group != Group::Polls {
        return 1;
    }
    let held = u32::try_from(held_mounts).unwrap_or(u32::MAX);
    (capacity / 4).saturating_add(1).saturating_add(held)
}

/// Admissions played through, to find out who would be late.
pub(super) struct Race<'a> {
    runners: Vec<Runner<'a>>,
    /// By tenant and by asker, mounts and polls.
    of_tenant: Vec<[u32; 2]>,
    of_asker: Vec<[u32; 2]>,
    parts: Parts,
    /// What is to expire: when, by whom, what.
    past: Vec<(Instant, Option<usize>, Option<usize>, Priority)>,
    expired: usize,
}

struct Runner<'a> {
    arrival: u64,
    waiter: &'a Waiter,
    tenant: usize,
    asker: usize,
}

impl<'a> Race<'a> {
    pub(super) fn new(waiters: &[(u64, &'a Waiter)], recent: &Recent, capacity: u32) -> Self {
        let mut tenants: HashMap<&Tenant, usize> = HashMap::new();
        let mut askers: HashMap<&Asker, usize> = HashMap::new();
        let mut runners = Vec::with_capacity(waiters.len());
        for &(arrival, waiter) in waiters {
            let next = tenants.len();
            let tenant = *tenants.entry(&waiter.asker.tenant).or_insert(next);
            let next = askers.len();
            let asker = *askers.entry(&waiter.asker).or_insert(next);
            runners.push(Runner {
                arrival,
                waiter,
                tenant,
                asker,
            });
        }
        let mut race = Self {
            of_tenant: vec![[0; 2]; tenants.len()],
            of_asker: vec![[0; 2]; askers.len()],
            parts: Parts {
                polls: 0,
                strangers: 0,
                last_is_poll: false,
                capacity,
            },
            past: Vec::new(),
            expired: 0,
            runners,
        };
        for one in recent.admissions() {
            let tenant = tenants.get(&one.asker.tenant).copied();
            let asker = askers.get(&one.asker).copied();
            race.count(one.at, tenant, asker, one.priority);
        }
        race
    }

    /// Who cannot be admitted before its deadline, and when its turn would come at the
    /// earliest, from a moment on.
    pub(super) fn late(
        mut self,
        mut bucket: Bucket,
        held_mounts: usize,
        from: Instant,
    ) -> Vec<(u64, Instant)> {
        let mut late = Vec::new();
        let mut at = from;
        while let Some((_, first)) = self.first(at) {
            at = self.due(first, &bucket, held_mounts, at);
            self.expire(at);
            let is_late = |runner: &mut Runner<'_>| {
                let is_poll = runner.waiter.priority.is_poll();
                let is_concerned = match first {
                    Group::Owed => true,
                    Group::Polls => is_poll,
                    Group::Mounts | Group::Strangers => !is_poll,
                };
                is_concerned && runner.waiter.deadline <= at
            };
            let gone = self.runners.extract_if(.., is_late);
            late.extend(gone.map(|runner| (runner.arrival, at)));
            let Some((place, group)) = self.first(at) else {
                break;
            };
            // What is left needs more of the budget than what is late.
            if group == Group::Polls && first != Group::Polls {
                continue;
            }
            let runner = self.runners.remove(place);
            // A poll that has become impatient by now, and too late.
            if runner.waiter.deadline <= at {
                late.push((runner.arrival, at));
                continue;
            }
            bucket.take(at);
            let (tenant, asker) = (Some(runner.tenant), Some(runner.asker));
            self.count(at, tenant, asker, runner.waiter.priority);
        }
        late
    }

    /// When the first of a group may be admitted.
    fn due(&self, group: Group, bucket: &Bucket, held_mounts: usize, from: Instant) -> Instant {
        let capacity = self.parts.capacity;
        let due = bucket.when(needed(group, capacity, held_mounts), from);
        if group != Group::Polls || !self.parts.owes_polls() {
            return due;
        }
        let impatient = self.runners.iter().map(|one| one.waiter.impatient_at());
        let owed = impatient.min().map(|at| at.max(bucket.when(1, from)));
        owed.map_or(due, |owed| owed.min(due))
    }

    fn first(&self, at: Instant) -> Option<(usize, Group)> {
        let ranked = self.runners.iter().enumerate().map(|(place, runner)| {
            let kind = usize::from(runner.waiter.priority.is_poll());
            let of_tenant = self.of_tenant[runner.tenant][kind];
            let of_asker = self.of_asker[runner.asker][kind];
            let rank = self.parts.rank(runner.waiter, at, of_tenant, of_asker);
            (rank, place)
        });
        ranked.min().map(|((group, ..), place)| (place, group))
    }

    fn count(
        &mut self,
        at: Instant,
        tenant: Option<usize>,
        asker: Option<usize>,
        priority: Priority,
    ) {
        self.past.push((at, tenant, asker, priority));
        self.parts.last_is_poll = priority.is_poll();
        self.add(tenant, asker, priority, 1);
    }

    fn expire(&mut self, at: Instant) {
        while let Some(&(then, tenant, asker, priority)) = self.past.get(self.expired)
            && then + MINUTE <= at
        {
            self.expired += 1;
            self.add(tenant, asker, priority, -1);
        }
    }

    fn add(
        &mut self,
        tenant: Option<usize>,
        asker: Option<usize>,
        priority: Priority,
        change: i32,
    ) {
        let kind = usize::from(priority.is_poll());
        let change = |count: &mut u32| *count = count.saturating_add_signed(change);
        if let Some(tenant) = tenant {
            change(&mut self.of_tenant[tenant][kind]);
        }
        if let Some(asker) = asker {
            change(&mut self.of_asker[asker][kind]);
        }
        if priority.is_poll() {
            change(&mut self.parts.polls);
        }
        if priority.is_stranger() {
            change(&mut self.parts.strangers);
        }
    }
}
