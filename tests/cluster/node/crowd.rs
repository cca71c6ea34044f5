//! Many pods at once: a Deployment whose pods are watched from the node's side.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::api::ListParams;
use phase_csi_cluster::PATIENCE;
use serde_json::json;

use crate::team::{CLASS, Team, pod_spec};

/// The pods of one Deployment.
pub(crate) struct Crowd<'a> {
    team: &'a Team,
    name: String,
    /// How many pods there are to be.
    replicas: AtomicUsize,
}

impl<'a> Crowd<'a> {
    /// A Deployment of so many pods of the usual class.
    pub(crate) async fn start(team: &'a Team, name: &str, replicas: usize) -> Self {
        let labels = json!({"crowd": name});
        team.apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod_spec(&[CLASS], json!({}))},
            },
        }))
        .await;
        Self {
            team,
            name: name.to_owned(),
            replicas: AtomicUsize::new(replicas),
        }
    }

    pub(crate) async fn scale(&self, replicas: usize) {
        self.replicas.store(replicas, Ordering::Relaxed);
        let (name, replicas) = (
            format!("deployment/{}", self.name),
            format!("--replicas={replicas}"),
        );
        self.team.kubectl(&["scale", &name, &replicas]).await;
    }

    /// Waits until so many pods are Ready and no others are there. How long it took.
    pub(crate) async fn are_ready(&self, replicas: usize) -> Duration {
        let begun = Instant::now();
        loop {
            let pods = self.pods().await.unwrap_or_default();
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            if ready == replicas && pods.len() == replicas {
                return begun.elapsed();
            }
            assert!(
                begun.elapsed() < PATIENCE * 3,
                "{ready} of {replicas} pods are Ready: {:#?}",
                self.team.namespace.events().await
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the file of every pod, of as many as there are to be, has this text, on
    /// the node's own disk: a shell in each of them would be most of the test's work. How
    /// long it took.
    pub(crate) async fn all_show(&self, key: &str, text: &str) -> Duration {
        let begun = Instant::now();
        let volumes = self.volumes().await;
        let replicas = self.replicas.load(Ordering::Relaxed);
        assert!(replicas > 0, "files of no pod are always right");
        assert_eq!(volumes.len(), replicas, "the volumes: {volumes:?}");
        loop {
            let wrong: Vec<_> = volumes
                .iter()
                .filter(|volume| {
                    std::fs::read(volume.join(key)).ok().as_deref() != Some(text.as_bytes())
                })
                .collect();
            if wrong.is_empty() {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE * 2, "without {text}: {wrong:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Where the volumes of the pods are on the node.
    pub(crate) async fn volumes(&self) -> Vec<PathBuf> {
        let pods = self.pods().await.expect("the API server answers");
        let uids = pods.into_iter().filter_map(|pod| pod.metadata.uid);
        uids.map(|uid| {
            Path::new("/var/lib/kubelet/pods")
                .join(uid)
                .join("volumes/kubernetes.io~csi")
                .join(CLASS)
                .join("mount")
        })
        .collect()
    }

    /// Ends all pods and waits until none of their volumes is mounted any more.
    pub(crate) async fn leave(&self) {
        let volumes = self.volumes().await;
        assert!(!volumes.is_empty(), "nobody is left to leave");
        self.scale(0).await;
        let begun = Instant::now();
        loop {
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            let left: Vec<_> = volumes
                .iter()
                .filter(|volume| mounts.contains(volume.to_str().unwrap()))
                .collect();
            if left.is_empty() && self.pods().await.is_some_and(|pods| pods.is_empty()) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE * 2, "still mounted: {left:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Mounts that kubelet reported as failed, of pods of this crowd.
    pub(crate) async fn failed_mounts(&self) -> Vec<String> {
        let events = self.team.namespace.events().await;
        events
            .into_iter()
            .filter(|(reason, _)| reason == "FailedMount")
            .map(|(_, text)| text)
            .collect()
    }

    /// None while the API server does not answer.
    async fn pods(&self) -> Option<Vec<PodObject>> {
        let pods = self.team.namespace.api::<PodObject>();
        let mine = ListParams::default().labels(&format!("crowd={}", self.name));
        Some(pods.list(&mine).await.ok()?.items)
    }
}

fn is_ready(pod: &PodObject) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| {
            all.iter()
                .any(|one| one.type_ == "Ready" && one.status == "True")
        })
}
