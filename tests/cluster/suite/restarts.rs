//! Programs that end at the wrong moment, and a Phase that is away.

use phase_csi_cluster::{Node, eventually, secret};
use serde_json::json;

use crate::support::{answered_rounds, refusal};

#[tokio::test]
async fn a_provider_killed_between_mounts_serves_again_after_its_start() {
    let mut node = Node::with("killed-between", vec![secret("/", "KEY", "one")])
        .start()
        .await;
    let first = node.pod("first", json!({})).await;
    first.mount().await.unwrap();
    let version = first.version("KEY").await;
    node.provider.kill().await;
    assert!(
        node.provider_socket().exists(),
        "a kill leaves the socket's file behind"
    );
    node.start_provider().await;
    let second = node.pod("second", json!({})).await;
    second.mount_at_last().await;
    assert_eq!(second.volume().text("KEY").as_deref(), Some("one"));
    assert_eq!(
        second.version("KEY").await,
        version,
        "versions outlive the process"
    );
    node.phase.set("/", "KEY", "two");
    first
        .republish_until("rotation goes on", |volume| {
            (volume.text("KEY")? == "two").then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_provider_killed_during_a_mount_makes_it_late_but_never_empty() {
    let mut node = Node::with("killed-during", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let pod = node.pod("web", json!({})).await;
    node.phase.stall();
    tokio::join!(pod.mount_at_last(), async {
        eventually("the mount to wait for Phase", async || {
            (node.phase.asked() > 0).then_some(())
        })
        .await;
        node.provider.kill().await;
        node.phase.heal();
        node.start_provider().await;
    });
    assert!(pod.volume().is_mounted());
    assert_eq!(pod.volume().text("KEY").as_deref(), Some("value"));
}

#[tokio::test]
async fn a_provider_that_is_stopped_takes_its_socket_away_and_finishes_its_mounts() {
    let mut node = Node::with("stopped", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    node.phase.delay(std::time::Duration::from_secs(2));
    // The first one of its token: memory cannot answer it.
    let pod = node.pod("web", json!({})).await;
    let (outcome, clean) = tokio::join!(pod.mount(), async {
        eventually("the mount to wait for Phase", async || {
            (node.phase.asked() > 0).then_some(())
        })
        .await;
        node.provider.stop().await
    });
    outcome.unwrap();
    assert!(clean);
    assert!(!node.provider_socket().exists());
    assert_eq!(pod.volume().text("KEY").as_deref(), Some("value"));
}

#[tokio::test]
async fn a_driver_that_starts_again_finds_its_mounts_and_goes_on() {
    let mut node = Node::with("driver-again", vec![secret("/", "KEY", "one")])
        .start()
        .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    node.restart_driver().await;
    assert_eq!(pod.volume().text("KEY").as_deref(), Some("one"));
    node.phase.set("/", "KEY", "two");
    pod.republish_until("rotation goes on", |volume| {
        (volume.text("KEY")? == "two").then_some(())
    })
    .await;
    pod.unmount().await.unwrap();
    assert!(!pod.volume().exists());
}

#[tokio::test]
async fn a_phase_that_is_away_delays_a_first_mount_and_never_empties_it() {
    let node = Node::with("phase-away", vec![secret("/", "KEY", "value")])
        .staging(vec![secret("/", "KEY", "never fetched before")])
        .start()
        .await;
    node.class("other", json!({"phaseAppEnv": "Staging"}), json!([]))
        .await;
    let running = node.pod("running", json!({})).await;
    running.mount().await.unwrap();
    let before = running.volume().files();
    node.phase.refuse();
    let pod = node.pod_of(&node.namespace, "web", "other").await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, tonic::Code::Internal, "a final code: {said}");
    assert!(said.contains("Phase"), "{said}");
    answered_rounds(&node, &[&running], 2).await;
    assert_eq!(running.volume().files(), before);
    node.phase.heal();
    pod.mount_at_last().await;
    let text = pod.volume().text("KEY");
    assert_eq!(text.as_deref(), Some("never fetched before"));
}

#[tokio::test]
async fn a_second_provider_on_the_same_socket_leaves_the_first_one_alone() {
    let node = Node::with("second", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let text = node.second_provider().await;
    assert!(text.contains("phase.sock"), "{text}");
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().text("KEY").as_deref(), Some("value"));
}

#[tokio::test]
async fn a_failure_of_ours_never_empties_a_volume_however_long_the_drivers_interval() {
    let node = Node::with("long-interval", vec![secret("/", "KEY", "value")]);
    let node = node
        .driver_argument("--rotation-poll-interval=1h")
        .start()
        .await;
    let pod = node.pod("web", json!({})).await;
    node.phase.refuse();
    pod.mount().await.unwrap_err();
    pod.publish().await.expect_err("not taken for mounted");
    node.phase.heal();
    // A failure is held for a moment.
    eventually("the volume", async || pod.publish().await.ok()).await;
    assert!(pod.volume().is_mounted());
    assert_eq!(pod.volume().text("KEY").as_deref(), Some("value"));
}
