//! What was written last, and what the API server has of it now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::followed::Followed;
use super::plan::SecretName;
use crate::snapshot::lock;

/// More than Secrets are written at once.
const MOST_NEWS: usize = 1_024;

/// What was written of a Secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Everything that was said of it.
    pub(super) wish: [u8; 32],
    /// What the API server made of it.
    pub(super) resource_version: Option<String>,
    /// For which content its users have been restarted.
    pub(super) followed: Followed,
}

/// All Secrets that were written, whomever they belong to, since this replica leads.
pub(super) struct Ledger {
    live: Arc<[Store<PartialObjectMeta<Secret>>]>,
    /// By Secret; little more than there are in `live`.
    written: Mutex<HashMap<SecretName, Written>>,
    /// How many of `live` have not been listed yet.
    unlisted: watch::Sender<usize>,
    begun: Instant,
    /// What is being written, and the last news of each that came meanwhile.
    writing: Mutex<HashMap<SecretName, Option<PartialObjectMeta<Secret>>>>,
    /// Where those go then.
    later: Sender<PartialObjectMeta<Secret>>,
}

/// A Secret that is being written, until this is dropped.
#[must_use = "news of the Secret wait while this is held"]
pub(super) struct BeingWritten<'a> {
    ledger: &'a Ledger,
    secret: SecretName,
}

impl Drop for BeingWritten<'_> {
    fn drop(&mut self) {
        let news = lock(&self.ledger.writing).remove(&self.secret).flatten();
        if let Some(news) = news {
            // There is room for one of each that is written at once. Without it, the next
            // round looks at it.
            drop(self.ledger.later.try_send(news));
        }
    }
}

/// So long is waited for what is there, before it is written whatever there is.
const LISTED_WITHIN: Duration = Duration::from_secs(10);

impl Ledger {
    /// Nothing was written yet. `live` is the metadata of Secrets that were written, as the
    /// API server has them now: of each namespace that is looked after, or of all. The news
    /// that [`Self::waits`] has kept come out of the other half.
    pub(super) fn new(
        live: Arc<[Store<PartialObjectMeta<Secret>>]>,
    ) -> (Self, Receiver<PartialObjectMeta<Secret>>) {
        let (later, news) = channel(MOST_NEWS);
        let ledger = Self {
            unlisted: watch::Sender::new(live.len()),
            begun: Instant::now(),
            live,
            written: Mutex::default(),
            writing: Mutex::default(),
            later,
        };
        (ledger, news)
    }

    /// A Secret is written now: what is watched of it is perhaps just that.
    pub(super) fn begin(&self, secret: &SecretName) -> BeingWritten<'_> {
        lock(&self.writing).insert(secret.clone(), None);
        BeingWritten {
            ledger: self,
            secret: secret.clone(),
        }
    }

    /// Whether news of a Secret wait until it has been written.
    pub(super) fn waits(&self, news: &PartialObjectMeta<Secret>) -> bool {
        match lock(&self.writing).get_mut(&name(news)) {
            Some(last) => {
                *last = Some(news.clone());
                true
            }
            None => false,
        }
    }

    /// One of the stores of what is there has been filled.
    pub(super) fn has_listed(&self) {
        self.unlisted
            .send_modify(|unlisted| *unlisted = unlisted.saturating_sub(1));
    }

    /// Waits until it is known what is there; for a while.
    pub(super) async fn listed(&self) {
        let mut unlisted = self.unlisted.subscribe();
        let listed = unlisted.wait_for(|unlisted| *unlisted == 0);
        drop(timeout_at(self.begun + LISTED_WITHIN, listed).await);
    }

    /// What was written of a Secret last.
    pub(super) fn written(&self, secret: &SecretName) -> Option<Written> {
        lock(&self.written).get(secret).cloned()
    }

    /// Takes down what was written. What is known of Secrets that have gone is forgotten.
    pub(super) fn write(&self, secret: SecretName, now: Written) {
        const MORE: usize = 64;
        let mut written = lock(&self.written);
        written.insert(secret, now);
        if written.len() > 2 * self.live.iter().map(Store::len).sum::<usize>() + MORE {
            written.retain(|secret, _| self.live(secret).is_some());
        }
    }

    /// What the API server has of a Secret now, where that is watched.
    pub(super) fn live(&self, secret: &SecretName) -> Option<Arc<PartialObjectMeta<Secret>>> {
        let key = ObjectRef::new(&secret.name).within(&secret.namespace);
        self.live.iter().find_map(|live| live.get(&key))
    }

    /// All Secrets that the API server has now.
    pub(super) fn all_live(&self) -> impl Iterator<Item = Arc<PartialObjectMeta<Secret>>> {
        self.live.iter().flat_map(Store::state)
    }

    /// Whether news of a Secret are what was written here, and nobody else's: it is there,
    /// as it was written last.
    pub(super) fn is_our_own(&self, news: &PartialObjectMeta<Secret>) -> bool {
        let secret = name(news);
        let version = news.resource_version();
        let is_there = |live: Arc<PartialObjectMeta<Secret>>| live.resource_version() == version;
        version.is_some()
            && self
                .written(&secret)
                .is_some_and(|written| written.resource_version == version)
            && self.live(&secret).is_some_and(is_there)
    }
}

fn name(news: &PartialObjectMeta<Secret>) -> SecretName {
    SecretName {
        namespace: news.namespace().unwrap_or_default(),
        name: news.name_any(),
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use tokio::time::sleep;

    use super::*;

    fn metadata(version: &str) -> PartialObjectMeta<Secret> {
        let mut metadata = PartialObjectMeta::<Secret>::default();
        metadata.metadata.namespace = Some("team".to_owned());
        metadata.metadata.name = Some("out".to_owned());
        metadata.metadata.resource_version = Some(version.to_owned());
        metadata
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_waited_for_until_all_is_listed_or_ten_seconds() {
        let stores = || vec![store().0, store().0].into();
        let (ledger, _) = Ledger::new(stores());
        let begun = Instant::now();
        let listed = async {
            ledger.has_listed();
            sleep(Duration::from_secs(2)).await;
            ledger.has_listed();
        };
        tokio::join!(ledger.listed(), listed);
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        let (ledger, _) = Ledger::new(stores());
        let begun = Instant::now();
        ledger.listed().await;
        ledger.listed().await;
        assert_eq!(begun.elapsed(), LISTED_WITHIN);
    }

    #[test]
    fn our_own_is_what_is_there_as_it_was_written_last() {
        let (live, mut writer) = store();
        let (ledger, _) = Ledger::new(vec![live].into());
        let name = SecretName {
            namespace: "team".to_owned(),
            name: "out".to_owned(),
        };
        let written = |version: &str| Written {
            wish: [0; 32],
            resource_version: Some(version.to_owned()),
            followed: Followed::read(""),
        };
        let first = metadata("1");
        writer.apply_watcher_event(&Event::Apply(first.clone()));
        assert!(!ledger.is_our_own(&first), "somebody else's");
        ledger.write(name.clone(), written("1"));
        assert!(ledger.is_our_own(&first));
        let foreign = metadata("2");
        writer.apply_watcher_event(&Event::Apply(foreign.clone()));
        assert!(!ledger.is_our_own(&foreign), "changed by somebody else");
        assert!(!ledger.is_our_own(&first), "not as it is any more");
        ledger.write(name, written("3"));
        let ours = metadata("3");
        writer.apply_watcher_event(&Event::Apply(ours.clone()));
        assert!(ledger.is_our_own(&ours));
        // News of its end may say the version that was there last.
        writer.apply_watcher_event(&Event::Delete(ours.clone()));
        assert!(!ledger.is_our_own(&ours), "it has gone");
    }

    #[test]
    fn news_of_what_is_being_written_wait_until_it_has_been() {
        let (live, mut writer) = store();
        let (ledger, mut later) = Ledger::new(vec![live].into());
        let ours = metadata("1");
        assert!(!ledger.waits(&ours), "nothing is being written");
        let secret = name(&ours);
        let being_written = ledger.begin(&secret);
        // It is watched before the answer has come.
        writer.apply_watcher_event(&Event::Apply(ours.clone()));
        assert!(ledger.waits(&ours));
        let written = Written {
            wish: [0; 32],
            resource_version: Some("1".to_owned()),
            followed: Followed::read(""),
        };
        ledger.write(secret, written);
        drop(being_written);
        let news = later.try_recv().expect("it is looked at now");
        assert!(ledger.is_our_own(&news));
        assert!(!ledger.waits(&metadata("2")), "it has been written");
    }
}
