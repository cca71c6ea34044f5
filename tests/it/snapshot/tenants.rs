//! What strangers in one namespace do to the pods of another.

use std::time::Duration;

use futures_util::future::join_all;
use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::client::Endpoint;
use phase_csi_provider::snapshot::Settings;
use phase_emulator::Seed;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{LATENCY, POLL, World, one};
use crate::support::model::{Model, Weather};

/// What kubelet's retries come to after a while.
const RETRY: Duration = Duration::from_secs(8);

/// A node whose tokens `t0`… belong to an account each, and those of `made_up` to none.
fn world(tokens: usize, made_up: usize, budget: u32) -> World {
    let account = |name: String| json!({"name": name});
    let accounts = (0..tokens).map(|n| account(format!("t{n}")));
    let others = (0..made_up).map(|n| account(format!("m{n}")));
    let accounts: Vec<_> = accounts.chain(others).collect();
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
    let world = World::of(model, settings, None);
    for n in 0..made_up {
        world.control().revoke_token(&format!("m{n}")).unwrap();
    }
    world
}

/// The same class for a pod of another namespace.
fn of(namespace: &str) -> Value {
    let mut class = one();
    class["csi.storage.k8s.io/pod.namespace"] = json!(namespace);
    class
}

/// Every made-up token is mounted again and again, for ever.
async fn attack(world: &World, tokens: usize) {
    let pods = (0..tokens).map(|n| async move {
        let (token, class) = (format!("m{n}"), of("attacker"));
        // They do not come all at once.
        sleep(RETRY * u32::try_from(n).unwrap() / u32::try_from(tokens).unwrap()).await;
        loop {
            world.mount(&token, &class, &token).await.unwrap_err();
            sleep(RETRY).await;
        }
    });
    join_all(pods).await;
}

#[tokio::test(start_paused = true)]
async fn made_up_tokens_of_one_namespace_keep_no_other_waiting() {
    let world = world(11, 240, 60);
    world.mount("t0", &of("victim"), "old").await.unwrap();
    let victims = async {
        // The flood is at its height: every token was asked for, and is again.
        sleep(POLL).await;
        for n in 1..11 {
            let begun = Instant::now();
            let token = format!("t{n}");
            let mounted = world.mount(&token, &of("victim"), &token).await;
            assert_eq!(mounted.unwrap()[0].1, "value");
            let took = begun.elapsed();
            assert!(
                took <= Duration::from_secs(5),
                "{token} started after {took:?}"
            );
            sleep(Duration::from_secs(3)).await;
        }
        for round in 0..2 {
            world.put("production", "KEY", &format!("changed {round}"));
            let begun = Instant::now();
            // Within its interval and a few seconds, one after the other as they come.
            sleep(POLL * 11 / 10 + Duration::from_secs(15)).await;
            for n in 0..11 {
                let token = format!("t{n}");
                let pod = if n == 0 { "old" } else { &token };
                let mounted = world.mount(&token, &of("victim"), pod).await.unwrap();
                let took = begun.elapsed();
                assert_eq!(
                    mounted[0].1,
                    format!("changed {round}"),
                    "{token} after {took:?}"
                );
            }
        }
    };
    tokio::select! {
        () = victims => {}
        () = attack(&world, 240) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn what_phase_refused_is_remembered_for_about_a_minute_and_no_longer() {
    let world = world(1, 1, 60);
    let begun = Instant::now();
    let mut texts = Vec::new();
    while begun.elapsed() < POLL * 10 {
        let error = world.mount("m0", &of("attacker"), "p").await.unwrap_err();
        assert_eq!(error.cause, Cause::RefusedCredential, "{error}");
        texts.push(error.message);
        sleep(RETRY).await;
    }
    let asked = world.model.instants(begun, Endpoint::Tokens).len();
    assert!((9..=24).contains(&asked), "{asked} requests in ten minutes");
    let remembered = "(remembered: Phase is asked again in ";
    let remembered = texts.iter().filter(|text| text.contains(remembered));
    assert!(remembered.count() >= texts.len() / 2, "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_mended_after_a_first_refusal_works_at_once_and_later_within_a_minute() {
    for refusals in [1, 20] {
        let world = world(1, 1, 60);
        for _ in 0..refusals {
            world.mount("m0", &of("shop"), "p").await.unwrap_err();
            sleep(Duration::from_secs(2)).await;
        }
        world.control().restore_token("m0").unwrap();
        let begun = Instant::now();
        while world.mount("m0", &of("shop"), "p").await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
        let took = begun.elapsed();
        let most = Duration::from_secs(if refusals == 1 { 1 } else { 61 });
        assert!(took <= most, "{took:?} after {refusals} refusals");
    }
}

/// A Phase that was away for so long that failures of these tokens are held for long.
async fn back_again(tokens: usize) -> World {
    let world = world(tokens, 0, 100_000);
    world.model.weather(Weather::Down);
    for round in 0..8 {
        let mounts = (0..tokens).map(|n| {
            let (world, token) = (&world, format!("t{n}"));
            async move {
                let class = of("shop");
                world.mount(&token, &class, &token).await.unwrap_err();
            }
        });
        join_all(mounts).await;
        sleep(Duration::from_secs(if round < 7 { 15 } else { 0 })).await;
    }
    world.model.weather(Weather::Fine);
    world
}

/// How long until a pod starts that is tried again and again.
async fn until_mounted(world: &World) -> Duration {
    let begun = Instant::now();
    while world.mount("t0", &of("shop"), "t0").await.is_err() {
        sleep(Duration::from_millis(100)).await;
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn when_phase_is_back_the_first_who_mounts_finds_out() {
    let world = back_again(1).await;
    sleep(Duration::from_millis(100)).await;
    world.mount("t0", &of("shop"), "t0").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn when_phase_is_back_all_who_mount_at_once_wait_for_the_first() {
    let world = back_again(30).await;
    sleep(Duration::from_millis(100)).await;
    let mounts = (0..30).map(|n| {
        let (world, token) = (&world, format!("t{n}"));
        async move { world.mount(&token, &of("shop"), &token).await.map(drop) }
    });
    for mounted in join_all(mounts).await {
        mounted.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn while_phase_is_away_newcomers_do_not_spend_the_budget() {
    let world = back_again(1).await;
    world.model.weather(Weather::Down);
    let before = world.model.requests().0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        world.mount("t0", &of("shop"), "t0").await.unwrap_err();
        sleep(Duration::from_millis(100)).await;
    }
    let asked = world.model.requests().0 - before;
    // Fewer than a minute's budget.
    assert!(asked < 60, "{asked} requests");
}

#[tokio::test(start_paused = true)]
async fn when_phase_is_back_one_answer_frees_all_credentials_of_its_host() {
    let world = back_again(30).await;
    until_mounted(&world).await;
    for n in 1..30 {
        let token = format!("t{n}");
        world.mount(&token, &of("shop"), &token).await.unwrap();
    }
}
