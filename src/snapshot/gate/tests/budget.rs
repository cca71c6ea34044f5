//! How much, how soon, and what a deadline means.

use super::*;

#[tokio::test(start_paused = true)]
async fn with_free_budget_nobody_waits() {
    let scene = Scene::new(60);
    for _ in 0..60 {
        scene.mount("a", A);
    }
    settled().await;
    assert_eq!(scene.log(), [("a", Duration::ZERO, None); 60]);
    assert_eq!(scene.gate.remaining(), 0);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_budget_requests_come_at_the_rate() {
    let scene = Scene::new(120);
    scene.spend(&lane(), A, 120).await;
    for name in ["1", "2", "3"] {
        scene.mount(name, A);
    }
    pass(SECOND * 2).await;
    let half = SECOND / 2;
    assert_eq!(
        scene.log(),
        [
            ("1", half, None),
            ("2", half * 2, None),
            ("3", half * 3, None)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_lane_saves_no_more_than_a_minutes_requests() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 1).await;
    advance(HOUR).await;
    scene.spend(&lane(), A, 60).await;
    let wait = SECOND;
    assert_eq!(
        now(&scene.gate, &lane(), A).await.err(),
        Some(Throttled::ByBudget { wait })
    );
}

#[tokio::test(start_paused = true)]
async fn lanes_have_budgets_of_their_own_and_the_least_is_told() {
    let scene = Scene::new(60);
    assert_eq!(scene.gate.remaining(), 60);
    scene.spend(&account(1), A, 60).await;
    scene.spend(&account(2), A, 20).await;
    scene.spend(&lane(), A, 10).await;
    assert_eq!(scene.gate.remaining(), 0);
    advance(SECOND * 30).await;
    assert_eq!(scene.gate.remaining(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_admitted_before_its_deadline_fails_at_once() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    scene.call("in", &lane(), A, Priority::Mount, SECOND * 2);
    scene.call("out", &lane(), A, Priority::Mount, SECOND * 2);
    settled().await;
    assert_eq!(
        scene.log(),
        [("out", Duration::ZERO, by_budget(SECOND * 2))]
    );
    pass(SECOND * 3).await;
    assert_eq!(scene.log()[1..], [("in", SECOND, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_at_the_moment_of_admission_is_not_met() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    scene.call("late", &lane(), A, Priority::Mount, SECOND);
    let just = SECOND + Duration::from_millis(1);
    scene.call("in time", &lane(), A, Priority::Mount, just);
    pass(SECOND * 2).await;
    assert_eq!(
        scene.log(),
        [
            ("late", Duration::ZERO, by_budget(SECOND)),
            ("in time", SECOND, None)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_spends_nothing() {
    let gate = gate(60);
    let deadline = Deadline::after(Duration::ZERO);
    let outcome = gate
        .admit(&lane(), &A.asker(), Priority::Mount, deadline)
        .await;
    assert_eq!(outcome.err(), Some(Throttled::ByCrowd));
    assert_eq!(gate.remaining(), 60);
}

#[tokio::test(start_paused = true)]
async fn who_is_overtaken_and_would_be_late_fails_before_its_deadline() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    scene.call("poll", &lane(), A, Priority::Poll, SECOND * 4);
    scene.call("mount", &lane(), A, Priority::Mount, SECOND * 9);
    pass(SECOND / 2).await;
    assert_eq!(
        scene.log(),
        [("poll", Duration::ZERO, by_budget(SECOND * 5))]
    );

    // A second mount, by an asker who had nothing yet, takes the first one's turn.
    scene.call("tight", &lane(), A, Priority::Mount, SECOND * 2);
    settled().await;
    assert_eq!(scene.log().len(), 1);
    scene.call("other", &lane(), B, Priority::Mount, HOUR);
    pass(SECOND * 5).await;
    let half = SECOND / 2;
    assert_eq!(
        scene.log()[1..],
        [
            ("tight", half, by_budget(SECOND * 5 / 2)),
            ("other", SECOND, None),
            ("mount", SECOND * 2, None)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_late_takes_no_turn_from_others() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    for name in ["1", "late", "2"] {
        let limit = match name {
            "late" => SECOND * 2,
            _ => SECOND * 2 + SECOND / 2,
        };
        scene.call(name, &lane(), A, Priority::Mount, limit);
    }
    pass(SECOND * 3).await;
    assert_eq!(scene.names(), ["late", "1", "2"]);
    assert_eq!(scene.log()[2], ("2", SECOND * 2, None));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_no_waiter_and_spends_nothing() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    let first = scene.mount("cancelled", A);
    scene.mount("a", A);
    settled().await;
    assert_eq!(scene.gate.0.lock().waiting(), 2);
    first.abort();
    settled().await;
    assert_eq!(scene.gate.0.lock().waiting(), 1);
    pass(SECOND * 3).await;
    assert_eq!(scene.log(), [("a", SECOND, None)]);
    assert_eq!(scene.gate.remaining(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_cancelled_between_its_admission_and_its_request_spends_nothing() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    let deadline = Deadline::after(HOUR);
    let (gate, lane) = (scene.gate.clone(), lane());
    let asker = B.asker();
    let mut call = Box::pin(gate.admit(&lane, &asker, Priority::Mount, deadline));
    assert!(is_waiting(&mut call).await);
    pass(SECOND * 5).await;
    assert_eq!(scene.gate.remaining(), 4);
    drop(call);
    assert_eq!(scene.gate.remaining(), 5);
    let passes: Vec<_> = [now(&gate, &lane, A).await, now(&gate, &lane, B).await].into();
    assert!(passes.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_refund_within_a_block_is_no_second_request_at_its_end() {
    let scene = Scene::new(60);
    scene.spend(&lane(), A, 60).await;
    let deadline = Deadline::after(HOUR);
    let (gate, lane) = (scene.gate.clone(), lane());
    let asker = B.asker();
    let mut call = Box::pin(gate.admit(&lane, &asker, Priority::Mount, deadline));
    assert!(is_waiting(&mut call).await);
    pass(SECOND * 5).await;
    gate.block(&lane, Some(SECOND * 10));
    drop(call);
    advance(SECOND * 10).await;
    assert_eq!(gate.remaining(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_clock_ends_with_the_last_waiter_and_starts_again() {
    let scene = Scene::new(60);
    for round in 1..=2 {
        scene.spend(&lane(), A, scene.gate.remaining()).await;
        scene.mount("a", A);
        settled().await;
        assert!(scene.gate.0.lock().clock.is_some());
        pass(SECOND * 2).await;
        assert_eq!(scene.log().len(), round);
        assert!(scene.gate.0.lock().clock.is_none());
    }
}

#[test]
fn a_clock_that_was_lost_with_its_runtime_is_replaced() {
    let gate = gate(60);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let first = runtime();
    let (one, lane) = (gate.clone(), lane());
    let asker = A.asker();
    let mut call = Box::pin(one.admit(&lane, &asker, Priority::Mount, Deadline::after(HOUR)));
    first.block_on(async {
        for _ in 0..60 {
            let _pass = now(&one, &lane, A).await.unwrap();
        }
        assert!(is_waiting(&mut call).await);
    });
    drop(first);
    runtime().block_on(async {
        let deadline = Deadline::after(HOUR);
        let second = gate
            .admit(&lane, &B.asker(), Priority::Mount, deadline)
            .await;
        assert!(second.is_ok());
        assert!((&mut call).await.is_ok());
    });
}
