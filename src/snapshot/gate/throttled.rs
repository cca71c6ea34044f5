//! Why a request is not made.

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
}
