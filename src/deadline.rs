//! The moment by which an answer must be given.

use std::time::Duration;

use tokio::time::Instant;

/// The moment by which an answer must be given; handed down with every call
/// that leaves the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// A little earlier, a twentieth of what is left and at most a second: for
    /// work whose own reason for being late says more than ours.
    #[must_use]
    pub fn with_margin(self) -> Self {
        let margin = (self.left() / 20).min(Duration::from_secs(1));
        Self(self.0.checked_sub(margin).unwrap_or(self.0))
    }

    /// The moment itself.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// What is left; zero when it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}
