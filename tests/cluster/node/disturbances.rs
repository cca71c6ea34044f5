//! What happens to a node at night, each while pods start and files turn. After it:
//! every pod Running, every file right, no mount left over.
//!
//! They run one by one, since they meet everybody; `run` prints their table.

use std::time::Duration;

use phase_csi_cluster::eventually;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::cluster::{Component, DRIVER, PROVIDER, SYSTEM, kubectl, rolled_out, signal, upgrade};
use crate::crowd::Crowd;
use crate::team::Team;

/// How long after a disturbance everything must be right again. kubelet tries a mount that
/// failed again after at most two minutes.
const RECOVERED: Duration = Duration::from_secs(180);

/// Whether mounts may fail for a while.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mounts {
    /// Something between kubelet and the files goes away.
    MayFail,
    /// Nothing that a mount needs does.
    DoNotFail,
}

/// One disturbance: pods run; more start and a secret changes while it happens; then
/// everything must be right again, soon, and without a storm of failed mounts. Prints its
/// row of the table.
async fn disturbance<F: Future<Output = ()>>(
    what: &str,
    team: &Team,
    (before, more): (usize, usize),
    mounts: Mounts,
    happens: impl FnOnce() -> F,
) {
    team.set("KEY", "canary-old").await;
    team.usual_class().await;
    let crowd = Crowd::start(team, "web", before).await;
    crowd.are_ready(before).await;
    crowd.scale(before + more).await;
    team.set("KEY", "canary-new").await;
    happens().await;
    let started = crowd.are_ready(before + more).await;
    let turned = crowd.all_show("KEY", "canary-new").await;
    let failed = crowd.failed_mounts().await;
    println!(
        "| {what} | {before} + {more} | {:.1} s | {:.1} s | {} |",
        started.as_secs_f64(),
        (started + turned).as_secs_f64(),
        failed.len(),
    );
    assert!(
        started + turned <= RECOVERED,
        "{what}: right again after {:?}",
        started + turned
    );
    // Without a driver, kubelet tells so as often as it tries.
    let blames_driver = |event: &&String| {
        event.contains("csi-secrets-store/csi.sock") || event.contains("registered CSI drivers")
    };
    let (most, of_driver) = match mounts {
        // An event of each pod that is told apart by its text, and one more.
        Mounts::MayFail => (
            2 * (before + more),
            failed.iter().filter(blames_driver).count(),
        ),
        Mounts::DoNotFail => (0, 0),
    };
    assert!(failed.len() - of_driver <= most, "{what}: {failed:#?}");
    crowd.leave().await;
}

#[tokio::test]
async fn a_provider_killed_in_a_burst_of_sixty_pods() {
    println!(
        "\n| disturbance | pods before + during | all Ready after | all files right after | FailedMount events |\n| --- | --- | --- | --- | --- |"
    );
    let team = Team::new("killed", &[]).await;
    disturbance(
        "provider killed (SIGKILL)",
        &team,
        (5, 60),
        Mounts::MayFail,
        async || {
            sleep(Duration::from_secs(3)).await;
            signal(PROVIDER, Signal::KILL).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_provider_upgraded_while_pods_start_fails_no_mount() {
    let team = Team::new("upgraded", &[]).await;
    team.set("KEY", "canary-old").await;
    team.usual_class().await;
    let crowd = Crowd::start(&team, "web", 2).await;
    crowd.are_ready(2).await;
    crowd.scale(20).await;
    upgrade(&["--set", "podAnnotations.upgraded=yes"]).await;
    let took = crowd.are_ready(20).await;
    assert_eq!(
        crowd.failed_mounts().await,
        [""; 0],
        "the new pod serves before the old one ends"
    );
    println!(
        "| provider upgraded | 2 + 18 | {:.1} s | | 0 |",
        took.as_secs_f64()
    );
    crowd.leave().await;
}

#[tokio::test]
async fn a_driver_killed() {
    let team = Team::new("driverless", &[]).await;
    disturbance(
        "driver killed (SIGKILL)",
        &team,
        (5, 20),
        Mounts::MayFail,
        async || {
            sleep(Duration::from_secs(1)).await;
            signal("driver", Signal::KILL).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_driver_rolled_out_anew() {
    let team = Team::new("driven", &[]).await;
    disturbance(
        "driver rolled out anew",
        &team,
        (5, 20),
        Mounts::MayFail,
        async || {
            kubectl([
                "--namespace",
                SYSTEM,
                "rollout",
                "restart",
                &format!("daemonset/{DRIVER}"),
            ])
            .await;
            rolled_out(DRIVER).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_kubelet_restarted() {
    let team = Team::new("kubeletless", &[]).await;
    disturbance(
        "kubelet restarted",
        &team,
        (5, 20),
        Mounts::MayFail,
        async || {
            sleep(Duration::from_secs(1)).await;
            let kubelet = Component("kubelet");
            kubelet.kill().await;
            sleep(Duration::from_secs(5)).await;
            kubelet.start().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_containerd_restarted() {
    let team = Team::new("containerless", &[]).await;
    disturbance(
        "containerd restarted",
        &team,
        (5, 20),
        Mounts::MayFail,
        async || {
            sleep(Duration::from_secs(1)).await;
            let containerd = Component("containerd");
            containerd.kill().await;
            sleep(Duration::from_secs(3)).await;
            containerd.start().await;
        },
    )
    .await;
}

#[tokio::test]
async fn an_api_server_away_for_a_minute() {
    let team = Team::new("apiless", &[]).await;
    disturbance(
        "API server away for a minute",
        &team,
        (5, 10),
        Mounts::MayFail,
        async || {
            let api = Component("kube-apiserver");
            api.kill().await;
            sleep(Duration::from_secs(60)).await;
            api.start().await;
            eventually("the API server", async || {
                crate::cluster::try_kubectl(["get", "--raw", "/readyz"])
                    .await
                    .ok()
            })
            .await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_node_drained_and_back() {
    let team = Team::new("drained", &[]).await;
    disturbance(
        "node drained and back",
        &team,
        (10, 0),
        Mounts::DoNotFail,
        async || {
            let node = kubectl(["get", "nodes", "--output=name"]).await;
            let node = node.trim();
            kubectl([
                "drain",
                node,
                "--pod-selector=crowd=web",
                "--ignore-daemonsets",
                "--force",
                "--timeout=60s",
            ])
            .await;
            sleep(Duration::from_secs(3)).await;
            kubectl(["uncordon", node]).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_state_directory_that_is_full() {
    const STATE: &str = "/var/lib/phase-csi-provider";
    let filler = std::path::Path::new(STATE).join("filler");
    let team = Team::new("full", &[]).await;
    disturbance(
        "disk of the state directory full",
        &team,
        (5, 10),
        Mounts::DoNotFail,
        async || {
            // `deploy` has made it a file system of its own, and a small one.
            let zeros = vec![0; 64 << 20];
            assert!(std::fs::write(&filler, &zeros).is_err(), "it is full");
        },
    )
    .await;
    // A provider that starts on a full disk serves, too.
    kubectl([
        "--namespace",
        SYSTEM,
        "rollout",
        "restart",
        &format!("daemonset/{PROVIDER}"),
    ])
    .await;
    rolled_out(PROVIDER).await;
    let crowd = Crowd::start(&team, "after", 3).await;
    crowd.are_ready(3).await;
    crowd.all_show("KEY", "canary-new").await;
    // The provider has set aside what is no file of its own.
    let aside = std::path::Path::new(STATE).join("set-aside/filler");
    std::fs::remove_file(&aside).unwrap();
    crowd.leave().await;
}
