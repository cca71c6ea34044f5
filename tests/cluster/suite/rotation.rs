//! What a running pod sees of changes.

use std::time::Duration;

use phase_csi_cluster::{Line, Node, eventually, secret};
use serde_json::json;

use crate::support::{answered_rounds, objects, two_refused_rounds, versions_moved, whole_poll};

#[tokio::test]
async fn a_changed_value_brings_new_bytes_and_a_new_version() {
    let node = Node::with(
        "changed",
        vec![secret("/", "MOVES", "one"), secret("/", "STAYS", "same")],
    )
    .start()
    .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    let before = pod.status().await.unwrap().versions();
    node.phase.set("/", "MOVES", "two");
    pod.republish_until("the new bytes", |volume| {
        (volume.text("MOVES")? == "two").then_some(())
    })
    .await;
    let after = eventually("the new version", async || {
        let versions = pod.status().await.unwrap().versions();
        (versions["MOVES"] != before["MOVES"]).then_some(versions)
    })
    .await;
    assert_eq!(
        after["STAYS"], before["STAYS"],
        "only what changed has a new version"
    );
    assert_eq!(pod.volume().text("STAYS").as_deref(), Some("same"));
}

#[tokio::test]
async fn unchanged_secrets_leave_files_and_versions_untouched() {
    let node = Node::with(
        "unchanged",
        vec![
            secret("/", "KEY", "value"),
            secret("/in/side", "KEY", "value"),
        ],
    );
    let node = node.start().await;
    let pod = node.pod("web", json!({"recursive": "true"})).await;
    pod.mount().await.unwrap();
    let (files, data) = (pod.volume().files(), pod.volume().data());
    let (status, revision) = (pod.status().await.unwrap(), pod.status_revision().await);
    for _ in 0..3 {
        whole_poll(&node).await;
        answered_rounds(&node, &[&pod], 1).await;
    }
    assert_eq!(node.phase.fetched(), 1, "Phase was asked for nothing else");
    assert_eq!(
        pod.volume().files(),
        files,
        "bytes, modes, inodes and times"
    );
    assert_eq!(pod.volume().data(), data);
    assert_eq!(pod.status().await.unwrap().versions(), status.versions());
    assert_eq!(
        pod.status_revision().await,
        revision,
        "not even written again"
    );
}

#[tokio::test]
async fn a_removed_key_disappears_and_an_added_one_appears() {
    let node = Node::with(
        "keys-move",
        vec![secret("/", "GOES", "x"), secret("/", "STAYS", "y")],
    )
    .start()
    .await;
    let pod = node.pod("web", json!({"recursive": "true"})).await;
    pod.mount().await.unwrap();
    node.phase.delete("/", "GOES");
    node.phase.set("/new/folder", "COMES", "z");
    pod.republish_until("the other set of files", |volume| {
        (volume.names() == ["STAYS", "new"] && volume.text("new/folder/COMES")? == "z")
            .then_some(())
    })
    .await;
    eventually("the other set of versions", async || {
        let versions = pod.status().await.unwrap().versions();
        versions
            .keys()
            .eq(["STAYS", "new/folder/COMES"])
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_the_last_to_go_leaves_the_files_in_place() {
    let node = Node::with("last-key", vec![secret("/", "ONLY", "value")])
        .start()
        .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    node.phase.delete("/", "ONLY");
    two_refused_rounds(&node, &pod).await;
    assert_eq!(
        pod.volume().text("ONLY").as_deref(),
        Some("value"),
        "an empty set is an error, not an update"
    );
}

#[tokio::test]
async fn a_changed_class_takes_effect_in_running_pods() {
    let node = Node::with(
        "class-edit",
        vec![secret("/old", "KEY", "old"), secret("/new", "KEY", "new")],
    )
    .start()
    .await;
    let pod = node.pod("web", json!({"phaseAppEnvPath": "/old"})).await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().text("KEY").as_deref(), Some("old"));
    node.edit_class(json!({"phaseAppEnvPath": "/new"})).await;
    pod.republish_until("the other folder", |volume| {
        (volume.text("KEY")? == "new").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_mounts_later_finds_the_same_version() {
    let node = Node::with("later-pod", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let first = node.pod("first", json!({})).await;
    first.mount().await.unwrap();
    let second = node.pod("second", json!({})).await;
    second.mount().await.unwrap();
    let version = first.version("KEY").await.unwrap();
    assert_eq!(Some(version), second.version("KEY").await);
}

#[tokio::test]
async fn a_rotation_is_told_in_the_way_of_the_driver_line() {
    let node = Node::with("told", vec![secret("/", "KEY", "one")])
        .start()
        .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    node.phase.set("/", "KEY", "two");
    pod.republish_until("the new bytes", |volume| {
        (volume.text("KEY")? == "two").then_some(())
    })
    .await;
    let complete = async || {
        node.namespace
            .events()
            .await
            .iter()
            .any(|(reason, _)| reason == "MountRotationComplete")
    };
    match node.line() {
        Line::UpTo15 => eventually("an event", async || complete().await.then_some(())).await,
        Line::From16 => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!complete().await, "1.6 makes no events");
        }
    }
    for counter in ["node_publish_total", "rotation_reconcile_total"] {
        eventually(counter, async || {
            let metrics = node.driver_metrics().await;
            let counted = |line: &str| line.starts_with(counter) && line.contains("\"phase\"");
            metrics.lines().any(counted).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_changed_value_changes_only_the_files_that_are_made_of_it() {
    let node = Node::with(
        "rules-value",
        vec![
            secret("/", "DB_USER", "u"),
            secret("/", "DB_PASSWORD", "one"),
            secret("/", "API", r#"{"key": "k", "id": "one"}"#),
        ],
    )
    .start()
    .await;
    let list = "
- {objectName: db.env, format: dotenv, include: [DB_*]}
- {objectName: db.conf, template: '{{ DB_USER }}:{{ DB_PASSWORD }}'}
- {objectName: user.conf, template: '{{ DB_USER }}'}
- {objectName: api/key, secretKey: API, field: /key}
- {objectName: api/id, secretKey: API, field: /id}
- {objectName: user, secretKey: DB_USER}
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let before = pod.status().await.unwrap().versions();
    assert_eq!(before.len(), 6);
    node.phase.set("/", "DB_PASSWORD", "two");
    pod.republish_until("the new password", |volume| {
        (volume.text("db.conf")? == "u:two").then_some(())
    })
    .await;
    assert_eq!(
        pod.volume().text("db.env").as_deref(),
        Some("DB_PASSWORD=two\nDB_USER=u\n")
    );
    let now = versions_moved(&pod, &before, &["db.env", "db.conf"]).await;
    node.phase.set("/", "API", r#"{"key": "k", "id": "two"}"#);
    pod.republish_until("the new id", |volume| {
        (volume.text("api/id")? == "two").then_some(())
    })
    .await;
    versions_moved(&pod, &now, &["api/id"]).await;
}

#[tokio::test]
async fn an_added_key_comes_into_the_files_that_select_it() {
    let node = Node::with("rules-key", vec![secret("/", "DB_USER", "u")])
        .start()
        .await;
    let list = "
- {objectName: db.env, format: dotenv, include: [DB_*]}
- {objectName: user, secretKey: DB_USER}
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let before = pod.status().await.unwrap().versions();
    node.phase.set("/", "OTHER", "x");
    node.phase.set("/", "DB_PORT", "5432");
    pod.republish_until("the new line", |volume| {
        (volume.text("db.env")? == "DB_PORT=5432\nDB_USER=u\n").then_some(())
    })
    .await;
    versions_moved(&pod, &before, &["db.env"]).await;
}

#[tokio::test]
async fn a_changed_format_template_or_rule_takes_effect_in_running_pods() {
    let node = Node::with(
        "rules-class",
        vec![secret("/", "KEY", "AP8="), secret("/in", "KEY", "v")],
    )
    .start()
    .await;
    let pod = node
        .pod(
            "web",
            objects(
                "
- {objectName: all, format: dotenv, path: /in}
- {objectName: conf, template: 'key={{ KEY }}', path: /in}
- {objectName: raw, secretKey: KEY}
- {objectName: stays, secretKey: KEY, path: /in}
",
            ),
        )
        .await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().text("all").as_deref(), Some("KEY=v\n"));
    let before = pod.status().await.unwrap().versions();
    let mut class = objects(
        "
- {objectName: all, format: json, path: /in}
- {objectName: conf, template: 'key: {{ KEY }}', path: /in}
- {objectName: raw, secretKey: KEY, encoding: base64}
- {objectName: stays, secretKey: KEY, path: /in}
",
    );
    class["nameTransformer"] = "lower-kebab".into();
    node.edit_class(class).await;
    pod.republish_until("the other rules", |volume| {
        let files = volume.files();
        (files["all"].bytes == b"{\n  \"key\": \"v\"\n}\n"
            && files["conf"].bytes == b"key: v"
            && files["raw"].bytes == b"\x00\xff")
            .then_some(())
    })
    .await;
    versions_moved(&pod, &before, &["all", "conf", "raw"]).await;
}

#[tokio::test]
async fn a_value_that_no_longer_fits_leaves_every_file_in_place() {
    let node = Node::with(
        "rules-unfit",
        vec![secret("/", "BINARY", "AP8="), secret("/", "OTHER", "one")],
    )
    .start()
    .await;
    let list = "
- {objectName: binary, secretKey: BINARY, encoding: base64}
- {objectName: other, secretKey: OTHER}
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let before = pod.volume().files();
    node.phase.set("/", "BINARY", "no base64");
    node.phase.set("/", "OTHER", "two");
    two_refused_rounds(&node, &pod).await;
    assert_eq!(pod.volume().files(), before, "bytes, inodes and times");
    node.phase.set("/", "BINARY", "/wA=");
    pod.republish_until("the mended value", |volume| {
        let files = volume.files();
        (files["binary"].bytes == b"\xff\x00" && files["other"].bytes == b"two").then_some(())
    })
    .await;
}
