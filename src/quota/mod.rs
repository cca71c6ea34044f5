//! What one tenant may use of what all share: bytes, places, processor time.
//!
//! A tenant is a namespace. Every [`Budget`] has three bounds: a limit for one piece of
//! work, a share for one tenant, and a total. Between the last two stands one rule: *no
//! tenant holds more than what is left free for all others*. A single tenant gets at
//! most half of the total, each of N greedy ones an (N+1)th, and as much again is always
//! free for whoever comes next (dynamic thresholds, Choudhury and Hahne 1998). Amounts
//! are checked before anything is taken.
//!
//! A [`Pool`] runs heavy work off the runtime's workers, on a bounded number of threads,
//! in turns: the tenant that has used the least processor time goes first.

mod budget;
mod container;
mod pool;

use std::fmt;
use std::sync::Arc;

pub use budget::{Budget, Exceeded, Limits, Meter, Scope, Unit};
pub use container::memory_limit;
pub use pool::{Job, Pool, Stopped, Turn};

/// What one piece of work, such as a mount, may use.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// Processor time.
    pub job: Job,
    /// Memory, in bytes.
    pub memory: Meter,
}

/// Who uses something: a namespace. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Arc<str>);

impl Allowance {
    /// Of a command that a person runs: nobody else is there.
    #[must_use]
    pub fn alone() -> Self {
        let all = u64::MAX;
        let limits = Limits {
            what: "memory for secrets",
            unit: Unit::Bytes,
            each: all,
            tenant: all,
            total: all,
        };
        let nobody = Tenant::new("");
        Self {
            job: Pool::default().job(&nobody),
            memory: Budget::new(limits).meter(&nobody),
        }
    }
}

impl Tenant {
    /// The tenant of a namespace.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self(namespace.into())
    }

    /// Its namespace.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
