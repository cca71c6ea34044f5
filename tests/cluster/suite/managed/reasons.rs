//! Reasons of `Synced` that no other test meets. `ApiUnavailable` needs an API server
//! that fails; `Internal` is a defect, which nobody can order.

use phase_csi_cluster::{Controller, secret, undecryptable};
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
    let mut controller = Controller::defined("managed-unfit", secrets).await;
    controller.allows = &["--allow-cross-namespace-refs"];
    controller.add_replica();
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
