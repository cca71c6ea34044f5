//! Many secrets, many pods, and what they cost Phase.

use futures_util::future::join_all;
use serde_json::json;

use crate::team::{CLASS, Team};

#[tokio::test]
async fn fifty_keys_cost_phase_two_requests() {
    let team = Team::with_own_phase("fifty", &[]).await;
    for number in 0..50 {
        team.set(
            &format!("KEY_{number:02}"),
            &format!("canary-fifty-{number:02}"),
        )
        .await;
    }
    team.usual_class().await;
    team.phase.reset_counters().await;
    let pod = team.pod("web").await;
    pod.ready().await;
    let (_, secrets) = team.phase.requests().await;
    assert_eq!(
        secrets, 1,
        "one request for an environment, whatever is in it"
    );
    assert_eq!(
        pod.sh("cat /secrets/KEY_* | wc -c").await.trim(),
        format!("{}", 50 * "canary-fifty-00".len())
    );
}

#[tokio::test]
async fn twenty_pods_of_four_classes_start_at_once() {
    let team = Team::with_own_phase("crowd", &[("KEY", "canary-crowd")]).await;
    for number in 0..4 {
        team.class(
            &format!("{CLASS}-{number}"),
            json!({"processors": format!("NONE_{number}: {{type: plain}}\n")}),
            json!([]),
        )
        .await;
    }
    team.phase.reset_counters().await;
    let pods = join_all((0..20).map(async |number| {
        let class = format!("{CLASS}-{}", number % 4);
        team.pod_of(&format!("web-{number}"), &[&class]).await
    }))
    .await;
    for pod in &pods {
        pod.ready().await;
    }
    let (_, secrets) = team.phase.requests().await;
    assert_eq!(secrets, 1);
    assert_eq!(pods[19].text("/secrets/KEY").await, "canary-crowd");
}
