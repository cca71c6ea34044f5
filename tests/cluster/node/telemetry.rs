//! What the daemon and the driver tell of themselves.

use phase_csi_cluster::http;

use crate::cluster::{DRIVER, address_of, metrics, value};
use crate::team::Team;

/// Mounts that were answered with files so far.
pub(crate) async fn mounts_answered() -> f64 {
    value(&metrics().await, "phase_csi_mounts_total{outcome=\"ok\"}")
}

#[tokio::test]
async fn probes_answer_and_counters_move() {
    let address = format!("{}:8086", address_of(crate::cluster::PROVIDER).await);
    for path in ["/live", "/ready"] {
        assert_eq!(
            http(&address, "GET", path, "").await.unwrap().0,
            200,
            "{path}"
        );
    }
    let before = mounts_answered().await;
    let team = Team::new("counted", &[("KEY", "canary-counted")]).await;
    team.usual_class().await;
    team.pod("web").await.ready().await;
    assert!(mounts_answered().await > before);
    let driver = format!("{}:8095", address_of(DRIVER).await);
    let counters = http(&driver, "GET", "/metrics", "").await.unwrap().1;
    let published = counters.lines().find(|line| {
        line.starts_with("node_publish_total") || line.starts_with("total_node_publish")
    });
    assert!(
        published.is_some_and(|line| !line.ends_with(" 0")),
        "{published:?}"
    );
}
