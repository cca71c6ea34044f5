//! The controller: which state its resources are in, and what it does for them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::histogram::Histogram;
use super::text::{Kind, Text};
use crate::managed::status::Reason;

/// The controller: which state its resources are in, and what it does for them.
#[derive(Debug, Default)]
pub struct ManagedFigures {
    leads: AtomicBool,
    resources: OfReasons,
    running: AtomicU64,
    ended: OfReasons,
    durations: Histogram,
    writes: [AtomicU64; Write::ALL.len()],
    restarts: AtomicU64,
    broken_watches: AtomicU64,
}

type OfReasons = [AtomicU64; Reason::ALL.len()];

/// What became of the write of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The Secret is another now.
    Changed,
    /// Others have set something in it to something else, and keep it: the rest was written,
    /// or nothing of it.
    Conflict,
    /// It was not written.
    Failed,
    /// It had all of it already.
    Unchanged,
}

/// A resource that is looked at, counted when it is dropped.
#[must_use = "what is done for a resource is counted when this is dropped"]
pub struct RunningSync<'a> {
    figures: &'a ManagedFigures,
    begun: Instant,
    reason: OnceLock<Reason>,
}

impl Write {
    const ALL: [Self; 4] = [Self::Changed, Self::Conflict, Self::Failed, Self::Unchanged];

    const fn label(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Unchanged => "unchanged",
        }
    }
}

impl ManagedFigures {
    /// Whether this replica works, from now on.
    pub fn leads(&self, leads: bool) {
        self.leads.store(leads, Ordering::Relaxed);
    }

    /// A resource is looked at from now on.
    pub fn begin(&self) -> RunningSync<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        RunningSync {
            figures: self,
            begun: Instant::now(),
            reason: OnceLock::new(),
        }
    }

    /// A resource has come, turned or gone: the state that it was in, and the one that
    /// it is in now.
    pub fn turned(&self, was: Option<Reason>, is: Option<Reason>) {
        if let Some(is) = is {
            self.resources[is as usize].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(was) = was {
            self.resources[was as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A Secret was to be written.
    pub fn wrote(&self, write: Write) {
        self.writes[write as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// So many workloads were restarted.
    pub fn restarted(&self, workloads: usize) {
        let workloads = u64::try_from(workloads).unwrap_or(u64::MAX);
        self.restarts.fetch_add(workloads, Ordering::Relaxed);
    }

    /// The API server could not be watched.
    pub fn watch_failed(&self) {
        self.broken_watches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn write(&self, text: &mut Text) {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        text.family(
            "phase_csi_leader",
            Kind::Gauge,
            "1 while this replica is the one that works, else 0.",
        );
        text.sample(&[], u8::from(self.leads.load(Ordering::Relaxed)));
        text.family(
            "phase_csi_managed_resources",
            Kind::Gauge,
            "Resources that this replica keeps, by the reason of their condition Synced.",
        );
        for reason in Reason::ALL {
            let resources = of(&self.resources[reason as usize]);
            text.sample(&[("reason", reason.as_str())], resources);
        }
        text.family(
            "phase_csi_managed_syncs_total",
            Kind::Counter,
            "How often a resource was looked at, by the reason that came of it.",
        );
        for reason in Reason::ALL {
            let ended = of(&self.ended[reason as usize]);
            text.sample(&[("reason", reason.as_str())], ended);
        }
        text.family(
            "phase_csi_managed_sync_duration_seconds",
            Kind::Histogram,
            "How long it took to look at a resource, with all that was written and told.",
        );
        text.histogram(&[], &self.durations);
        text.family(
            "phase_csi_managed_syncs_in_flight",
            Kind::Gauge,
            "Resources that are looked at now.",
        );
        text.sample(&[], of(&self.running));
        text.family(
            "phase_csi_managed_writes_total",
            Kind::Counter,
            "Writes of Secrets, by what became of them.",
        );
        for write in Write::ALL {
            let writes = of(&self.writes[write as usize]);
            text.sample(&[("outcome", write.label())], writes);
        }
        text.family(
            "phase_csi_managed_restarts_total",
            Kind::Counter,
            "Workloads that were restarted since a Secret of theirs has changed.",
        );
        text.sample(&[], of(&self.restarts));
        text.family(
            "phase_csi_managed_watch_failures_total",
            Kind::Counter,
            "How often the API server could not be listed or watched.",
        );
        text.sample(&[], of(&self.broken_watches));
    }
}

impl RunningSync<'_> {
    /// What came of it; the first word counts.
    pub fn ended(&self, reason: Reason) {
        let _ = self.reason.set(reason);
    }
}

impl Drop for RunningSync<'_> {
    /// Without a word it was given up: another replica works now, or the process stops.
    fn drop(&mut self) {
        self.figures.running.fetch_sub(1, Ordering::Relaxed);
        if let Some(reason) = self.reason.get() {
            self.figures.ended[*reason as usize].fetch_add(1, Ordering::Relaxed);
            self.figures.durations.observe(self.begun.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(figures: &ManagedFigures) -> String {
        let mut text = Text::default();
        figures.write(&mut text);
        text.into_string()
    }

    #[test]
    fn each_reason_has_a_place_and_a_series_of_its_own() {
        let places: Vec<_> = Reason::ALL.map(|reason| reason as usize).into();
        assert_eq!(places, (0..Reason::ALL.len()).collect::<Vec<_>>());
        let text = text(&ManagedFigures::default());
        for reason in Reason::ALL {
            let reason = reason.as_str();
            for family in ["resources", "syncs_total"] {
                let series = format!("phase_csi_managed_{family}{{reason=\"{reason}\"}} 0\n");
                assert!(text.contains(&series), "{series} in {text}");
            }
        }
    }

    #[test]
    fn what_ends_without_a_word_was_given_up_and_counts_nowhere() {
        let figures = ManagedFigures::default();
        drop(figures.begin());
        let running = figures.begin();
        running.ended(Reason::Conflict);
        running.ended(Reason::Synced);
        let text_of_one = text(&figures);
        assert!(text_of_one.contains("phase_csi_managed_syncs_in_flight 1\n"));
        drop(running);
        let text = text(&figures);
        for line in [
            "phase_csi_managed_syncs_in_flight 0\n",
            "phase_csi_managed_syncs_total{reason=\"Conflict\"} 1\n",
            "phase_csi_managed_syncs_total{reason=\"Synced\"} 0\n",
            "phase_csi_managed_sync_duration_seconds_count 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
