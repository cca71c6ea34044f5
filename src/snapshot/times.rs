//! When Phase last sent rows, and when it last let them be read.

use std::time::Duration;

use tokio::time::Instant;

/// When Phase last sent rows.
#[derive(Clone, Copy)]
pub(super) struct Fetched {
    at: Instant,
    /// How early in its time, as a part of that, it is asked for them again.
    early: f64,
}

/// When Phase last let rows be read.
#[derive(Clone, Copy)]
pub(super) struct Proven {
    at: Instant,
    /// What had passed already at that instant; nothing if that cannot be known.
    before: Option<Duration>,
    /// Whether this process has seen it.
    is_seen: bool,
    early: f64,
}

/// Somewhere in the last quarter: the nodes of a cluster that ask together need not do so
/// for ever after.
fn early() -> f64 {
    fastrand::f64() / 4.0
}

impl Fetched {
    pub(super) fn now() -> Self {
        Self {
            at: Instant::now(),
            early: early(),
        }
    }

    /// By an earlier life of this process: any part of their time may be over.
    pub(super) fn once() -> Self {
        Self {
            at: Instant::now(),
            early: fastrand::f64(),
        }
    }

    pub(super) fn age(self) -> Duration {
        self.at.elapsed()
    }

    /// Whether they are to be fetched again within this time.
    pub(super) fn is_due(self, within: Duration) -> bool {
        self.age() >= within.mul_f64(1.0 - self.early)
    }
}

impl Proven {
    pub(super) fn now() -> Self {
        Self::at(Instant::now())
    }

    pub(super) fn at(at: Instant) -> Self {
        Self {
            at,
            before: Some(Duration::ZERO),
            is_seen: true,
            early: early(),
        }
    }

    /// That long ago, by an earlier life of this process.
    pub(super) fn before(age: Option<Duration>) -> Self {
        Self {
            before: age,
            is_seen: false,
            ..Self::now()
        }
    }

    /// A slow answer does not undo a quicker one.
    pub(super) fn later(self, other: Self) -> Self {
        if self.is_seen && self.at >= other.at {
            self
        } else {
            other
        }
    }

    /// How long ago; nothing if that cannot be known.
    pub(super) fn age(self) -> Option<Duration> {
        Some(self.at.elapsed() + self.before?)
    }

    /// Whether this process has seen it so recently.
    pub(super) fn is_recent(self, within: Duration) -> bool {
        self.is_seen && self.at.elapsed() <= within
    }

    /// Whether Phase is to be asked again within this time.
    pub(super) fn is_due(self, within: Duration) -> bool {
        !self.is_seen || self.at.elapsed() >= within.mul_f64(1.0 - self.early)
    }
}
