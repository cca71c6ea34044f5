//! Equal questions at the same time are one request.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use phase_csi_provider::cause::Cause;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{LATENCY, POLL, World};
use crate::support::model::Weather;

async fn burst(world: &World, objects: &str, count: usize) {
    let class = json!({ "objects": objects });
    let mounts = (0..count).map(|pod| {
        let class = class.clone();
        async move { world.mount("all", &class, &format!("pod-{pod}")).await }
    });
    for files in join_all(mounts).await {
        assert!(!files.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_mounts_of_one_class_are_two_requests() {
    let world = World::new();
    let begun = Instant::now();
    burst(&world, "- secretKey: KEY\n", 200).await;
    assert_eq!(world.model.requests(), (1, 1));
    assert_eq!(
        begun.elapsed(),
        LATENCY * 2,
        "two answers, one behind the other"
    );
}

#[tokio::test(start_paused = true)]
async fn each_environment_that_is_referred_to_is_one_more() {
    let world = World::new();
    burst(&world, "- secretKey: FROM_TWO\n", 200).await;
    assert_eq!(world.model.requests(), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn classes_share_what_they_have_in_common() {
    let world = World::new();
    let classes = ["KEY", "OTHER", "PAIR"].map(|key| format!("- secretKey: {key}\n"));
    join_all(classes.iter().map(|objects| burst(&world, objects, 20))).await;
    assert_eq!(world.model.requests(), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_question_survives_whoever_asked_first() {
    let world = Arc::new(World::new());
    let first = Arc::clone(&world);
    let first = tokio::spawn(async move { first.value("first").await.map(drop) });
    sleep(LATENCY / 4).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(world.value("second").await.unwrap(), "value");
    assert_eq!(world.model.requests(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_fails_all_who_wait_in_the_same_words() {
    let world = World::new();
    world.model.weather(Weather::Failing);
    let mounts = (0..50).map(|pod| {
        let world = &world;
        async move { world.value(&format!("pod-{pod}")).await.unwrap_err() }
    });
    let errors = join_all(mounts).await;
    assert!(errors.iter().all(|error| error == &errors[0]));
    assert_eq!(errors[0].cause, Cause::Unreachable);
    assert!(
        errors[0].message.contains("failed with status 500"),
        "{}",
        errors[0]
    );
    assert_eq!(
        world.model.requests(),
        (4, 0),
        "the attempts of one question"
    );
}

#[tokio::test(start_paused = true)]
async fn while_a_failure_is_held_one_who_comes_tries_again_for_all() {
    let world = World::new();
    world.model.weather(Weather::Failing);
    world.value("a").await.unwrap_err();
    let (asked, _) = world.model.requests();
    // Half of the hold at least: whoever comes now is a stampede.
    sleep(Duration::from_millis(240)).await;
    let pods = (0..50).map(|pod| {
        let world = &world;
        async move { world.value(&format!("pod-{pod}")).await.unwrap_err() }
    });
    for error in join_all(pods).await {
        assert!(error.message.contains("failed with status 500"), "{error}");
    }
    assert_eq!(world.model.requests(), (asked + 1, 0), "once, for all");
    world.model.weather(Weather::Fine);
    assert_eq!(world.value("b").await.unwrap(), "value");
    assert_eq!(world.model.requests(), (asked + 2, 1));
}

#[tokio::test(start_paused = true)]
async fn holds_grow_to_some_seconds_and_no_further() {
    let world = World::new();
    world.model.weather(Weather::Down);
    let begun = Instant::now();
    while begun.elapsed() < POLL * 5 {
        world.value("a").await.unwrap_err();
        sleep(Duration::from_millis(100)).await;
    }
    let (asked, _) = world.model.requests();
    // Four attempts each ten seconds, and in between one each 1 to 2 s.
    assert!(
        (4 * 15..=300).contains(&asked),
        "{asked} requests in five minutes"
    );
    world.model.weather(Weather::Fine);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.value("a").await.unwrap(), "value");
}

#[tokio::test(start_paused = true)]
async fn one_environment_that_fails_does_not_fail_another() {
    let world = World::new();
    world.model.weather_of_secrets(Weather::Failing);
    world.value("a").await.unwrap_err();
    world.model.weather(Weather::Fine);
    let staging = json!({"phaseAppEnv": "staging"});
    assert_eq!(world.mount("all", &staging, "b").await.unwrap()[0].1, "x");
}
