//! Answers that are too large.

use phase_csi_cluster::{Line, Node, secret};
use serde_json::json;
use tonic::Code;

fn large(count: usize, bytes: usize) -> Vec<phase_emulator::seed::Secret> {
    (0..count)
        .map(|n| secret("/", &format!("KEY_{n:02}"), &"x".repeat(bytes)))
        .collect()
}

#[tokio::test]
async fn an_answer_above_the_drivers_limit_is_refused_by_us_with_sizes() {
    let node = Node::with("too-large", large(50, 100_000)).start().await;
    let pod = node.pod("web", json!({})).await;
    let error = pod.mount().await.unwrap_err();
    let text = error.message();
    assert_eq!(error.code(), Code::Internal, "{text}");
    assert!(
        text.contains("5003150") && text.contains("4194304"),
        "the size and the limit: {text}"
    );
    assert!(!pod.volume().exists(), "the code was final");
}

#[tokio::test]
async fn an_answer_just_below_the_limit_is_mounted_whole() {
    let node = Node::with("large", large(40, 100_000)).start().await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    let files = pod.volume().files();
    assert_eq!(files.len(), 40);
    assert!(files.values().all(|file| file.bytes.len() == 100_000));
}

#[tokio::test]
async fn a_driver_with_a_smaller_limit_than_ours_refuses_by_itself() {
    let node =
        Node::with("small-limit", large(2, 1000)).driver_argument("--max-call-recv-msg-size=1000");
    let node = node.start().await;
    let pod = node.pod("web", json!({})).await;
    let error = pod.mount().await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert!(
        error.message().contains("received message larger than max"),
        "{error}"
    );
    assert!(!pod.volume().is_mounted());
    assert!(node.driver.output().contains("--max-call-recv-msg-size"));
}

#[tokio::test]
async fn on_driver_1_6_a_code_that_is_not_final_starts_a_pod_with_an_empty_volume() {
    // Why our codes must be final: the folder that a failed mount leaves behind counts as fresh content.
    let node = Node::with("empty-volume", large(2, 1000))
        .driver_argument("--max-call-recv-msg-size=1000")
        .driver_argument("--rotation-poll-interval=1h");
    let node = node.start().await;
    let pod = node.pod("web", json!({})).await;
    assert_eq!(
        pod.mount().await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    assert!(pod.volume().exists(), "kubelet keeps the folder");
    let second = pod.publish().await;
    assert!(!pod.volume().is_mounted());
    match node.line() {
        Line::From16 => second.unwrap(),
        Line::UpTo15 => assert_eq!(second.unwrap_err().code(), Code::ResourceExhausted),
    }
}
