//! Nothing grows without end.

use super::state::{MOST_LANES, MOST_WAITERS};
use super::*;

fn numbered(number: usize) -> Lane {
    Lane::Account(Host::default(), [u8::try_from(number % 256).unwrap(); 32])
}

/// A gate at which as many of one tenant wait as may, all of this priority.
async fn crowded(asker: Who, priority: Priority) -> Scene {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    for _ in 0..MOST_WAITERS / 2 {
        scene.call("crowd", &lane(), asker, priority, HOUR);
    }
    settled().await;
    assert_eq!(scene.gate.0.lock().waiting(), 256);
    assert_eq!(scene.log(), []);
    scene
}

const SHARE: Option<Throttled> = Some(Throttled::ByShare {
    what: "requests that wait for Phase",
    used: 256,
    most: 512,
});
const CROWD: Option<Throttled> = Some(Throttled::ByCrowd);

#[tokio::test(start_paused = true)]
async fn beyond_the_most_who_wait_the_next_fails_at_once() {
    let scene = crowded(A, Priority::Mount).await;
    scene.mount("next", A);
    settled().await;
    assert_eq!(scene.log(), [("next", Duration::ZERO, SHARE)]);
    assert_eq!(scene.gate.0.lock().waiting(), 256);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_one_asker_turns_itself_away_and_no_others() {
    let scene = crowded(A, Priority::Mount).await;
    scene.mount("B", B);
    pass(SECOND * 2).await;
    assert_eq!(
        scene.log(),
        [("B", SECOND, None), ("crowd", SECOND * 2, None)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_polls_turns_no_mount_away() {
    let scene = crowded(B, Priority::Poll).await;
    scene.mount("mount", A);
    pass(SECOND * 2).await;
    assert_eq!(scene.log(), [("mount", SECOND, None)]);
}

#[tokio::test(start_paused = true)]
async fn polls_are_turned_away_before_an_asker_with_many_mounts() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    for _ in 0..MOST_WAITERS / 2 - 1 {
        scene.mount("mount", A);
    }
    scene.poll("poll", Who("a", 2));
    settled().await;
    scene.mount("C", Who("a", 3));
    settled().await;
    assert_eq!(scene.log(), [("poll", Duration::ZERO, SHARE)]);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_in_one_lane_is_nothing_to_who_need_not_wait() {
    let scene = crowded(A, Priority::Mount).await;
    assert!(now(&scene.gate, &account(1), A).await.is_ok());
    assert_eq!(scene.log(), []);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_most_lanes_an_idle_one_goes_or_the_crowd_is_too_large() {
    let gate = gate(60);
    for number in 0..MOST_LANES {
        let of_each = Who(format!("t{number}").leak(), 1);
        assert!(now(&gate, &numbered(number), of_each).await.is_ok());
    }
    let next = Lane::Address(Host::default());
    assert_eq!(now(&gate, &next, A).await.err(), CROWD);
    assert_eq!(gate.0.lock().lanes(), 256);
    assert!(now(&gate, &numbered(0), A).await.is_ok());

    // All but the first are full again.
    advance(SECOND).await;
    assert!(now(&gate, &next, A).await.is_ok());
    assert_eq!(gate.0.lock().lanes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_block_of_one_lane_too_many_is_no_lane_too_many() {
    let gate = gate(60);
    for number in 0..MOST_LANES {
        let of_each = Who(format!("t{number}").leak(), 1);
        assert!(now(&gate, &numbered(number), of_each).await.is_ok());
    }
    gate.block(&lane(), Some(SECOND));
    assert_eq!(gate.0.lock().lanes(), 256);
}

#[tokio::test(start_paused = true)]
async fn hosts_are_bounded_with_lanes_or_without() {
    let gate = gate(60);
    for number in 0..MOST_LANES {
        gate.block_host(&host(&format!("h{number}")), SECOND);
    }
    assert_eq!(now(&gate, &lane(), A).await.err(), CROWD);
    gate.block_host(lane().host(), SECOND);
    advance(SECOND).await;
    assert!(now(&gate, &lane(), A).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_forgets_only_what_is_full_and_unused() {
    let scene = Scene::new(60);
    scene.spend(&account(1), A, 60).await;
    scene.call("waits", &account(1), A, Priority::Mount, HOUR);
    scene.spend(&account(2), A, 2).await;
    scene.gate.block(&account(3), Some(SECOND * 2));
    pass(SECOND / 2).await;
    scene.gate.sweep();
    assert_eq!(scene.gate.0.lock().lanes(), 3);
    pass(SECOND * 3 / 2).await;
    scene.gate.sweep();
    assert_eq!(scene.gate.0.lock().lanes(), 2);
    assert_eq!(scene.log(), [("waits", SECOND, None)]);
    pass(SECOND * 60).await;
    scene.gate.sweep();
    assert_eq!(scene.gate.0.lock().lanes(), 0);
    assert_eq!(scene.gate.remaining(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_forgets_nobody_who_waits_for_a_place() {
    let scene = Scene::new(60);
    let mut passes = Vec::new();
    for asker in crowd() {
        passes.push(now(&scene.gate, &lane(), asker).await.unwrap());
    }
    scene.call("waits", &account(1), C, Priority::Mount, HOUR);
    settled().await;
    scene.gate.sweep();
    passes.pop();
    settled().await;
    assert_eq!(scene.log(), [("waits", Duration::ZERO, None)]);
}

#[tokio::test(start_paused = true)]
async fn requests_under_way_keep_their_places_through_a_sweep() {
    let gate = gate(60);
    let mut passes = Vec::new();
    for _ in 0..4 {
        passes.push(now(&gate, &lane(), A).await.unwrap());
    }
    advance(SECOND * 60).await;
    gate.sweep();
    assert_eq!(gate.0.lock().lanes(), 0);
    assert_eq!(now(&gate, &lane(), A).await.err(), CROWD);
    passes.pop();
    assert!(now(&gate, &lane(), A).await.is_ok());
}
