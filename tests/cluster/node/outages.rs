//! A Phase that is away or slow: the test's own, so that nobody else notices.

use std::time::Duration;

use tokio::time::sleep;

use crate::crowd::Crowd;
use crate::team::Team;

#[tokio::test]
async fn a_phase_away_for_five_minutes_while_pods_start() {
    let team = Team::with_own_phase("phaseless", &[("KEY", "canary-remembered")]).await;
    team.usual_class().await;
    let crowd = Crowd::start(&team, "web", 3).await;
    crowd.are_ready(3).await;
    team.phase.go_away().await;
    let minutes = std::env::var("PHASE_AWAY_SECONDS").map_or(300, |text| text.parse().unwrap());
    for step in 1..=5 {
        crowd.scale(3 + 2 * step).await;
        let took = crowd.are_ready(3 + 2 * step).await;
        println!(
            "| Phase away, {} s so far | {} + 2 | {:.1} s | | |",
            (step as u64 - 1) * minutes / 5,
            1 + 2 * step,
            took.as_secs_f64()
        );
        crowd.all_show("KEY", "canary-remembered").await;
        sleep(Duration::from_secs(minutes / 5)).await;
    }
    team.phase.come_back().await;
    team.set("KEY", "canary-back").await;
    let took = crowd.all_show("KEY", "canary-back").await;
    println!(
        "| Phase away for {minutes} s | 13 | while it was away | {:.1} s | {} |",
        took.as_secs_f64(),
        crowd.failed_mounts().await.len()
    );
    crowd.leave().await;
}

#[tokio::test]
async fn a_phase_that_is_slow_delays_a_first_mount_only() {
    let team = Team::with_own_phase("slow", &[("KEY", "canary-slow")]).await;
    team.usual_class().await;
    team.phase.delay(3_000).await;
    let crowd = Crowd::start(&team, "web", 10).await;
    let took = crowd.are_ready(10).await;
    crowd.all_show("KEY", "canary-slow").await;
    println!(
        "| Phase slow (3 s an answer) | 0 + 10 | {:.1} s | | {} |",
        took.as_secs_f64(),
        crowd.failed_mounts().await.len()
    );
    crowd.leave().await;
}
