//! Environments of which nothing is selected: a mistake, unless it is said otherwise, or
//! Phase's operator has made the Secret.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use phase_csi_cluster::{Controller, eventually, secret};
use serde_json::{Value, json};

use super::named;

/// The keys of a Secret that is there.
async fn keys(controller: &Controller, name: &str) -> Option<Vec<String>> {
    let found = controller.namespace.secret(name).await?;
    Some(found.data.unwrap_or_default().into_keys().collect())
}

async fn becomes(controller: &Controller, name: &str, wanted: &[&str]) {
    eventually("these keys", async || {
        (keys(controller, name).await? == wanted).then_some(())
    })
    .await;
}

/// Somebody makes a Secret.
async fn make(controller: &Controller, name: &str, manager: &str, data: Value) {
    let object = json!({"metadata": {"name": name}, "data": data});
    let parameters = PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    };
    let secrets = controller.namespace.api::<Secret>();
    let object = serde_json::from_value(object).unwrap();
    secrets.create(&parameters, &object).await.unwrap();
}

#[tokio::test]
async fn a_secret_becomes_empty_where_that_is_said_or_where_it_was_the_operators() {
    let controller = Controller::start("managed-empty", vec![secret("/", "KEY", "canary")]).await;
    let outputs = json!([
        {"secretName": "strict"}, {"secretName": "lenient", "allowEmpty": true},
        {"secretName": "careful", "allowEmpty": false},
    ]);
    controller.resource("shop", outputs).await;
    controller.synced("shop", "Synced").await;
    controller.phase.delete("/", "KEY");
    let message = controller.synced("shop", "NotFound").await;
    assert_eq!(
        message,
        "no secrets selected: environment \"Production\" of app \"shop\" has none that match phaseAppEnvPath and \
         phaseAppEnvTag: check them, or set allowEmpty: true; the managed Secrets stay as they are"
    );
    becomes(&controller, "lenient", &[]).await;
    for name in ["strict", "careful"] {
        assert_eq!(keys(&controller, name).await.unwrap(), ["KEY"], "{name}");
    }
    let status = controller.status("shop").await;
    assert_eq!(
        (&status["keys"], status["secrets"].as_array().unwrap().len()),
        (&json!(0), 3)
    );

    // As the operator leaves them, of which nobody knows any more who made them but by name.
    make(&controller, "of-go", "manager", json!({})).await;
    make(&controller, "of-name", "phase-operator", json!({})).await;
    make(&controller, "foreign", "somebody", json!({})).await;
    make(
        &controller,
        "filled",
        "manager",
        json!({"KEY": "Zm9yZWlnbg=="}),
    )
    .await;
    for name in ["of-go", "of-name"] {
        controller.resource(name, named(name)).await;
        controller.synced(name, "Synced").await;
        assert_eq!(keys(&controller, name).await.unwrap(), [""; 0], "{name}");
    }
    for name in ["foreign", "filled", "none"] {
        controller.resource(name, named(name)).await;
        controller.synced(name, "NotFound").await;
    }
    assert_eq!(keys(&controller, "none").await, None);
    assert_eq!(keys(&controller, "filled").await.unwrap(), ["KEY"]);
    // It stays so.
    controller.phase.set("/", "KEY", "canary");
    becomes(&controller, "of-name", &["KEY"]).await;
    becomes(&controller, "strict", &["KEY"]).await;
    controller.phase.delete("/", "KEY");
    becomes(&controller, "of-name", &[]).await;
    controller.synced("of-name", "Synced").await;
    controller.synced("shop", "NotFound").await;
    assert_eq!(keys(&controller, "strict").await.unwrap(), ["KEY"]);
}
