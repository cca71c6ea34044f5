//! Resources that were stored under another definition than ours.

use kube::api::{DeleteParams, Patch, PatchParams};
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
        spec.pollingInterval: invalid type: string \"60\", expected i64: mend it (kubectl edit)";
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

/// What the operator's version 1 leaves on every resource.
const FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";

/// The operator's definition demands nothing of `authentication`, and its default is a Secret.
#[tokio::test]
async fn a_resource_without_authentication_is_as_the_operator_has_it() {
    let controller = Controller::start("managed-bare", vec![secret("/", "KEY", "canary-1")]).await;
    let url = controller.phase.url();
    for (name, authentication) in [
        ("none", json!(null)),
        ("empty", json!({})),
        ("half", json!({"serviceToken": {}})),
    ] {
        let resource = json!({
            "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
            "metadata": {"name": name, "finalizers": [FINALIZER]},
            "spec": {"phaseApp": "shop", "phaseHost": url, "authentication": authentication,
                "managedSecretReferences": named(name)},
        });
        let apply = PatchParams::apply("suite").force();
        let resources = controller.resources();
        let resource = Patch::Apply(resource);
        let applied = resources.patch(name, &apply, &resource);
        applied.await.unwrap();
        controller.shows(name, "KEY", "canary-1").await;
        controller.synced(name, "Synced").await;
        eventually("no finalizer", async || {
            let found = resources.get(name).await.unwrap();
            found.metadata.finalizers.is_none().then_some(())
        })
        .await;
    }
}

/// Whatever is wrong with it, nothing hangs on its deletion.
#[tokio::test]
async fn a_resource_that_cannot_be_read_lets_go_when_it_is_deleted() {
    let controller =
        Controller::start("managed-hanging", vec![secret("/", "KEY", "canary-1")]).await;
    let namespace = controller.namespace.name.clone();
    type Spoil = (&'static str, fn(&mut serde_json::Value));
    let spoils: [Spoil; 5] = [
        ("text", |spec| spec["pollingInterval"] = json!("60")),
        ("often", |spec| spec["pollingInterval"] = json!(1)),
        ("nothing", |spec| {
            drop(
                spec.as_object_mut()
                    .unwrap()
                    .remove("managedSecretReferences"),
            )
        }),
        ("appless", |spec| {
            drop(spec.as_object_mut().unwrap().remove("phaseApp"))
        }),
        ("all", |spec| *spec = json!("spoilt")),
    ];
    for (name, spoil) in spoils {
        controller.resource(name, named(name)).await;
        controller.synced(name, "Synced").await;
        change_stored_resource(&namespace, name, |object| {
            object["metadata"]["finalizers"] = json!([FINALIZER, "example.org/mine"]);
            spoil(&mut object["spec"]);
        })
        .await;
        if name == "text" {
            // Of the others the API server takes no status.
            controller.synced(name, "InvalidSpec").await;
        }
        let resources = controller.resources();
        let finalizers = async || resources.get(name).await.unwrap().metadata.finalizers;
        assert_eq!(
            finalizers().await.map(|all| all.len()),
            Some(2),
            "{name}: it is still the operator's"
        );
        resources
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        let left = eventually("what is left", async || {
            let left = finalizers().await.unwrap_or_default();
            (left.len() < 2).then_some(left)
        })
        .await;
        assert_eq!(left, ["example.org/mine"], "{name}: and nobody else's");
    }
}
