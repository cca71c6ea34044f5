//! Mounts: how many, how they ended, how long they took.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::Outcome;
use super::histogram::Histogram;
use super::text::{Kind, Text};
use crate::cause::Cause;

/// Mounts: how many, how they ended, how long they took.
#[derive(Debug, Default)]
pub struct MountFigures {
    running: AtomicU64,
    ended: [Histogram; Outcome::COUNT],
}

/// A mount under way, counted when it is dropped.
#[must_use = "a mount is counted when this is dropped"]
pub struct RunningMount<'a> {
    figures: &'a MountFigures,
    begun: Instant,
    outcome: OnceLock<Outcome>,
}

impl MountFigures {
    /// A mount begins now.
    pub fn begin(&self) -> RunningMount<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        RunningMount {
            figures: self,
            begun: Instant::now(),
            outcome: OnceLock::new(),
        }
    }

    pub(super) fn write(&self, text: &mut Text) {
        text.family(
            "phase_csi_mounts_total",
            Kind::Counter,
            "Mount calls that were answered, by how.",
        );
        for outcome in Outcome::all() {
            let count = self.ended[outcome.place()].read().count;
            text.sample(&[("outcome", outcome.label())], count);
        }
        text.family(
            "phase_csi_mount_duration_seconds",
            Kind::Histogram,
            "How long a mount call took, from its arrival to its answer.",
        );
        for outcome in Outcome::all() {
            let histogram = &self.ended[outcome.place()];
            text.histogram(&[("outcome", outcome.label())], histogram);
        }
        text.family(
            "phase_csi_mounts_in_flight",
            Kind::Gauge,
            "Mount calls that have no answer yet.",
        );
        text.sample(&[], self.running.load(Ordering::Relaxed));
    }
}

impl RunningMount<'_> {
    /// How it ended; the first word counts.
    pub fn ended(&self, outcome: impl Into<Outcome>) {
        let _ = self.outcome.set(outcome.into());
    }
}

impl Drop for RunningMount<'_> {
    /// Nobody said how it ended: a panic, or a caller whose time was over.
    fn drop(&mut self) {
        let unsaid = match std::thread::panicking() {
            true => Cause::Internal,
            false => Cause::Deadline,
        };
        let outcome = self.outcome.get().copied();
        let outcome = outcome.unwrap_or_else(|| unsaid.into());
        self.figures.ended[outcome.place()].observe(self.begun.elapsed());
        self.figures.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(figures: &MountFigures, outcome: impl Into<Outcome>) -> u64 {
        figures.ended[outcome.into().place()].read().count
    }

    #[test]
    fn the_first_word_counts_and_no_word_is_a_caller_that_went_away() {
        let figures = MountFigures::default();
        let running = figures.begin();
        running.ended(Outcome::OK);
        running.ended(Cause::Internal);
        assert_eq!(figures.running.load(Ordering::Relaxed), 1);
        drop(running);
        drop(figures.begin());
        assert_eq!(count(&figures, Outcome::OK), 1);
        assert_eq!(count(&figures, Cause::Internal), 0);
        assert_eq!(count(&figures, Cause::Deadline), 1);
        assert_eq!(figures.running.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_panic_is_internal() {
        let figures = MountFigures::default();
        let panics = std::panic::AssertUnwindSafe(|| {
            let _running = figures.begin();
            panic!("a defect of ours");
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(count(&figures, Cause::Internal), 1);
    }
}
