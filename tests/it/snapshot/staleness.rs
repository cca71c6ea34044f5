//! What is answered while Phase is away, lies or refuses.

use std::sync::Arc;
use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::deadline::Deadline;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{HOUR, POLL, REPUBLISH, World, one, request};
use crate::support::model::Weather;

const AWAY: [Weather; 9] = [
    Weather::Down,
    Weather::NoName,
    Weather::Certificate,
    Weather::Failing,
    Weather::Hangs,
    Weather::Slow(Duration::from_secs(40)),
    Weather::Throttled(None),
    Weather::Throttled(Some(Duration::from_secs(120))),
    Weather::Firewall,
];

#[tokio::test(start_paused = true)]
async fn an_existing_volume_keeps_what_it_has_for_ever() {
    for weather in AWAY {
        let world = World::new();
        world.value("a").await.unwrap();
        world.model.weather(weather);
        world.put("production", "KEY", "changed");
        sleep(POLL * 4).await;
        let away = Instant::now();
        while away.elapsed() < HOUR * 8 {
            let begun = Instant::now();
            assert_eq!(world.value("a").await.unwrap(), "value", "{weather:?}");
            assert_eq!(begun.elapsed(), Duration::ZERO, "{weather:?}: nobody waits");
            sleep(REPUBLISH).await;
        }
        world.model.weather(Weather::Fine);
        sleep(POLL * 3).await;
        assert_eq!(world.value("a").await.unwrap(), "changed", "{weather:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_volume_gets_what_is_remembered_within_five_seconds() {
    for weather in AWAY {
        let world = World::new();
        world.value("a").await.unwrap();
        world.model.weather(weather);
        sleep(POLL * 3).await;
        let begun = Instant::now();
        assert_eq!(world.value("new").await.unwrap(), "value", "{weather:?}");
        assert!(begun.elapsed() <= Duration::from_secs(5), "{weather:?}");
        // Another class of the same environment too.
        let other = json!({"objects": "- secretKey: OTHER\n"});
        let begun = Instant::now();
        let files = world.mount("all", &other, "other").await.unwrap();
        assert_eq!(files[0].1, "other", "{weather:?}");
        assert!(begun.elapsed() <= Duration::from_secs(5), "{weather:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_hang_costs_a_new_volume_four_seconds_and_an_old_one_too() {
    let world = World::new();
    world.value("a").await.unwrap();
    // Not polled any more, so nobody knows yet that Phase hangs.
    sleep(POLL * 9).await;
    world.model.weather(Weather::Hangs);
    let begun = Instant::now();
    assert_eq!(world.value("new").await.unwrap(), "value");
    assert_eq!(begun.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn without_anything_remembered_the_error_is_clear_and_in_time() {
    for weather in AWAY {
        let world = World::new();
        world.model.weather(weather);
        let begun = Instant::now();
        let error = world.value("a").await.unwrap_err();
        // Whom Phase tells to stay away without saying for how long waits for its turn.
        let most = match weather {
            Weather::Throttled(None) => 90,
            _ => 15,
        };
        assert!(begun.elapsed() < Duration::from_secs(most), "{weather:?}");
        assert!(
            matches!(
                error.cause,
                Cause::Unreachable | Cause::RateLimited | Cause::Deadline
            ),
            "{weather:?}: {error}"
        );
        assert!(
            error.message.contains("https://phase.test"),
            "{weather:?}: {error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_hangs_holds_nobody_and_the_retry_finds_what_it_said() {
    let world = World::new();
    // Each answer comes in the end, but later than anybody waits.
    world.model.weather(Weather::Slow(Duration::from_secs(22)));
    let begun = Instant::now();
    let error = world.value("a").await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(12));
    assert_eq!(error.cause, Cause::Deadline);
    assert_eq!(
        error.message,
        "https://phase.test/service/secrets/tokens/ has given no answer for 12 s, and nothing that is remembered could take its place: the question stays open and the mount is retried automatically; if this stays, look at the load of Phase and the network between"
    );
    let figures = world.mounter.figures();
    assert_eq!(figures.flights, 2, "the answer, and the question for it");
    // kubelet tries again; nothing is asked twice.
    let mounted = loop {
        match world.value("a").await {
            Ok(value) => break value,
            Err(_) => sleep(Duration::from_secs(2)).await,
        }
    };
    assert_eq!(mounted, "value");
    assert!(begun.elapsed() < Duration::from_secs(60));
    let (tokens, secrets) = world.model.requests();
    assert!(
        tokens <= 2 && secrets == 1,
        "the first poll may have come: {tokens}"
    );
    world.model.weather(Weather::Fine);
    sleep(POLL * 2).await;
    assert_eq!(world.mounter.figures().flights, 0);
}

#[tokio::test(start_paused = true)]
async fn max_stale_ends_at_its_instant_and_says_age_and_cause() {
    for (class, most) in [
        (one(), HOUR),
        (with(&one(), "10m"), HOUR / 6),
        (with(&one(), "24h"), HOUR * 24),
    ] {
        let mount_after = async |time: Duration| {
            let world = World::new();
            let begun = Instant::now();
            world.mount("all", &class, "a").await.unwrap();
            world.model.weather(Weather::Down);
            // The age counts from the question that was asked at the very beginning.
            sleep(time - begun.elapsed()).await;
            world.mount("all", &class, "b").await
        };
        assert!(mount_after(most).await.is_ok(), "{most:?}");
        let error = mount_after(most + Duration::from_millis(1))
            .await
            .unwrap_err();
        assert_eq!(error.cause, Cause::Unreachable);
        let start = "what this node remembers is ";
        assert!(error.message.starts_with(start), "{error}");
        assert!(error.message.contains("of maxStale"), "{error}");
        assert!(error.message.contains("cannot be connected to"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn max_stale_of_zero_gives_old_data_to_no_new_volume() {
    let world = World::new();
    let class = with(&one(), "0s");
    world.mount("all", &class, "a").await.unwrap();
    world.model.weather(Weather::Down);
    sleep(POLL * 2).await;
    let error = world.mount("all", &class, "new").await.unwrap_err();
    assert!(
        error.message.contains("more than the 0 s of maxStale"),
        "{error}"
    );
    assert_eq!(world.mount("all", &class, "a").await.unwrap()[0].1, "value");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_never_stale() {
    let world = World::new();
    world.value("a").await.unwrap();
    world.control().revoke_token("all").unwrap();
    sleep(POLL * 11 / 10).await;
    for pod in ["a", "new"] {
        let error = world.value(pod).await.unwrap_err();
        assert_eq!(error.cause, Cause::RefusedCredential, "{error}");
    }
    world.model.weather(Weather::Down);
    sleep(POLL * 2).await;
    for pod in ["a", "new"] {
        let error = world.value(pod).await.unwrap_err();
        assert_eq!(
            error.cause,
            Cause::Unreachable,
            "nothing is remembered: {error}"
        );
    }
    // The places of the class and of the token, and nothing in them.
    assert!(world.mounter.figures().bytes < 10 << 10);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_for_what_was_on_its_way() {
    let world = Arc::new(World::new());
    world.value("a").await.unwrap();
    let missing = json!({"objects": "- secretKey: MISSING\n"});
    world.mount("all", &missing, "m").await.unwrap_err();
    sleep(POLL / 4).await;
    // Phase sends the rows, which are long on their way; then it revokes the token.
    world
        .model
        .weather_of_secrets(Weather::Slow(Duration::from_secs(11)));
    let slow = Arc::clone(&world);
    let staging = json!({"phaseAppEnv": "staging"});
    let class = staging.clone();
    let slow = tokio::spawn(async move { slow.mount("all", &class, "b").await });
    sleep(Duration::from_secs(6)).await;
    world.control().revoke_token("all").unwrap();
    let error = world.mount("all", &missing, "m").await.unwrap_err();
    assert_eq!(error.cause, Cause::RefusedCredential);
    let error = slow.await.unwrap().unwrap_err();
    assert_eq!(error.cause, Cause::RefusedCredential);
    world.model.weather(Weather::Down);
    sleep(POLL * 2).await;
    let error = world.mount("all", &staging, "b").await.unwrap_err();
    assert_eq!(error.cause, Cause::Unreachable);
}

/// From now on one endpoint refuses as a firewall in front of Phase may; returns when a
/// poll has seen it.
async fn block(world: &World, of_tokens: bool) {
    let asked = || match of_tokens {
        true => world.model.requests().0,
        false => world.model.requests().1,
    };
    let before = asked();
    match of_tokens {
        true => world.model.weather_of_tokens(Weather::FirewallInJson),
        false => world.model.weather_of_secrets(Weather::FirewallInJson),
    }
    while asked() == before {
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_refusal_in_words_that_are_not_phases_takes_nothing_away() {
    for of_tokens in [true, false] {
        let world = World::new();
        world.value("a").await.unwrap();
        world.put("production", "KEY", "changed");
        block(&world, of_tokens).await;
        for pod in ["a", "new"] {
            let value = world.value(pod).await;
            assert_eq!(value.unwrap(), "value", "of tokens: {of_tokens}");
        }
        let staging = json!({"phaseAppEnv": "staging"});
        let error = world.mount("all", &staging, "b").await.unwrap_err();
        assert_eq!(error.cause, Cause::Unreachable, "{error}");
        let words = "so Phase counts as away until it does so again";
        assert!(error.message.contains(words), "{error}");
        world.model.weather(Weather::Fine);
        sleep(POLL * 2).await;
        assert_eq!(world.value("a").await.unwrap(), "changed");
        // The next one is a first one again.
        world.put("production", "KEY", "again");
        block(&world, of_tokens).await;
        assert_eq!(world.value("new").await.unwrap(), "changed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_unknown_words_is_believed_when_it_stays() {
    for (of_tokens, cause) in [(true, Cause::RefusedCredential), (false, Cause::Forbidden)] {
        let world = World::new();
        world.value("a").await.unwrap();
        world.put("production", "KEY", "changed");
        block(&world, of_tokens).await;
        sleep(POLL * 2).await;
        for pod in ["a", "new"] {
            let error = world.value(pod).await.unwrap_err();
            assert_eq!(error.cause, cause, "{error}");
            let words = "the credential counts as refused";
            assert!(error.message.contains(words), "{error}");
        }
        world.model.weather(Weather::Down);
        sleep(POLL * 2).await;
        for pod in ["a", "new"] {
            let error = world.value(pod).await.unwrap_err();
            assert_eq!(error.cause, Cause::Unreachable, "nothing is left: {error}");
        }
        world.model.weather(Weather::Fine);
        sleep(POLL * 2).await;
        assert_eq!(world.value("a").await.unwrap(), "changed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_revoked_in_an_outage_lasts_until_phase_says_so() {
    let world = World::new();
    world.value("a").await.unwrap();
    world.model.weather(Weather::Down);
    world.control().revoke_token("all").unwrap();
    sleep(POLL * 2).await;
    for pod in ["a", "new"] {
        assert_eq!(world.value(pod).await.unwrap(), "value", "nobody can know");
    }
    world.model.weather(Weather::Fine);
    sleep(POLL * 2).await;
    for pod in ["a", "new"] {
        let error = world.value(pod).await.unwrap_err();
        assert_eq!(error.cause, Cause::RefusedCredential, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_without_the_pods_uid_is_never_a_volume_that_exists() {
    let world = World::new();
    let class = with(&one(), "0s");
    let mount = async |uid: &str, path: &str| {
        let token = world.control().token("all").unwrap();
        let mut request = request(&token, &class, "a");
        let mut attributes: Value = serde_json::from_str(&request.attributes).unwrap();
        attributes["csi.storage.k8s.io/pod.uid"] = uid.into();
        request.attributes = attributes.to_string();
        request.target_path = path.to_owned();
        let limit = Deadline::after(POLL);
        let answer = world.mounter.mount(request, limit).await;
        answer.map(drop).map_err(|failure| failure.message)
    };
    let volumes = [
        (
            "uid-a",
            "/var/lib/kubelet/pods/uid-a/volumes/kubernetes.io~csi/keys/mount",
        ),
        (
            "uid-a",
            "/var/lib/kubelet/pods/uid-b/volumes/kubernetes.io~csi/keys/mount",
        ),
        ("uid-a", "/tmp/mount"),
        (
            "",
            "/var/lib/kubelet/pods//volumes/kubernetes.io~csi/keys/mount",
        ),
    ];
    for (uid, path) in volumes {
        mount(uid, path).await.unwrap();
    }
    world.model.weather(Weather::Down);
    sleep(POLL * 2).await;
    assert!(mount(volumes[0].0, volumes[0].1).await.is_ok(), "it exists");
    for (uid, path) in &volumes[1..] {
        let error = mount(uid, path).await.unwrap_err();
        assert!(error.contains("of maxStale"), "{path}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_share_that_does_not_open_takes_the_place_of_nothing() {
    let world = World::new();
    world.value("a").await.unwrap();
    world.model.weather_of_tokens(Weather::WrongShare);
    sleep(POLL * 3).await;
    // Then Phase goes away: another class is made of what was there before the lie.
    world.model.weather(Weather::Down);
    sleep(POLL * 3).await;
    let other = json!({"objects": "- secretKey: OTHER\n"});
    assert_eq!(world.mount("all", &other, "b").await.unwrap()[0].1, "other");
    world.model.weather(Weather::Fine);
    sleep(POLL * 2).await;
    assert_eq!(world.value("a").await.unwrap(), "value");
    assert_eq!(world.model.requests().1, 1, "nothing was read again");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_open_leaves_existing_volumes_as_they_are() {
    for weather in [Weather::WrongKey, Weather::Garbage] {
        for of_tokens in [false, true] {
            let world = World::new();
            world.value("a").await.unwrap();
            world.put("production", "KEY", "changed");
            match of_tokens {
                true => world.model.weather_of_tokens(weather),
                false => world.model.weather_of_secrets(weather),
            }
            sleep(POLL * 2).await;
            let name = format!("{weather:?} of tokens: {of_tokens}");
            for _ in 0..3 {
                assert_eq!(world.value("a").await.unwrap(), "value", "{name}");
                let error = world.value("new").await.unwrap_err();
                assert!(
                    matches!(error.cause, Cause::Undecryptable | Cause::MalformedAnswer),
                    "{name}: {error}"
                );
                sleep(REPUBLISH).await;
            }
            world.model.weather(Weather::Fine);
            sleep(POLL * 2).await;
            assert_eq!(world.value("new").await.unwrap(), "changed", "{name}");
            assert_eq!(world.value("a").await.unwrap(), "changed", "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_were_a_lie_are_asked_for_again_soon() {
    let world = World::new();
    world.model.weather_of_secrets(Weather::WrongKey);
    let error = world.value("a").await.unwrap_err();
    assert_eq!(error.cause, Cause::Undecryptable);
    world.model.weather(Weather::Fine);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.value("a").await.unwrap(), "value");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_missing_is_found_as_soon_as_somebody_tries_again() {
    let world = World::new();
    let class = json!({"objects": "- secretKey: NEW\n"});
    let error = world.mount("all", &class, "a").await.unwrap_err();
    assert_eq!(error.cause, Cause::NotFound);
    world.put("production", "NEW", "now");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(world.mount("all", &class, "a").await.unwrap()[0].1, "now");
}

#[tokio::test(start_paused = true)]
async fn a_secret_and_the_pod_that_mounts_it_may_come_together() {
    let world = World::new();
    world.value("a").await.unwrap();
    let class = json!({"objects": "- secretKey: NEW\n"});
    sleep(POLL / 4).await;
    // Long before the next poll tells of it.
    world.put("production", "NEW", "now");
    assert_eq!(world.mount("all", &class, "b").await.unwrap()[0].1, "now");
}

#[tokio::test(start_paused = true)]
async fn a_class_that_asks_for_what_is_not_there_costs_one_question_and_keeps_its_reason() {
    let world = World::new();
    world.value("a").await.unwrap();
    sleep(POLL / 4).await;
    let (tokens, secrets) = world.model.requests();
    let class = json!({"objects": "- secretKey: NEVER\n"});
    let error = world.mount("all", &class, "b").await.unwrap_err();
    assert_eq!(error.cause, Cause::NotFound);
    assert_eq!(world.model.requests(), (tokens + 1, secrets));
    world.mount("all", &class, "c").await.unwrap_err();
    assert_eq!(
        world.model.requests(),
        (tokens + 1, secrets),
        "it is held for a moment"
    );
    // Phase goes away: that is not why the class fails.
    let other = json!({"objects": "- secretKey: NEITHER\n"});
    world.model.weather(Weather::Down);
    sleep(POLL / 4).await;
    let error = world.mount("all", &other, "d").await.unwrap_err();
    assert_eq!(error.cause, Cause::NotFound, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_flapping_phase_is_used_when_it_is_there() {
    let world = World::new();
    world.value("a").await.unwrap();
    for round in 0..20 {
        world.model.weather(Weather::Down);
        sleep(POLL).await;
        assert!(world.value("a").await.is_ok());
        world.put("production", "KEY", &round.to_string());
        world.model.weather(Weather::Fine);
        sleep(POLL * 2).await;
        assert_eq!(world.value("a").await.unwrap(), round.to_string());
        assert_eq!(
            world.value(&format!("new-{round}")).await.unwrap(),
            round.to_string()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_were_a_lie_fail_no_class_that_comes_later() {
    let world = World::new();
    world.model.weather_of_secrets(Weather::WrongKey);
    world.value("a").await.unwrap_err();
    world.model.weather(Weather::Fine);
    sleep(POLL * 3).await;
    let other = json!({"objects": "- secretKey: OTHER\n"});
    assert_eq!(world.mount("all", &other, "b").await.unwrap()[0].1, "other");
}

pub(super) fn with(class: &Value, max_stale: &str) -> Value {
    let mut class = class.clone();
    class["maxStale"] = max_stale.into();
    class
}
