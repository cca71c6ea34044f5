//! The token, and what happens without a good one.

use phase_csi_cluster::{Line, Node, eventually, secret};
use serde_json::json;
use tonic::Code;

use crate::support::unknown_token;

#[tokio::test]
async fn a_wrong_token_shows_its_error_to_the_user_and_mounts_nothing() {
    let node = Node::with("wrong-token", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    node.replace_token(&unknown_token()).await;
    let pod = node.pod("web", json!({})).await;
    let error = pod.mount().await.unwrap_err();
    let text = error.message();
    assert_eq!(error.code(), Code::Unauthenticated, "{text}");
    let wrapped = "failed to mount secrets store objects for pod wrong-token/web, err: rpc error: code = Unauthenticated desc = ";
    let ours = text
        .strip_prefix(wrapped)
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        ours.contains("token") && ours.len() < 500 && !ours.contains('\n'),
        "{ours}"
    );
    assert!(!text.contains("5e5e5e"), "no part of the token: {text}");
    assert!(!pod.volume().is_mounted());
    assert!(!pod.volume().exists());
    assert!(pod.status().await.is_none());
}

#[tokio::test]
async fn a_pod_without_a_token_is_told_how_to_give_one() {
    let node = Node::with("no-token", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let pod = node.pod_without_token("web").await;
    let error = pod.mount().await.unwrap_err();
    assert!(error.message().contains("nodePublishSecretRef"), "{error}");
    assert!(!pod.volume().exists());
}

#[tokio::test]
async fn a_mount_works_once_the_token_was_mended() {
    let node = Node::with("mended-token", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    node.replace_token("pss_service:v2:cut").await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap_err();
    node.replace_token(&node.phase.token()).await;
    pod.mount_at_last().await;
    assert_eq!(pod.volume().text("KEY").as_deref(), Some("value"));
}

#[tokio::test]
async fn a_token_revoked_later_leaves_the_files_in_place() {
    let node = Node::with("revoked", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    let before = pod.volume().files();
    node.phase.revoke_token();
    // Until the refusal has come back through the driver, once for sure.
    eventually("a refused republish", async || {
        pod.publish()
            .await
            .expect("the driver keeps it from kubelet");
        refusal(&node).await
    })
    .await;
    assert_eq!(pod.volume().files(), before);
    assert!(pod.volume().is_mounted());
}

/// Where each driver line tells of a failed rotation: its log, or an event of the pod.
async fn refusal(node: &Node) -> Option<()> {
    let told = match node.line() {
        Line::From16 => node.driver.output().contains("code = Unauthenticated"),
        Line::UpTo15 => node.namespace.events().await.iter().any(|(reason, text)| {
            reason == "MountRotationFailed"
                && text.contains("provider mount err: rpc error: code = Unauthenticated")
        }),
    };
    told.then_some(())
}

#[tokio::test]
async fn a_token_that_was_replaced_in_the_cluster_is_used_at_the_next_republish() {
    let node = Node::with("new-token", vec![secret("/", "KEY", "one")])
        .start()
        .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    node.replace_token(&node.phase.second_token()).await;
    node.phase.revoke_token();
    node.phase.set("/", "KEY", "two");
    pod.republish_until("the new value by the new token", |volume| {
        (volume.text("KEY").as_deref() == Some("two")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_sync_controller_is_served_like_a_driver() {
    let node = Node::with("sync-controller", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let error = node
        .ask_as_sync_controller(json!({}), json!({}))
        .await
        .unwrap_err();
    assert!(
        error.message().contains("nodePublishSecretRef"),
        "it never has a token to give: {error}"
    );
    let token = json!({"token": node.phase.token()});
    let files = node.ask_as_sync_controller(json!({}), token).await.unwrap();
    assert_eq!(files, [("KEY".to_owned(), b"value".to_vec())].into());
}
