//! Workloads whose pods mount a class: restarted after what it holds has changed.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::PostParams;
use kube::{Resource, ResourceExt};
use phase_csi_cluster::{Controller, eventually, secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const BASELINE: &str = "class.secrets.phase.dev/shop";

/// Creates a workload whose pods have these volumes.
async fn workload<W>(controller: &Controller, name: &str, wish: &str, volumes: Value)
where
    W: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let labels = json!({"app": name});
    let object = json!({
        "metadata": {"name": name, "annotations": {"secrets.phase.dev/redeploy": wish}},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": "none"}], "volumes": volumes},
            },
        },
    });
    let object = serde_json::from_value(object).unwrap();
    let workloads = controller.namespace.api::<W>();
    workloads
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

fn volume(class: &str, token: Option<&str>) -> Value {
    let mut csi = json!({
        "driver": "secrets-store.csi.k8s.io", "readOnly": true,
        "volumeAttributes": {"secretProviderClass": class},
    });
    if let Some(token) = token {
        csi["nodePublishSecretRef"] = json!({"name": token});
    }
    json!([{"name": "secrets", "csi": csi}])
}

fn shop() -> Value {
    volume("shop", Some("phase-service-token"))
}

async fn class(controller: &Controller, name: &str, parameters: Value) {
    let mut all = json!({"phaseApp": "shop", "phaseHost": controller.phase.url()});
    all.as_object_mut()
        .unwrap()
        .extend(parameters.as_object().unwrap().clone());
    controller.namespace.class(name, all, json!([])).await;
}

/// The version that pods have started with, as far as a workload says: in an annotation
/// of its own, and in its pod template, whose every change is a restart.
async fn started<W>(controller: &Controller, name: &str) -> [Option<String>; 2]
where
    W: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let found = controller.namespace.api::<W>().get(name).await.unwrap();
    let own = found.annotations().get(BASELINE).cloned();
    let found = serde_json::to_value(found).unwrap();
    let template = &found["spec"]["template"]["metadata"]["annotations"][BASELINE];
    [own, template.as_str().map(str::to_owned)]
}

/// The same of all three that mount the class, once it is the same of them.
async fn of_all(controller: &Controller) -> Option<[Option<String>; 2]> {
    let web = started::<Deployment>(controller, "web").await;
    let db = started::<StatefulSet>(controller, "db").await;
    let agent = started::<DaemonSet>(controller, "agent").await;
    (web == db && db == agent).then_some(web)
}

#[tokio::test]
async fn workloads_that_mount_a_changed_class_restart_once() {
    let secrets = vec![secret("/", "KEY", "canary-1"), secret("/other", "KEY", "x")];
    let mut controller = Controller::start("follow-restart", secrets).await;
    class(&controller, "shop", json!({})).await;
    class(&controller, "other", json!({"phaseAppEnvPath": "/other"})).await;
    workload::<Deployment>(&controller, "web", "true", shop()).await;
    workload::<StatefulSet>(&controller, "db", "true", shop()).await;
    workload::<DaemonSet>(&controller, "agent", "true", shop()).await;
    workload::<Deployment>(&controller, "not", "false", shop()).await;
    let other = volume("other", Some("phase-service-token"));
    workload::<Deployment>(&controller, "other", "true", other).await;
    // What pods have started with is written down, and restarts nothing.
    let [first, none] = eventually("what they started with", async || {
        of_all(&controller).await.filter(|[own, _]| own.is_some())
    })
    .await;
    assert_eq!(none, None);
    let mut seen = vec![first.unwrap()];
    for number in [2, 3] {
        // Also what changes while nobody looks.
        controller.replicas[0].kill().await;
        let text = format!("canary-{number}");
        controller.phase.set("/", "KEY", &text);
        controller.restart(0).await;
        let version = eventually("the restarts", async || {
            let [_, template] = of_all(&controller).await?;
            template.filter(|version| !seen.contains(version))
        })
        .await;
        seen.push(version);
    }
    // A new life restarts nothing again: a later change is seen, so all before it was.
    controller.restart(0).await;
    controller.phase.set("/other", "KEY", "canary-y");
    eventually("the other one's restart", async || {
        let told = controller.notes("Redeployed").await;
        told.iter()
            .any(|note| note.ends_with("class other"))
            .then_some(())
    })
    .await;
    let [own, template] = of_all(&controller).await.unwrap();
    assert_eq!(
        (own.as_ref(), template.as_ref()),
        (seen.first(), seen.last())
    );
    let not = started::<Deployment>(&controller, "not").await;
    assert_eq!(not, [None, None]);
    assert!(!format!("{seen:?}").contains("canary"));
    let told = controller.namespace.events().await;
    assert!(
        told.iter().any(|(_, note)| note
            == "its pods are restarted, since they mount what has changed: class shop")
    );
}

/// A node, which asks as often as the controller, may give its pods what it has for one
/// and a half intervals and as much again.
#[tokio::test]
async fn a_restart_waits_until_every_node_has_the_change() {
    let secrets = vec![secret("/", "KEY", "canary-1")];
    let controller = Controller::start_disturbable("follow-waits", secrets).await;
    class(&controller, "shop", json!({})).await;
    workload::<Deployment>(&controller, "web", "true", shop()).await;
    let state = async |number: usize| {
        eventually("what it started with", async || {
            started::<Deployment>(&controller, "web").await[number].clone()
        })
        .await
    };
    let before = state(0).await;
    let changed = Instant::now();
    controller.phase.set("/", "KEY", "canary-2");
    assert_ne!(state(1).await, before);
    // It asks every two seconds.
    assert!(changed.elapsed() >= Duration::from_secs(5), "too early");
}

#[tokio::test]
async fn a_workload_that_cannot_be_looked_after_is_told_why() {
    let controller = Controller::start("follow-told", vec![secret("/", "KEY", "canary-1")]).await;
    class(&controller, "shop", json!({})).await;
    workload::<Deployment>(&controller, "tokenless", "true", volume("shop", None)).await;
    workload::<Deployment>(&controller, "classless", "true", volume("none", Some("t"))).await;
    for (reason, said) in [
        (
            "TokenMissing",
            "volume secrets mounts class follow-told/shop and names no Secret: to be restarted when the class changes, name the token's Secret in nodePublishSecretRef",
        ),
        (
            "NotFound",
            "class follow-told/none does not exist: create it, or take the volume out",
        ),
    ] {
        let note = eventually(reason, async || {
            let told = controller.notes(reason).await;
            told.into_iter().next()
        })
        .await;
        assert_eq!(note, said);
    }
}
