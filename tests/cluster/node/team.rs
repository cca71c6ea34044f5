//! An application team: a namespace with a token, a folder in Phase, classes, pods.

use phase_csi_cluster::{Namespace, eventually};
use serde_json::{Value, json};

use crate::cluster::{apply, client, kubectl};
use crate::phase::Phase;
use crate::pod::Pod;

/// The Secret with a team's token.
pub(crate) const TOKEN: &str = "phase-token";
/// The class that most tests use.
pub(crate) const CLASS: &str = "keys";

pub(crate) struct Team {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
    pub(crate) phase: Phase,
}

impl Team {
    /// A team that uses the Phase of everybody. Its folder holds these secrets.
    pub(crate) async fn new(name: &str, secrets: &[(&str, &str)]) -> Self {
        Self::with(name, secrets, Phase::shared()).await
    }

    /// A team with a Phase of its own.
    pub(crate) async fn with_own_phase(name: &str, secrets: &[(&str, &str)]) -> Self {
        let created = Namespace::create(&client().await, name).await;
        let phase = Phase::own(&created.name).await;
        Self::in_namespace(created, secrets, phase).await
    }

    async fn with(name: &str, secrets: &[(&str, &str)], phase: Phase) -> Self {
        let created = Namespace::create(&client().await, name).await;
        Self::in_namespace(created, secrets, phase).await
    }

    async fn in_namespace(namespace: Namespace, secrets: &[(&str, &str)], phase: Phase) -> Self {
        let team = Self {
            name: namespace.name.clone(),
            namespace,
            phase,
        };
        for (key, value) in secrets {
            team.set(key, value).await;
        }
        team.namespace
            .token(TOKEN, &team.phase.token("pods").await)
            .await;
        eventually("the service account of the namespace", async || {
            let accounts = team
                .namespace
                .api::<k8s_openapi::api::core::v1::ServiceAccount>();
            accounts.get_opt("default").await.unwrap()
        })
        .await;
        team
    }

    /// The team's folder in Phase.
    pub(crate) fn folder(&self) -> String {
        format!("/{}", self.name)
    }

    /// Creates or changes a secret.
    pub(crate) async fn set(&self, key: &str, value: &str) {
        self.phase.set(&self.folder(), key, value).await;
    }

    /// Creates or replaces the class of the team's folder, with further parameters.
    pub(crate) async fn class(&self, name: &str, extra: Value, secret_objects: Value) {
        let mut parameters = json!({"phaseApp": "shop", "phaseAppEnvPath": self.folder()});
        if let Some(host) = &self.phase.host {
            parameters["phaseHost"] = json!(host);
        }
        let parameters = merged(parameters, extra);
        self.namespace.class(name, parameters, secret_objects).await;
    }

    /// The class of all the team's secrets.
    pub(crate) async fn usual_class(&self) {
        self.class(CLASS, json!({}), json!([])).await;
    }

    /// Creates a pod that mounts the usual class under `/secrets`.
    pub(crate) async fn pod(&self, name: &str) -> Pod<'_> {
        self.pod_of(name, &[CLASS]).await
    }

    /// A pod with a volume of each class: the first under `/secrets`, the next under `/secrets-1`, …
    pub(crate) async fn pod_of(&self, name: &str, classes: &[&str]) -> Pod<'_> {
        self.pod_with(name, classes, json!({})).await
    }

    /// The same with more in the container than that.
    pub(crate) async fn pod_with(&self, name: &str, classes: &[&str], container: Value) -> Pod<'_> {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": pod_spec(classes, container),
        });
        self.apply(&manifest).await;
        Pod::named(self, name)
    }

    /// Applies a manifest in the team's namespace.
    pub(crate) async fn apply(&self, manifest: &Value) {
        apply(&self.name, &manifest.to_string()).await;
    }

    /// `kubectl` in the team's namespace.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        let namespace = ["--namespace", &self.name];
        kubectl(namespace.iter().chain(arguments)).await
    }
}

/// A pod that sleeps, with a volume of each class.
pub(crate) fn pod_spec(classes: &[&str], container: Value) -> Value {
    let path = |n: usize| {
        if n == 0 {
            "/secrets".to_owned()
        } else {
            format!("/secrets-{n}")
        }
    };
    let mounts = classes.iter().enumerate();
    let mounts: Vec<_> = mounts
        .map(|(n, class)| json!({"name": class, "mountPath": path(n), "readOnly": true}))
        .collect();
    let volumes: Vec<_> = classes.iter().map(|class| volume(class)).collect();
    let own = json!({
        "name": "app", "image": "localhost/workload:1", "imagePullPolicy": "Never", "volumeMounts": mounts,
    });
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [merged(own, container)],
        "volumes": volumes,
    })
}

/// A volume of a class, with the team's token.
fn volume(class: &str) -> Value {
    json!({
        "name": class,
        "csi": {
            "driver": "secrets-store.csi.k8s.io", "readOnly": true,
            "volumeAttributes": {"secretProviderClass": class},
            "nodePublishSecretRef": {"name": TOKEN},
        },
    })
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}
