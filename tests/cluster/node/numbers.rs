//! What a mount costs a user here, side by side in one run. Counts are tested;
//! times are printed beside what is to be reached, since machines are shared.

use std::time::{Duration, Instant};

use phase_csi_cluster::PATIENCE;
use rustix::process::Pid;
use serde_json::json;

use crate::cluster::{PROVIDER, processes, upgrade};
use crate::crowd::Crowd;
use crate::pod::Pod;
use crate::team::{CLASS, Team, pod_spec};

fn row(what: &str, measured: &str, to_reach: &str) {
    println!("| {what} | {measured} | {to_reach} |");
}

#[tokio::test]
async fn a_pod_with_the_volume_starts_a_little_later_than_one_without() {
    println!("\n| what | measured | to reach |\n| --- | --- | --- |");
    let team = Team::new("starts", &[("KEY", "canary-starts")]).await;
    team.usual_class().await;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..9 {
        with.push(start(&team, &format!("with-{round}"), &[CLASS]).await);
        without.push(start(&team, &format!("without-{round}"), &[]).await);
    }
    let (with, without) = (median(with), median(without));
    let more = with.as_secs_f64() - without.as_secs_f64();
    row(
        &format!(
            "pod created → Running with our volume ({} ms), against the same pod without ({} ms)",
            with.as_millis(),
            without.as_millis()
        ),
        &format!("{:+.0} ms", more * 1e3),
        "+ 300 ms",
    );
    let everybody = ["delete", "pods", "--all", "--timeout=60s"];
    team.kubectl(&everybody).await;
}

/// From the request to create a pod until its container runs: by its log, which
/// containerd makes then. kubelet tells of it only once a second.
async fn start(team: &Team, name: &str, classes: &[&str]) -> Duration {
    let manifest = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(classes, json!({})),
    });
    let begun = Instant::now();
    team.apply(&manifest).await;
    let prefix = format!("{}_{name}_", team.name);
    let runs = || {
        let pods = std::fs::read_dir("/var/log/pods").unwrap().flatten();
        let mine = pods.filter(|pod| pod.file_name().to_string_lossy().starts_with(&prefix));
        mine.map(|pod| pod.path().join("app/0.log"))
            .any(|log| log.exists())
    };
    while !runs() {
        assert!(begun.elapsed() < PATIENCE, "{name} does not run");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed();
    // The next one does not begin while kubelet is still busy with this.
    Pod::named(team, name).ready().await;
    took
}

#[tokio::test]
async fn sixty_pods_of_one_class_cost_two_requests_and_little_memory() {
    let team = Team::with_own_phase("sixty", &[]).await;
    for number in 0..50 {
        team.set(&format!("KEY_{number:02}"), "canary-sixty").await;
    }
    team.usual_class().await;
    team.phase.reset_counters().await;
    let crowd = Crowd::start(&team, "web", 60).await;
    crowd.are_ready(60).await;
    let (tokens, secrets) = team.phase.requests().await;
    // A start of sixty pods takes longer than a poll interval here: each poll is one
    // question more for tokens, and none for secrets.
    let polls = tokens.saturating_sub(1);
    row(
        "60 pods of one class at once: requests to Phase",
        &format!("{} (and {polls} polls)", secrets + 1),
        "2",
    );
    assert_eq!(secrets, 1);
    let memory = resident(processes(PROVIDER)[0]) as f64 / f64::from(1 << 20);
    row(
        "DaemonSet: memory with 60 volumes",
        &format!("{memory:.1} MiB"),
        "30 MiB",
    );
    assert!(memory <= 30.0, "{memory} MiB");
    crowd.leave().await;
}

/// Memory of a process that is in use, in bytes.
fn resident(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Of this test; what a user would leave at a minute.
const POLL: Duration = Duration::from_secs(10);
/// kubelet's round here (`syncFrequency`), in which volumes are published again.
const REPUBLISH: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_changed_secret_reaches_the_container_within_a_poll_and_a_republish() {
    upgrade(&["--set", "phase.pollInterval=10s"]).await;
    let team = Team::new("changes", &[("KEY", "canary-0")]).await;
    team.usual_class().await;
    let crowd = Crowd::start(&team, "web", 1).await;
    crowd.are_ready(1).await;
    let mut took = Vec::new();
    for change in 1..=7 {
        let text = format!("canary-{change}");
        team.set("KEY", &text).await;
        took.push(crowd.all_show("KEY", &text).await);
        // The next change comes at another point of the interval.
        tokio::time::sleep(Duration::from_millis(1_700)).await;
    }
    let worst = took.iter().max().unwrap();
    row(
        &format!(
            "a changed secret → new bytes in the container, poll interval 10 s, kubelet's round each 2 s: median {:.1} s, longest of 7",
            median(took.clone()).as_secs_f64()
        ),
        &format!("{:.1} s", worst.as_secs_f64()),
        "10 s + one republish",
    );
    // Half of all changes come in the first half of an interval, so the median leaves room
    // for a busy machine; nothing may wait for a second poll and a second republish.
    let usual = median(took.clone());
    assert!(usual <= POLL + REPUBLISH, "{took:?}");
    assert!(*worst <= 2 * (POLL + REPUBLISH), "{took:?}");
    crowd.leave().await;
    upgrade(&[]).await;
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
