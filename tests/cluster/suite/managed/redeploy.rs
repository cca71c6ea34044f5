//! Which workloads are restarted, which are not, and what is said of it.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use phase_csi_cluster::{Controller, eventually, secret};
use serde_json::{Value, json};

use super::named;

#[tokio::test]
async fn every_kind_that_uses_the_secret_in_any_way_restarts_and_jobs_are_named() {
    let secrets = vec![secret("/", "KEY", "canary-1")];
    let controller = Controller::start("managed-kinds", secrets).await;
    let by = |pod: Value| (wish("true"), json!({}), pod);
    let volume =
        |source: Value| by(json!({"volumes": [source], "containers": [container(&json!({}))]}));
    let projected = json!({"name": "v", "projected": {"sources": [{"secret": {"name": "shop"}}]}});
    let own = json!({"name": "v", "secret": {"secretName": "shop"}});
    let variables = json!({"envFrom": [{"secretRef": {"name": "shop"}}]});
    let init = json!({"initContainers": [container(&variables).with("name", json!("first"))], "containers": [container(&json!({}))]});
    let uses = json!({"containers": [container(&variables)]});
    let pulls =
        json!({"containers": [container(&json!({}))], "imagePullSecrets": [{"name": "shop"}]});
    let no = (wish("false"), json!({}), uses.clone());
    let silent = (json!({}), json!({}), uses.clone());
    let workloads = [
        workload("StatefulSet", "projected", volume(projected)),
        workload("DaemonSet", "volume", volume(own)),
        workload("Deployment", "init", by(init)),
        workload("DaemonSet", "no", no.clone()),
        workload("StatefulSet", "pulls", by(pulls)),
        workload("Job", "import", by(uses.clone())),
        workload("CronJob", "nightly", by(uses.clone())),
        workload("Job", "silent", silent),
        workload("CronJob", "not", no),
    ];
    create(&controller, &workloads).await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    let before = generations(&controller).await;
    controller.phase.set("/", "KEY", "canary-2");
    eventually("the restarts", async || {
        (restarted(&controller, &before).await.len() == 3).then_some(())
    })
    .await;
    let told = eventually("the event", async || {
        let told = controller.notes("NotRestarted").await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    assert_eq!(
        told,
        [
            "left alone, though a Secret that they use has changed: Job import, CronJob nightly: a Job's pods cannot be changed, and a CronJob's next run reads the new Secret"
        ]
    );
    assert_eq!(
        controller.notes("Redeployed").await,
        ["3 workloads that use a changed Secret are restarted"]
    );
    // Looked at again and again, nothing more is done or told.
    let asked = controller.phase.asked();
    eventually("some more looks", async || {
        (controller.phase.asked() > asked + 4).then_some(())
    })
    .await;
    let restarted = restarted(&controller, &before).await;
    assert_eq!(
        restarted,
        [
            "DaemonSet/volume",
            "Deployment/init",
            "StatefulSet/projected"
        ]
    );
    let now = generations(&controller).await;
    assert!(
        restarted.iter().all(|name| now[name] == before[name] + 1),
        "once: {now:?}"
    );
    assert_eq!(controller.notes("NotRestarted").await.len(), 1);
}

#[tokio::test]
async fn a_selector_narrows_the_restarts_and_many_are_paced() {
    let secrets = vec![secret("/", "KEY", "canary-1")];
    let controller = Controller::start("managed-pace", secrets).await;
    let uses =
        json!({"containers": [container(&json!({"envFrom": [{"secretRef": {"name": "shop"}}]}))]});
    let names: Vec<_> = (0..8).map(|number| format!("web-{number}")).collect();
    let labelled = |tier: &str| (wish("true"), json!({"tier": tier}), uses.clone());
    let mut workloads: Vec<_> = names
        .iter()
        .map(|name| workload("Deployment", name, labelled("web")))
        .collect();
    workloads.push(workload("Deployment", "database", labelled("database")));
    workloads.push(workload("CronJob", "database-job", labelled("database")));
    create(&controller, &workloads).await;
    let selector = |text: &str| json!({"redeployLabelSelector": text});
    controller
        .resource_with("shop", named("shop"), selector("tier in (web, api)"))
        .await;
    controller.synced("shop", "Synced").await;
    let before = generations(&controller).await;
    controller.phase.set("/", "KEY", "canary-2");
    eventually("the event", async || {
        (!controller.notes("Redeployed").await.is_empty()).then_some(())
    })
    .await;
    let restarted = restarted(&controller, &before).await;
    let wanted: Vec<_> = names
        .iter()
        .map(|name| format!("Deployment/{name}"))
        .collect();
    assert_eq!(restarted, wanted);
    let now = generations(&controller).await;
    assert!(
        restarted.iter().all(|name| now[name] == before[name] + 1),
        "once: {now:?}"
    );
    assert_eq!(
        controller.notes("NotRestarted").await,
        [""; 0],
        "the selector counts for it, too"
    );
    // Five at once, each further one a moment later.
    let times = restarts(&controller.replicas[0].output());
    assert_eq!(times.len(), 8);
    let moment = SignedDuration::from_millis(200);
    for pair in times[4..].windows(2) {
        assert!(pair[1].duration_since(pair[0]) >= moment, "{times:?}");
    }
    controller
        .resource_with("shop", named("shop"), selector("tier in web"))
        .await;
    controller.phase.set("/", "KEY", "canary-3");
    let message = controller.synced("shop", "InvalidSpec").await;
    assert_eq!(
        message,
        "spec.redeployLabelSelector \"tier in web\" is no label selector: write for example \"tier=web\""
    );
    controller
        .resource_with("shop", named("shop"), selector("tier=database"))
        .await;
    eventually("the restart that was due", async || {
        let now = generations(&controller).await;
        (now["Deployment/database"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_token_of_another_account_writes_nothing_and_restarts_nothing() {
    let secrets = vec![secret("/", "KEY", "canary-1")];
    let controller = Controller::start("managed-account", secrets).await;
    let uses =
        json!({"containers": [container(&json!({"envFrom": [{"secretRef": {"name": "shop"}}]}))]});
    let web = workload("Deployment", "web", (wish("true"), json!({}), uses));
    create(&controller, &[web]).await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    let before = generations(&controller).await;
    let written = controller.namespace.secret("shop").await.unwrap().metadata;
    let other = controller.phase.token_of_another_account();
    controller
        .namespace
        .token("phase-service-token", &other)
        .await;
    // Only the other one works from now on.
    controller.phase.revoke_token();
    let asked = controller.phase.asked();
    eventually("some more looks", async || {
        (controller.phase.asked() > asked + 6).then_some(())
    })
    .await;
    controller.synced("shop", "Synced").await;
    let now = controller.namespace.secret("shop").await.unwrap().metadata;
    assert_eq!(now.resource_version, written.resource_version);
    assert_eq!(generations(&controller).await, before);
    // It is this token that a change comes by.
    controller.phase.set("/", "KEY", "canary-2");
    controller.shows("shop", "KEY", "canary-2").await;
    eventually("the restart", async || {
        (generations(&controller).await["Deployment/web"] == before["Deployment/web"] + 1)
            .then_some(())
    })
    .await;
}

trait With {
    fn with(self, field: &str, value: Value) -> Self;
}

impl With for Value {
    fn with(mut self, field: &str, value: Value) -> Self {
        self[field] = value;
        self
    }
}

fn wish(value: &str) -> Value {
    json!({"secrets.phase.dev/redeploy": value})
}

fn container(extra: &Value) -> Value {
    let mut container = json!({"name": "app", "image": "none"});
    container
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    container
}

/// A workload with these annotations, labels and pods.
fn workload(kind: &str, name: &str, (annotations, labels, pod): (Value, Value, Value)) -> Value {
    let own = json!({"app": name});
    let template = json!({"metadata": {"labels": own}, "spec": pod});
    let once = template
        .clone()
        .with("spec", pod.with("restartPolicy", json!("Never")));
    let selector = json!({"matchLabels": own});
    let (group, spec) = match kind {
        "Job" => ("batch/v1", json!({"template": once})),
        "CronJob" => (
            "batch/v1",
            json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": once}}}),
        ),
        "StatefulSet" => (
            "apps/v1",
            json!({"serviceName": name, "selector": selector, "template": template}),
        ),
        _ => (
            "apps/v1",
            json!({"selector": selector, "template": template}),
        ),
    };
    json!({"apiVersion": group, "kind": kind, "spec": spec,
        "metadata": {"name": name, "annotations": annotations, "labels": labels}})
}

async fn create(controller: &Controller, workloads: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": workloads});
    std::fs::write(controller.folder().join("workloads.json"), list.to_string()).unwrap();
    controller
        .kubectl("kubectl create -f workloads.json")
        .await
        .unwrap();
}

/// Generations by kind and name.
async fn generations(controller: &Controller) -> BTreeMap<String, i64> {
    let get = "kubectl get deployments,statefulsets,daemonsets,jobs,cronjobs -o json";
    let found: Value = serde_json::from_str(&controller.kubectl(get).await.unwrap()).unwrap();
    let items = found["items"].as_array().unwrap().iter();
    let pair = |item: &Value| {
        let text = |of: &Value| of.as_str().unwrap().to_owned();
        let name = format!(
            "{}/{}",
            text(&item["kind"]),
            text(&item["metadata"]["name"])
        );
        (name, item["metadata"]["generation"].as_i64().unwrap())
    };
    items.map(pair).collect()
}

/// What has another generation than before.
async fn restarted(controller: &Controller, before: &BTreeMap<String, i64>) -> Vec<String> {
    let now = generations(controller).await;
    let other = now.into_iter().filter(|(name, now)| before[name] != *now);
    other.map(|(name, _)| name).collect()
}

/// When the log says that a workload was restarted.
fn restarts(log: &str) -> Vec<Timestamp> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let restarts = lines.filter(|line| line["message"] == "restarted");
    restarts
        .map(|line| line["timestamp"].as_str().unwrap().parse().unwrap())
        .collect()
}
