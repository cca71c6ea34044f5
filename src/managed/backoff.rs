//! When what failed is tried again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use crate::snapshot::lock;

/// How long a resource that failed waits at first, and at most, before it is tried again.
const FIRST: Duration = Duration::from_secs(2);
pub(super) const LONGEST: Duration = Duration::from_secs(300);

/// How often each resource has failed in a row: no more than there are resources.
pub(super) struct Backoff<K>(Mutex<HashMap<K, u32>>);

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Backoff<K> {
    /// How long a resource is left alone now: its interval, or less after a failure.
    /// Those that are not there any more are forgotten.
    pub(super) fn wait(
        &self,
        key: K,
        is_failed: bool,
        interval: Duration,
        is_there: impl Fn(&K) -> bool,
    ) -> Duration {
        let mut failures = lock(&self.0);
        if !is_failed {
            failures.remove(&key);
            return interval;
        }
        failures.retain(|key, _| is_there(key));
        let times = failures.entry(key).or_insert(0);
        *times = times.saturating_add(1);
        let wait = FIRST * 2_u32.saturating_pow(times.saturating_sub(1).min(16));
        wait.min(LONGEST).min(interval.max(FIRST))
    }
}

/// A tenth sooner or later, so that equal waits do not meet.
pub(super) fn spread(wait: Duration) -> Duration {
    wait.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn seconds(backoff: &Backoff<&str>, interval: Duration) -> u64 {
        backoff.wait("shop", true, interval, |_| true).as_secs()
    }

    #[test]
    fn each_failure_waits_twice_as_long_up_to_five_minutes() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..10).map(|_| seconds(&backoff, HOUR)).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        for _ in 0..100_000 {
            assert_eq!(seconds(&backoff, HOUR), 300, "whatever happens");
        }
        assert_eq!(backoff.wait("shop", false, HOUR, |_| true), HOUR);
        assert_eq!(seconds(&backoff, HOUR), 2, "a success starts anew");
        assert_eq!(
            backoff.wait("other", true, HOUR, |_| true).as_secs(),
            2,
            "each for itself"
        );
    }

    #[test]
    fn nothing_waits_longer_than_its_interval() {
        let backoff = Backoff::default();
        let interval = Duration::from_secs(5);
        let waits: Vec<_> = (0..4).map(|_| seconds(&backoff, interval)).collect();
        assert_eq!(waits, [2, 4, 5, 5]);
        // But never shorter than the first wait, however short the interval.
        assert_eq!(seconds(&backoff, Duration::from_millis(500)), 2);
    }

    #[test]
    fn what_has_gone_is_forgotten() {
        let backoff = Backoff::default();
        for key in 0..1_000 {
            backoff.wait(key, true, HOUR, |other| *other == key);
        }
        assert_eq!(lock(&backoff.0).len(), 1);
    }

    #[test]
    fn equal_waits_do_not_meet() {
        let waits: Vec<_> = (0..1_000).map(|_| spread(HOUR)).collect();
        let (least, most) = (waits.iter().min(), waits.iter().max());
        assert!(
            least.is_some_and(|least| *least >= HOUR.mul_f64(0.9) && *least < HOUR.mul_f64(0.92))
        );
        assert!(most.is_some_and(|most| *most <= HOUR.mul_f64(1.1) && *most > HOUR.mul_f64(1.08)));
    }
}
