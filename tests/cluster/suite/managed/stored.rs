//! Resources that were stored under another definition than ours.

use kube::api::{Patch, PatchParams};
use phase_csi_cluster::{Controller, change_stored_resource, eventually, secret};
use serde_json::json;

use super::named;

#[tokio::test]
async fn a_resource_that_cannot_be_read_is_told_so_and_stops_no_other() {
    let mut controller =
        Controller::start("managed-stored", vec![secret("/", "KEY", "canary-1")]).await;
    for name in ["good", "odd", "foreign"] {
        controller.resource(name, named(name)).await;
        controller.synced(name, "Synced").await;
    }
    let namespace = controller.namespace.name.clone();
    change_stored_resource(&namespace, "odd", |object| {
        object["spec"]["pollingInterval"] = json!("60");
    })
    .await;
    // Such as Phase's operator leaves it.
    change_stored_resource(&namespace, "foreign", |object| {
        object["status"] = json!({"conditions": [{"type": "SecretSynced", "status": "True"}]});
    })
    .await;
    let message = "the resource was stored under another definition and cannot be read: \
        spec.pollingInterval: invalid type: string \"60\", expected u32: mend it (kubectl edit)";
    assert_eq!(controller.synced("odd", "InvalidSpec").await, message);
    controller.synced("foreign", "Synced").await;
    // In a running watch, and in a list.
    for (round, text) in ["canary-2", "canary-3"].into_iter().enumerate() {
        controller.phase.set("/", "KEY", text);
        controller.shows("good", "KEY", text).await;
        controller.shows("foreign", "KEY", text).await;
        controller
            .resource(&format!("new-{round}"), named(&format!("new-{round}")))
            .await;
        controller.shows(&format!("new-{round}"), "KEY", text).await;
        controller.shows("odd", "KEY", "canary-1").await;
        if round == 0 {
            controller.restart(0).await;
        }
    }
    let told = controller.replicas[0].output();
    assert_eq!(
        told.matches("under another definition").count(),
        1,
        "not by the next life, too"
    );
    let resources = controller.resources();
    let mended = Patch::Merge(json!({"spec": {"pollingInterval": 60}}));
    let parameters = PatchParams::default();
    resources.patch("odd", &parameters, &mended).await.unwrap();
    controller.synced("odd", "Synced").await;
    eventually("what is mended", async || {
        let data = controller.namespace.secret_data("odd").await?;
        (data.get("KEY")? == b"canary-3").then_some(())
    })
    .await;
}
