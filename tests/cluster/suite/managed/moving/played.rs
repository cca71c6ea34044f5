//! Phase's operator, as the API server sees it, and whoever watches the Secrets.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use phase_csi_cluster::{Controller, Namespace, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// What version 1 leaves on every resource.
pub(super) const FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";

/// Its chart, its release, and its Deployment.
pub(super) const OPERATOR: &str = "phase-kubernetes-operator";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: phase-kubernetes-operator}
spec:
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec: {containers: [{name: operator, image: none}]}
";

/// A generation of it.
pub(super) struct Operator<'a> {
    controller: &'a Controller,
    manager: &'static str,
    has_finalizer: bool,
}

impl<'a> Operator<'a> {
    /// Version 1, in Python.
    pub(super) async fn of_python(controller: &'a Controller) -> Self {
        Self::new(controller, "OpenAPI-Generator", true).await
    }

    /// Version 2, in Go: it is a file `manager`.
    pub(super) async fn of_go(controller: &'a Controller) -> Self {
        Self::new(controller, "manager", false).await
    }

    /// Its chart, where a repository called `phase` would have it.
    pub(super) fn chart(controller: &Controller) {
        let chart = controller.folder().join("phase").join(OPERATOR);
        std::fs::create_dir_all(chart.join("templates")).unwrap();
        let about = format!("apiVersion: v2\nname: {OPERATOR}\nversion: 1.4.1\n");
        std::fs::write(chart.join("Chart.yaml"), about).unwrap();
        std::fs::write(chart.join("templates/deployment.yaml"), DEPLOYMENT).unwrap();
    }

    async fn new(controller: &'a Controller, manager: &'static str, has_finalizer: bool) -> Self {
        let made = format!("helm install {OPERATOR} phase/{OPERATOR} --namespace default");
        drop(controller.kubectl(&made).await); // it may be there
        Self {
            controller,
            manager,
            has_finalizer,
        }
    }

    /// A resource as its user applies it, and what the operator adds.
    pub(super) async fn resource(&self, name: &str, secrets: &[&str], template: Value) {
        let output = |name: &&str| json!({"secretName": name, "secretNamespace": self.controller.namespace.name});
        let mut outputs: Vec<_> = secrets.iter().map(output).collect();
        if template != json!({}) {
            outputs[0]["template"] = template;
        }
        self.applied(name, json!(outputs), json!({})).await.unwrap();
        if self.has_finalizer {
            let patch = json!({"metadata": {"finalizers": ["example.com/keep", FINALIZER]}});
            let patch = match name {
                "leaving" => json!({"metadata": {"finalizers": [FINALIZER]}}),
                _ => patch,
            };
            let as_kopf = PatchParams {
                field_manager: Some("kopf".to_owned()),
                ..PatchParams::default()
            };
            let resources = self.controller.resources();
            resources
                .patch(name, &as_kopf, &Patch::Merge(patch))
                .await
                .unwrap();
        }
    }

    /// What `kubectl apply`, which knows the definition, says to a resource.
    pub(super) async fn applied(
        &self,
        name: &str,
        secrets: Value,
        extra: Value,
    ) -> Result<String, String> {
        let namespace = &self.controller.namespace.name;
        let mut resource = json!({
            "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "phaseApp": "shop", "phaseAppEnv": "production", "phaseHost": self.controller.phase.url(),
                "pollingInterval": 60,
                "authentication": {"serviceToken": {"serviceTokenSecretReference": {
                    "secretName": "phase-service-token", "secretNamespace": namespace,
                }}},
                "managedSecretReferences": secrets,
            },
        });
        resource["spec"]
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let file = format!("{name}.json");
        std::fs::write(self.controller.folder().join(&file), resource.to_string()).unwrap();
        self.controller
            .kubectl(&format!("kubectl apply --validate=strict -f {file}"))
            .await
    }

    fn secrets(&self) -> Api<Secret> {
        self.controller.namespace.api()
    }

    fn as_itself(&self) -> PostParams {
        PostParams {
            field_manager: Some(self.manager.to_owned()),
            ..PostParams::default()
        }
    }

    /// Creates a Secret.
    pub(super) async fn create(&self, name: &str, data: &[(&str, &str)]) {
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let secret = json!({"metadata": {"name": name}, "type": "Opaque", "stringData": data});
        let secret = serde_json::from_value(secret).unwrap();
        self.secrets()
            .create(&self.as_itself(), &secret)
            .await
            .unwrap();
    }

    /// Replaces the data of a Secret, and keeps the rest.
    pub(super) async fn replace(&self, name: &str, data: &[(&str, &str)]) {
        let mut secret = self.secrets().get(name).await.unwrap();
        secret.data = None;
        let pair = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
        secret.string_data = Some(data.iter().map(pair).collect());
        self.secrets()
            .replace(name, &self.as_itself(), &secret)
            .await
            .unwrap();
    }

    /// Deletes a Secret, as version 1 does before it creates it anew.
    pub(super) async fn delete(&self, name: &str) {
        self.secrets()
            .delete(name, &Default::default())
            .await
            .unwrap();
    }
}

/// Who has set fields of a Secret, and how.
pub(super) fn managers(secret: &Secret) -> Vec<String> {
    let entries = secret.managed_fields().iter();
    let mut managers: Vec<_> = entries
        .map(|entry| {
            let text = |of: &Option<String>| of.clone().unwrap_or_default();
            format!("{} {}", text(&entry.manager), text(&entry.operation))
        })
        .collect();
    managers.sort();
    managers
}

/// All that becomes of the Secrets of a namespace from now on.
pub(super) struct Watch {
    seen: Arc<Mutex<Vec<(&'static str, Secret)>>>,
    namespace: Namespace,
    task: JoinHandle<()>,
}

impl Watch {
    /// Starts with what is there.
    pub(super) async fn start(namespace: &Namespace) -> Self {
        let secrets: Api<Secret> = namespace.api();
        let list = secrets.list(&ListParams::default()).await.unwrap();
        let mut version = list.metadata.resource_version.unwrap();
        let there = list.items.into_iter().map(|secret| ("there", secret));
        let seen = Arc::new(Mutex::new(there.collect::<Vec<_>>()));
        let sees = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            // A watch ends after a while, and goes on where it was.
            loop {
                let mut events = pin!(
                    secrets
                        .watch(&WatchParams::default(), &version)
                        .await
                        .unwrap()
                );
                while let Some(event) = events.next().await {
                    let (what, secret) = match event.unwrap() {
                        WatchEvent::Added(secret) => ("added", secret),
                        WatchEvent::Modified(secret) => ("modified", secret),
                        WatchEvent::Deleted(secret) => ("deleted", secret),
                        WatchEvent::Bookmark(_) => continue,
                        other => panic!("not asked for: {other:?}"),
                    };
                    version = secret.resource_version().unwrap();
                    sees.lock().unwrap().push((what, secret));
                }
            }
        });
        Self {
            seen,
            namespace: namespace.clone(),
            task,
        }
    }

    /// All of one Secret until now.
    async fn of(&self, name: &str) -> Vec<(&'static str, Secret)> {
        let now = self
            .namespace
            .secret(name)
            .await
            .unwrap()
            .resource_version();
        let all = eventually("the watch", async || {
            assert!(!self.task.is_finished());
            let seen = self.seen.lock().unwrap();
            let of: Vec<_> = seen
                .iter()
                .filter(|(_, secret)| secret.name_any() == name)
                .cloned()
                .collect();
            (of.last()?.1.resource_version() == now).then_some(of)
        });
        all.await
    }

    /// It was there all the time, the same one, with these keys.
    pub(super) async fn never_without(&self, name: &str, keys: &[&str]) {
        let all = self.of(name).await;
        let first = all[0].1.uid();
        for (what, secret) in &all {
            assert!(matches!(*what, "there" | "modified"), "{name} was {what}");
            assert_eq!(secret.uid(), first);
        }
        let data = |secret: &Secret| secret.data.clone().unwrap_or_default();
        for key in keys {
            let since = all
                .iter()
                .position(|(_, secret)| data(secret).contains_key(*key));
            let since = since.unwrap_or_else(|| panic!("{name} never had {key}"));
            let always = all[since..]
                .iter()
                .all(|(_, secret)| data(secret).contains_key(*key));
            assert!(always, "{name} was without {key}");
        }
    }

    /// A key never had any other value.
    pub(super) async fn no_value_but(&self, name: &str, key: &str, values: &[&str]) {
        for (_, secret) in self.of(name).await {
            let value = secret.data.unwrap()[key].0.clone();
            let value = String::from_utf8(value).unwrap();
            assert!(values.contains(&value.as_str()), "{value}");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
