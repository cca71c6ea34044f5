//! What others have set to something else is theirs, and holds up nothing else.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use phase_csi_cluster::{Controller, eventually, secret};
use serde_json::{Value, json};

use super::named;

/// Somebody changes a Secret by hand.
async fn edit(controller: &Controller, name: &str, change: Value) {
    let by_hand = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    let secrets = controller.namespace.api::<Secret>();
    let change = Patch::Merge(change);
    secrets.patch(name, &by_hand, &change).await.unwrap();
}

#[tokio::test]
async fn an_edit_of_one_key_holds_up_no_other_and_is_told_by_name() {
    let secrets = vec![
        secret("/", "EDITED", "canary-1"),
        secret("/", "OTHER", "canary-1"),
    ];
    let controller = Controller::start("managed-edited", secrets).await;
    let template = json!({"metadata": {"labels": {"tier": "web", "team": "shop"}}});
    let outputs = json!([{"secretName": "shop", "template": template}]);
    controller.resource("shop", outputs).await;
    controller.synced("shop", "Synced").await;
    let edited =
        json!({"data": {"EDITED": "YnktaGFuZA=="}, "metadata": {"labels": {"tier": "api"}}});
    edit(&controller, "shop", edited).await;
    let message = controller.synced("shop", "Conflict").await;
    assert!(
        message.contains("data.EDITED")
            && message.contains("metadata.labels.tier")
            && message.contains("belong to kubectl-edit")
            && !message.contains("OTHER"),
        "{message}"
    );
    let hash = controller.status("shop").await["secrets"][0]["contentHash"].clone();
    for text in ["canary-2", "canary-3"] {
        controller.phase.set("/", "OTHER", text);
        controller.phase.set("/", "NEW", text);
        controller.phase.set("/", "EDITED", text);
        controller.shows("shop", "OTHER", text).await;
        controller.shows("shop", "NEW", text).await;
        controller.shows("shop", "EDITED", "by-hand").await;
    }
    controller.phase.delete("/", "NEW");
    eventually("what has gone", async || {
        let data = controller.namespace.secret_data("shop").await?;
        (!data.contains_key("NEW")).then_some(())
    })
    .await;
    let found = controller.namespace.secret("shop").await.unwrap();
    let labels = found.metadata.labels.unwrap();
    assert_eq!(
        (labels["tier"].as_str(), labels["team"].as_str()),
        ("api", "shop")
    );
    controller.synced("shop", "Conflict").await;
    let now = controller.status("shop").await["secrets"][0]["contentHash"].clone();
    assert_ne!(now, hash);
    let annotations = found.metadata.annotations.unwrap();
    assert_eq!(json!(annotations["secrets.phase.dev/content-hash"]), now);
    // Who made the edit takes it back.
    let back = json!({"data": {"EDITED": null}, "metadata": {"labels": {"tier": null}}});
    edit(&controller, "shop", back).await;
    controller.shows("shop", "EDITED", "canary-3").await;
    controller.synced("shop", "Synced").await;
}

#[tokio::test]
async fn what_belongs_together_or_was_never_ours_is_written_whole_or_not_at_all() {
    let secrets = vec![
        secret("/", "username", "canary-1"),
        secret("/", "OTHER", "canary-1"),
    ];
    let controller = Controller::start("managed-whole", secrets).await;
    let outputs = json!([{"secretName": "login", "secretType": "kubernetes.io/basic-auth"}]);
    controller.resource("login", outputs).await;
    controller.synced("login", "Synced").await;
    edit(
        &controller,
        "login",
        json!({"data": {"username": "YnktaGFuZA=="}}),
    )
    .await;
    controller.synced("login", "Conflict").await;
    let namespace = &controller.namespace;
    namespace.foreign_secret("foreign", "OTHER", "theirs").await;
    controller.phase.set("/", "OTHER", "canary-2");
    controller.resource("foreign", named("foreign")).await;
    controller.synced("foreign", "Conflict").await;
    // A resource that nothing hinders has followed by now.
    controller.resource("free", named("free")).await;
    controller.shows("free", "OTHER", "canary-2").await;
    controller.shows("login", "OTHER", "canary-1").await;
    let foreign = namespace.secret("foreign").await.unwrap();
    assert_eq!(foreign.data.unwrap().len(), 1, "nothing of ours");
    assert_eq!(foreign.metadata.annotations, None);
}
