//! How often each Secret of a namespace has really changed, as anyone can see who watches.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, WatchEvent, WatchParams};
use phase_csi_cluster::Controller;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Counts from when it was made.
pub(super) struct Writes {
    times: Arc<Mutex<BTreeMap<String, Vec<Instant>>>>,
    watch: JoinHandle<()>,
}

impl Writes {
    pub(super) async fn count(controller: &Controller) -> Self {
        let secrets = controller.namespace.api::<Secret>();
        let now = secrets.list_metadata(&ListParams::default()).await.unwrap();
        let mut version = now.metadata.resource_version.unwrap();
        let times = Arc::new(Mutex::new(BTreeMap::<_, Vec<_>>::new()));
        let counted = Arc::clone(&times);
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
                    let mut times = counted.lock().unwrap();
                    times.entry(name).or_default().push(Instant::now());
                }
            }
        });
        Self { times, watch }
    }

    /// How often this Secret was made or changed since.
    pub(super) fn of(&self, secret: &str) -> u64 {
        u64::try_from(self.times(secret).len()).unwrap()
    }

    /// When this Secret was made or changed.
    pub(super) fn times(&self, secret: &str) -> Vec<Instant> {
        assert!(!self.watch.is_finished(), "the watch has failed");
        let times = self.times.lock().unwrap();
        times.get(secret).cloned().unwrap_or_default()
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
