//! Managed Secrets: what the controller makes of `PhaseSecret` resources.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use phase_csi_cluster::{Controller, eventually, secret};
use serde_json::json;

/// One Secret by name.
fn named(name: &str) -> serde_json::Value {
    json!([{"secretName": name}])
}

#[tokio::test]
async fn a_resource_becomes_a_secret_and_follows_phase() {
    let secrets = vec![
        secret("/", "DB_HOST", "canary-host"),
        secret("/sub", "OTHER", "canary"),
    ];
    let controller = Controller::start("managed-follows", secrets).await;
    controller.resource("shop", named("shop")).await;
    controller.shows("shop", "DB_HOST", "canary-host").await;
    let data = controller.namespace.secret_data("shop").await.unwrap();
    assert_eq!(
        data.keys().collect::<Vec<_>>(),
        ["DB_HOST"],
        "one folder, not those below"
    );
    controller.synced("shop", "Synced").await;
    let status = controller.status("shop").await;
    assert_eq!(
        (&status["app"], &status["environment"], &status["keys"]),
        (&json!("shop"), &json!("Production"), &json!(1))
    );
    let (uid, hash) = (
        uid(&controller, "shop").await,
        status["secrets"][0]["contentHash"].clone(),
    );
    controller.phase.set("/", "DB_HOST", "canary-moved");
    controller.shows("shop", "DB_HOST", "canary-moved").await;
    assert_eq!(
        self::uid(&controller, "shop").await,
        uid,
        "in place, never deleted"
    );
    let now = eventually("a new hash", async || {
        let now = controller.status("shop").await["secrets"][0]["contentHash"].clone();
        (now != hash).then_some(now)
    })
    .await;
    assert!(!now.to_string().contains("canary"));
    controller.phase.delete("/", "DB_HOST");
    let message = controller.synced("shop", "NotFound").await;
    assert!(
        message.contains("the managed Secrets stay as they are"),
        "{message}"
    );
    controller.shows("shop", "DB_HOST", "canary-moved").await;
}

#[tokio::test]
async fn what_others_have_added_stays_and_what_they_changed_is_repaired() {
    let controller =
        Controller::start("managed-drift", vec![secret("/", "KEY", "canary-right")]).await;
    let template =
        json!({"metadata": {"labels": {"team": "shop"}, "annotations": {"why": "tests"}}});
    controller
        .resource(
            "shop",
            json!([{"secretName": "shop", "template": template}]),
        )
        .await;
    controller.shows("shop", "KEY", "canary-right").await;
    let secrets = controller.namespace.api::<Secret>();
    let foreign = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"labels": {"foreign": "label"}}, "stringData": {"FOREIGN": "canary-foreign"},
    });
    let apply = PatchParams::apply("somebody");
    secrets
        .patch("shop", &apply, &Patch::Apply(foreign))
        .await
        .unwrap();
    let edit = json!({"data": {"KEY": "Y2FuYXJ5LXdyb25n"}});
    secrets
        .patch("shop", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    // An edit by hand belongs to whoever made it, so it is reported.
    let message = controller.synced("shop", "Conflict").await;
    assert!(
        message.contains("data.KEY") && message.contains("onConflict: Take"),
        "{message}"
    );
    let taking = json!([{"secretName": "shop", "template": template, "onConflict": "Take"}]);
    controller.resource("shop", taking).await;
    controller.shows("shop", "KEY", "canary-right").await;
    let found = controller.namespace.secret("shop").await.unwrap();
    let labels = found.metadata.labels.unwrap();
    assert_eq!(
        (labels["foreign"].as_str(), labels["team"].as_str()),
        ("label", "shop")
    );
    controller.shows("shop", "FOREIGN", "canary-foreign").await;
    secrets
        .delete("shop", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    controller.shows("shop", "KEY", "canary-right").await;
}

#[tokio::test]
async fn names_and_values_are_the_operators() {
    let secrets = vec![
        secret("/", "API_KEY", "canary-api"),
        secret("/", "CERT", "Y2FuYXJ5LWJ5dGVz"),
        secret("/", "DB__HOST", "canary-host"),
    ];
    let controller = Controller::start("managed-names", secrets).await;
    let processors = json!({"CERT": {"type": "base64", "asName": "cert.der"}, "NONE": {"asName": "x"},
        "API_KEY": {"nameTransformer": "lower-kebab"}});
    let outputs = json!([
        {"secretName": "camel", "nameTransformer": "camel", "processors": processors},
        {"secretName": "plain"},
    ]);
    controller.resource("shop", outputs).await;
    controller.shows("camel", "api-key", "canary-api").await;
    controller.shows("camel", "cert.der", "canary-bytes").await;
    controller.shows("camel", "dbHost", "canary-host").await;
    controller.shows("plain", "DB__HOST", "canary-host").await;
}

#[tokio::test]
async fn data_that_does_not_fit_is_refused_before_it_is_written() {
    let secrets = vec![
        secret("/", "tls.crt", "canary-crt"),
        secret("/", "tls.key", "canary-key"),
    ];
    let controller = Controller::start("managed-misfit", secrets).await;
    let outputs = json!([
        {"secretName": "tls", "secretType": "kubernetes.io/tls"},
        {"secretName": "opaque"},
        {"secretName": "same", "nameTransformer": "lower-snake", "processors": {"tls.crt": {"asName": "tls.key"}}},
    ]);
    controller.resource("shop", outputs).await;
    controller.shows("opaque", "tls.crt", "canary-crt").await;
    let message = controller.synced("shop", "InvalidData").await;
    assert!(
        message.contains("managed-misfit/tls: tls.crt is no PEM certificate"),
        "{message}"
    );
    assert!(message.ends_with("and 1 more"), "{message}");
    assert!(controller.namespace.secret("tls").await.is_none());
    let (is_ready, ..) = controller.condition("shop", "Ready").await.unwrap();
    assert!(!is_ready);
}

#[tokio::test]
async fn a_type_is_changed_only_where_the_resource_says_so() {
    let controller =
        Controller::start("managed-type", vec![secret("/", "username", "canary-user")]).await;
    controller.resource("shop", named("shop")).await;
    controller.shows("shop", "username", "canary-user").await;
    let auth = |policy: &str| json!([{"secretName": "shop", "secretType": "kubernetes.io/basic-auth", "onTypeChange": policy}]);
    controller.resource("shop", auth("Report")).await;
    let message = controller.synced("shop", "TypeImmutable").await;
    assert!(message.contains("onTypeChange: Recreate"), "{message}");
    controller.resource("shop", auth("Recreate")).await;
    eventually("the other type", async || {
        let found = controller.namespace.secret("shop").await?;
        (found.type_.as_deref() == Some("kubernetes.io/basic-auth")).then_some(())
    })
    .await;
    controller.shows("shop", "username", "canary-user").await;
}

#[tokio::test]
async fn the_last_good_values_stay_while_phase_is_away_and_after_a_refusal() {
    let controller =
        Controller::start("managed-away", vec![secret("/", "KEY", "canary-good")]).await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    controller.phase.refuse();
    controller.synced("shop", "Unreachable").await;
    let (is_stale, ..) = controller.condition("shop", "Stale").await.unwrap();
    let (is_ready, ..) = controller.condition("shop", "Ready").await.unwrap();
    assert!(is_stale && is_ready, "its Secrets can be used");
    controller.shows("shop", "KEY", "canary-good").await;
    controller.phase.heal();
    controller.synced("shop", "Synced").await;
    controller.phase.revoke_token();
    controller.synced("shop", "TokenRefused").await;
    controller.shows("shop", "KEY", "canary-good").await;
    controller.phase.set("/", "KEY", "canary-better");
    controller
        .namespace
        .token("phase-service-token", &controller.phase.second_token())
        .await;
    controller.shows("shop", "KEY", "canary-better").await;
    controller.synced("shop", "Synced").await;
}

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
    let secrets = controller.namespace.api::<Secret>();
    let only = WatchParams::default().fields("metadata.name=shop");
    let found = controller.namespace.secret("shop").await.unwrap();
    let mut version = found.metadata.resource_version.unwrap();
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    let watch = tokio::spawn(async move {
        // A watch ends after a while, and goes on where it was.
        loop {
            let mut events = pin!(secrets.watch(&only, &version).await.unwrap());
            while let Some(event) = events.next().await {
                let secret = match event.unwrap() {
                    WatchEvent::Modified(secret) => secret,
                    WatchEvent::Bookmark(_) => continue,
                    other => panic!("never deleted: {other:?}"),
                };
                version = secret.metadata.resource_version.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
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
    assert!(!watch.is_finished());
    watch.abort();
    let writes = writes.load(Ordering::SeqCst);
    assert_eq!(u64::try_from(writes).unwrap(), kills, "one for each change");
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
async fn event_counts(controller: &Controller) -> BTreeMap<String, i32> {
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

#[tokio::test]
async fn mistakes_are_refused_by_the_api_server_or_told_in_the_status() {
    let controller =
        Controller::start("managed-mistakes", vec![secret("/", "KEY", "canary")]).await;
    let token = json!({"serviceToken": {"serviceTokenSecretReference": {"secretName": "none", "secretNamespace": controller.namespace.name}}});
    let create = async |name: &str, spec: serde_json::Value| {
        let resource = json!({"apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret", "metadata": {"name": name}, "spec": spec});
        let resource = serde_json::from_value(resource).unwrap();
        controller
            .resources()
            .create(&PostParams::default(), &resource)
            .await
    };
    let refused = create(
        "no-app",
        json!({"authentication": token, "managedSecretReferences": named("shop")}),
    )
    .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("an app is needed: set phaseApp to its name")
    );
    let refused = create("often", json!({"phaseApp": "a", "pollingInterval": 4, "authentication": token, "managedSecretReferences": named("shop")})).await;
    assert!(refused.unwrap_err().to_string().contains("pollingInterval"));
    controller
        .resource_with("tokenless", named("shop"), json!({"authentication": token}))
        .await;
    let message = controller.synced("tokenless", "TokenMissing").await;
    assert_eq!(
        message,
        "Secret managed-mistakes/none does not exist: create it with the service token under the key token"
    );
    controller
        .resource("twice", json!([{"secretName": "a"}, {"secretName": "a"}]))
        .await;
    let message = controller.synced("twice", "InvalidSpec").await;
    assert_eq!(
        message,
        "spec.managedSecretReferences[0] and [1] both write the Secret managed-mistakes/a: make them one"
    );
    controller
        .resource_with(
            "host",
            named("b"),
            json!({"phaseHost": "https://evil.example"}),
        )
        .await;
    let message = controller.synced("host", "InvalidSpec").await;
    assert!(
        message.contains("spec.") && message.contains("evil.example"),
        "{message}"
    );
}

async fn uid(controller: &Controller, name: &str) -> Option<String> {
    controller
        .namespace
        .secret(name)
        .await
        .unwrap()
        .metadata
        .uid
}

async fn deployment(
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

async fn generations(controller: &Controller) -> BTreeMap<String, i64> {
    let all = controller
        .namespace
        .api::<Deployment>()
        .list(&Default::default())
        .await
        .unwrap();
    let pair = |one: Deployment| (one.metadata.name.unwrap(), one.metadata.generation.unwrap());
    all.items.into_iter().map(pair).collect()
}
