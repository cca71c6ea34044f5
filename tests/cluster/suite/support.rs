//! What several modules share.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use phase_csi_cluster::{Node, Pod, eventually};
use serde_json::{Value, json};
use tonic::Code;

/// The parameters of a class that is a list of objects.
pub(crate) fn objects(list: &str) -> Value {
    json!({"objects": list})
}

/// Files as [`Volume::texts`](phase_csi_cluster::Volume::texts) gives them.
pub(crate) fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into()
}

/// Mounts and is refused for good: the code, and what we say within the driver's words.
pub(crate) async fn refusal(pod: &Pod) -> (Code, String) {
    let error = pod.mount().await.unwrap_err();
    let ours = error.message().split_once(" desc = ");
    let ours = ours.unwrap_or_else(|| panic!("{error}")).1.to_owned();
    assert!(!pod.volume().is_mounted(), "{ours}");
    assert!(!pod.volume().exists(), "the code was final: {ours}");
    assert!(pod.status().await.is_none(), "{ours}");
    assert!(ours.len() <= 500 && !ours.contains('\n'), "{ours}");
    (error.code(), ours)
}

/// A token of the right form that no Phase server knows.
pub(crate) fn unknown_token() -> String {
    let part = "5e".repeat(32);
    format!("pss_service:v2:{part}:{part}:{part}:{part}")
}

/// How many mounts the provider has answered with files.
pub(crate) fn answers(node: &Node) -> usize {
    node.provider.output().matches("mount answered").count()
}

/// Publishes all volumes of a node until each was answered so often on
/// average, without a refusal.
pub(crate) async fn answered_rounds(node: &Node, pods: &[&Pod], rounds: usize) {
    let (answered, refused) = (answers(node), refusals(node));
    eventually("rounds with an answer", async || {
        publish(pods).await;
        (answers(node) >= answered + rounds * pods.len()).then_some(())
    })
    .await;
    assert_eq!(refusals(node), refused, "every volume gets an answer");
}

/// One round of kubelet's: all pods at once.
pub(crate) async fn publish(pods: &[&Pod]) {
    for outcome in join_all(pods.iter().map(|pod| pod.publish())).await {
        outcome.expect("a republish shows no error to kubelet");
    }
}

/// Waits until the provider has asked Phase for changes so often that one
/// whole poll lies between now and then.
pub(crate) async fn whole_poll(node: &Node) {
    let asked = node.phase.asked();
    eventually("two more polls", async || {
        (node.phase.asked() > asked + 1).then_some(())
    })
    .await;
}

/// Waits until the provider has tried in vain to reach Phase: at its second
/// attempt it knows what became of the first.
pub(crate) async fn attempts_in_vain(node: &Node) {
    let attempts = node.phase.attempts();
    eventually("attempts to reach Phase", async || {
        (node.phase.attempts() > attempts + 1).then_some(())
    })
    .await;
}

/// How many mounts the provider has refused.
pub(crate) fn refusals(node: &Node) -> usize {
    node.provider.output().matches("mount refused").count()
}

/// Publishes until two rounds were refused: the second one comes after the
/// driver has dealt with the first.
pub(crate) async fn two_refused_rounds(node: &Node, pod: &Pod) {
    let before = refusals(node);
    pod.republish_until("two refused rounds", |_| {
        (refusals(node) > before + 1).then_some(())
    })
    .await;
}

/// Publishes until the version of every object but these is as before, and
/// theirs is not; the versions now.
pub(crate) async fn versions_moved(
    pod: &Pod,
    before: &BTreeMap<String, String>,
    moved: &[&str],
) -> BTreeMap<String, String> {
    let now = eventually("new versions", async || {
        let now = pod.status().await.unwrap().versions();
        let is_new = |&name: &&str| now[name] != before[name];
        moved.iter().all(is_new).then_some(now)
    })
    .await;
    for (name, version) in before {
        let same = now[name] == *version;
        assert_eq!(same, !moved.contains(&name.as_str()), "{name}");
    }
    now
}
