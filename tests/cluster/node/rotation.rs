//! Changes reach running pods: kubelet publishes again, or the driver's own loop does.

use std::collections::BTreeSet;

use phase_csi_cluster::eventually;
use serde_json::json;

use crate::team::{CLASS, TOKEN, Team};

#[tokio::test]
async fn changed_added_and_deleted_keys_reach_the_container_and_the_secret() {
    let team = Team::new(
        "turns",
        &[
            ("ONE", "canary-1a"),
            ("TWO", "canary-2a"),
            ("STAYS", "canary-stays"),
        ],
    )
    .await;
    let secret = json!([{"secretName": "turns", "type": "Opaque", "data": [{"objectName": "ONE", "key": "one"}]}]);
    team.class(CLASS, json!({}), secret).await;
    let pod = team.pod("web").await;
    pod.ready().await;
    team.set("ONE", "canary-1b").await;
    team.set("TWO", "canary-2b").await;
    team.set("NEW", "canary-new").await;
    pod.shows("/secrets/ONE", "canary-1b").await;
    pod.shows("/secrets/TWO", "canary-2b").await;
    pod.shows("/secrets/NEW", "canary-new").await;
    eventually("the Secret's change", async || {
        let data = team.namespace.secret_data("turns").await?;
        (data["one"] == b"canary-1b").then_some(())
    })
    .await;
    team.phase.delete(&team.folder(), "NEW").await;
    eventually("the file's end", async || {
        let files = pod.sh("ls /secrets").await;
        let files: BTreeSet<_> = files.lines().map(str::to_owned).collect();
        (!files.contains("NEW")).then_some(())
    })
    .await;
    assert_eq!(pod.text("/secrets/STAYS").await, "canary-stays");
}

#[tokio::test]
async fn unchanged_content_is_not_written_again() {
    let team = Team::new("still", &[("KEY", "canary-still")]).await;
    team.usual_class().await;
    let pod = team.pod("web").await;
    pod.ready().await;
    let before = pod
        .sh("readlink /secrets/..data; stat -c %i /secrets/..data/KEY")
        .await;
    let answers = crate::telemetry::mounts_answered().await;
    // All volumes of the node are published again meanwhile, this one too.
    eventually("some rounds of republishing", async || {
        (crate::telemetry::mounts_answered().await > answers + 40.0).then_some(())
    })
    .await;
    assert_eq!(
        pod.sh("readlink /secrets/..data; stat -c %i /secrets/..data/KEY")
            .await,
        before
    );
}

#[tokio::test]
async fn a_field_of_a_document_turns_with_its_document() {
    let team = Team::new(
        "fields",
        &[("ACCOUNT", r#"{"user":"u","password":"canary-field-a"}"#)],
    )
    .await;
    let objects = "- {secretKey: ACCOUNT, objectName: password, field: /password}\n";
    team.class(CLASS, json!({"objects": objects}), json!([]))
        .await;
    let pod = team.pod("web").await;
    pod.ready().await;
    assert_eq!(pod.text("/secrets/password").await, "canary-field-a");
    team.set("ACCOUNT", r#"{"user":"u","password":"canary-field-b"}"#)
        .await;
    pod.shows("/secrets/password", "canary-field-b").await;
}

#[tokio::test]
async fn a_new_token_in_the_pods_secret_takes_over() {
    let team = Team::with_own_phase("tokens", &[("KEY", "canary-token-a")]).await;
    team.usual_class().await;
    let pod = team.pod("web").await;
    pod.ready().await;
    // The first token dies; the second one is put in its place.
    team.phase
        .set_in("Staging", &team.folder(), "KEY", "canary-token-b")
        .await;
    team.phase.revoke("pods").await;
    team.namespace
        .token(TOKEN, &team.phase.token("limited").await)
        .await;
    team.class(CLASS, json!({"phaseAppEnv": "staging"}), json!([]))
        .await;
    pod.shows("/secrets/KEY", "canary-token-b").await;
}
