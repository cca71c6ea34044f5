//! What one credential opened is never answered to another.

use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::host::Host;
use serde_json::json;
use tokio::time::sleep;

use super::slow_work::Node;
use super::{POLL, World, one};
use crate::support::model::Weather;

#[tokio::test(start_paused = true)]
async fn two_tokens_of_one_account_ask_each_for_itself() {
    let world = World::new();
    world.mount("all", &one(), "a").await.unwrap();
    assert_eq!(world.model.requests(), (1, 1));
    world.mount("second", &one(), "b").await.unwrap();
    assert_eq!(world.model.requests(), (2, 2));
    world.mount("same", &one(), "c").await.unwrap();
    assert_eq!(world.model.requests(), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_limited_token_sees_nothing_that_a_stronger_one_fetched() {
    let world = World::new();
    world.mount("all", &one(), "a").await.unwrap();
    let error = world.mount("limited", &one(), "b").await.unwrap_err();
    assert_eq!(error.cause, Cause::NotFound);
    assert_eq!(
        error.message,
        "environment \"production\" not found in app \"a\": it has staging (names match whole, any case)"
    );
    // Both may read staging, and each reads it with its own credential.
    let staging = json!({"phaseAppEnv": "staging"});
    world.mount("all", &staging, "c").await.unwrap();
    let before = world.model.requests();
    world.mount("limited", &staging, "d").await.unwrap();
    assert_eq!(world.model.requests().1, before.1 + 1);
    // A reference out of what it may read stays closed to it.
    world.put("staging", "BACK", "${production.KEY}");
    sleep(POLL * 2).await;
    world.mount("all", &staging, "c").await.unwrap();
    let error = world.mount("limited", &staging, "d").await.unwrap_err();
    assert!(error.message.contains("${production.KEY}"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_opens_nothing_to_another_token() {
    let world = World::new();
    world.mount("all", &one(), "a").await.unwrap();
    world.model.weather(Weather::Down);
    sleep(POLL * 2).await;
    assert_eq!(world.value("new").await.unwrap(), "value");
    for token in ["second", "same", "limited"] {
        let error = world.mount(token, &one(), "b").await.unwrap_err();
        assert_eq!(error.cause, Cause::Unreachable, "{token}: {error}");
        // Nor where the pod's volume was answered with the other token before.
        let error = world.mount(token, &one(), "a").await.unwrap_err();
        assert_eq!(error.cause, Cause::Unreachable, "{token}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_only_the_star_admits_shares_nothing_with_one_written_out() {
    let node = Node::new(Duration::ZERO);
    let limit = Duration::from_secs(90);
    for (class, screened, asked) in [(1, false, (1, 3)), (2, true, (2, 6)), (3, false, (2, 6))] {
        let mut recipe = node.recipe();
        if screened {
            let by_star = AllowedHosts::new(Host::default(), &["*"]).unwrap();
            recipe.query.host = by_star.admit(Some("https://phase.test")).unwrap();
            assert!(recipe.query.host.is_screened());
        }
        let ask = node.ask(class, class, limit);
        let reply = node.snapshot.answer(ask, || Ok(recipe)).await;
        assert_eq!(&reply.ok().unwrap().bytes[..], b"value");
        // What the one connects to may be another address than what the other does.
        assert_eq!(node.model.requests(), asked, "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_hosts_are_two_memories() {
    let world = World::new();
    let elsewhere = json!({"objects": "- secretKey: KEY\n", "phaseHost": "https://other.test"});
    world.mount("all", &one(), "a").await.unwrap();
    world.mount("all", &elsewhere, "b").await.unwrap();
    assert_eq!(world.model.requests(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_in_the_pods_secret_takes_over_at_the_next_republish() {
    let world = World::new();
    world.mount("all", &one(), "a").await.unwrap();
    world.control().revoke_token("all").unwrap();
    assert_eq!(
        world.mount("second", &one(), "a").await.unwrap()[0].1,
        "value"
    );
    assert_eq!(world.model.requests(), (2, 2));
    // The old one is gone, also for who comes with it again.
    sleep(POLL * 2).await;
    let error = world.mount("all", &one(), "a").await.unwrap_err();
    assert_eq!(error.cause, Cause::RefusedCredential);
}
