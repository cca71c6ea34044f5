//! Classes that select nothing, or that are wrong.

use phase_csi_cluster::{Node, secret};
use serde_json::json;

#[tokio::test]
async fn an_empty_selection_fails_and_says_so() {
    let node = Node::with("empty", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let pod = node
        .pod("web", json!({"phaseAppEnvPath": "/nothing/here"}))
        .await;
    let error = pod.mount().await.unwrap_err();
    let text = error.message();
    assert!(
        text.starts_with(
            "failed to mount secrets store objects for pod empty/web, err: rpc error: "
        ),
        "{text}"
    );
    assert!(
        text.contains("/nothing/here") && text.contains("allowEmpty"),
        "{text}"
    );
    assert!(!pod.volume().is_mounted());
    assert!(
        !pod.volume().exists(),
        "the code was final, so kubelet starts afresh"
    );
    assert!(pod.status().await.is_none());
}

#[tokio::test]
async fn an_empty_selection_that_is_allowed_mounts_one_marker_file() {
    let node = Node::with("allowed-empty", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let pod = node
        .pod(
            "web",
            json!({"phaseAppEnvPath": "/nothing", "allowEmpty": "true"}),
        )
        .await;
    pod.mount().await.unwrap();
    assert!(pod.volume().is_mounted());
    assert_eq!(pod.volume().files().len(), 1);
    assert_eq!(pod.status().await.unwrap().versions().len(), 1);
}

#[tokio::test]
async fn every_mistake_of_a_class_is_in_one_error() {
    let node = Node::with("mistakes", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let pod = node
        .pod(
            "web",
            json!({"phaseAppEnvPaht": "/x", "recursive": "perhaps"}),
        )
        .await;
    let error = pod.mount().await.unwrap_err();
    let text = error.message();
    assert_eq!(error.code(), tonic::Code::InvalidArgument, "{text}");
    assert!(
        text.contains("phaseAppEnvPaht") && text.contains("phaseAppEnvPath"),
        "{text}"
    );
    assert!(text.contains("recursive"), "{text}");
    assert!(!pod.volume().exists());
}

#[tokio::test]
async fn an_environment_that_is_not_there_is_named_with_its_neighbours() {
    let node = Node::with("no-environment", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let pod = node.pod("web", json!({"phaseAppEnv": "prod"})).await;
    let error = pod.mount().await.unwrap_err();
    let text = error.message();
    assert_eq!(error.code(), tonic::Code::NotFound, "{text}");
    assert!(
        text.contains("\"prod\"") && text.contains("Production"),
        "{text}"
    );
}

#[tokio::test]
async fn a_name_that_cannot_be_a_file_is_refused_with_the_key() {
    let node = Node::with(
        "bad-name",
        vec![secret("/", "good", "value"), secret("/", "..", "value")],
    )
    .start()
    .await;
    let pod = node.pod("web", json!({})).await;
    let error = pod.mount().await.unwrap_err();
    let text = error.message();
    assert_eq!(error.code(), tonic::Code::InvalidArgument, "{text}");
    assert!(text.contains(r#""..""#), "{text}");
    assert!(!pod.volume().exists(), "nothing of the set is mounted");
}

#[tokio::test]
async fn a_pod_author_cannot_send_the_token_to_another_host() {
    let node = Node::with("other-host", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let pod = node
        .pod_with_attributes("web", json!({"phaseHost": "https://evil.example"}))
        .await;
    let error = pod.mount().await.unwrap_err();
    let text = error.message();
    assert!(
        text.contains("evil.example") && text.contains("--allowed-host"),
        "{text}"
    );
    assert!(!pod.volume().exists());
}
