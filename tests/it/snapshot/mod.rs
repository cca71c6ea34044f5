//! What the node remembers, on a paused clock: exact instants, counted requests.

mod budget;
mod change;
mod flights;
mod identity;
mod keys;
mod limits;
mod random;
mod restarts;
mod rights;
mod slow_work;
mod staleness;
mod tenants;

use std::time::Duration;

use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::mount::Mounter;
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::provider::{Failure, MountRequest};
use phase_csi_provider::snapshot::{Settings, Snapshot, disk};
use phase_emulator::{Control, Seed};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::daemon::texts;
use crate::support::model::Model;

/// One way between a node and Phase, there and back.
const LATENCY: Duration = Duration::from_millis(20);
/// The default poll interval.
const POLL: Duration = Duration::from_secs(60);
/// About how often kubelet republishes.
const REPUBLISH: Duration = Duration::from_secs(75);
const HOUR: Duration = Duration::from_secs(3600);

/// A node with its Phase.
struct World {
    model: Model,
    mounter: Mounter<Model>,
}

/// Files by path and text.
type Files = Vec<(String, String)>;

impl World {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self::of(Model::new(seed(), LATENCY), settings, None)
    }

    fn of(model: Model, settings: Settings, store: Option<disk::Store>) -> Self {
        let hosts = AllowedHosts::new("https://phase.test".parse().unwrap(), &["*"]).unwrap();
        let snapshot = Snapshot::new(model.clone(), settings, store);
        Self {
            model,
            mounter: Mounter::new(snapshot, hosts),
        }
    }

    fn control(&self) -> Control {
        self.model.phase.control()
    }

    /// The driver's call for the volume of one pod.
    async fn mount(&self, token: &str, class: &Value, pod: &str) -> Result<Files, Failure> {
        self.mount_within(token, class, pod, Duration::from_secs(90))
            .await
    }

    async fn mount_within(
        &self,
        token: &str,
        class: &Value,
        pod: &str,
        limit: Duration,
    ) -> Result<Files, Failure> {
        let token = self.control().token(token).unwrap();
        let request = request(&token, class, pod);
        let answer = self.mounter.mount(request, Deadline::after(limit)).await?;
        Ok(texts(&answer.try_into().unwrap()))
    }

    /// The one file of the class [`one`], for a pod.
    async fn value(&self, pod: &str) -> Result<String, Failure> {
        let files = self.mount("all", &one(), pod).await?;
        Ok(files[0].1.clone())
    }

    fn put(&self, environment: &str, key: &str, value: &str) {
        self.control()
            .put_secret("a", environment, "/", key, value)
            .unwrap();
    }

    /// Pods that live: each is republished as kubelet does it, for so long.
    async fn live(&self, pods: &[&str], class: &Value, time: Duration) {
        let steps = time.as_secs() / REPUBLISH.as_secs();
        for _ in 0..steps {
            sleep(REPUBLISH).await;
            for pod in pods {
                drop(self.mount("all", class, pod).await);
            }
        }
    }
}

fn request(token: &str, class: &Value, pod: &str) -> MountRequest {
    let mut attributes = json!({
        "csi.storage.k8s.io/pod.name": pod,
        "csi.storage.k8s.io/pod.namespace": "shop",
        "csi.storage.k8s.io/pod.uid": format!("uid-{pod}"),
        "csi.storage.k8s.io/serviceAccount.name": "web",
        "secretProviderClass": "keys",
        "phaseApp": "a",
    });
    for (name, value) in class.as_object().unwrap() {
        attributes[name] = value.clone();
    }
    let secrets = json!({ "token": token }).to_string();
    let mut request = MountRequest::new(attributes.to_string(), secrets);
    request.target_path =
        format!("/var/lib/kubelet/pods/uid-{pod}/volumes/kubernetes.io~csi/keys/mount");
    request
}

/// One secret of production.
fn one() -> Value {
    json!({"objects": "- secretKey: KEY\n"})
}

/// Three environments and accounts of different strength.
fn seed() -> Seed {
    let seed = json!({
        "apps": [{"name": "a", "environments": [
            {"name": "production", "secrets": [
                {"key": "KEY", "value": "value"},
                {"key": "OTHER", "value": "other"},
                {"key": "FROM_TWO", "value": "${staging.X}-${development.Y}"},
                {"key": "PAIR", "value": "${staging.X}"},
                {"key": "LEFT", "value": "1"},
            ]},
            {"name": "staging", "secrets": [{"key": "X", "value": "x"}]},
            {"name": "development", "secrets": [{"key": "Y", "value": "y"}]},
        ]}],
        "accounts": [
            {"name": "all", "tokens": [{"name": "all"}, {"name": "second"}]},
            {"name": "same", "tokens": [{"name": "same"}]},
            {"name": "limited", "access": [{"app": "a", "environments": ["staging"]}]},
        ],
    });
    Seed::from_yaml(&seed.to_string()).unwrap()
}
