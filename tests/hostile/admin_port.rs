//! Callers of the admin port who connect and say nothing.

use std::future::pending;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::admin::silent;
use crate::support::scene::Scene;

const SHORT: Duration = Duration::from_secs(6);

async fn callers_from(address: Ipv4Addr, name: &str) {
    let scene = Scene::start(&[], &["--request-budget", "6000"]).await;
    let callers = silent(scene.admin, address, 150);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let attack = async {
        let _callers = callers;
        pending().await
    };
    let outcome = scene.attacked(name, SHORT, attack).await;
    outcome.assert_harmless();
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_callers_keep_no_probe_away() {
    callers_from(
        Ipv4Addr::new(127, 0, 0, 2),
        "admin port: 150 silent, another peer",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_callers_from_where_probes_come_from_keep_none_away() {
    callers_from(Ipv4Addr::LOCALHOST, "admin port: 150 silent, the same peer").await;
}
