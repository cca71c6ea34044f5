//! The controller at work: restarts, replicas, events, and what it never tells.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use phase_csi_cluster::{Controller, eventually, secret};
use serde_json::json;

use super::named;
use super::writes::Writes;

#[tokio::test]
async fn annotated_workloads_that_use_a_changed_secret_restart_once() {
    let mut controller =
        Controller::start("managed-redeploy", vec![secret("/", "KEY", "canary-1")]).await;
    let wish = |value: &str| json!({"secrets.phase.dev/redeploy": value});
    for (name, wish) in [
        ("wishes", wish("true")),
        ("present", wish("")),
        ("not", wish("false")),
        ("silent", json!({})),
    ] {
        deployment(
            &controller,
            name,
            wish,
            json!({"envFrom": [{"secretRef": {"name": "shop"}}]}),
        )
        .await;
    }
    let one = json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "KEY"}}}]});
    deployment(&controller, "variable", wish("true"), one).await;
    deployment(
        &controller,
        "other",
        wish("true"),
        json!({"envFrom": [{"secretRef": {"name": "another"}}]}),
    )
    .await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    let before = generations(&controller).await;
    controller.phase.set("/", "KEY", "canary-2");
    controller.shows("shop", "KEY", "canary-2").await;
    eventually("the restarts", async || {
        let now = generations(&controller).await;
        let restarted: Vec<_> = now
            .iter()
            .filter(|(name, now)| before[*name] < **now)
            .map(|(name, _)| name.as_str())
            .collect();
        (restarted == ["present", "variable", "wishes"]).then_some(())
    })
    .await;
    let after = generations(&controller).await;
    controller.restart(0).await;
    controller.phase.set("/", "OTHER", "canary-3");
    controller.shows("shop", "OTHER", "canary-3").await;
    eventually("the next restarts", async || {
        let now = generations(&controller).await;
        (now["wishes"] == after["wishes"] + 1 && now["variable"] == after["variable"] + 1)
            .then_some(())
    })
    .await;
    let found = controller
        .namespace
        .api::<Deployment>()
        .get("not")
        .await
        .unwrap();
    assert_eq!(found.metadata.generation, Some(1));
}

/// `LEADER_KILLS` of them; each takes as long as a Lease lasts.
#[tokio::test]
async fn a_killed_leader_is_followed_and_nothing_is_written_twice() {
    let kills = std::env::var("LEADER_KILLS").map_or(2, |text| text.parse().unwrap());
    let secrets = vec![secret("/", "KEY", "canary-0")];
    let mut controller = Controller::start_replicas("managed-leader", secrets, 2).await;
    controller.resource("shop", named("shop")).await;
    controller.shows("shop", "KEY", "canary-0").await;
    let writes = Writes::count(&controller).await;
    for kill in 1..=kills {
        let leader = eventually("a leader", async || controller.leader().await).await;
        let text = format!("canary-{kill}");
        controller.phase.set("/", "KEY", &text);
        let moment = Duration::from_millis(kill * 7_919 % 1_500);
        tokio::time::sleep(moment).await;
        controller.restart(leader.0).await;
        controller.shows("shop", "KEY", &text).await;
        eventually("another leader", async || {
            controller.leader().await.filter(|now| *now != leader)
        })
        .await;
    }
    controller.synced("shop", "Synced").await;
    assert_eq!(writes.of("shop"), kills, "one for each change");
}

#[tokio::test]
async fn an_event_is_told_once_for_each_change_of_state() {
    let controller = Controller::start("managed-events", vec![secret("/", "KEY", "canary")]).await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    controller.phase.forbid();
    controller.phase.set("/", "KEY", "canary-other");
    let message = controller.synced("shop", "AccessForbidden").await;
    assert!(!message.contains("canary"), "{message}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    controller.phase.heal();
    controller.shows("shop", "KEY", "canary-other").await;
    controller.synced("shop", "Synced").await;
    let counts = eventually("the second event of its kind", async || {
        let counts = event_counts(&controller).await;
        (counts.get("Synced") == Some(&2)).then_some(counts)
    })
    .await;
    assert_eq!(
        counts,
        [("AccessForbidden".to_owned(), 1), ("Synced".to_owned(), 2)].into()
    );
    let told = controller.namespace.events().await;
    assert!(!format!("{told:?}").contains("canary"));
}

/// How often each reason was told. Equal events are one object that counts.
pub(super) async fn event_counts(controller: &Controller) -> BTreeMap<String, i32> {
    let events = controller.namespace.api::<Event>();
    let events = events.list(&Default::default()).await.unwrap();
    let pair = |event: Event| {
        let count = event.series.and_then(|series| series.count);
        (event.reason.unwrap(), count.unwrap_or(1))
    };
    events.items.into_iter().map(pair).collect()
}

#[tokio::test]
async fn nothing_secret_is_told_at_the_highest_log_level() {
    let secrets = vec![
        secret("/", "KEY", "canary-quiet"),
        secret("/", "CERT", "canary?"),
    ];
    let controller = Controller::start("managed-quiet", secrets).await;
    let outputs = json!([
        {"secretName": "good"},
        {"secretName": "bad", "processors": {"CERT": {"type": "base64"}}},
        {"secretName": "tls", "secretType": "kubernetes.io/tls"},
    ]);
    controller.resource("shop", outputs).await;
    controller.shows("good", "KEY", "canary-quiet").await;
    controller.synced("shop", "InvalidData").await;
    let edit = json!({"data": {"KEY": "Y2FuYXJ5LXdyb25n"}});
    let secrets = controller.namespace.api::<Secret>();
    secrets
        .patch("good", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    controller.phase.refuse();
    eventually("an outage", async || {
        let (is_stale, ..) = controller.condition("shop", "Stale").await?;
        is_stale.then_some(())
    })
    .await;
    controller.phase.heal();
    controller.phase.revoke_token();
    controller.synced("shop", "TokenRefused").await;
    let told = format!(
        "{}{}{:?}",
        controller.replicas[0].output(),
        controller.status("shop").await,
        controller.namespace.events().await
    );
    assert!(told.contains("written") && told.contains("TokenRefused"));
    let token = controller.phase.token();
    let parts: Vec<_> = token.split(':').skip(2).collect();
    for found in ["canary", "Y2FuYXJ5", "NhbmFye", "jYW5hcn"]
        .iter()
        .chain(&parts)
    {
        let at = told
            .find(*found)
            .map(|at| &told[at.saturating_sub(200)..at]);
        assert_eq!(at, None, "{found}");
    }
}

pub(super) async fn deployment(
    controller: &Controller,
    name: &str,
    annotations: serde_json::Value,
    container: serde_json::Value,
) {
    let mut own = json!({"name": "app", "image": "none"});
    own.as_object_mut()
        .unwrap()
        .extend(container.as_object().unwrap().clone());
    let labels = json!({"app": name});
    let object = json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [own]}}},
    });
    let object = serde_json::from_value(object).unwrap();
    let deployments = controller.namespace.api::<Deployment>();
    deployments
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

pub(super) async fn generations(controller: &Controller) -> BTreeMap<String, i64> {
    let all = controller
        .namespace
        .api::<Deployment>()
        .list(&Default::default())
        .await
        .unwrap();
    let pair = |one: Deployment| (one.metadata.name.unwrap(), one.metadata.generation.unwrap());
    all.items.into_iter().map(pair).collect()
}
