//! What a replica says of its health, and the figures that go with what it does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::core::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::status::Reason;
use crate::snapshot::lock;
use crate::telemetry::http;
use crate::telemetry::metrics::ManagedFigures;

/// Whoever has not gone round for so long hangs: a round is at most two requests and a
/// pause, each far shorter.
const ROUND_WITHIN: Duration = Duration::from_secs(60);

/// Whether this replica goes round, and what it still waits for.
pub struct Health {
    /// When the loop last went round that holds the Lease, or waits for it.
    round: Mutex<Instant>,
    /// Whether the API server has ever answered.
    has_begun: AtomicBool,
    is_stopping: AtomicBool,
    unlisted: AtomicUsize,
    /// What is counted meanwhile.
    pub(super) figures: Arc<ManagedFigures>,
}

/// Watches that have not been listed yet; dropped when they have, or are no longer
/// wanted.
#[must_use = "the replica is not ready while this is held"]
pub(super) struct Unlisted(Arc<Health>);

/// This replica works until this is dropped.
#[must_use = "the replica leads while this is held"]
pub(super) struct Leading<'a>(&'a Health);

impl Health {
    /// Of a replica that has just begun.
    #[must_use]
    pub fn new(figures: Arc<ManagedFigures>) -> Self {
        Self {
            round: Mutex::new(Instant::now()),
            has_begun: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            unlisted: AtomicUsize::new(0),
            figures,
        }
    }

    /// The loop goes round once more.
    pub(super) fn goes_round(&self) {
        *lock(&self.round) = Instant::now();
    }

    /// The API server has answered: whoever does not work stands by from now on.
    pub(super) fn begins(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// This replica works from now on.
    pub(super) fn leads(&self) -> Leading<'_> {
        self.begins();
        self.figures.leads(true);
        Leading(self)
    }

    /// Nothing new is begun from now on.
    pub(super) fn stops(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Some watches have to be listed first.
    pub(super) fn waits(self: &Arc<Self>) -> Unlisted {
        self.unlisted.fetch_add(1, Ordering::Relaxed);
        Unlisted(Arc::clone(self))
    }

    /// Whether the replica goes round.
    ///
    /// # Errors
    /// One line that says since when it does not.
    pub fn live(&self) -> http::Health {
        let ago = lock(&self.round).elapsed();
        match ago <= ROUND_WITHIN {
            true => Ok(()),
            false => Err(format!(
                "hangs: the loop that works or waits for the Lease has not gone round for {} s",
                ago.as_secs()
            )),
        }
    }

    /// Whether the replica works, or stands by to do so.
    ///
    /// # Errors
    /// One line that says what it waits for.
    pub fn ready(&self) -> http::Health {
        let unlisted = self.unlisted.load(Ordering::Relaxed);
        let why = if self.is_stopping.load(Ordering::Relaxed) {
            "stopping: nothing new is begun"
        } else if !self.has_begun.load(Ordering::Relaxed) {
            "starting: the Lease has not been asked for yet"
        } else if unlisted > 0 {
            "starting: resources and Secrets have not been listed yet"
        } else {
            return Ok(());
        };
        Err(why.to_owned())
    }
}

impl Drop for Unlisted {
    fn drop(&mut self) {
        self.0.unlisted.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.figures.leads(false);
    }
}

/// The state of each resource, for the figures: no more than there are resources.
pub(super) struct States {
    of: Mutex<HashMap<ObjectRef<DynamicObject>, Reason>>,
    pub(super) figures: Arc<ManagedFigures>,
}

impl States {
    pub(super) fn new(figures: Arc<ManagedFigures>) -> Self {
        Self {
            of: Mutex::default(),
            figures,
        }
    }

    /// A resource is in this state now.
    pub(super) fn is(&self, object: ObjectRef<DynamicObject>, reason: Reason) {
        let was = lock(&self.of).insert(object, reason);
        self.figures.turned(was, Some(reason));
    }

    /// A resource is there no more.
    pub(super) fn gone(&self, object: &ObjectRef<DynamicObject>) {
        let was = lock(&self.of).remove(object);
        self.figures.turned(was, None);
    }
}

impl Drop for States {
    /// Another replica keeps them now.
    fn drop(&mut self) {
        for (_, was) in lock(&self.of).drain() {
            self.figures.turned(Some(was), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ApiResource, GroupVersionKind};
    use tokio::time::advance;

    use super::*;
    use crate::snapshot::Figures;
    use crate::telemetry::metrics::ControllerMetrics;

    fn said(health: http::Health) -> String {
        health.err().unwrap_or_else(|| "ok".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_does_not_go_round_is_not_live() {
        let health = Health::new(Arc::default());
        advance(ROUND_WITHIN).await;
        assert_eq!(said(health.live()), "ok");
        advance(Duration::from_secs(1)).await;
        assert_eq!(
            said(health.live()),
            "hangs: the loop that works or waits for the Lease has not gone round for 61 s"
        );
        health.goes_round();
        assert_eq!(said(health.live()), "ok");
    }

    #[tokio::test]
    async fn it_is_ready_when_it_stands_by_or_has_listed_all() {
        let health = Arc::new(Health::new(Arc::default()));
        assert_eq!(
            said(health.ready()),
            "starting: the Lease has not been asked for yet"
        );
        health.begins();
        assert_eq!(said(health.ready()), "ok");
        let (one, other) = (health.waits(), health.waits());
        drop(one);
        assert_eq!(
            said(health.ready()),
            "starting: resources and Secrets have not been listed yet"
        );
        drop(other);
        assert_eq!(said(health.ready()), "ok");
        health.stops();
        assert_eq!(said(health.ready()), "stopping: nothing new is begun");
    }

    #[tokio::test]
    async fn figures_follow_what_a_replica_keeps_and_are_nothing_without_the_lease() {
        let metrics = ControllerMetrics::default();
        let health = Health::new(Arc::clone(&metrics.managed));
        let states = States::new(Arc::clone(&metrics.managed));
        let shows = |line: &str| metrics.text(&Figures::default()).contains(line);
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("g", "v", "Kind"));
        let named = |name: &str| ObjectRef::new_with(name, kind.clone()).within("shop");
        let leading = health.leads();
        states.is(named("a"), Reason::Conflict);
        states.is(named("a"), Reason::Synced);
        states.is(named("b"), Reason::Synced);
        assert!(shows("\nphase_csi_leader 1\n"));
        assert!(shows("resources{reason=\"Synced\"} 2\n"));
        assert!(shows("resources{reason=\"Conflict\"} 0\n"));
        states.gone(&named("b"));
        states.gone(&named("never there"));
        assert!(shows("resources{reason=\"Synced\"} 1\n"));
        drop((states, leading));
        assert!(shows("\nphase_csi_leader 0\n"));
        assert!(shows("resources{reason=\"Synced\"} 0\n"));
    }
}
