//! What is asked while nothing changes, and how a change comes through.

use std::time::Duration;

use futures_util::future::join_all;
use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::client::Endpoint;
use phase_csi_provider::snapshot::Settings;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{HOUR, POLL, REPUBLISH, World, one};
use crate::support::model::Weather;

#[tokio::test(start_paused = true)]
async fn a_mount_whose_inputs_did_not_change_asks_nobody_and_waits_for_nothing() {
    let world = World::new();
    let first = world.value("a").await.unwrap();
    let (begun, asked) = (Instant::now(), world.model.requests());
    for pod in ["a", "b", "c"] {
        assert_eq!(world.value(pod).await.unwrap(), first);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(world.model.requests(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_and_ten_volumes_of_ten_classes_are_one_request_a_minute() {
    let world = World::new();
    let classes: Vec<_> = (0..10)
        .map(|n| json!({"objects": format!("- {{secretKey: KEY, objectName: file-{n}}}\n")}))
        .collect();
    let begun = Instant::now();
    while begun.elapsed() < POLL * 61 {
        for (n, class) in (0..110).zip(classes.iter().cycle()) {
            world
                .mount("all", class, &format!("pod-{n}"))
                .await
                .unwrap();
        }
        if begun.elapsed() < POLL {
            world.model.forget_requests();
        }
        sleep(REPUBLISH).await;
    }
    let (tokens, secrets) = world.model.requests();
    assert!((57..=63).contains(&tokens), "{tokens} in an hour");
    assert_eq!(secrets, 0);
}

#[tokio::test(start_paused = true)]
async fn polls_are_jittered_and_begin_somewhere_in_the_interval() {
    let begun = Instant::now();
    let mut firsts = Vec::new();
    for _ in 0..8 {
        let world = World::new();
        let begun = Instant::now();
        world.value("a").await.unwrap();
        sleep(POLL * 5).await;
        let polls = world.model.instants(begun, Endpoint::Tokens);
        firsts.push(polls[1]);
        for pair in polls[1..].windows(2) {
            let pause = pair[1] - pair[0];
            assert!(
                pause >= POLL * 9 / 10 && pause <= POLL * 11 / 10 + POLL / 60,
                "{pause:?}"
            );
        }
    }
    assert!(begun.elapsed() >= POLL);
    assert!(
        firsts
            .iter()
            .all(|first| *first >= POLL * 2 / 5 && *first <= POLL * 3 / 2)
    );
    firsts.dedup();
    assert!(firsts.len() > 1, "nodes do not ask together: {firsts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_the_files_at_the_first_republish_after_the_poll() {
    let world = World::new();
    world.value("a").await.unwrap();
    world.put("production", "KEY", "changed");
    assert_eq!(world.value("a").await.unwrap(), "value", "nobody knows yet");
    sleep(POLL * 11 / 10).await;
    let asked = world.model.requests();
    assert_eq!(asked, (2, 2), "the poll fetched what changed and is in use");
    let begun = Instant::now();
    assert_eq!(world.value("a").await.unwrap(), "changed");
    assert_eq!(world.model.requests(), asked);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_change_in_an_environment_that_is_only_referred_to_counts_too() {
    let world = World::new();
    let class = json!({"objects": "- secretKey: FROM_TWO\n"});
    assert_eq!(world.mount("all", &class, "a").await.unwrap()[0].1, "x-y");
    world.put("development", "Y", "z");
    sleep(POLL * 11 / 10).await;
    assert_eq!(world.mount("all", &class, "a").await.unwrap()[0].1, "x-z");
    assert_eq!(
        world.model.requests(),
        (2, 4),
        "only what changed is fetched again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_of_what_nobody_mounts_is_not_fetched() {
    let world = World::new();
    world.value("a").await.unwrap();
    world.put("staging", "X", "changed");
    sleep(POLL * 11 / 10).await;
    assert_eq!(world.value("a").await.unwrap(), "value");
    assert_eq!(world.model.requests(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn access_that_is_taken_away_ends_at_the_next_poll() {
    let world = World::new();
    world.value("a").await.unwrap();
    world
        .control()
        .set_access("all", "a", "production", false)
        .unwrap();
    sleep(POLL * 11 / 10).await;
    let error = world.value("a").await.unwrap_err();
    assert_eq!(error.cause, Cause::NotFound, "{error}");
    // Never stale: an outage does not bring it back.
    world.model.weather(Weather::Down);
    sleep(POLL * 2).await;
    world.value("a").await.unwrap_err();
    world.value("new").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn everything_in_use_is_read_whole_about_once_a_day_or_as_often_as_wished() {
    for (full_read, time, fetches) in [
        (
            Settings::default().full_read,
            HOUR * 24 * 3 + POLL * 5,
            4..=5,
        ),
        (HOUR, HOUR * 3 + POLL * 5, 4..=5),
    ] {
        let world = World::with(Settings {
            full_read,
            ..Settings::default()
        });
        world.value("a").await.unwrap();
        world.live(&["a"], &one(), time).await;
        let (_, secrets) = world.model.requests();
        assert!(fetches.contains(&secrets), "{secrets} in {time:?}");
        assert_eq!(world.value("a").await.unwrap(), "value");
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_fetched_together_do_not_do_so_a_day_later() {
    let nodes: Vec<_> = (0..10).map(|_| World::new()).collect();
    let begun = Instant::now();
    let class = one();
    join_all(nodes.iter().map(async |world| {
        world.value("a").await.unwrap();
        world.live(&["a"], &class, HOUR * 24 + POLL * 5).await;
    }))
    .await;
    let again = |world: &World| world.model.instants(begun, Endpoint::Secrets)[1];
    let again: Vec<_> = nodes.iter().map(again).collect();
    let (first, last) = (again.iter().min().unwrap(), again.iter().max().unwrap());
    assert!(
        *first >= HOUR * 18 && *last <= HOUR * 24 + POLL * 2,
        "{again:?}"
    );
    assert!(*last - *first >= HOUR, "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_mounts_with_is_not_asked_any_more_and_then_forgotten() {
    let world = World::new();
    world.value("a").await.unwrap();
    sleep(POLL * 8).await;
    let (tokens, _) = world.model.requests();
    assert!((5..=9).contains(&tokens), "{tokens}");
    sleep(POLL * 10).await;
    assert_eq!(world.model.requests().0, tokens, "nobody asks");
    // Who comes back finds what was remembered, once Phase has confirmed it.
    assert_eq!(world.value("a").await.unwrap(), "value");
    assert_eq!(world.model.requests(), (tokens + 1, 1));
    sleep(HOUR * 2).await;
    let figures = world.mounter.figures();
    assert_eq!((figures.entries, figures.volumes, figures.bytes), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn files_of_one_mount_come_from_one_moment() {
    let world = World::new();
    let class = json!({"objects": "- secretKey: PAIR\n- secretKey: LEFT\n"});
    let texts = |files: super::Files| files.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(
        texts(world.mount("all", &class, "a").await.unwrap()),
        ["1", "x"]
    );
    // Both change; production can be fetched then, staging cannot.
    world.put("production", "LEFT", "2");
    world.put("staging", "X", "y");
    world.model.weather_of_secrets(Weather::Failing);
    sleep(POLL * 11 / 10).await;
    for pod in ["a", "new"] {
        let files = texts(world.mount("all", &class, pod).await.unwrap());
        assert_eq!(files, ["1", "x"], "both old");
    }
    world.model.weather(Weather::Fine);
    sleep(POLL * 2).await;
    for pod in ["a", "new"] {
        let files = texts(world.mount("all", &class, pod).await.unwrap());
        assert_eq!(files, ["2", "y"], "both new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_class_that_nobody_mounted_yet_is_made_of_the_last_whole_moment() {
    let world = World::new();
    let class = json!({"objects": "- secretKey: PAIR\n- secretKey: LEFT\n"});
    world.mount("all", &class, "a").await.unwrap();
    // Phase says that both changed, and then nothing more: the newest moment is not whole.
    world.put("production", "LEFT", "2");
    world.put("staging", "X", "y");
    world.model.weather_of_secrets(Weather::Failing);
    sleep(POLL * 11 / 10).await;
    let other = json!({"objects": "- {secretKey: PAIR, objectName: b}\n- {secretKey: LEFT, objectName: a}\n"});
    let files = world.mount("all", &other, "b").await.unwrap();
    let texts: Vec<_> = files.iter().map(|(_, text)| &**text).collect();
    assert_eq!(texts, ["1", "x"], "both old");
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_later_is_not_mixed_with_what_is_old() {
    let world = World::new();
    assert_eq!(world.value("a").await.unwrap(), "value");
    // Nobody has polled yet when another class needs both environments.
    sleep(POLL / 3).await;
    world.put("production", "LEFT", "2");
    world.put("staging", "X", "y");
    let class = json!({"objects": "- secretKey: PAIR\n- secretKey: LEFT\n"});
    let files = world.mount("all", &class, "b").await.unwrap();
    let files: Vec<_> = files.iter().map(|(_, text)| &**text).collect();
    assert_eq!(
        files,
        ["2", "y"],
        "not the old one of what was there, and the new one of the other"
    );
}

#[tokio::test(start_paused = true)]
async fn access_that_a_poll_saw_taken_away_is_gone_though_nobody_mounted_since() {
    let world = World::new();
    let staging = json!({"phaseAppEnv": "staging"});
    world.value("a").await.unwrap();
    world.mount("all", &staging, "b").await.unwrap();
    world
        .control()
        .set_access("all", "a", "production", false)
        .unwrap();
    sleep(POLL * 11 / 10).await;
    world.model.weather(Weather::Down);
    sleep(POLL * 2).await;
    for pod in ["a", "new"] {
        let error = world.value(pod).await.unwrap_err();
        assert_eq!(error.cause, Cause::Unreachable, "{error}");
        let files = world.mount("all", &staging, pod).await.unwrap();
        assert_eq!(files[0].1, "x", "what it may still read stays");
    }
}
