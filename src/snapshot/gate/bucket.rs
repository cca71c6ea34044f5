//! The requests that a lane may make: some at once, then evenly over the minute.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket, kept as the moment at which it is full again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    capacity: u32,
    /// How long one token takes to come back.
    period: Duration,
    full_at: Instant,
}

const MINUTE_NANOS: u64 = 60_000_000_000;

impl Bucket {
    /// Full, with room for a minute's requests; at least one.
    pub(super) fn full(per_minute: u32, now: Instant) -> Self {
        let capacity = per_minute.max(1);
        Self {
            capacity,
            period: Duration::from_nanos(MINUTE_NANOS.div_ceil(capacity.into())),
            full_at: now,
        }
    }

    pub(super) const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The whole tokens in it.
    pub(super) fn level(&self, now: Instant) -> u32 {
        let missing = self.full_at.saturating_duration_since(now).as_nanos();
        let missing = missing.div_ceil(self.period.as_nanos());
        self.capacity
            .saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    /// The first moment, not before `from`, at which it holds `tokens`, or all
    /// that it has room for.
    pub(super) fn when(&self, tokens: u32, from: Instant) -> Instant {
        let may_miss = self.period * self.capacity.saturating_sub(tokens);
        let missing = self.full_at.saturating_duration_since(from);
        from + missing.saturating_sub(may_miss)
    }

    /// Takes one out.
    pub(super) fn take(&mut self, at: Instant) {
        self.full_at = self.full_at.max(at) + self.period;
    }

    /// Puts one back that was taken for nothing.
    pub(super) fn put_back(&mut self) {
        self.full_at -= self.period;
    }

    /// Leaves at most one for the moment `until`.
    pub(super) fn empty_until(&mut self, until: Instant) {
        let full_at = until + self.period * (self.capacity - 1);
        self.full_at = self.full_at.max(full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sixty a minute, `taken` of them gone.
    fn bucket(now: Instant, taken: u32) -> Bucket {
        let mut bucket = Bucket::full(60, now);
        (0..taken).for_each(|_| bucket.take(now));
        bucket
    }

    #[test]
    fn a_new_one_holds_a_minutes_requests() {
        let now = Instant::now();
        assert_eq!(Bucket::full(60, now).level(now), 60);
        assert_eq!(Bucket::full(0, now).level(now), 1);
        assert_eq!(Bucket::full(u32::MAX, now).level(now), u32::MAX);
    }

    #[test]
    fn it_fills_evenly_and_only_up_to_its_room() {
        let now = Instant::now();
        let bucket = bucket(now, 60);
        assert_eq!(bucket.level(now + SECOND - Duration::from_nanos(1)), 0);
        assert_eq!(bucket.level(now + SECOND), 1);
        assert_eq!(bucket.level(now + SECOND * 59), 59);
        assert_eq!(bucket.level(now + SECOND * 6000), 60);
    }

    #[test]
    fn a_rate_that_does_not_divide_a_minute_is_never_exceeded() {
        let now = Instant::now();
        let mut bucket = Bucket::full(7, now);
        (0..7).for_each(|_| bucket.take(now));
        assert!(bucket.when(7, now) >= now + SECOND * 60);
        assert!(bucket.when(7, now) < now + SECOND * 60 + Duration::from_nanos(7));
    }

    #[test]
    fn it_knows_when_it_will_hold_enough() {
        let now = Instant::now();
        let bucket = bucket(now, 58);
        assert_eq!(bucket.when(2, now), now);
        assert_eq!(bucket.when(3, now), now + SECOND);
        assert_eq!(bucket.when(3, now + SECOND * 9), now + SECOND * 9);
        assert_eq!(bucket.when(1000, now), now + SECOND * 58);
    }

    #[test]
    fn what_is_put_back_was_never_taken() {
        let now = Instant::now();
        let mut bucket = bucket(now, 3);
        bucket.put_back();
        assert_eq!(bucket.when(60, now), now + SECOND * 2);
    }

    #[test]
    fn emptied_it_holds_one_at_the_end_and_no_more() {
        let now = Instant::now();
        let end = now + SECOND * 90;
        for taken in [0, 30, 60] {
            let mut bucket = bucket(now, taken);
            bucket.empty_until(end);
            assert_eq!(bucket.level(end), 1);
            assert_eq!(bucket.when(2, now), end + SECOND);
        }
    }

    #[test]
    fn emptying_never_fills() {
        let now = Instant::now();
        let mut bucket = bucket(now, 60);
        bucket.empty_until(now);
        assert_eq!(bucket.level(now), 0);
    }
}
