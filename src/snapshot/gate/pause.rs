//! How long Phase is left alone when it asks for that.

use std::time::Duration;

use tokio::time::Instant;

/// Until when nobody asks because Phase wants no requests. It is obeyed up to a bound:
/// then one request is tried, and only if that is refused too, the bound is longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// Until when nobody asks.
    until: Instant,
    /// Until when Phase wanted no requests, if that is later: one is tried meanwhile.
    wanted: Instant,
    /// The request that is tried, by the number of its arrival.
    trial: Option<u64>,
    /// How many were tried for nothing, one after the other.
    failures: u32,
}

/// Longer than this nobody stays away, whatever Phase says.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// The nodes of a cluster come back within a tenth of the wait, but at least and at
/// most this.
const LEAST_JITTER: Duration = Duration::from_millis(100);
const MOST_JITTER: Duration = Duration::from_secs(30);

impl Pause {
    /// None, until there is one.
    pub(super) const fn over(now: Instant) -> Self {
        Self {
            until: now,
            wanted: now,
            trial: None,
            failures: 0,
        }
    }

    /// Phase wants no requests for `wait`, of which `most` is believed at first. What
    /// comes within a pause was asked before it, and does not make the next one longer.
    /// `random`, within `0.0..1.0`, spreads the nodes of a cluster.
    pub(super) fn begin(&mut self, now: Instant, wait: Duration, most: Duration, random: f64) {
        if self.is_on_trial(now) {
            self.failures = self.failures.saturating_add(1);
            self.trial = None;
        } else if now >= self.wanted {
            self.failures = 0;
        }
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let most = most.saturating_mul(factor).min(LONGEST);
        let jittered = |wait: Duration| {
            let jitter = (wait / 10).clamp(LEAST_JITTER, MOST_JITTER);
            now + wait + jitter.mul_f64(random)
        };
        self.until = self.until.max(jittered(wait.min(most)));
        // More than is ever obeyed need not be remembered.
        self.wanted = self.wanted.max(jittered(wait.min(LONGEST * 2)));
    }

    /// Nobody asks until then, for what was said of more than this.
    pub(super) fn extend(&mut self, until: Instant) {
        self.until = self.until.max(until);
        self.wanted = self.wanted.max(until);
    }

    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// Whether nobody may ask.
    pub(super) fn holds(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Whether Phase wants no requests, be it that one is tried.
    pub(super) fn is_wanted(&self, now: Instant) -> bool {
        now < self.wanted
    }

    fn is_on_trial(&self, now: Instant) -> bool {
        self.until <= now && now < self.wanted
    }

    /// Whether the one request that is tried has not ended.
    pub(super) fn is_tried(&self, now: Instant) -> bool {
        self.is_on_trial(now) && self.trial.is_some()
    }

    /// When others may ask, while one is tried that does not end.
    pub(super) fn next_event(&self, now: Instant) -> Option<Instant> {
        self.is_tried(now).then_some(self.wanted)
    }

    /// A request is made.
    pub(super) fn admit(&mut self, arrival: u64, now: Instant) {
        if self.is_on_trial(now) {
            self.trial = Some(arrival);
        }
    }

    /// A request has ended, however.
    pub(super) fn ended(&mut self, arrival: u64) {
        if self.trial == Some(arrival) {
            self.trial = None;
        }
    }

    /// A request succeeded; what succeeds within a pause was asked before it.
    pub(super) fn succeeded(&mut self, now: Instant) {
        if !self.holds(now) {
            *self = Self::over(self.until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(300);

    #[test]
    fn what_is_asked_for_is_obeyed_up_to_the_bound() {
        let now = Instant::now();
        let mut pause = Pause::over(now);
        assert!(!pause.holds(now));
        pause.begin(now, SECOND * 60, MOST, 0.0);
        assert_eq!(pause.until(), now + SECOND * 60);
        assert!(!pause.is_wanted(now + SECOND * 60), "no trial");
        pause.begin(now, SECOND * 86_400, MOST, 0.0);
        assert_eq!(pause.until(), now + MOST);
        assert!(pause.is_wanted(now + MOST));
    }

    #[test]
    fn one_is_tried_and_the_next_bound_is_twice_as_long_only_if_it_fails() {
        let mut now = Instant::now();
        let day = SECOND * 86_400;
        let mut pause = Pause::over(now);
        for minutes in [5, 10, 20, 40, 60, 60] {
            pause.begin(now, day, MOST, 0.0);
            // An answer to what was asked before.
            pause.begin(now + SECOND, day, MOST, 0.0);
            let bound = SECOND * 60 * minutes;
            assert!(pause.until() <= now + bound + SECOND, "{minutes}");
            assert!(pause.until() >= now + bound, "{minutes}");
            now = pause.until();
            assert!(!pause.is_tried(now));
            pause.admit(7, now);
            assert!(pause.is_tried(now));
        }
        pause.ended(6);
        assert!(pause.is_tried(now));
        pause.succeeded(now);
        pause.ended(7);
        assert!(!pause.is_wanted(now), "all may ask again");
        pause.begin(now, day, MOST, 0.0);
        assert_eq!(pause.until(), now + MOST);
    }

    #[test]
    fn a_trial_that_comes_to_nothing_gives_way_to_the_next() {
        let now = Instant::now();
        let mut pause = Pause::over(now);
        pause.begin(now, SECOND * 86_400, MOST, 0.0);
        let end = now + MOST;
        pause.admit(1, end);
        pause.ended(1);
        assert!(!pause.is_tried(end));
        pause.admit(2, end);
        assert!(pause.is_tried(end));
        assert_eq!(pause.next_event(end), Some(now + LONGEST * 2));
    }
}
