//! What others do to Secrets that were written, and whom that concerns.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::stream::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, watcher};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::patience::patient;
use super::place::{Place, say};
use crate::managed::api;
use crate::managed::apply::{LABEL, OURS};
use crate::managed::ledger::Ledger;
use crate::managed::mirror::SecretProviderClass;
use crate::managed::owner::{Owner, owner};
use crate::managed::resource::PhaseSecret;
use crate::managed::seen;

/// So many resources may wait that were changed elsewhere.
pub(super) const MOST_POKES: usize = 1_024;

/// By namespace: who is told that a Secret of one of its resources has changed.
pub(super) type Pokes<K> = Arc<HashMap<Option<String>, Sender<ObjectRef<K>>>>;

pub(super) fn pokes<K: Owner>(places: &[Place]) -> (Pokes<K>, Vec<Receiver<ObjectRef<K>>>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = places.iter().map(|_| channel(MOST_POKES)).unzip();
    let names = places.iter().map(|place| place.namespace.clone());
    (Arc::new(names.zip(senders).collect()), receivers)
}

impl Place {
    /// Watches what was written, and says which resources are concerned.
    pub(super) async fn drift(
        self,
        writer: Writer<PartialObjectMeta<Secret>>,
        ledger: Arc<Ledger>,
        pokes: (Pokes<PhaseSecret>, Pokes<SecretProviderClass>),
    ) {
        let label = format!("{}={}", LABEL.0, LABEL.1);
        // Only their metadata is asked for.
        let secrets = self.api::<PartialObjectMeta<Secret>>();
        let drifted = watcher(secrets, api::watching().labels(&label));
        let drifted = patient(drifted).modify(slim);
        let mut is_listed = false;
        let drifted = drifted.reflect(writer).inspect_ok(|event| {
            if matches!(event, watcher::Event::InitDone) && !is_listed {
                is_listed = true;
                ledger.has_listed();
            }
        });
        let drifted = drifted.touched_objects();
        let mut drifted = pin!(drifted);
        while let Some(secret) = drifted.next().await {
            match secret {
                Ok(secret) if ledger.waits(&secret) => {}
                Ok(secret) => self.drifted(&secret, &ledger, &pokes).await,
                Err(error) => say(&self.health, &error),
            }
        }
    }

    /// The same for what came while its Secret was being written.
    pub(super) async fn drift_later(
        self,
        mut later: Receiver<PartialObjectMeta<Secret>>,
        ledger: Arc<Ledger>,
        pokes: (Pokes<PhaseSecret>, Pokes<SecretProviderClass>),
    ) {
        while let Some(secret) = later.recv().await {
            self.drifted(&secret, &ledger, &pokes).await;
        }
    }

    async fn drifted(
        &self,
        secret: &PartialObjectMeta<Secret>,
        ledger: &Ledger,
        (resources, classes): &(Pokes<PhaseSecret>, Pokes<SecretProviderClass>),
    ) {
        // Nobody needs to look at what was just written.
        if !ledger.is_our_own(secret) {
            self.poke(resources, secret).await;
            self.poke(classes, secret).await;
        }
    }

    async fn poke<K: Owner>(&self, pokes: &Pokes<K>, secret: &PartialObjectMeta<Secret>) {
        let Some(of) = owner::<K>(secret) else {
            return;
        };
        let key = self.namespace.as_ref().and_then(|_| of.namespace.clone());
        if let Some(place) = pokes.get(&key) {
            // Whoever does not listen any more has ended, and all with him.
            drop(place.send(of).await);
        }
    }
}

/// What is needed of a Secret.
fn slim(secret: &mut PartialObjectMeta<Secret>) {
    seen::brief(&mut secret.metadata);
    secret.metadata.labels = None;
    if let Some(annotations) = &mut secret.metadata.annotations {
        annotations.retain(|key, _| key.starts_with(OURS));
    }
}
