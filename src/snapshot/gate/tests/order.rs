//! Who goes first.

use super::*;

#[tokio::test(start_paused = true)]
async fn mounts_go_before_polls() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    scene.poll("poll", B);
    scene.mount("1", A);
    scene.mount("2", A);
    pass(SECOND * 60).await;
    assert_eq!(
        scene.log(),
        [
            ("1", SECOND, None),
            ("2", SECOND * 2, None),
            // It has been patient for five seconds, and polls had nothing yet.
            ("poll", SECOND * 5, None)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_too_late_before_it_is_impatient_hears_of_it() {
    let scene = Scene::new(10);
    scene.spend(&lane(), C, 10).await;
    scene.mount("mount", A);
    scene.call("poll", &lane(), B, Priority::Poll, SECOND * 4);
    pass(SECOND * 6).await;
    assert_eq!(
        scene.log(),
        [
            ("poll", Duration::ZERO, by_budget(SECOND * 6)),
            ("mount", SECOND * 6, None)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn polls_leave_a_quarter_for_mounts() {
    let scene = Scene::new(10);
    for _ in 0..9 {
        scene.poll("poll", A);
    }
    settled().await;
    assert_eq!(scene.names().len(), 8);
    assert_eq!(scene.gate.remaining(), 2);
    scene.mount("mount", A);
    scene.mount("mount", A);
    settled().await;
    assert_eq!(scene.names()[8..], ["mount"; 2]);
    pass(SECOND * 20).await;
    assert_eq!(scene.log()[10..], [("poll", SECOND * 18, None)]);
}

#[tokio::test(start_paused = true)]
async fn the_smallest_budget_has_no_reserve_and_polls_still_come() {
    let scene = Scene::new(3);
    for _ in 0..3 {
        scene.poll("poll", A);
    }
    settled().await;
    assert_eq!(scene.names(), ["poll"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_comes_as_soon_as_the_mount_before_it_is_gone() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 50).await;
    let mount = scene.call("mount", &lane(), A, Priority::Mount, HOUR);
    settled().await;
    assert_eq!(scene.names(), ["mount"]);
    mount.await.unwrap();

    // As many requests under way as may be, so that mount and poll wait for a place.
    advance(SECOND * 60).await;
    let mut passes = Vec::new();
    for asker in crowd() {
        passes.push(now(&scene.gate, &lane(), asker).await.unwrap());
    }
    scene.poll("poll", C);
    let waiting = scene.mount("cancelled", C);
    settled().await;
    waiting.abort();
    settled().await;
    assert_eq!(scene.names(), ["mount"]);
    passes.pop();
    settled().await;
    assert_eq!(scene.names(), ["mount", "poll"]);
}

#[tokio::test(start_paused = true)]
async fn an_asker_with_a_hundred_waiting_leaves_others_their_turn() {
    let scene = Scene::new(60);
    scene.spend(&lane(), C, 60).await;
    for _ in 0..100 {
        scene.mount("A", A);
    }
    scene.mount("B", B);
    pass(SECOND * 2).await;
    assert_eq!(scene.log(), [("A", SECOND, None), ("B", SECOND * 2, None)]);
}

#[tokio::test(start_paused = true)]
async fn who_was_admitted_least_goes_first_and_then_who_came_first() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 31).await;
    scene.spend(&lane(), B, 29).await;
    for (name, asker) in [("A1", A), ("B1", B), ("A2", A), ("B2", B), ("B3", B)] {
        scene.mount(name, asker);
    }
    pass(SECOND * 6).await;
    assert_eq!(scene.names(), ["B1", "B2", "A1", "B3", "A2"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_asker_had_is_forgotten_after_a_minute() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 30).await;
    pass(SECOND * 30).await;
    scene.spend(&lane(), B, 60).await;
    // A had 30, B has 60: A goes first while both count.
    scene.mount("B", B);
    scene.mount("A", A);
    pass(SECOND * 2).await;
    assert_eq!(scene.names(), ["A", "B"]);

    // A minute after its first, A had one, and B has sixty-one.
    pass(SECOND * 28).await;
    let left = scene.gate.remaining();
    scene.spend(&lane(), C, left).await;
    for _ in 0..2 {
        scene.mount("C", C);
        scene.mount("A", A);
    }
    pass(SECOND * 3).await;
    assert_eq!(scene.names()[2..], ["A", "A", "C"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_not_refused_for_what_its_asker_had_more_than_a_minute_ago() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    pass(SECOND * 59).await;
    scene.spend(&lane(), C, 59).await;
    for _ in 0..10 {
        scene.mount("B", B);
    }
    // Within a second A's sixty do not count any more.
    scene.call("A", &lane(), A, Priority::Mount, SECOND * 3);
    pass(SECOND * 4).await;
    assert_eq!(scene.names(), ["B", "A", "B", "B"]);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_one_lane_is_nothing_to_another() {
    let scene = Scene::new(60);
    scene.spend(&account(1), A, 60).await;
    scene.call("blocked", &account(1), A, Priority::Mount, HOUR);
    scene.call("poll", &account(2), A, Priority::Poll, HOUR);
    settled().await;
    assert_eq!(scene.log(), [("poll", Duration::ZERO, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_not_refused_for_what_will_be_a_minute_ago_at_its_turn() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    pass(SECOND * 119 / 2).await;
    scene.spend(&lane(), C, 59).await;
    scene.call("A", &lane(), A, Priority::Mount, SECOND);
    scene.mount("B", B);
    pass(SECOND * 2).await;
    assert_eq!(
        scene.log(),
        [("A", SECOND * 60, None), ("B", SECOND * 61, None)]
    );
}

#[tokio::test(start_paused = true)]
async fn old_admissions_do_not_count_in_a_lane_that_stood_still() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 2).await;
    scene.spend(&lane(), B, 1).await;
    scene.gate.block(&lane(), Some(SECOND * 60));
    scene.mount("A", A);
    scene.mount("B", B);
    pass(SECOND * 61).await;
    assert_eq!(scene.names(), ["A", "B"]);
}

#[tokio::test(start_paused = true)]
async fn an_admission_that_came_to_nothing_costs_no_turn() {
    let scene = Scene::new(60);
    scene.spend(&lane(), C, 60).await;
    let (gate, lane, deadline) = (scene.gate.clone(), lane(), Deadline::after(HOUR));
    let asker = B.asker();
    let mut call = Box::pin(gate.admit(&lane, &asker, Priority::Mount, deadline));
    assert!(is_waiting(&mut call).await);
    pass(SECOND).await;
    drop(call);
    scene.spend(&lane, C, 1).await;
    scene.mount("B", B);
    scene.mount("A", A);
    pass(SECOND * 2).await;
    assert_eq!(scene.names(), ["B", "A"]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_may_be_admitted_before_the_clock_would_have_looked() {
    let scene = Scene::new(60);
    scene.gate.block(&account(1), Some(SECOND * 60));
    scene.call("later", &account(1), A, Priority::Mount, HOUR);
    scene.spend(&account(2), A, 60).await;
    settled().await;
    scene.call("sooner", &account(2), A, Priority::Mount, HOUR);
    pass(SECOND * 60).await;
    assert_eq!(
        scene.log(),
        [("sooner", SECOND, None), ("later", SECOND * 60, None)]
    );
}
