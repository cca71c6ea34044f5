//! A Phase that is away or slow: the test's own, so that nobody else notices.

use std::time::Duration;

use tokio::time::sleep;

use crate::crowd::Crowd;
use crate::team::Team;

/// How soon a Phase that is back must be noticed everywhere: polls are 5 s apart here, and
/// after failures up to 10 s.
const BACK: Duration = Duration::from_secs(60);
/// What an answer of a slow Phase takes.
const SLOW: Duration = Duration::from_secs(3);
/// Longer than ten pods take to start, however busy the node.
const HANGS: Duration = Duration::from_secs(100);

#[tokio::test]
async fn a_phase_away_for_five_minutes_while_pods_start() {
    let team = Team::with_own_phase("phaseless", &[("KEY", "canary-remembered")]).await;
    team.usual_class().await;
    let crowd = Crowd::start(&team, "web", 3).await;
    crowd.are_ready(3).await;
    team.phase.go_away().await;
    let seconds = std::env::var("PHASE_AWAY_SECONDS").map_or(300, |text| text.parse().unwrap());
    for step in 1..=5 {
        crowd.scale(3 + 2 * step).await;
        let took = crowd.are_ready(3 + 2 * step).await;
        println!(
            "| Phase away, {} s so far | {} + 2 | {:.1} s | | |",
            (step as u64 - 1) * seconds / 5,
            1 + 2 * step,
            took.as_secs_f64()
        );
        crowd.all_show("KEY", "canary-remembered").await;
        // What is remembered is answered, not refused and tried again.
        assert_eq!(crowd.failed_mounts().await, [""; 0]);
        sleep(Duration::from_secs(seconds / 5)).await;
    }
    team.phase.come_back().await;
    team.set("KEY", "canary-back").await;
    let took = crowd.all_show("KEY", "canary-back").await;
    println!(
        "| Phase away for {seconds} s | 13 | while it was away | {:.1} s | 0 |",
        took.as_secs_f64(),
    );
    assert!(took <= BACK, "noticed after {took:?}");
    assert_eq!(crowd.failed_mounts().await, [""; 0]);
    crowd.leave().await;
}

#[tokio::test]
async fn a_phase_that_is_slow_delays_a_first_mount_only() {
    let team = Team::with_own_phase("slow", &[("KEY", "canary-slow")]).await;
    team.usual_class().await;
    team.phase.delay(SLOW.as_millis() as u64).await;
    let crowd = Crowd::start(&team, "web", 10).await;
    let first = crowd.are_ready(10).await;
    crowd.all_show("KEY", "canary-slow").await;
    // Two answers, one after the other: tokens, then secrets.
    assert!(
        first >= 2 * SLOW,
        "Phase was slow, and all was there in {first:?}"
    );
    // From now on nobody could wait for an answer.
    team.phase.delay(HANGS.as_millis() as u64).await;
    team.phase.reset_counters().await;
    crowd.scale(20).await;
    let more = crowd.are_ready(20).await;
    crowd.all_show("KEY", "canary-slow").await;
    println!(
        "| Phase slow (3 s an answer), then hanging | 0 + 10, + 10 | {:.1} s, {:.1} s | | 0 |",
        first.as_secs_f64(),
        more.as_secs_f64(),
    );
    assert!(more < HANGS, "later mounts waited as well: {more:?}");
    assert_eq!(crowd.failed_mounts().await, [""; 0]);
    crowd.leave().await;
}
