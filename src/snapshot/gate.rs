//! The request budget of this node towards Phase.
//!
//! Phase limits the secrets endpoint for an account, over all its tokens and
//! nodes, and the tokens endpoint for a client's address. Each such limit is a
//! [`Lane`], and this node takes no more of it than its budget: so many at
//! once, then evenly over the minute (`bucket`). Whoever must wait does so in
//! the lane's line (`queue`), mounts before polls and askers in turns, and
//! hears at once if its deadline cannot be met. What Phase says itself, with
//! `Retry-After`, holds for everybody in the lane. A host has only so many
//! requests under way at once (`site`).
//!
//! Whoever asks is a tenant (a namespace) and then a credential; turns, places in line,
//! requests under way and lanes are shared out in that order (`order`, `places`), so that
//! one tenant cannot keep others waiting. New credentials of tenants of whose requests
//! Phase refuses more than it answers (`standing`) go last, but for a small part, and
//! leave a quarter of the budget untouched. What Phase asks for is obeyed up to a bound
//! (`pause`), and how much it bears at once is found out (`limit`).
//!
//! Everything is decided under one lock (`state`), which nobody holds while
//! waiting. While somebody waits, one task (the clock) answers whom time, or the
//! end of another's request, has made ready.

mod bucket;
mod limit;
mod order;
mod pause;
mod places;
mod queue;
mod recent;
mod site;
mod standing;
mod state;
#[cfg(test)]
mod tests;
mod throttled;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

pub use limit::Outcome;
pub use throttled::Throttled;

use self::queue::Waiter;
use self::site::Request;
use self::state::State;
use self::throttled::TurnedAway;
use crate::deadline::Deadline;
use crate::phase::host::Host;
use crate::quota::Tenant;

/// What shares one limit at Phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The tokens endpoint of a host: limited by address.
    Address(Host),
    /// The secrets endpoint of a host, for one account, by its public key.
    Account(Host, [u8; 32]),
}

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A pod waits for it.
    Mount,
    /// A pod waits for it, with a credential that has not worked yet.
    Stranger,
    /// Nobody waits for it.
    Poll,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asker {
    /// For whom.
    pub tenant: Tenant,
    /// With which credential: a digest, never its text.
    pub credential: [u8; 16],
}

/// The request budget of this node; clones share it.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

/// A request that may be made, and its place among those of its host; dropped
/// when the request has ended.
#[must_use = "the place is given back when this is dropped"]
pub struct Pass {
    shared: Arc<Shared>,
    lane: Lane,
    asker: Asker,
    priority: Priority,
    arrival: u64,
    begun: Instant,
    outcome: Outcome,
}

struct Shared {
    state: Mutex<State>,
    /// Something happened that may answer those who wait: the clock looks at once.
    changed: Notify,
    turned_away: TurnedAway,
    /// Within `0.0..1.0`.
    random: fn() -> f64,
}

/// A call's place in the line, given up with its future.
struct Ticket {
    shared: Arc<Shared>,
    lane: Lane,
    asker: Asker,
    priority: Priority,
    arrival: u64,
    answer: oneshot::Receiver<Result<(), Throttled>>,
}

impl Gate {
    /// A budget of so many requests a minute for each lane; at least one.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self::with_random(per_minute, fastrand::f64)
    }

    fn with_random(per_minute: u32, random: fn() -> f64) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State::new(per_minute)),
            changed: Notify::new(),
            turned_away: TurnedAway::default(),
            random,
        }))
    }

    /// Waits until a request may be made; the pass is to be kept until its end.
    /// A future that is dropped has spent nothing.
    ///
    /// # Errors
    /// The deadline cannot be met, known as soon as it is certain as things
    /// stand; or the crowd is too large.
    pub async fn admit(
        &self,
        lane: &Lane,
        asker: &Asker,
        priority: Priority,
        deadline: Deadline,
    ) -> Result<Pass, Throttled> {
        let pass = self.wait(lane, asker, priority, deadline).await;
        if let Err(throttled) = &pass {
            self.0.turned_away.count(throttled);
        }
        pass
    }

    async fn wait(
        &self,
        lane: &Lane,
        asker: &Asker,
        priority: Priority,
        deadline: Deadline,
    ) -> Result<Pass, Throttled> {
        let mut ticket = self.0.enter(lane, asker, priority, deadline)?;
        let answer = (&mut ticket.answer).await;
        // Nobody in the line is forgotten; if it happened all the same, a retry helps.
        answer.unwrap_or(Err(Throttled::ByCrowd))?;
        Ok(Pass {
            shared: Arc::clone(&self.0),
            lane: lane.clone(),
            asker: asker.clone(),
            priority,
            arrival: ticket.arrival,
            begun: Instant::now(),
            outcome: Outcome::default(),
        })
    }

    /// Phase said 429: nobody of this lane asks for `wait`, and then one after the
    /// other. Without a wait it is 5 s, doubling up to 60 s while it goes on. After
    /// 5 min one request is tried, whatever Phase said; if that is refused too, after
    /// 10 min, and so on.
    pub fn block(&self, lane: &Lane, wait: Option<Duration>) {
        let (mut state, now) = (self.0.lock(), Instant::now());
        // With too many lanes this one is unknown, and nobody can wait in it.
        let Ok(queue) = state.lane(lane, None, now) else {
            return;
        };
        let wait = wait.unwrap_or_else(|| queue.back_off(now));
        queue.block(wait, now, (self.0.random)());
        self.0.changed.notify_one();
    }

    /// Phase said 503 with `Retry-After`: the same for all lanes of a host, but one
    /// request is tried after a minute.
    pub fn block_host(&self, host: &Host, wait: Duration) {
        let (mut state, now) = (self.0.lock(), Instant::now());
        if let Some(site) = state.site(host, now) {
            site.block(wait, now, (self.0.random)());
            self.0.changed.notify_one();
        }
    }

    /// Why nobody of a lane may ask now, where Phase said so.
    #[must_use]
    pub fn blocked(&self, lane: &Lane) -> Option<Throttled> {
        let mut state = self.0.lock();
        let wait = state.known_lane(lane)?.blocked(Instant::now())?;
        Some(Throttled::ByPhase { wait })
    }

    /// A request of the lane succeeded: a back-off begins anew.
    pub fn succeeded(&self, lane: &Lane) {
        self.0.lock().succeeded(lane, Instant::now());
        self.0.changed.notify_one();
    }

    /// Of the tenants that share a credential, the one that had least of a lane lately;
    /// there must be one.
    #[must_use]
    pub fn lightest<'a>(
        &self,
        lane: &Lane,
        tenants: &'a [Tenant],
        priority: Priority,
    ) -> Option<&'a Tenant> {
        if tenants.len() < 2 {
            return tenants.first();
        }
        let mut state = self.0.lock();
        let queue = state.known_lane(lane);
        let had = |tenant: &&Tenant| {
            let queue = queue.as_ref();
            queue.map_or(0, |queue| queue.of_tenant(tenant, priority))
        };
        tenants.iter().min_by_key(had)
    }

    /// How often a request was not admitted, by the [reason](Throttled::REASONS).
    #[must_use]
    pub fn turned_away(&self) -> [u64; Throttled::REASONS.len()] {
        self.0.turned_away.counts()
    }

    /// The whole requests left in the lane that has least.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.0.lock().remaining(Instant::now())
    }

    /// Forgets lanes that are full again and in which nobody waits; to be
    /// called now and then. One line tells how many requests were not made meanwhile.
    pub fn sweep(&self) {
        self.0.lock().sweep(Instant::now());
        if let Some([by_phase, by_budget, by_crowd, by_share]) = self.0.turned_away.news() {
            warn!(
                by_phase,
                by_budget, by_crowd, by_share, "requests to Phase were not made in time"
            );
        }
    }
}

impl Lane {
    /// Whose limit it is.
    #[must_use]
    pub const fn host(&self) -> &Host {
        match self {
            Self::Address(host) | Self::Account(host, _) => host,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(
        self: &Arc<Self>,
        lane: &Lane,
        asker: &Asker,
        priority: Priority,
        deadline: Deadline,
    ) -> Result<Ticket, Throttled> {
        let (sender, answer) = oneshot::channel();
        let waiter = Waiter {
            asker: asker.clone(),
            priority,
            since: Instant::now(),
            deadline: deadline.instant(),
            answer: sender,
        };
        let mut state = self.lock();
        let arrival = state.enter(lane, waiter, Instant::now())?;
        self.wind(&mut state);
        Ok(Ticket {
            shared: Arc::clone(self),
            lane: lane.clone(),
            asker: asker.clone(),
            priority,
            arrival,
            answer,
        })
    }

    /// Lets the clock look again, and starts it if somebody waits and it stands
    /// still, or was lost with its runtime.
    fn wind(self: &Arc<Self>, state: &mut State) {
        let runs = state
            .clock
            .as_ref()
            .is_some_and(|clock| !clock.is_finished());
        if runs {
            self.changed.notify_one();
        } else if state.waiting() > 0 {
            let clock = tokio::spawn(Arc::clone(self).keep_time());
            state.clock = Some(clock.abort_handle());
        }
    }

    /// Answers those who wait at the moments that time brings about.
    async fn keep_time(self: Arc<Self>) {
        while let Some(next) = self.tick() {
            let _ = timeout_at(next, self.changed.notified()).await;
        }
    }

    fn tick(&self) -> Option<Instant> {
        let mut state = self.lock();
        let next = state.tick(Instant::now());
        if next.is_none() {
            state.clock = None;
        }
        next
    }
}

impl Priority {
    const fn is_poll(self) -> bool {
        matches!(self, Self::Poll)
    }

    const fn is_stranger(self) -> bool {
        matches!(self, Self::Stranger)
    }
}

impl Pass {
    /// The request is over; dropped without this, it tells nothing of how Phase is.
    pub fn ended(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let request = Request {
            lane: &self.lane,
            asker: &self.asker,
            priority: self.priority,
            arrival: self.arrival,
        };
        state.leave(&request, &mut self.answer, Instant::now());
        self.shared.changed.notify_one();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let request = Request {
            lane: &self.lane,
            asker: &self.asker,
            priority: self.priority,
            arrival: self.arrival,
        };
        state.give_back(&request, self.begun, self.outcome, Instant::now());
        self.shared.changed.notify_one();
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pass").field(&self.lane.host()).finish()
    }
}
