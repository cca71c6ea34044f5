//! What the node spends of Phase's rate limits.

use std::time::Duration;

use futures_util::future::join_all;
use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::client::Endpoint;
use phase_csi_provider::snapshot::Settings;
use phase_emulator::Seed;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{LATENCY, POLL, World, one};
use crate::support::model::{Model, Weather};

/// A node with many tokens, each of an account of its own.
fn many(tokens: usize, budget: u32) -> World {
    let accounts: Vec<_> = (0..tokens)
        .map(|n| json!({"name": format!("t{n}")}))
        .collect();
    let seed = json!({
        "apps": [{"name": "a", "environments": [
            {"name": "production", "secrets": [{"key": "KEY", "value": "value"}]},
        ]}],
        "accounts": accounts,
    });
    let model = Model::new(Seed::from_yaml(&seed.to_string()).unwrap(), LATENCY);
    let settings = Settings {
        request_budget: budget,
        ..Settings::default()
    };
    World::of(model, settings, None)
}

#[tokio::test(start_paused = true)]
async fn all_of_a_host_obey_a_wait_and_come_back_one_by_one() {
    let world = many(30, 60);
    world.mount("t0", &one(), "first").await.unwrap();
    let begun = Instant::now();
    let wait = Duration::from_secs(60);
    world
        .model
        .weather_of_tokens(Weather::Throttled(Some(wait)));
    let error = world
        .mount_within("t1", &one(), "a", Duration::from_secs(30))
        .await
        .unwrap_err();
    assert_eq!(error.cause, Cause::RateLimited);
    let asked = world.model.instants(begun, Endpoint::Tokens);
    assert_eq!(asked.len(), 1);
    world.model.weather(Weather::Fine);

    // Others do not even try, and who cannot wait is told so before the time is over.
    let told = Instant::now();
    let error = world
        .mount_within("t2", &one(), "b", Duration::from_secs(30))
        .await
        .unwrap_err();
    assert_eq!(error.cause, Cause::RateLimited, "{error}");
    assert!(told.elapsed() < Duration::from_secs(30));
    assert_eq!(world.model.instants(begun, Endpoint::Tokens).len(), 1);

    let waiting = (3..30).map(|n| {
        let world = &world;
        async move {
            let token = format!("t{n}");
            let class = one();
            world.mount(&token, &class, &token).await.map(drop)
        }
    });
    for mounted in join_all(waiting).await {
        mounted.unwrap();
    }
    let asked = world.model.instants(begun, Endpoint::Tokens);
    assert!(asked[1] >= wait, "{asked:?}");
    let most_in_a_second = asked[1..]
        .iter()
        .map(|at| {
            asked
                .iter()
                .filter(|other| **other >= *at && **other < *at + Duration::from_secs(1))
                .count()
        })
        .max();
    assert!(most_in_a_second <= Some(3), "no storm: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_refused_is_not_repeated_before_the_next() {
    let world = World::new();
    world.value("a").await.unwrap();
    let begun = Instant::now();
    // A full window lets the next one in soon, and all nodes of a cluster are told so.
    let soon = Weather::Throttled(Some(Duration::from_secs(1)));
    world.model.weather_of_tokens(soon);
    world.live(&["a"], &one(), POLL * 20).await;
    let asked = world.model.instants(begun, Endpoint::Tokens);
    assert!((14..=27).contains(&asked.len()), "{asked:?}");
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| *pause >= POLL / 2), "{pauses:?}");
    // Anywhere in the minute, lest the same nodes come too late in each.
    let longest = pauses.iter().max().unwrap();
    assert!(
        *longest - *pauses.iter().min().unwrap() >= POLL / 3,
        "{pauses:?}"
    );
    // A pod that has nothing yet does not wait for the next poll.
    let begun = Instant::now();
    let other = json!({"objects": "- {secretKey: KEY, objectName: other}\n"});
    world.mount("second", &other, "b").await.unwrap_err();
    let asked = world.model.instants(begun, Endpoint::Tokens);
    assert!(asked.len() > 1, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_one_account_is_not_one_of_another() {
    let world = many(3, 60);
    world.mount("t0", &one(), "a").await.unwrap();
    world
        .model
        .weather_of_secrets(Weather::Throttled(Some(Duration::from_secs(600))));
    let error = world.mount("t1", &one(), "b").await.unwrap_err();
    assert_eq!(error.cause, Cause::RateLimited, "{error}");
    world.model.weather(Weather::Fine);
    world.mount("t2", &one(), "c").await.unwrap();
    let error = world.mount("t1", &one(), "b").await.unwrap_err();
    assert_eq!(error.cause, Cause::RateLimited, "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_never_passes_the_budget_and_mounts_come_first() {
    // Ten requests a minute, and forty tokens that would each be polled.
    let world = many(40, 10);
    let begun = Instant::now();
    for n in 0..40 {
        let token = format!("t{n}");
        while world.mount(&token, &one(), &token).await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
    }
    let half_an_hour = POLL * 30;
    while begun.elapsed() < half_an_hour {
        for n in 0..40 {
            let token = format!("t{n}");
            let files = world.mount(&token, &one(), &token).await.unwrap();
            assert_eq!(files[0].1, "value", "volumes live on what is remembered");
        }
        sleep(super::REPUBLISH).await;
    }
    let asked = world.model.instants(begun, Endpoint::Tokens);
    for at in &asked {
        let minute = asked
            .iter()
            .filter(|other| **other >= *at && **other < *at + POLL);
        assert!(
            minute.count() <= 21,
            "at most a full bucket and what flows in"
        );
    }
    let minutes = begun.elapsed().as_secs() as usize / 60 + 1;
    assert!(
        asked.len() <= 10 + 10 * minutes,
        "{} in {minutes} min",
        asked.len()
    );
    // A new mount is not kept waiting by the polls.
    let told = Instant::now();
    world.put("production", "KEY", "changed");
    world
        .mount(
            "t0",
            &json!({"objects": "- {secretKey: KEY, objectName: f}\n"}),
            "new",
        )
        .await
        .unwrap();
    assert!(
        told.elapsed() < Duration::from_secs(15),
        "{:?}",
        told.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_again_and_again_does_not_starve_the_others() {
    let world = many(3, 10);
    world.control().revoke_token("t0").unwrap();
    let begun = Instant::now();
    let mut refused = 0;
    while begun.elapsed() < POLL * 10 {
        for pod in 0..20 {
            let pod = format!("bad-{pod}");
            world.mount("t0", &one(), &pod).await.unwrap_err();
            refused += 1;
        }
        let told = Instant::now();
        world.mount("t1", &one(), "good").await.unwrap();
        assert!(told.elapsed() < Duration::from_secs(2));
        sleep(Duration::from_millis(500)).await;
    }
    assert!(refused > 1000);
    world.mount("t2", &one(), "another").await.unwrap();
}
