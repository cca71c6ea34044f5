//! Figures, in the text format of Prometheus (version 0.0.4).
//!
//! Every label has a closed list of values, so every series is there from the start
//! and stands at a place of its own in an array of atomics: to count is one addition,
//! without a lock, a map or an allocation. Nothing that a class or a pod says becomes
//! a label. (The crates that make metrics write another format, in which a counter has
//! another name than its samples, and keep histograms behind locks.)

mod backend;
mod histogram;
mod managed;
mod mounts;
mod outcome;
mod pod_events;
mod text;

use std::sync::Arc;

pub use backend::BackendFigures;
pub use managed::{ManagedFigures, RunningSync, Write};
pub use mounts::{MountFigures, RunningMount};
pub use outcome::Outcome;
pub use pod_events::{Fate, PodEventFigures};

use self::text::{Kind, Text};
use crate::snapshot::gate::Throttled;
use crate::snapshot::{Figures, Source};

/// What the daemon of a node counts, for the endpoint that shows it.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Mounts.
    pub mounts: Arc<MountFigures>,
    /// Requests to Phase.
    pub backend: Arc<BackendFigures>,
    /// Events on pods.
    pub pod_events: Arc<PodEventFigures>,
}

/// What the controller counts.
#[derive(Clone, Debug, Default)]
pub struct ControllerMetrics {
    /// Resources and their Secrets.
    pub managed: Arc<ManagedFigures>,
    /// Requests to Phase.
    pub backend: Arc<BackendFigures>,
}

/// The type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Metrics {
    /// All figures as they are now; those of the memory are handed in.
    #[must_use]
    pub fn text(&self, memory: &Figures) -> String {
        let mut text = begun();
        self.mounts.write(&mut text);
        self.backend.write(&mut text);
        self.pod_events.write(&mut text);
        of_memory(memory, &mut text);
        text.into_string()
    }
}

impl ControllerMetrics {
    /// All figures as they are now; those of the memory are handed in.
    #[must_use]
    pub fn text(&self, memory: &Figures) -> String {
        let mut text = begun();
        self.managed.write(&mut text);
        self.backend.write(&mut text);
        of_memory(memory, &mut text);
        text.into_string()
    }
}

fn begun() -> Text {
    let mut text = Text::default();
    text.family(
        "phase_csi_build_info",
        Kind::Gauge,
        "The version of the provider.",
    );
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text
}

fn of_memory(figures: &Figures, text: &mut Text) {
    text.family(
        "phase_csi_snapshot_answers_total",
        Kind::Counter,
        "Successful answers by where they came from.",
    );
    for (source, count) in [
        (Source::Backend, figures.from_backend),
        (Source::Disk, figures.from_disk),
        (Source::Memory, figures.from_memory),
        (Source::Stale, figures.stale),
    ] {
        text.sample(&[("source", source.as_str())], count);
    }
    text.family(
        "phase_csi_requests_turned_away_total",
        Kind::Counter,
        "Requests to Phase that were not made in time, by what stood in their way.",
    );
    for (reason, count) in Throttled::REASONS.into_iter().zip(figures.turned_away) {
        text.sample(&[("reason", reason)], count);
    }
    text.family(
        "phase_csi_environment_key_changes_total",
        Kind::Counter,
        "Environments that came with other keys than before, and were refused.",
    );
    text.sample(&[], figures.key_changes);
    let mut gauge = |name, help, value: f64| {
        text.family(name, Kind::Gauge, help);
        text.sample(&[], value);
    };
    gauge(
        "phase_csi_snapshot_entries",
        "Classes, or resources of the controller, that are remembered, each with a credential.",
        count(figures.entries),
    );
    gauge(
        "phase_csi_snapshot_bytes",
        "Bytes of answers and of what Phase sent that are remembered.",
        count(figures.bytes),
    );
    gauge(
        "phase_csi_snapshot_flights",
        "Questions to Phase and answers in the making, whoever still waits for them.",
        count(figures.flights),
    );
    gauge(
        "phase_csi_snapshot_oldest_success_seconds",
        "How long ago Phase last answered for the credential in use that waits longest; 0 without any.",
        figures.oldest.unwrap_or_default().as_secs_f64(),
    );
    gauge(
        "phase_csi_budget_remaining",
        "Requests that may be made at once by whoever has fewest left.",
        figures.budget.into(),
    );
}

/// Exact for all that fits into memory.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
const fn count(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;

    #[test]
    fn every_series_is_there_before_anything_happened() {
        let text = Metrics::default().text(&Figures::default());
        let causes = Cause::ALL.iter().map(|cause| cause.label());
        for outcome in causes.chain(["ok"]) {
            for series in [
                format!("phase_csi_mounts_total{{outcome=\"{outcome}\"}} 0\n"),
                format!("phase_csi_mount_duration_seconds_count{{outcome=\"{outcome}\"}} 0\n"),
                format!(
                    "phase_csi_backend_requests_total{{endpoint=\"tokens\",outcome=\"{outcome}\"}} 0\n"
                ),
            ] {
                assert!(text.contains(&series), "{series} in {text}");
            }
        }
        assert!(text.contains("phase_csi_snapshot_answers_total{source=\"stale\"} 0\n"));
        assert!(text.contains("\nphase_csi_mounts_in_flight 0\n"));
    }

    #[test]
    fn figures_of_the_memory_are_shown_as_they_are() {
        let figures = Figures {
            from_disk: 3,
            bytes: 1 << 20,
            oldest: Some(std::time::Duration::from_millis(1_500)),
            budget: 59,
            turned_away: [4, 3, 2, 1],
            ..Figures::default()
        };
        let text = Metrics::default().text(&figures);
        for line in [
            "\nphase_csi_snapshot_answers_total{source=\"disk\"} 3\n",
            "\nphase_csi_snapshot_bytes 1048576\n",
            "\nphase_csi_snapshot_oldest_success_seconds 1.5\n",
            "\nphase_csi_budget_remaining 59\n",
            "\nphase_csi_requests_turned_away_total{reason=\"phase\"} 4\n",
            "\nphase_csi_requests_turned_away_total{reason=\"share\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
