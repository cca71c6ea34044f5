//! The `:authority` header, which drivers before 1.6 fill with a path.

use phase_csi_cluster::{Line, Node, secret};
use serde_json::json;

#[tokio::test]
async fn without_our_filter_a_driver_before_1_6_cannot_mount() {
    let node = Node::with("raw-authority", vec![secret("/", "KEY", "value")])
        .raw_authority()
        .start()
        .await;
    let pod = node.pod("web", json!({})).await;
    let outcome = pod.mount().await;
    match node.line() {
        Line::From16 => {
            outcome.unwrap();
            assert_eq!(pod.volume().text("KEY").as_deref(), Some("value"));
        }
        Line::UpTo15 => {
            let error = outcome.unwrap_err();
            assert!(error.message().contains("PROTOCOL_ERROR"), "{error}");
            assert!(!pod.volume().is_mounted());
        }
    }
}

#[tokio::test]
async fn the_driver_is_the_one_that_was_asked_for() {
    let node = Node::with("which-driver", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let (name, version) = node.driver_name().await;
    assert_eq!(name, "secrets-store.csi.k8s.io");
    if let Some(double) = version.strip_prefix("double-of-") {
        let line = match node.line() {
            Line::From16 => "1.6.0",
            Line::UpTo15 => "1.5.6",
        };
        assert_eq!(double, line);
    }
}
