//! How long something took, in fixed classes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A warm mount takes less than the first, and no mount more than the driver's two
/// minutes.
const BOUNDS: [Duration; 11] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(90),
];

/// How many took how long.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// By the first bound that is not below; then those above all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What a histogram holds, as Prometheus wants to know it.
pub(super) struct Read {
    /// How many are at most as long as a bound; without a bound, all.
    pub(super) buckets: Vec<(Option<Duration>, u64)>,
    pub(super) sum: Duration,
    pub(super) count: u64,
}

impl Histogram {
    pub(super) fn observe(&self, length: Duration) {
        let place = BOUNDS.iter().position(|bound| length <= *bound);
        let nanoseconds = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.counts[place.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Read {
        let mut count = 0;
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        let buckets = bounds.zip(&self.counts).map(|(bound, own)| {
            count += own.load(Ordering::Relaxed);
            (bound, count)
        });
        let buckets = buckets.collect();
        Read {
            buckets,
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
            count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_counts_in_its_bucket_and_all_above() {
        let histogram = Histogram::default();
        for length in [
            Duration::ZERO,
            BOUNDS[0],
            BOUNDS[0] + Duration::from_nanos(1),
            Duration::from_secs(1_000),
        ] {
            histogram.observe(length);
        }
        let read = histogram.read();
        let below: Vec<_> = read.buckets.iter().map(|(_, below)| *below).collect();
        assert_eq!(below[..3], [2, 3, 3]);
        assert_eq!(below[BOUNDS.len() - 1..], [3, 4]);
        assert_eq!((read.count, read.buckets[BOUNDS.len()].0), (4, None));
        assert_eq!(read.sum, Duration::from_nanos(1_000_002_000_001));
        assert!(BOUNDS.is_sorted());
    }
}
