//! Phase: the emulator that everybody uses, and emulators of a test's own.

use phase_csi_cluster::{eventually, http};
use serde_json::{Value, json};

use crate::cluster::{apply, folder, kubectl};

const APP: &str = "shop";
const ENVIRONMENT: &str = "Production";
/// Where pods reach a Phase of a test's own. The node's own address is none that `*` admits.
const ELSEWHERE: &str = "10.99.1.1";

/// A Phase server in a pod.
#[derive(Clone)]
pub(crate) struct Phase {
    /// Its namespace and the Deployment's name.
    namespace: String,
    /// The URL for a class, if it is not the daemon's own.
    pub(crate) host: Option<String>,
    /// Its control endpoint.
    control: String,
}

impl Phase {
    /// The one that the daemon asks by default.
    pub(crate) fn shared() -> Self {
        Self {
            namespace: "phase".to_owned(),
            host: None,
            control: "127.0.0.1:8201".to_owned(),
        }
    }

    /// One of a test's own, in a namespace that is there: its requests can be
    /// counted, and its faults are nobody else's.
    pub(crate) async fn own(namespace: &str) -> Self {
        let number = unused_number();
        let (port, control) = (9_000 + number, format!("127.0.0.1:{}", 9_500 + number));
        let folder = folder("SUITE_DIR").join(namespace);
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["organisation.yaml", "tls.crt", "tls.key"] {
            let from = crate::cluster::folder("SUITE_DIR").join("phase").join(name);
            std::fs::copy(from, folder.join(name)).unwrap();
        }
        let organisation = include_str!("organisation.yaml");
        std::fs::write(folder.join("organisation.yaml"), organisation).unwrap();
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "phase"},
            "spec": {
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": {"app": "phase"}},
                "template": {
                    "metadata": {"labels": {"app": "phase"}},
                    "spec": {
                        "hostNetwork": true,
                        "terminationGracePeriodSeconds": 2,
                        "containers": [{
                            "name": "emulator", "image": "localhost/emulator:1", "imagePullPolicy": "Never",
                            "args": [
                                "--file=/phase/organisation.yaml", format!("--listen={ELSEWHERE}:{port}"), format!("--control={control}"),
                                "--tls-cert=/phase/tls.crt", "--tls-key=/phase/tls.key",
                            ],
                            "volumeMounts": [{"name": "phase", "mountPath": "/phase"}],
                        }],
                        "volumes": [{"name": "phase", "hostPath": {"path": folder, "type": "Directory"}}],
                    },
                },
            },
        });
        apply(namespace, &deployment.to_string()).await;
        let phase = Self {
            namespace: namespace.to_owned(),
            host: Some(format!("https://{ELSEWHERE}:{port}")),
            control,
        };
        phase.answers().await;
        phase
    }

    /// Waits until it serves.
    pub(crate) async fn answers(&self) {
        eventually("Phase", async || {
            http(&self.control, "GET", "/tokens", "").await
        })
        .await;
    }

    /// The token of an account.
    pub(crate) async fn token(&self, name: &str) -> String {
        self.all_tokens().await[name].as_str().unwrap().to_owned()
    }

    /// Every token by name.
    pub(crate) async fn all_tokens(&self) -> Value {
        let text = self.control("GET", "/tokens", Value::Null).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Creates or changes a secret of the environment that classes name by default.
    pub(crate) async fn set(&self, path: &str, key: &str, value: &str) {
        self.set_in(ENVIRONMENT, path, key, value).await;
    }

    /// The same in another environment.
    pub(crate) async fn set_in(&self, environment: &str, path: &str, key: &str, value: &str) {
        let body = json!({"app": APP, "environment": environment, "path": path, "key": key, "value": value});
        self.control("PUT", "/secret", body).await;
    }

    pub(crate) async fn delete(&self, path: &str, key: &str) {
        let body = json!({"app": APP, "environment": ENVIRONMENT, "path": path, "key": key});
        self.control("DELETE", "/secret", body).await;
    }

    pub(crate) async fn revoke(&self, token: &str) {
        let path = format!("/tokens/{token}/revoke");
        self.control("POST", &path, Value::Null).await;
    }

    /// From now on every answer takes so much longer.
    pub(crate) async fn delay(&self, milliseconds: u64) {
        self.control("PUT", "/latency", json!({"ms": milliseconds}))
            .await;
    }

    /// Forgets what was asked so far.
    pub(crate) async fn reset_counters(&self) {
        self.control("DELETE", "/counters", Value::Null).await;
    }

    /// Requests so far: for tokens, and for secrets.
    pub(crate) async fn requests(&self) -> (u64, u64) {
        let text = self.control("GET", "/counters", Value::Null).await;
        let counters: Value = serde_json::from_str(&text).unwrap();
        let number = |name: &str| counters[name].as_u64().unwrap();
        (number("tokens"), number("secrets"))
    }

    /// Ends it: nobody listens.
    pub(crate) async fn go_away(&self) {
        self.scale(0).await;
        eventually("the end of Phase", async || {
            http(&self.control, "GET", "/tokens", "")
                .await
                .is_none()
                .then_some(())
        })
        .await;
    }

    /// Starts it again, with all it had.
    pub(crate) async fn come_back(&self) {
        self.scale(1).await;
        self.answers().await;
    }

    async fn scale(&self, replicas: u8) {
        let replicas = format!("--replicas={replicas}");
        kubectl([
            "--namespace",
            &self.namespace,
            "scale",
            "deployment/phase",
            &replicas,
        ])
        .await;
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> String {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = http(&self.control, method, path, &body).await;
        let (status, text) = answer.unwrap_or_else(|| panic!("{method} {path}: no answer"));
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {text}"
        );
        text
    }
}

/// For a pair of ports on the node: the suite may run in several processes at once.
fn unused_number() -> u16 {
    let is_ours = |number: &u16| {
        let claim = folder("SUITE_DIR").join(format!("phase-{number}"));
        std::fs::File::create_new(claim).is_ok()
    };
    (0..500).find(is_ours).expect("fewer tests than that")
}
