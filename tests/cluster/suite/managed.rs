//! Managed Secrets: what the controller makes of `PhaseSecret` resources.

mod conflicts;
mod connections;
mod empty;
mod faults;
mod fields;
mod flow;
mod follow;
mod mirror;
mod moving;
mod numbers;
mod operation;
mod operator;
mod policy;
mod reasons;
mod redeploy;
mod restarts;
mod rights;
mod stored;
mod telemetry;
mod turns;
mod types;
mod writes;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
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
