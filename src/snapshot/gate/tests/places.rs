//! Requests of one host at once.

use super::*;

async fn taken(gate: &Gate, askers: &[Who]) -> Vec<Pass> {
    let mut passes = Vec::new();
    for asker in askers {
        passes.push(now(gate, &lane(), *asker).await.unwrap());
    }
    passes
}

#[tokio::test(start_paused = true)]
async fn a_host_has_sixteen_at_once_and_the_first_who_waits_comes_next() {
    let scene = Scene::new(60);
    let mut passes = taken(&scene.gate, &crowd()).await;
    assert_eq!(passes.len(), 16);
    for (name, lane) in [("1", account(1)), ("2", lane()), ("3", account(1))] {
        scene.call(name, &lane, C, Priority::Mount, HOUR);
    }
    pass(SECOND * 5).await;
    assert_eq!(scene.names(), [""; 0]);
    // The requests of those who are let in take no time, so all get in by turns.
    passes.pop();
    settled().await;
    let at = SECOND * 5;
    assert_eq!(
        scene.log(),
        [("1", at, None), ("2", at, None), ("3", at, None)]
    );
}

#[tokio::test(start_paused = true)]
async fn another_host_has_places_of_its_own() {
    let scene = Scene::new(60);
    let _passes = taken(&scene.gate, &crowd()).await;
    let elsewhere = Lane::Address(host("elsewhere"));
    assert!(now(&scene.gate, &elsewhere, A).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_asker_has_four_and_others_pass_it() {
    let scene = Scene::new(60);
    let mut passes = taken(&scene.gate, &[A; 4]).await;
    scene.mount("A", A);
    scene.mount("B", B);
    scene.poll("poll", B);
    settled().await;
    assert_eq!(scene.names(), ["B", "poll"]);
    passes.pop();
    settled().await;
    assert_eq!(scene.names(), ["B", "poll", "A"]);
}

#[tokio::test(start_paused = true)]
async fn polls_leave_the_requests_of_mounts_that_wait_for_their_own_asker() {
    let scene = Scene::new(6);
    let mut passes = taken(&scene.gate, &[A; 4]).await;
    scene.mount("A", A);
    scene.poll("poll", B);
    settled().await;
    assert_eq!(scene.names(), [""; 0]);
    pass(SECOND * 10).await;
    assert_eq!(scene.log(), [("poll", SECOND * 5, None)]);
    passes.pop();
    settled().await;
    assert_eq!(scene.names(), ["poll", "A"]);
}

#[tokio::test(start_paused = true)]
async fn mounts_get_a_place_before_polls_of_other_lanes() {
    let scene = Scene::new(60);
    let mut passes = taken(&scene.gate, &crowd()).await;
    scene.call("poll", &account(1), C, Priority::Poll, HOUR);
    scene.call("mount", &account(2), C, Priority::Mount, HOUR);
    settled().await;
    passes.pop();
    settled().await;
    assert_eq!(scene.names(), ["mount", "poll"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_ends_at_the_deadline_and_spends_nothing() {
    let scene = Scene::new(60);
    let _passes = taken(&scene.gate, &crowd()).await;
    advance(SECOND * 10).await;
    scene.call("late", &lane(), C, Priority::Mount, SECOND * 5);
    pass(SECOND * 9).await;
    assert_eq!(
        scene.log(),
        [("late", SECOND * 15, Some(Throttled::ByCrowd))]
    );
    assert_eq!(scene.gate.remaining(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_free_at_the_deadline_is_too_late() {
    let scene = Scene::new(60);
    let mut passes = taken(&scene.gate, &crowd()).await;
    scene.call("late", &lane(), C, Priority::Mount, SECOND);
    settled().await;
    sleep(SECOND).await;
    passes.pop();
    settled().await;
    assert_eq!(scene.log(), [("late", SECOND, Some(Throttled::ByCrowd))]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_own_requests_still_hears_of_a_block_at_once() {
    let scene = Scene::new(60);
    let _passes = taken(&scene.gate, &[A; 4]).await;
    scene.call("held", &lane(), A, Priority::Mount, SECOND * 30);
    settled().await;
    scene.gate.block(&lane(), Some(SECOND * 30));
    settled().await;
    assert_eq!(
        scene.log(),
        [("held", Duration::ZERO, by_phase(SECOND * 30))]
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_for_those_who_wait_for_their_own_requests() {
    let scene = Scene::new(60);
    let _passes = taken(&scene.gate, &[A; 4]).await;
    scene.spend(&lane(), B, 56).await;
    for _ in 0..20 {
        scene.mount("held", A);
    }
    scene.call("B", &lane(), B, Priority::Mount, SECOND * 2);
    pass(SECOND * 2).await;
    assert_eq!(scene.log(), [("B", SECOND, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_gives_its_unused_place_to_the_next() {
    let scene = Scene::new(60);
    let mut passes = taken(&scene.gate, &crowd()).await;
    let (gate, lane, deadline) = (scene.gate.clone(), lane(), Deadline::after(HOUR));
    let asker = C.asker();
    let mut call = Box::pin(gate.admit(&lane, &asker, Priority::Mount, deadline));
    assert!(is_waiting(&mut call).await);
    scene.mount("next", C);
    settled().await;
    passes.pop();
    settled().await;
    assert_eq!(scene.names(), [""; 0]);
    drop(call);
    settled().await;
    assert_eq!(scene.names(), ["next"]);
}
