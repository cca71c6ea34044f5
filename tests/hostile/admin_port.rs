//! Callers of the admin port who connect and say nothing.

use std::future::pending;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::admin::silent;
use crate::support::scene::Scene;

const SHORT: Duration = Duration::from_secs(6);

async fn callers_from(scene: Scene, address: Ipv4Addr, name: &str) {
    let callers = silent(scene.admin, address, 150);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let attack = async {
        let _callers = callers;
        pending().await
    };
    let outcome = scene.attacked(name, SHORT, attack).await;
    outcome.assert_harmless();
}

/// Kubelet asks on the port, as in charts of one's own.
#[tokio::test(flavor = "multi_thread")]
async fn silent_callers_keep_no_probe_of_another_peer_away() {
    let scene = Scene::start(&[], &["--request-budget", "6000"]).await;
    let other = Ipv4Addr::new(127, 0, 0, 2);
    callers_from(scene, other, "admin port: 150 silent, another peer").await;
}

/// Those who share a peer with attackers may lose their turn on the port: probes have a
/// socket of their own.
#[tokio::test(flavor = "multi_thread")]
async fn silent_callers_keep_no_probe_of_the_chart_away() {
    let scene = Scene::start(&[], &["--request-budget", "6000"]).await;
    let (scene, same) = (scene.probed_by_exec(), Ipv4Addr::LOCALHOST);
    callers_from(scene, same, "admin port: 150 silent, the same peer").await;
}
