//! Who goes first in a lane.
//!
//! Tenants take turns, by what each was admitted for in the last minute, and within a
//! tenant its credentials do. Parts are kept: polls that have waited for a while go
//! in turn with mounts until they had half of the budget, and once credentials that have
//! not worked yet had half of it, those that have go first. Where Phase refused more of a
//! tenant than it answered, its new credentials are in turn with all others until such
//! had an eighth of the budget; beyond it they go last and, as polls do, leave a quarter
//! of it, so that others find requests at once. Nobody else is held back while nobody
//! else wants the requests.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;
use super::queue::Waiter;
use super::recent::{MINUTE, Recent};
use super::standing::Standing;
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
    /// Mounts of such credentials where Phase refused more of the tenant than it answered,
    /// beyond the part of these.
    Doubtful,
}

/// A place in the order; the smallest goes first.
pub(super) type Rank = (Group, u32, bool, u32);

/// Who had which part of the budget in the last minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    polls: u32,
    strangers: u32,
    doubtful: u32,
    last_is_poll: bool,
    capacity: u32,
}

impl Parts {
    pub(super) fn new(recent: &Recent, capacity: u32) -> Self {
        Self {
            polls: recent.polls(),
            strangers: recent.strangers(),
            doubtful: recent.doubtful(),
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

    const fn doubtful_had_theirs(self) -> bool {
        self.doubtful >= self.capacity.div_ceil(8)
    }

    /// The rank of a call, by how its tenant stands, and by what that and its asker were
    /// admitted for.
    pub(super) fn rank(
        self,
        waiter: &Waiter,
        at: Instant,
        standing: Standing,
        of_tenant: u32,
        of_asker: u32,
    ) -> Rank {
        let group = match waiter.priority {
            Priority::Mount => Group::Mounts,
            Priority::Stranger if standing == Standing::Doubtful => {
                match self.doubtful_had_theirs() {
                    true => Group::Doubtful,
                    false => Group::Mounts,
                }
            }
            Priority::Stranger if self.strangers_had_theirs() => Group::Strangers,
            Priority::Stranger => Group::Mounts,
            Priority::Poll if self.is_a_polls_turn() && waiter.impatient_at() <= at => Group::Owed,
            Priority::Poll => Group::Polls,
        };
        (group, of_tenant, waiter.priority.is_stranger(), of_asker)
    }
}

/// What a request of a group needs of the budget, of which so many mounts wait for
/// nothing but an end of their own requests: polls, and what goes last, leave a quarter
/// for mounts, and one for each of these.
pub(super) fn needed(group: Group, capacity: u32, held_mounts: usize) -> u32 {
    if group < Group::Polls {
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
    /// By tenant.
    standings: Vec<Standing>,
    parts: Parts,
    past: Vec<Past>,
    expired: usize,
}

/// What is to expire: when, by whom, what.
#[derive(Clone, Copy)]
struct Past {
    at: Instant,
    tenant: Option<usize>,
    asker: Option<usize>,
    priority: Priority,
    is_doubtful: bool,
}

struct Runner<'a> {
    arrival: u64,
    waiter: &'a Waiter,
    tenant: usize,
    asker: usize,
}

impl<'a> Race<'a> {
    pub(super) fn new(
        waiters: &[(u64, &'a Waiter)],
        recent: &Recent,
        capacity: u32,
        standing: impl Fn(&Tenant) -> Standing,
    ) -> Self {
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
        let mut standings = vec![Standing::New; tenants.len()];
        for (tenant, place) in &tenants {
            standings[*place] = standing(tenant);
        }
        let mut race = Self {
            standings,
            of_tenant: vec![[0; 2]; tenants.len()],
            of_asker: vec![[0; 2]; askers.len()],
            parts: Parts {
                polls: 0,
                strangers: 0,
                doubtful: 0,
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
            race.count(Past {
                at: one.at,
                tenant,
                asker,
                priority: one.priority,
                is_doubtful: one.is_doubtful,
            });
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
                    Group::Owed | Group::Doubtful => true,
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
            if group >= Group::Polls && group > first {
                continue;
            }
            let runner = self.runners.remove(place);
            // A poll that has become impatient by now, and too late.
            if runner.waiter.deadline <= at {
                late.push((runner.arrival, at));
                continue;
            }
            bucket.take(at);
            self.admit(&runner, at);
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
        let polls = self.runners.iter().map(|one| one.waiter);
        let polls = polls.filter(|waiter| waiter.priority.is_poll());
        let impatient = polls.map(Waiter::impatient_at);
        let owed = impatient.min().map(|at| at.max(bucket.when(1, from)));
        owed.map_or(due, |owed| owed.min(due))
    }

    fn first(&self, at: Instant) -> Option<(usize, Group)> {
        let ranked = self.runners.iter().enumerate().map(|(place, runner)| {
            let kind = usize::from(runner.waiter.priority.is_poll());
            let of_tenant = self.of_tenant[runner.tenant][kind];
            let of_asker = self.of_asker[runner.asker][kind];
            let rank = self.parts.rank(
                runner.waiter,
                at,
                self.standings[runner.tenant],
                of_tenant,
                of_asker,
            );
            (rank, place)
        });
        ranked.min().map(|((group, ..), place)| (place, group))
    }

    /// What is new has brought no answer when the next of it may come.
    fn admit(&mut self, runner: &Runner<'_>, at: Instant) {
        let priority = runner.waiter.priority;
        let standing = &mut self.standings[runner.tenant];
        let is_doubtful = priority.is_stranger() && *standing == Standing::Doubtful;
        if priority.is_stranger() && *standing == Standing::New {
            *standing = Standing::Doubtful;
        }
        self.count(Past {
            at,
            tenant: Some(runner.tenant),
            asker: Some(runner.asker),
            priority,
            is_doubtful,
        });
    }

    fn count(&mut self, past: Past) {
        self.past.push(past);
        self.parts.last_is_poll = past.priority.is_poll();
        self.add(past, 1);
    }

    fn expire(&mut self, at: Instant) {
        while let Some(&past) = self.past.get(self.expired)
            && past.at + MINUTE <= at
        {
            self.expired += 1;
            self.add(past, -1);
        }
    }

    fn add(&mut self, past: Past, change: i32) {
        let kind = usize::from(past.priority.is_poll());
        let change = |count: &mut u32| *count = count.saturating_add_signed(change);
        if let Some(tenant) = past.tenant {
            change(&mut self.of_tenant[tenant][kind]);
        }
        if let Some(asker) = past.asker {
            change(&mut self.of_asker[asker][kind]);
        }
        if past.priority.is_poll() {
            change(&mut self.parts.polls);
        }
        if past.is_doubtful {
            change(&mut self.parts.doubtful);
        } else if past.priority.is_stranger() {
            change(&mut self.parts.strangers);
        }
    }
}
