//! Events on pods: how many, and what became of them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::text::{Kind, Text};

/// Events on pods: how many, and what became of them.
#[derive(Debug, Default)]
pub struct PodEventFigures([AtomicU64; Fate::ALL.len()]);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Too many were to be sent at once.
    Dropped,
    /// The Kubernetes API did not take it.
    Failed,
    /// It is there.
    Sent,
}

impl Fate {
    const ALL: [Self; 3] = [Self::Dropped, Self::Failed, Self::Sent];

    const fn label(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::Sent => "sent",
        }
    }
}

impl PodEventFigures {
    /// What became of one more event.
    pub fn count(&self, fate: Fate) {
        self.0[fate as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn write(&self, text: &mut Text) {
        text.family(
            "phase_csi_pod_events_total",
            Kind::Counter,
            "Events on pods (--pod-events), by what became of them.",
        );
        for fate in Fate::ALL {
            let count = self.0[fate as usize].load(Ordering::Relaxed);
            text.sample(&[("outcome", fate.label())], count);
        }
    }
}
