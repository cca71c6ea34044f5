//! Rights that are lost though the tokens answer does not tell, and what it costs to know.

use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::snapshot::Settings;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::staleness::with;
use super::{HOUR, LATENCY, POLL, World, one};
use crate::support::model::Weather;

/// No new pod gets what was proven longer ago.
const PROOF: Duration = Duration::from_secs(300);

/// Takes the right from the account, or gives it back.
type Lose = fn(&World, bool);

/// The two ways to lose a right.
const WAYS: [(&str, Lose); 2] = [
    ("role of this account", |world, is_lost| {
        world.control().set_role("all", !is_lost).unwrap();
    }),
    ("network access policy", |world, is_lost| {
        world.control().set_excluded("all", is_lost).unwrap();
    }),
];

#[tokio::test(start_paused = true)]
async fn a_right_that_is_lost_is_known_within_minutes_and_nothing_is_kept() {
    for (words, lose) in WAYS {
        let world = World::new();
        world.value("a").await.unwrap();
        world.live(&["a"], &one(), POLL * 10).await;
        let (_, secrets) = world.model.requests();
        lose(&world, true);
        sleep(PROOF).await;
        for pod in ["a", "new"] {
            let error = world.value(pod).await.unwrap_err();
            assert_eq!(error.cause, Cause::Forbidden, "{error}");
            assert!(error.message.contains(words), "{error}");
        }
        assert_eq!(secrets, 1, "nothing was read to find out");
        world.model.weather(Weather::Down);
        sleep(POLL * 2).await;
        for pod in ["a", "new"] {
            let error = world.value(pod).await.unwrap_err();
            assert_eq!(error.cause, Cause::Unreachable, "nothing is left: {error}");
        }
        world.model.weather(Weather::Fine);
        lose(&world, false);
        sleep(POLL * 2).await;
        assert_eq!(
            world.value("a").await.unwrap(),
            "value",
            "the right is back"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_new_pod_is_answered_from_memory_that_was_not_proven_lately() {
    for (words, lose) in WAYS {
        let world = World::new();
        world.value("a").await.unwrap();
        // Nobody mounts, so nobody polls any more.
        sleep(POLL * 15).await;
        let (probes, audited) = (
            world.model.probes().len(),
            world.control().requests().audited,
        );
        let begun = Instant::now();
        assert_eq!(world.value("allowed").await.unwrap(), "value");
        assert_eq!(
            begun.elapsed(),
            LATENCY * 2,
            "the tokens answer, and the proof"
        );
        assert_eq!(world.model.probes().len(), probes + 1);
        assert_eq!(world.control().requests().audited, audited);
        assert_eq!(world.value("another").await.unwrap(), "value");
        assert_eq!(world.model.probes().len(), probes + 1, "one is for all");
        sleep(POLL * 15).await;
        lose(&world, true);
        let error = world.value("new").await.unwrap_err();
        assert_eq!(error.cause, Cause::Forbidden, "{error}");
        assert!(error.message.contains(words), "{error}");
        // Another class of the same environment would have been made of the same rows.
        let other = json!({"objects": "- secretKey: OTHER\n"});
        let error = world.mount("all", &other, "b").await.unwrap_err();
        assert_eq!(error.cause, Cause::Forbidden, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_environment_in_use_is_proven_every_few_minutes_and_leaves_no_trace() {
    let world = World::new();
    let class = json!({"objects": "- secretKey: FROM_TWO\n"});
    world.mount("all", &class, "a").await.unwrap();
    let (begun, audited) = (Instant::now(), world.control().requests().audited);
    assert_eq!(audited, 7, "a row for each secret that was read");
    world.live(&["a"], &class, HOUR * 4).await;
    for environment in ["production", "staging", "development"] {
        let id = world.control().environment_id("a", environment).unwrap();
        let probes = world.model.probes().into_iter();
        let mut last = begun;
        let mut count = 0;
        for (at, _) in probes.filter(|(_, of)| *of == id) {
            assert!(at - last <= PROOF, "{environment}: {:?}", at - last);
            (last, count) = (at, count + 1);
        }
        assert!(begun + HOUR * 4 - last <= PROOF);
        // Not with each poll.
        assert!((48..=100).contains(&count), "{environment}: {count}");
    }
    assert_eq!(world.control().requests().audited, audited);
    assert_eq!(world.model.requests().1, 3);
}

#[tokio::test(start_paused = true)]
async fn probes_are_spent_within_the_budget() {
    let world = World::with(Settings {
        request_budget: 6,
        ..Settings::default()
    });
    let class = json!({"objects": "- secretKey: FROM_TWO\n"});
    for token in ["all", "second"] {
        while world.mount(token, &class, "a").await.is_err() {
            sleep(Duration::from_secs(5)).await;
        }
    }
    let begun = Instant::now();
    while begun.elapsed() < HOUR {
        for token in ["all", "second"] {
            world.mount(token, &class, "a").await.unwrap();
        }
        sleep(POLL).await;
    }
    // Both tokens are of one account.
    let probes: Vec<_> = world.model.probes().iter().map(|probe| probe.0).collect();
    for first in &probes {
        let minute = probes
            .iter()
            .filter(|at| **at >= *first && **at < *first + POLL);
        assert!(minute.count() <= 12, "a full bucket and what flows in");
    }
    assert!(probes.len() >= 50, "{}", probes.len());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_proven_counts_as_long_as_what_cannot_be_confirmed() {
    for weather in [
        Weather::Down,
        Weather::Hangs,
        Weather::Firewall,
        Weather::Failing,
    ] {
        let world = World::new();
        let class = with(&one(), "10m");
        world.mount("all", &class, "a").await.unwrap();
        // Phase still answers what may be read, but not what is there.
        world.model.weather_of_secrets(weather);
        world.live(&["a"], &class, POLL * 7).await;
        let begun = Instant::now();
        let files = world.mount("all", &class, "new").await.unwrap();
        assert_eq!(files[0].1, "value", "{weather:?}");
        assert!(begun.elapsed() <= Duration::from_secs(5), "{weather:?}");
        world.live(&["a"], &class, POLL * 5).await;
        let error = world.mount("all", &class, "late").await.unwrap_err();
        assert!(
            error.message.contains("of maxStale"),
            "{weather:?}: {error}"
        );
        assert_eq!(world.mount("all", &class, "a").await.unwrap()[0].1, "value");
        world.model.weather(Weather::Fine);
        sleep(POLL * 2).await;
        world.mount("all", &class, "later").await.unwrap();
    }
}
