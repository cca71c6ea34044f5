//! What Phase says itself.

use super::*;

/// What one mount with the whole hour would have to wait.
async fn blocked_for(gate: &Gate, lane: &Lane) -> Option<Throttled> {
    now(gate, lane, A).await.err()
}

#[tokio::test(start_paused = true)]
async fn after_a_block_requests_trickle_and_are_no_storm() {
    let scene = Scene::new(60);
    scene.gate.block(&lane(), Some(SECOND * 60));
    for _ in 0..50 {
        scene.mount("a", A);
    }
    pass(SECOND * 200).await;
    let expected: Log = (0..50)
        .map(|turn| ("a", SECOND * (60 + turn), None))
        .collect();
    assert_eq!(scene.log(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_block_holds_for_those_who_wait_already() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    scene.mount("patient", A);
    scene.call("hasty", &lane(), A, Priority::Mount, SECOND * 30);
    pass(SECOND / 2).await;
    scene.gate.block(&lane(), Some(SECOND * 30));
    pass(SECOND * 40).await;
    let (half, end) = (SECOND / 2, SECOND * 61 / 2);
    assert_eq!(
        scene.log(),
        [
            ("hasty", half, by_phase(SECOND * 30)),
            ("patient", end, None)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_would_come_too_late_after_a_block_hears_of_phase_at_once() {
    let scene = Scene::new(60);
    scene.gate.block(&lane(), Some(SECOND * 10));
    for name in ["1", "2", "3"] {
        scene.call(name, &lane(), A, Priority::Mount, SECOND * 12);
    }
    pass(SECOND * 12).await;
    assert_eq!(
        scene.log(),
        [
            ("3", Duration::ZERO, by_phase(SECOND * 12)),
            ("1", SECOND * 10, None),
            ("2", SECOND * 11, None)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_shorter_block_never_shortens_a_longer_one() {
    let gate = gate(60);
    gate.block(&lane(), Some(SECOND * 60));
    gate.block(&lane(), Some(SECOND));
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 60));
    gate.block_host(lane().host(), SECOND);
    advance(SECOND * 2).await;
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 58));
    gate.block(&lane(), Some(SECOND * 70));
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 70));
}

#[tokio::test(start_paused = true)]
async fn a_shorter_block_of_a_host_never_shortens_a_longer_one() {
    let gate = gate(60);
    gate.block_host(lane().host(), SECOND * 60);
    gate.block_host(lane().host(), SECOND);
    advance(SECOND * 2).await;
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 58));
}

#[tokio::test(start_paused = true)]
async fn a_block_of_a_host_holds_for_those_who_wait_already() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    scene.call("hasty", &lane(), A, Priority::Mount, SECOND * 30);
    settled().await;
    scene.gate.block_host(lane().host(), SECOND * 30);
    settled().await;
    assert_eq!(
        scene.log(),
        [("hasty", Duration::ZERO, by_phase(SECOND * 30))]
    );
}

#[tokio::test(start_paused = true)]
async fn the_jitter_is_a_tenth_of_the_wait_and_at_least_100_ms() {
    for (random, wait, blocked) in [
        ((|| 0.0) as fn() -> f64, SECOND * 60, SECOND * 60),
        (|| 0.5, SECOND * 60, SECOND * 63),
        (|| 0.5, Duration::ZERO, Duration::from_millis(50)),
        (|| 0.5, SECOND / 2, Duration::from_millis(550)),
    ] {
        let gate = Gate::with_random(60, random);
        gate.block(&lane(), Some(wait));
        assert_eq!(blocked_for(&gate, &lane()).await, by_phase(blocked));
        let gate = Gate::with_random(60, random);
        gate.block_host(lane().host(), wait);
        assert_eq!(blocked_for(&gate, &lane()).await, by_phase(blocked));
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_is_obeyed_for_five_minutes_and_then_one_request_is_tried() {
    let gate = gate(60);
    let day = HOUR * 24;
    gate.block(&lane(), Some(day));
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 300));
    for minutes in [10, 20, 40, 60, 60] {
        advance(SECOND * 60 * 60).await;
        let tried = now(&gate, &lane(), A).await.unwrap();
        let second = now(&gate, &lane(), B).await.err();
        assert!(
            matches!(second, Some(Throttled::ByPhase { .. }) | None),
            "{second:?}"
        );
        assert!(second.is_some(), "one at a time");
        tried.ended(Outcome::Overloaded);
        gate.block(&lane(), Some(day));
        let blocked = blocked_for(&gate, &lane()).await;
        assert_eq!(blocked, by_phase(SECOND * 60 * minutes));
    }
    advance(HOUR).await;
    now(&gate, &lane(), A)
        .await
        .unwrap()
        .ended(Outcome::Answered);
    gate.succeeded(&lane());
    advance(SECOND * 2).await;
    let passes = [now(&gate, &lane(), A).await, now(&gate, &lane(), B).await];
    assert!(passes.iter().all(Result::is_ok), "all come back");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_asks_for_a_day_is_tried_after_a_minute_by_one_of_all_lanes() {
    let scene = Scene::new(60);
    scene.gate.block_host(lane().host(), HOUR * 24);
    assert_eq!(
        blocked_for(&scene.gate, &lane()).await,
        by_phase(SECOND * 60)
    );
    advance(SECOND * 60).await;
    let tried = now(&scene.gate, &account(1), A).await.unwrap();
    scene.call("other lane", &lane(), B, Priority::Mount, HOUR);
    scene.call("its own", &account(1), C, Priority::Mount, HOUR);
    pass(SECOND * 30).await;
    assert_eq!(scene.log(), [], "one is tried");
    scene.gate.succeeded(&account(1));
    tried.ended(Outcome::Answered);
    settled().await;
    assert_eq!(scene.names(), ["other lane", "its own"]);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_ends_without_a_verdict_gives_way_to_the_next() {
    let scene = Scene::new(60);
    scene.gate.block(&lane(), Some(HOUR));
    advance(SECOND * 300).await;
    let tried = now(&scene.gate, &lane(), A).await.unwrap();
    scene.mount("next", B);
    pass(SECOND * 30).await;
    assert_eq!(scene.log(), []);
    drop(tried);
    settled().await;
    assert_eq!(scene.names(), ["next"]);
}

#[tokio::test(start_paused = true)]
async fn a_block_without_a_wait_doubles_up_to_a_minute_while_it_goes_on() {
    let gate = gate(60);
    for seconds in [5, 10, 20, 40, 60, 60] {
        gate.block(&lane(), None);
        assert_eq!(
            blocked_for(&gate, &lane()).await,
            by_phase(SECOND * seconds)
        );
        advance(SECOND * seconds).await;
    }
    gate.succeeded(&lane());
    gate.block(&lane(), None);
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 5));
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_asked_for_before_a_block_do_not_count_twice() {
    let gate = gate(60);
    for _ in 0..8 {
        gate.block(&lane(), None);
    }
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 5));
    advance(SECOND).await;
    gate.block(&lane(), None);
    gate.succeeded(&lane());
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 5));
    advance(SECOND * 5).await;
    gate.block(&lane(), None);
    assert_eq!(blocked_for(&gate, &lane()).await, by_phase(SECOND * 10));
}

#[tokio::test(start_paused = true)]
async fn a_block_is_nothing_to_other_lanes() {
    let gate = gate(60);
    gate.block(&account(1), Some(SECOND * 60));
    assert_eq!(blocked_for(&gate, &account(2)).await, None);
    assert_eq!(blocked_for(&gate, &lane()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_block_of_a_host_holds_for_all_its_lanes_new_ones_too() {
    let gate = gate(60);
    assert_eq!(blocked_for(&gate, &account(1)).await, None);
    gate.block_host(&Host::default(), SECOND * 60);
    for lane in [account(1), account(2), lane()] {
        assert_eq!(blocked_for(&gate, &lane).await, by_phase(SECOND * 60));
    }
    let elsewhere = Lane::Address(host("elsewhere"));
    assert_eq!(blocked_for(&gate, &elsewhere).await, None);

    advance(SECOND * 60).await;
    for lane in [account(1), account(2), lane()] {
        assert_eq!(blocked_for(&gate, &lane).await, None);
        let wait = SECOND;
        assert_eq!(
            blocked_for(&gate, &lane).await,
            Some(Throttled::ByBudget { wait })
        );
    }
    assert_eq!(blocked_for(&gate, &account(3)).await, None);
    assert_eq!(blocked_for(&gate, &account(3)).await, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_while_phase_wants_no_requests() {
    let gate = gate(60);
    gate.block(&lane(), Some(SECOND));
    assert_eq!(gate.remaining(), 0);
    advance(SECOND).await;
    assert_eq!(gate.remaining(), 1);
}
