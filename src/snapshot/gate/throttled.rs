//! Why a request is not made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;

/// Why a request was not admitted before its deadline. The wait is the time
/// until the call could have been admitted, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Throttled {
    /// Phase asked to stay away.
    #[error(
        "Phase limits the rate of requests: the next request is possible in {} s: retry is automatic; if this stays, raise the limit in Phase or use fewer tokens per node", whole_seconds(*wait)
    )]
    ByPhase {
        /// How long is left.
        wait: Duration,
    },
    /// This node's own budget is spent.
    #[error(
        "request budget of this node is spent: the next request is possible in {} s: retry is automatic; if this stays, raise --request-budget or use fewer tokens per node", whole_seconds(*wait)
    )]
    ByBudget {
        /// How long until there is some again.
        wait: Duration,
    },
    /// Too many requests wait here already, or no place among concurrent ones
    /// came free in time.
    #[error(
        "too many requests to Phase at once: this one could not begin in time: retry is automatic; if this stays, look at the load of Phase or use fewer tokens per node"
    )]
    ByCrowd,
    /// A namespace may have no more than are left free for all others.
    #[error(
        "too many {what} for one namespace: it has {used} of the {most} of this node, and may have no more than are free for others: retry is automatic; if this stays, look for tokens that Phase refuses and for pods that are made again and again"
    )]
    ByShare {
        /// Of what there are too many.
        what: &'static str,
        /// How many the namespace has.
        used: usize,
        /// How many there are on this node.
        most: usize,
    },
}

impl Throttled {
    /// Every reason, by its name in logs and metrics.
    pub const REASONS: [&'static str; 4] = ["phase", "budget", "crowd", "share"];

    /// The place of the reason among [`Self::REASONS`].
    #[must_use]
    pub const fn reason(&self) -> usize {
        match self {
            Self::ByPhase { .. } => 0,
            Self::ByBudget { .. } => 1,
            Self::ByCrowd => 2,
            Self::ByShare { .. } => 3,
        }
    }
}

/// How often requests were not admitted, by the reason.
#[derive(Default)]
pub(super) struct TurnedAway {
    counts: [AtomicU64; Throttled::REASONS.len()],
    told: [AtomicU64; Throttled::REASONS.len()],
}

impl TurnedAway {
    pub(super) fn count(&self, throttled: &Throttled) {
        self.counts[throttled.reason()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> [u64; Throttled::REASONS.len()] {
        std::array::from_fn(|reason| self.counts[reason].load(Ordering::Relaxed))
    }

    /// What came since it was asked for last, if anything did.
    pub(super) fn news(&self) -> Option<[u64; Throttled::REASONS.len()]> {
        let counts = self.counts();
        let told = |reason: usize| self.told[reason].swap(counts[reason], Ordering::Relaxed);
        let news = std::array::from_fn(|reason| counts[reason].saturating_sub(told(reason)));
        news.iter().any(|count| *count > 0).then_some(news)
    }
}

/// Rounded up: nobody comes a moment too early.
fn whole_seconds(wait: Duration) -> u128 {
    wait.as_nanos().div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_phase_is_one_clear_line() {
        let wait = Duration::from_secs(7);
        assert_eq!(
            Throttled::ByPhase { wait }.to_string(),
            "Phase limits the rate of requests: the next request is possible in 7 s: retry is automatic; if this stays, raise the limit in Phase or use fewer tokens per node"
        );
    }

    #[test]
    fn a_wait_for_the_budget_is_one_clear_line_in_seconds_rounded_up() {
        let wait = Duration::from_millis(11_001);
        assert_eq!(
            Throttled::ByBudget { wait }.to_string(),
            "request budget of this node is spent: the next request is possible in 12 s: retry is automatic; if this stays, raise --request-budget or use fewer tokens per node"
        );
    }

    #[test]
    fn a_crowd_is_one_clear_line() {
        assert_eq!(
            Throttled::ByCrowd.to_string(),
            "too many requests to Phase at once: this one could not begin in time: retry is automatic; if this stays, look at the load of Phase or use fewer tokens per node"
        );
    }

    #[test]
    fn what_was_turned_away_is_told_once() {
        let turned_away = TurnedAway::default();
        assert_eq!(turned_away.news(), None);
        let wait = Duration::from_secs(1);
        turned_away.count(&Throttled::ByPhase { wait });
        turned_away.count(&Throttled::ByCrowd);
        turned_away.count(&Throttled::ByCrowd);
        assert_eq!(turned_away.news(), Some([1, 0, 2, 0]));
        assert_eq!(turned_away.news(), None);
        assert_eq!(turned_away.counts(), [1, 0, 2, 0]);
    }

    #[test]
    fn a_share_is_one_clear_line_with_limit_and_use() {
        let share = Throttled::ByShare {
            what: "requests that wait for Phase",
            used: 256,
            most: 512,
        };
        assert_eq!(
            share.to_string(),
            "too many requests that wait for Phase for one namespace: it has 256 of the 512 of this node, and may have no more than are free for others: retry is automatic; if this stays, look for tokens that Phase refuses and for pods that are made again and again"
        );
        assert_eq!(Throttled::REASONS[share.reason()], "share");
    }
}
