//! How often each Secret of a namespace has really changed, as anyone can see who watches.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, WatchEvent, WatchParams};
use phase_csi_cluster::Controller;
use tokio::task::JoinHandle;

/// Counts from when it was made.
pub(super) struct Writes {
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
    watch: JoinHandle<()>,
}

impl Writes {
    pub(super) async fn count(controller: &Controller) -> Self {
        let secrets = controller.namespace.api::<Secret>();
        let now = secrets.list_metadata(&ListParams::default()).await.unwrap();
        let mut version = now.metadata.resource_version.unwrap();
        let counts = Arc::new(Mutex::new(BTreeMap::new()));
        let counted = Arc::clone(&counts);
        let watch = tokio::spawn(async move {
            // A watch ends after a while, and goes on where it was.
            loop {
                let all = WatchParams::default();
                let mut events = pin!(secrets.watch_metadata(&all, &version).await.unwrap());
                while let Some(event) = events.next().await {
                    let secret = match event.unwrap() {
                        WatchEvent::Added(secret) | WatchEvent::Modified(secret) => secret,
                        WatchEvent::Deleted(secret) => {
                            version = secret.metadata.resource_version.unwrap();
                            continue;
                        }
                        WatchEvent::Bookmark(_) => continue,
                        other => panic!("{other:?}"),
                    };
                    version = secret.metadata.resource_version.unwrap();
                    let name = secret.metadata.name.unwrap();
                    *counted.lock().unwrap().entry(name).or_default() += 1;
                }
            }
        });
        Self { counts, watch }
    }

    /// How often this Secret was made or changed since.
    pub(super) fn of(&self, secret: &str) -> u64 {
        assert!(!self.watch.is_finished(), "the watch has failed");
        let counts = self.counts.lock().unwrap();
        counts.get(secret).copied().unwrap_or_default()
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
