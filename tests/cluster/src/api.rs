//! The Kubernetes API, as a cluster's users write to it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Event, Namespace as NamespaceObject, Pod, Secret, ServiceAccount,
};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::eventually;

/// The name by which the driver knows itself.
pub(crate) const DRIVER: &str = "secrets-store.csi.k8s.io";

/// A namespace of one test.
#[derive(Clone)]
pub struct Namespace {
    client: Client,
    /// Its name.
    pub name: String,
}

/// What the driver recorded of one volume: its `SecretProviderClassPodStatus`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// The pod's name.
    pub pod_name: String,
    /// The class's name.
    pub secret_provider_class_name: String,
    /// Always true once it is there.
    pub mounted: bool,
    /// The volume's path.
    pub target_path: String,
    /// What is mounted.
    #[serde(default)]
    objects: Vec<MountedObject>,
}

#[derive(Clone, Debug, Deserialize)]
struct MountedObject {
    id: String,
    version: String,
}

impl PodStatus {
    /// The recorded versions by object.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.objects
            .iter()
            .map(|object| (object.id.clone(), object.version.clone()))
            .collect()
    }
}

impl Namespace {
    /// Makes a namespace.
    pub async fn create(client: &Client, name: &str) -> Self {
        let all: Api<NamespaceObject> = Api::all(client.clone());
        all.create(
            &PostParams::default(),
            &object(json!({"metadata": {"name": name}})),
        )
        .await
        .unwrap();
        Self {
            client: client.clone(),
            name: name.to_owned(),
        }
    }

    /// Makes another one.
    pub async fn another(&self, name: &str) -> Self {
        Self::create(&self.client, name).await
    }

    /// The same one through another client: its API server has started again.
    pub fn through(self, client: &Client) -> Self {
        Self {
            client: client.clone(),
            ..self
        }
    }

    /// Makes the `ServiceAccount` `default` that pods need, where no controller does.
    pub(crate) async fn default_account(&self) {
        self.create_object::<ServiceAccount>(json!({"metadata": {"name": "default"}}))
            .await;
    }

    /// Creates or replaces a class of provider `phase`, with the Kubernetes Secrets it asks for.
    pub async fn class(&self, name: &str, parameters: Value, secret_objects: Value) {
        let class = json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1",
            "kind": "SecretProviderClass",
            "metadata": {"name": name},
            "spec": {"provider": "phase", "parameters": parameters, "secretObjects": secret_objects},
        });
        let classes = self.custom("SecretProviderClass", "secretproviderclasses");
        let apply = PatchParams::apply("suite").force();
        classes
            .patch(name, &apply, &Patch::Apply(class))
            .await
            .unwrap();
    }

    /// Deletes a class.
    pub async fn delete_class(&self, name: &str) {
        let classes = self.custom("SecretProviderClass", "secretproviderclasses");
        classes
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Creates or replaces the Secret that holds a Phase token.
    pub async fn token(&self, name: &str, token: &str) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            // The label is what drivers up to 1.5 need to read it for rotation.
            "metadata": {"name": name, "labels": {"secrets-store.csi.k8s.io/used": "true"}},
            "stringData": {"token": token},
        });
        let secrets: Api<Secret> = self.api();
        secrets
            .patch(
                name,
                &PatchParams::apply("suite").force(),
                &Patch::Apply(secret),
            )
            .await
            .unwrap();
    }

    /// Creates a running pod on a node. It returns the pod's uid.
    pub(crate) async fn pod(
        &self,
        name: &str,
        node: &str,
        volumes: &[Value],
        replica_set: Option<&str>,
    ) -> String {
        let owner = |name| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": format!("uid-of-{name}")});
        let mounts = volumes.iter().map(
            |volume| json!({"name": volume["name"], "mountPath": volume["name"], "readOnly": true}),
        );
        let pod = self
            .create_object::<Pod>(json!({
                "metadata": {"name": name, "ownerReferences": replica_set.map(owner).as_slice()},
                "spec": {
                    "nodeName": node,
                    "containers": [{"name": "app", "image": "none", "volumeMounts": mounts.collect::<Vec<_>>()}],
                    "volumes": volumes,
                },
            }))
            .await;
        let running = json!({"status": {"phase": "Running"}});
        let pods: Api<Pod> = self.api();
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(running))
            .await
            .unwrap();
        pod.metadata.uid.expect("the API server gives one")
    }

    /// Deletes a pod at once, and its status, since no controller collects it.
    pub(crate) async fn delete_pod(&self, name: &str, class: &str) {
        let at_once = DeleteParams::default().grace_period(0);
        let pods: Api<Pod> = self.api();
        pods.delete(name, &at_once).await.unwrap();
        let status = status_name(name, &self.name, class);
        drop(self.statuses().delete(&status, &at_once).await); // it may not be there
    }

    /// Creates a Secret that nothing of the driver's made.
    pub async fn foreign_secret(&self, name: &str, key: &str, value: &str) {
        let mut secret = json!({"metadata": {"name": name}, "stringData": {}});
        secret["stringData"][key] = value.into();
        self.create_object::<Secret>(secret).await;
    }

    /// A Secret; none if it is not there.
    pub async fn secret(&self, name: &str) -> Option<Secret> {
        let secrets: Api<Secret> = self.api();
        secrets.get_opt(name).await.unwrap()
    }

    /// The bytes of a Secret by key; none if it is not there.
    pub async fn secret_data(&self, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let data = self.secret(name).await?.data.unwrap_or_default();
        Some(
            data.into_iter()
                .map(|(key, value)| (key, value.0))
                .collect(),
        )
    }

    /// What the driver recorded for a pod and a class; none before the first mount.
    pub async fn status(&self, pod: &str, class: &str) -> Option<PodStatus> {
        let found = self
            .statuses()
            .get_opt(&status_name(pod, &self.name, class))
            .await
            .unwrap()?;
        Some(serde_json::from_value(found.data["status"].clone()).unwrap())
    }

    /// The resource version of that record: it moves at every real change.
    pub async fn status_revision(&self, pod: &str, class: &str) -> Option<String> {
        let found = self
            .statuses()
            .get_opt(&status_name(pod, &self.name, class))
            .await
            .unwrap()?;
        found.metadata.resource_version
    }

    /// Waits for an event of this reason on a class; its text.
    pub async fn class_event(&self, class: &str, reason: &str) -> String {
        eventually(reason, async || {
            let events = self.api::<Event>();
            let events = events.list(&ListParams::default()).await.unwrap();
            let found = events.items.into_iter().find(|event| {
                event.involved_object.name.as_deref() == Some(class)
                    && event.reason.as_deref() == Some(reason)
            });
            found?.message
        })
        .await
    }

    /// Reason and text of every event here.
    pub async fn events(&self) -> Vec<(String, String)> {
        let events: Api<Event> = self.api();
        let list = events.list(&ListParams::default()).await.unwrap();
        let pair = |event: Event| {
            (
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default(),
            )
        };
        list.into_iter().map(pair).collect()
    }

    /// All that anyone with read rights sees here of events and statuses, as one text.
    pub async fn readable(&self) -> String {
        let statuses = self.statuses().list(&ListParams::default()).await.unwrap();
        format!(
            "{:?} {}",
            self.events().await,
            serde_json::to_string(&statuses).unwrap()
        )
    }

    fn statuses(&self) -> Api<DynamicObject> {
        self.custom(
            "SecretProviderClassPodStatus",
            "secretproviderclasspodstatuses",
        )
    }

    fn custom(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("secrets-store.csi.x-k8s.io", "v1", kind);
        self.dynamic(&ApiResource::from_gvk_with_plural(&kind, plural))
    }

    pub(crate) fn dynamic(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, kind)
    }

    /// The objects of a kind here.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    async fn create_object<K>(&self, value: Value) -> K
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + DeserializeOwned,
    {
        self.api::<K>()
            .create(&PostParams::default(), &object(value))
            .await
            .unwrap()
    }
}

/// The driver's name for the record of a pod and a class.
fn status_name(pod: &str, namespace: &str, class: &str) -> String {
    format!("{pod}-{namespace}-{class}")
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("written by hand after the API's reference")
}
