//! `optional`: missing keys only, and what it never hides.

use phase_csi_cluster::{Node, eventually, secret, undecryptable};
use serde_json::json;
use tonic::Code;

use crate::support::{
    answered_rounds, attempts_in_vain, objects, refusal, texts, two_refused_rounds,
};

const LIST: &str = "
- {objectName: needed, secretKey: KEY}
- {objectName: maybe/key, secretKey: MAYBE, optional: true}
- {objectName: maybe/all.json, format: json, path: /maybe, recursive: true, optional: true}
- {objectName: maybe/conf, template: 'x={{ X }}', path: /maybe, optional: true}
";

#[tokio::test]
async fn a_missing_optional_key_is_no_error_and_no_file() {
    let node = Node::with("optional", vec![secret("/", "KEY", "v")])
        .start()
        .await;
    let pod = node.pod("web", objects(LIST)).await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().texts(), texts([("needed", "v")]));
    let versions = pod.status().await.unwrap().versions();
    assert_eq!(versions.keys().collect::<Vec<_>>(), ["needed"]);
}

#[tokio::test]
async fn the_file_appears_once_the_key_is_created_and_goes_with_it() {
    let node = Node::with("optional-comes", vec![secret("/", "KEY", "v")])
        .start()
        .await;
    let pod = node.pod("web", objects(LIST)).await;
    pod.mount().await.unwrap();
    let before = pod.version("needed").await;
    node.phase.set("/", "MAYBE", "there now");
    node.phase.set("/maybe", "X", "1");
    let there = texts([
        ("maybe/all.json", "{\n  \"X\": \"1\"\n}\n"),
        ("maybe/conf", "x=1"),
        ("maybe/key", "there now"),
        ("needed", "v"),
    ]);
    pod.republish_until("the new files", |volume| {
        (volume.texts() == there).then_some(())
    })
    .await;
    assert_eq!(pod.volume().names(), ["maybe", "needed"]);
    node.phase.delete("/", "MAYBE");
    node.phase.delete("/maybe", "X");
    pod.republish_until("their end", |volume| {
        (volume.texts() == texts([("needed", "v")])).then_some(())
    })
    .await;
    assert_eq!(pod.volume().names(), ["needed"], "also the folder is gone");
    assert_eq!(pod.version("needed").await, before);
}

#[tokio::test]
async fn a_key_that_is_not_optional_is_told_with_its_place() {
    let node = Node::with("not-optional", vec![secret("/x", "KEY", "v")])
        .start()
        .await;
    let list = "
- {objectName: maybe, secretKey: MAYBE, optional: true}
- {objectName: needed, secretKey: KEY, optional: false}
- {objectName: all.env, format: dotenv, path: /y}
";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::NotFound, "{said}");
    for part in [
        r#"2 mistakes: objects[1]: secret "KEY" not found: folder "/" of environment "Production" in app "shop" has no such key"#,
        r#"objects[2]: no secrets selected: folder "/y" of environment "Production" in app "shop""#,
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn a_class_whose_keys_are_all_missing_mounts_only_where_that_is_allowed() {
    let node = Node::with("optional-all", vec![secret("/", "KEY", "v")])
        .start()
        .await;
    let list = "- {secretKey: MAYBE, optional: true}";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::NotFound, "{said}");
    assert!(said.contains("allowEmpty"), "{said}");
    node.edit_class(json!({"objects": list, "allowEmpty": "true"}))
        .await;
    pod.mount_at_last().await;
    assert_eq!(pod.volume().names(), [".phase-empty"]);
}

/// A class of one needed key and one optional one of `Staging`.
const OF_STAGING: &str = "
- {objectName: needed, secretKey: KEY}
- {objectName: maybe, secretKey: MAYBE, env: staging, optional: true}
";

async fn staging(name: &'static str) -> Node {
    let node = Node::with(name, vec![secret("/", "KEY", "v")]);
    let staging = vec![secret("/", "MAYBE", "there")];
    node.staging(staging).start().await
}

/// A pod that is mounted and keeps its files through rounds that fail because
/// of `trouble`; then another one, which is refused.
async fn trouble_is_not_hidden(node: &Node, trouble: impl FnOnce()) -> (Code, String) {
    let running = node.pod("running", objects(OF_STAGING)).await;
    running.mount().await.unwrap();
    let (files, data) = (running.volume().files(), running.volume().data());
    assert_eq!(files.len(), 2);
    trouble();
    // Until the next poll the provider answers from memory.
    two_refused_rounds(node, &running).await;
    let late = node.pod("late", objects(OF_STAGING)).await;
    let refused = refusal(&late).await;
    assert_eq!(running.volume().files(), files, "bytes, inodes and times");
    assert_eq!(running.volume().data(), data);
    refused
}

#[tokio::test]
async fn an_environment_that_may_no_longer_be_read_is_not_hidden() {
    let node = staging("optional-access").await;
    let trouble = || node.phase.let_read_staging(false);
    let (code, said) = trouble_is_not_hidden(&node, trouble).await;
    assert_eq!(code, Code::NotFound, "{said}");
    assert!(
        said.contains(r#"environment "staging" not found"#),
        "{said}"
    );
}

#[tokio::test]
async fn a_forbidden_request_is_not_hidden() {
    let node = staging("optional-403").await;
    let (code, said) = trouble_is_not_hidden(&node, || forbidden_change(&node)).await;
    assert_eq!(code, Code::PermissionDenied, "{said}");
}

/// Secrets are asked for only after a change.
fn forbidden_change(node: &Node) {
    node.phase.forbid();
    node.phase.set("/", "KEY", "changed");
}

#[tokio::test]
async fn a_phase_that_is_away_is_not_taken_for_a_missing_key() {
    let node = staging("optional-away").await;
    let of_production = objects("- {objectName: needed, secretKey: KEY}");
    node.class("known", of_production, json!([])).await;
    let running = node.pod_of(&node.namespace, "running", "known").await;
    running.mount().await.unwrap();
    node.phase.refuse();
    let late = node.pod("late", objects(OF_STAGING)).await;
    let (code, said) = refusal(&late).await;
    assert_eq!(code, Code::Internal, "{said}");
    node.phase.heal();
    late.mount_at_last().await;
    let both = texts([("maybe", "there"), ("needed", "v")]);
    assert_eq!(late.volume().texts(), both);
    node.phase.refuse();
    attempts_in_vain(&node).await;
    answered_rounds(&node, &[&running, &late], 2).await;
    assert_eq!(late.volume().texts(), both, "nor in a running pod");
}

#[tokio::test]
async fn secrets_of_another_key_start_no_pod_and_change_no_running_one() {
    let node = staging("optional-keys").await;
    let running = node.pod("running", objects(OF_STAGING)).await;
    running.mount().await.unwrap();
    let (files, data) = (running.volume().files(), running.volume().data());
    let before = node.phase.fetched();
    mixed_up_change(&node);
    // Until the next poll the provider answers from memory.
    eventually("the change to be fetched", async || {
        (node.phase.fetched() > before).then_some(())
    })
    .await;
    let late = node.pod("late", objects(OF_STAGING)).await;
    let (code, said) = refusal(&late).await;
    assert_eq!(code, Code::DataLoss, "{said}");
    assert!(said.contains("does not decrypt"), "{said}");
    answered_rounds(&node, &[&running], 2).await;
    assert_eq!(running.volume().files(), files, "bytes, inodes and times");
    assert_eq!(running.volume().data(), data);
}

fn mixed_up_change(node: &Node) {
    node.phase.mix_keys_up();
    node.phase.set("/", "KEY", "changed");
}

#[tokio::test]
async fn an_optional_key_that_does_not_decrypt_is_not_hidden() {
    let node = Node::with(
        "optional-row",
        vec![secret("/", "KEY", "v"), undecryptable("MAYBE")],
    )
    .start()
    .await;
    let pod = node.pod("web", objects(LIST)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::DataLoss, "{said}");
    assert!(
        said.starts_with("secret \"MAYBE\" does not decrypt"),
        "{said}"
    );
    node.phase.set("/", "MAYBE", "written again");
    pod.mount_at_last().await;
    let expected = [("maybe/key", "written again"), ("needed", "v")];
    assert_eq!(pod.volume().texts(), texts(expected));
}

#[tokio::test]
async fn an_optional_value_that_does_not_fit_is_not_hidden() {
    let node = Node::with(
        "optional-unfit",
        vec![secret("/", "A", "not base64"), secret("/", "B", "{}")],
    )
    .start()
    .await;
    let list = "
- {objectName: a, secretKey: A, encoding: base64, optional: true}
- {objectName: b, secretKey: B, field: /x, optional: true}
";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    assert!(
        said.starts_with("2 mistakes: objects[0]: ") && said.contains("; objects[1]: "),
        "{said}"
    );
}

#[tokio::test]
async fn allow_empty_stands_for_optional_where_many_keys_are_selected_and_nowhere_else() {
    let node = Node::with("allow-empty", vec![secret("/", "KEY", "v")])
        .start()
        .await;
    let many = "
- {objectName: needed, secretKey: KEY}
- {path: /none}
- {objectName: none.env, format: dotenv, path: /none}
";
    let class = |list: &str| json!({"objects": list, "allowEmpty": "true"});
    let pod = node.pod("web", class(many)).await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().texts(), texts([("needed", "v")]));
    let one = format!("{many}- {{secretKey: TYPO}}\n");
    node.class("one", class(&one), json!([])).await;
    let other = node.pod_of(&node.namespace, "other", "one").await;
    let (code, said) = refusal(&other).await;
    assert_eq!(code, Code::NotFound, "{said}");
    assert!(
        said.starts_with("objects[3]: secret \"TYPO\" not found"),
        "{said}"
    );
}

#[tokio::test]
async fn a_synced_secret_is_made_once_its_optional_object_is_there() {
    let node = Node::with("optional-sync", vec![secret("/", "KEY", "v")])
        .start()
        .await;
    let synced = json!([{"secretName": "copy", "type": "Opaque",
        "data": [{"objectName": "maybe/key", "key": "key"}]}]);
    node.class("synced", objects(LIST), synced).await;
    let pod = node.pod_of(&node.namespace, "web", "synced").await;
    pod.mount().await.unwrap();
    eventually("the driver to miss it", async || {
        let events = node.namespace.events().await;
        let missed = |text: &str| text.contains("file matching objectName maybe/key not found");
        events.iter().any(|(_, text)| missed(text)).then_some(())
    })
    .await;
    assert!(node.namespace.secret("copy").await.is_none());
    node.phase.set("/", "MAYBE", "there now");
    let data = eventually("the Secret", async || {
        pod.publish().await.unwrap();
        node.namespace.secret_data("copy").await
    })
    .await;
    assert_eq!(data["key"], b"there now");
}
