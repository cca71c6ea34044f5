//! What the provider remembers: how little it asks Phase, and what it answers
//! while Phase is away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use phase_csi_cluster::{Entry, Node, NodeBuilder, Phase, Pod, eventually, secret};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    answered_rounds, answers, attempts_in_vain, publish, refusal, refusals, texts,
    two_refused_rounds, unknown_token, whole_poll,
};

/// How often the provider looks for changes while its polls are counted.
const POLL: Duration = Duration::from_secs(2);

/// Three classes of two environments; the one file of each holds the class's name.
const CLASSES: [&str; 3] = ["live", "beside", "trial"];

fn parameters(class: &str) -> Value {
    match class {
        "trial" => json!({"phaseAppEnv": "Staging"}),
        _ => json!({"phaseAppEnvPath": format!("/{class}")}),
    }
}

fn three_classes(name: &'static str) -> NodeBuilder {
    let production = ["live", "beside"].map(|class| secret(&format!("/{class}"), "KEY", class));
    Node::with(name, production.into()).staging(vec![secret("/", "KEY", "trial")])
}

/// As many pods of each class, all mounted at once.
async fn mounted_at_once(node: &Node, each: usize) -> Vec<(&'static str, Pod)> {
    let mut pods = Vec::new();
    for class in CLASSES {
        node.class(class, parameters(class), json!([])).await;
        for n in 0..each {
            let name = format!("{class}-{n}");
            pods.push((class, node.pod_of(&node.namespace, &name, class).await));
        }
    }
    for outcome in join_all(pods.iter().map(|(_, pod)| pod.mount())).await {
        outcome.unwrap();
    }
    pods
}

#[tokio::test]
async fn sixty_pods_of_three_classes_start_at_once_by_three_requests() {
    let node = three_classes("sixty").without_polls().start().await;
    let pods = mounted_at_once(&node, 20).await;
    for (class, pod) in &pods {
        assert_eq!(
            pod.volume().texts(),
            texts([("KEY", class)]),
            "{}",
            pod.name
        );
    }
    let asked = (node.phase.asked(), node.phase.fetched());
    assert_eq!(asked, (1, 2), "one token, two environments");
    assert_eq!(node.phase.requests(), 3, "and nothing else");
}

#[tokio::test]
async fn thirty_volumes_cost_one_request_a_poll_and_a_change_reaches_its_class_alone() {
    let node = three_classes("thirty").poll_interval(POLL).start().await;
    let began = Instant::now();
    let pods = mounted_at_once(&node, 10).await;
    let [live, others, all] = [
        of(&pods, |class| class == "live"),
        of(&pods, |class| class != "live"),
        of(&pods, |_| true),
    ];
    let (before, others_before) = (seen(&all), seen(&others));
    rotate_for(running_time(), &all).await;
    answered_rounds(&node, &all, 2).await;
    assert_eq!(seen(&all), before, "bytes, modes, inodes, times and ..data");
    assert_eq!(node.phase.fetched(), 2, "each environment at its first use");
    polls_are_counted(&node, began).await;
    node.phase.set("/live", "KEY", "changed");
    eventually("the new value in every volume of the class", async || {
        publish(&all).await;
        let changed = |pod: &&Pod| pod.volume().text("KEY").as_deref() == Some("changed");
        live.iter().all(changed).then_some(())
    })
    .await;
    answered_rounds(&node, &all, 2).await;
    assert_eq!(seen(&others), others_before, "nothing else was written");
    assert_eq!(node.phase.fetched(), 3, "the environment that changed");
    polls_are_counted(&node, began).await;
}

/// The pods of some of the classes.
fn of<'a>(pods: &'a [(&'static str, Pod)], is_meant: fn(&str) -> bool) -> Vec<&'a Pod> {
    let meant = pods.iter().filter(|(class, _)| is_meant(class));
    meant.map(|(_, pod)| pod).collect()
}

/// All that a container could notice of its volume.
type Seen = (BTreeMap<String, Entry>, Option<PathBuf>);

fn seen(pods: &[&Pod]) -> Vec<Seen> {
    let volumes = pods.iter().map(|pod| pod.volume());
    volumes
        .map(|volume| (volume.files(), volume.data()))
        .collect()
}

/// A minute, unless `MEMORY_MINUTES` says how many.
fn running_time() -> Duration {
    let minutes = std::env::var("MEMORY_MINUTES");
    let minutes = minutes.map_or(1, |number| number.parse().expect("a whole number"));
    Duration::from_secs(60 * minutes)
}

/// Lets kubelet publish the pods again and again.
async fn rotate_for(time: Duration, pods: &[&Pod]) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        publish(pods).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// At most one request an interval for the one token since `began`, beside the
/// first mount's; at least half of them, in the end.
async fn polls_are_counted(node: &Node, began: Instant) {
    let asked = node.phase.asked();
    let intervals = began.elapsed().as_millis() / POLL.as_millis();
    let intervals = u64::try_from(intervals).unwrap();
    assert!(
        asked <= 2 + intervals,
        "{asked} requests in {intervals} intervals"
    );
    eventually("polls", async || {
        (node.phase.asked() > intervals / 2).then_some(())
    })
    .await;
    assert_eq!(node.phase.others(), 0, "requests of no other kind");
}

/// A node with a mounted pod of the usual class; `Staging` was never asked for.
async fn remembering(builder: NodeBuilder) -> (Node, Pod) {
    let node = builder.staging(vec![secret("/", "KEY", "trial")]);
    let node = node.start().await;
    node.class("unknown", parameters("trial"), json!([])).await;
    let running = node.pod("running", json!({})).await;
    running.mount().await.unwrap();
    (node, running)
}

fn one_key(name: &'static str) -> NodeBuilder {
    Node::with(name, vec![secret("/", "KEY", "one")])
}

/// Known classes go on and start; an unknown one says why it cannot; then
/// Phase is back, and all of them are up to date.
async fn outage(name: &'static str, trouble: impl FnOnce(&Phase)) {
    let (node, running) = remembering(one_key(name)).await;
    let before = seen(&[&running]);
    trouble(&node.phase);
    attempts_in_vain(&node).await;
    let late = node.pod("late", json!({})).await;
    late.mount().await.unwrap();
    assert_eq!(late.volume().texts(), texts([("KEY", "one")]));
    assert_eq!(late.version("KEY").await, running.version("KEY").await);
    let unknown = node.pod_of(&node.namespace, "unknown", "unknown").await;
    let (code, said) = refusal(&unknown).await;
    assert_eq!(code, Code::Internal, "a final code: {said}");
    assert!(said.contains("Phase"), "{said}");
    answered_rounds(&node, &[&running, &late], 3).await;
    assert_eq!(seen(&[&running]), before);
    node.phase.heal();
    unknown.mount_at_last().await;
    assert_eq!(unknown.volume().texts(), texts([("KEY", "trial")]));
    a_change_arrives(&node, &[&running, &late]).await;
}

async fn a_change_arrives(node: &Node, pods: &[&Pod]) {
    node.phase.set("/", "KEY", "two");
    for pod in pods {
        pod.republish_until("the new value", |volume| {
            (volume.text("KEY")? == "two").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn while_phase_takes_no_connection_known_classes_go_on_and_start() {
    outage("outage-refused", Phase::refuse).await;
}

#[tokio::test]
async fn while_phase_gives_no_answer_known_classes_go_on_and_start() {
    outage("outage-stalled", Phase::stall).await;
}

/// The provider ends during an outage; what starts in its place goes on from
/// the state folder.
async fn restart_during_an_outage(name: &'static str, end: impl AsyncFnOnce(&mut Node)) {
    let (mut node, running) = remembering(one_key(name).keeps_state()).await;
    let (before, version) = (seen(&[&running]), running.version("KEY").await);
    state_is_kept(&node).await;
    node.phase.refuse();
    end(&mut node).await;
    node.start_provider().await;
    let late = node.pod("late", json!({})).await;
    late.mount_at_last().await;
    assert_eq!(late.volume().texts(), texts([("KEY", "one")]));
    assert_eq!(late.version("KEY").await, version);
    let unknown = node.pod_of(&node.namespace, "unknown", "unknown").await;
    let (code, said) = refusal(&unknown).await;
    assert_eq!(code, Code::Internal, "a final code: {said}");
    answered_rounds(&node, &[&running, &late], 3).await;
    assert_eq!(seen(&[&running]), before);
    node.phase.heal();
    a_change_arrives(&node, &[&running, &late]).await;
}

/// Waits until the state folder holds something, and one whole poll longer.
async fn state_is_kept(node: &Node) {
    eventually("state files", async || {
        (!node.state_files().is_empty()).then_some(())
    })
    .await;
    whole_poll(node).await;
}

#[tokio::test]
async fn a_provider_that_is_stopped_goes_on_from_its_state_folder_while_phase_is_away() {
    let stop = async |node: &mut Node| assert!(node.provider.stop().await);
    restart_during_an_outage("state-stopped", stop).await;
}

#[tokio::test]
async fn a_provider_that_is_killed_goes_on_from_its_state_folder_while_phase_is_away() {
    let kill = async |node: &mut Node| node.provider.kill().await;
    restart_during_an_outage("state-killed", kill).await;
}

#[tokio::test]
async fn without_a_state_folder_a_provider_that_starts_while_phase_is_away_leaves_files_in_place() {
    let (mut node, running) = remembering(one_key("stateless")).await;
    let before = seen(&[&running]);
    node.phase.refuse();
    node.provider.stop().await;
    node.start_provider().await;
    two_refused_rounds(&node, &running).await;
    let late = node.pod("late", json!({})).await;
    let (code, said) = refusal(&late).await;
    assert_eq!(code, Code::Internal, "a final code: {said}");
    assert_eq!(seen(&[&running]), before);
    node.phase.heal();
    late.mount_at_last().await;
    a_change_arrives(&node, &[&running, &late]).await;
}

/// A new pod of the class is refused for the age of what is remembered, while
/// the running one keeps its files and goes on.
async fn too_old_for_new_pods(node: &Node, running: &Pod, class: &str) {
    let before = seen(&[running]);
    node.phase.refuse();
    let (code, said) = first_refusal(node, class).await;
    assert_eq!(code, Code::Internal, "a final code: {said}");
    assert!(
        said.contains("Phase") && (said.contains("maxStale") || said.contains("--max-stale")),
        "why, and which limit: {said}"
    );
    answered_rounds(node, &[running], 3).await;
    assert_eq!(seen(&[running]), before);
    node.phase.heal();
    let late = node.pod_of(&node.namespace, "healed", class).await;
    late.mount_at_last().await;
    a_change_arrives(node, &[running, &late]).await;
}

/// New pods start until the provider has found out that Phase is away: what it
/// has is not stale before. Then the first one that does not.
async fn first_refusal(node: &Node, class: &str) -> (Code, String) {
    let mut number = 0;
    eventually("a new pod to be refused", async || {
        number += 1;
        let name = format!("new-{number}");
        let pod = node.pod_of(&node.namespace, &name, class).await;
        if pod.mount().await.is_err() {
            return Some(refusal(&pod).await);
        }
        pod.unmount().await.unwrap();
        None
    })
    .await
}

#[tokio::test]
async fn a_class_that_wants_no_stale_answer_starts_no_pod_while_phase_is_away() {
    let node = one_key("class-stale").start().await;
    node.class("strict", json!({"maxStale": "0s"}), json!([]))
        .await;
    let running = node.pod_of(&node.namespace, "running", "strict").await;
    running.mount().await.unwrap();
    too_old_for_new_pods(&node, &running, "strict").await;
}

#[tokio::test]
async fn a_node_that_wants_no_stale_answer_starts_no_pod_while_phase_is_away() {
    let node = one_key("node-stale").max_stale("0s").start().await;
    node.class("usual", json!({}), json!([])).await;
    let running = node.pod_of(&node.namespace, "running", "usual").await;
    running.mount().await.unwrap();
    too_old_for_new_pods(&node, &running, "usual").await;
}

#[tokio::test]
async fn a_revoked_token_ends_every_answer_also_after_a_restart_while_phase_is_away() {
    let (mut node, running) = remembering(one_key("revoked-memory").keeps_state()).await;
    let before = seen(&[&running]);
    state_is_kept(&node).await;
    node.phase.revoke_token();
    two_refused_rounds(&node, &running).await;
    let answered = answers(&node);
    let late = node.pod("late", json!({})).await;
    let (code, said) = refusal(&late).await;
    assert_eq!(code, Code::Unauthenticated, "{said}");
    assert!(said.contains("token"), "{said}");
    node.phase.refuse();
    node.provider.stop().await;
    node.start_provider().await;
    two_refused_rounds(&node, &running).await;
    refusal(&late).await;
    assert_eq!(answers(&node), answered, "nothing from memory or from disk");
    assert_eq!(seen(&[&running]), before, "what is mounted stays");
}

#[tokio::test]
async fn what_one_token_has_fetched_is_given_to_no_other() {
    let (node, running) = remembering(one_key("other-token")).await;
    let other = node.second_namespace("b").await;
    let class = phase_csi_cluster::parameters(json!({}));
    other.class("usual", class, json!([])).await;
    other.token("phase-token", &unknown_token()).await;
    let stranger = node.pod_of(&other, "stranger", "usual").await;
    let (code, said) = refusal(&stranger).await;
    assert_eq!(code, Code::Unauthenticated, "{said}");
    node.phase.refuse();
    attempts_in_vain(&node).await;
    refusal(&stranger).await;
    let refused = refusals(&node);
    answered_rounds(&node, &[&running], 2).await;
    assert_eq!(refusals(&node), refused, "its owner goes on");
}
