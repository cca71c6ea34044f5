//! Reasons of `Synced` that no other test meets. `ApiUnavailable` needs an API server
//! that fails; `Internal` is a defect, which nobody can order.

use std::os::unix::fs::symlink;
use std::path::Path;

use phase_csi_cluster::{Controller, eventually, secret, undecryptable};
use serde_json::json;

use super::named;

#[tokio::test]
async fn what_phase_answers_is_told_by_its_reason_and_passes() {
    let controller = Controller::start("managed-answers", vec![secret("/", "KEY", "canary")]).await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    controller.phase.talk_nonsense();
    controller.phase.set("/", "KEY", "canary-2");
    let message = controller.synced("shop", "MalformedAnswer").await;
    assert!(message.contains(&controller.phase.url()), "{message}");
    controller.phase.heal();
    controller.synced("shop", "Synced").await;
    controller.phase.mix_keys_up();
    controller.phase.set("/", "KEY", "canary-3");
    let message = controller.synced("shop", "Undecryptable").await;
    assert!(!message.contains("canary"), "{message}");
    controller.shows("shop", "KEY", "canary-2").await;
    controller.phase.heal();
    controller.shows("shop", "KEY", "canary-3").await;
    controller.synced("shop", "Synced").await;
    controller.phase.limit();
    controller.phase.set("/", "KEY", "canary-4");
    controller.synced("shop", "RateLimited").await;
    let (is_stale, ..) = controller.condition("shop", "Stale").await.unwrap();
    assert!(is_stale);
    controller.phase.heal();
    controller.shows("shop", "KEY", "canary-4").await;
}

#[tokio::test]
async fn what_does_not_open_or_fit_and_what_is_no_token_is_told_with_the_next_step() {
    let secrets = vec![
        undecryptable("SPOILT"),
        secret("/big", "BIG", &"b".repeat(900 << 10)),
        secret("/good", "KEY", "canary"),
    ];
    let controller = Controller::start("managed-unfit", secrets).await;
    controller.resource("spoilt", named("spoilt")).await;
    let message = controller.synced("spoilt", "Undecryptable").await;
    assert!(message.contains("SPOILT"), "{message}");
    // 64 Secrets with 1.2 MB of base64 each.
    let many: Vec<_> = (0..64)
        .map(|number| json!({"secretName": format!("big-{number}")}))
        .collect();
    controller
        .resource_with("big", json!(many), json!({"phaseAppEnvPath": "/big"}))
        .await;
    let message = controller.synced("big", "TooLarge").await;
    assert_eq!(
        message,
        "its Secrets have more than 67108864 bytes together: make two resources of it"
    );
    let nowhere = json!([{"secretName": "shop", "secretNamespace": "managed-nowhere"}]);
    controller
        .resource_with("nowhere", nowhere, json!({"phaseAppEnvPath": "/good"}))
        .await;
    let message = controller.synced("nowhere", "WriteRefused").await;
    assert_eq!(
        message,
        "namespace managed-nowhere does not exist: create it, or name another in secretNamespace"
    );
    controller
        .namespace
        .foreign_secret("no-token", "token", "canary-no-token")
        .await;
    let token =
        json!({"serviceToken": {"serviceTokenSecretReference": {"secretName": "no-token"}}});
    controller
        .resource_with("token", named("token"), json!({"authentication": token}))
        .await;
    let message = controller.synced("token", "TokenInvalid").await;
    assert!(
        message.contains("(key token of Secret managed-unfit/no-token)"),
        "{message}"
    );
    assert!(!message.contains("canary"), "{message}");
    controller
        .namespace
        .foreign_secret("no-key", "other", "canary")
        .await;
    let token = json!({"serviceToken": {"serviceTokenSecretReference": {"secretName": "no-key"}}});
    controller
        .resource_with("token", named("token"), json!({"authentication": token}))
        .await;
    let message = controller.synced("token", "TokenMissing").await;
    assert_eq!(
        message,
        "Secret managed-unfit/no-key has no key token: put the service token there"
    );
}

#[tokio::test]
async fn with_the_charts_roles_alone_all_work_is_done_and_none_elsewhere() {
    let mut controller =
        Controller::defined("managed-roles", vec![secret("/", "KEY", "canary-1")]).await;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemonset");
    symlink(chart, controller.folder().join("daemonset")).unwrap();
    let roles = "helm template phase-csi-provider daemonset/chart -n managed-roles --kube-version 1.35.0 \
        --set 'controller.enabled=true,controller.namespaces={managed-roles}' \
        --show-only templates/controller-rbac.yaml | kubectl apply -f -";
    controller.kubectl(roles).await.unwrap();
    controller.account = Some(controller.account("phase-csi-provider-controller").await);
    let elsewhere = controller.namespace.another("managed-elsewhere").await;
    elsewhere
        .token("phase-service-token", &controller.phase.token())
        .await;
    let uses = json!({"containers": [{"name": "app", "image": "none", "envFrom": [{"secretRef": {"name": "shop"}}]}]});
    let wish = json!({"secrets.phase.dev/redeploy": "true"});
    let labels = json!({"app": "shop"});
    let mut once = uses.clone();
    once["restartPolicy"] = json!("Never");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop", "annotations": wish},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": uses}}},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "annotations": wish}, "spec": {"template": {"spec": once}}},
    ]});
    std::fs::write(controller.folder().join("list.json"), list.to_string()).unwrap();
    controller
        .kubectl("kubectl create -f list.json")
        .await
        .unwrap();
    controller.resource("shop", named("shop")).await;
    let finalizer = r#"kubectl patch phasesecret shop --type merge -p '{"metadata":{"finalizers":["kopf.zalando.org/KopfFinalizerMarker"]}}'"#;
    controller.kubectl(finalizer).await.unwrap();
    controller.add_replica();
    controller.synced("shop", "Synced").await;
    controller.phase.set("/", "KEY", "canary-2");
    controller.shows("shop", "KEY", "canary-2").await;
    for reason in ["Synced", "Adopted", "Redeployed", "NotRestarted"] {
        eventually(reason, async || {
            (!controller.notes(reason).await.is_empty()).then_some(())
        })
        .await;
    }
    let recreated = json!([{"secretName": "shop", "secretType": "kubernetes.io/basic-auth", "onTypeChange": "Recreate",
        "processors": {"KEY": {"asName": "username"}}}]);
    controller.resource("shop", recreated).await;
    controller.shows("shop", "username", "canary-2").await;
    controller.synced("shop", "Synced").await;

    let outside = json!([{"secretName": "shop", "secretNamespace": "managed-elsewhere"}]);
    controller.resource("outside", outside).await;
    let message = controller.synced("outside", "WriteForbidden").await;
    assert_eq!(
        message,
        "the controller may not write Secret managed-elsewhere/shop: give its ServiceAccount a Role with create, patch and delete on secrets in that namespace"
    );
    let token = json!({"serviceToken": {"serviceTokenSecretReference": {"secretName": "phase-service-token", "secretNamespace": "managed-elsewhere"}}});
    controller
        .resource_with(
            "outside",
            named("outside"),
            json!({"authentication": token}),
        )
        .await;
    let message = controller.synced("outside", "TokenMissing").await;
    assert_eq!(
        message,
        "the controller may not read Secret managed-elsewhere/phase-service-token: give its ServiceAccount a Role with get on it"
    );
}
