//! An environment's keys are those that were seen first.

use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_emulator::{Seed, Unplugged};
use tokio::time::sleep;

use super::restarts::Lives;
use super::{POLL, World, one};

const CHANGED: &str = "keys of environment \"production\" are others than this node has seen before, and Phase never changes them: find out who answers in Phase's place; if Phase's data was set up anew, give the pods a new service token";

/// Somebody who answers in Phase's place: with keys and a value of his own, which open
/// as Phase's do. The server needs no private key of anybody for that.
fn forger(world: &World) -> Unplugged {
    let mut seed: Seed = world.control().seed();
    let environment = &mut seed.apps[0].environments[0];
    environment.seed = Some("5a".repeat(32));
    for secret in &mut environment.secrets {
        secret.value = "forged".to_owned();
    }
    Unplugged::new(seed).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_comes_with_other_keys_is_refused() {
    let world = World::new();
    assert_eq!(world.value("a").await.unwrap(), "value");
    let forger = forger(&world);
    world.model.answered_by(Some(forger));
    sleep(POLL * 2).await;
    for _ in 0..3 {
        let error = world.value("new").await.unwrap_err();
        assert_eq!(error.cause, Cause::Undecryptable);
        assert_eq!(error.message, CHANGED);
        assert_eq!(world.value("a").await.unwrap(), "value", "its files stay");
        sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(world.mounter.figures().key_changes, 1, "told once");
    // A token that was not there before has seen nothing else.
    let files = world.mount("same", &one(), "c").await.unwrap();
    assert_eq!(files[0].1, "forged", "what cannot be found out is not");
    world.model.answered_by(None);
    sleep(POLL * 2).await;
    assert_eq!(world.value("new").await.unwrap(), "value");
}

#[tokio::test(start_paused = true)]
async fn the_keys_are_known_after_a_restart() {
    let lives = Lives::new();
    let world = lives.life().await;
    world.value("a").await.unwrap();
    world.mounter.flush().await;
    let forger = forger(&world);
    drop(world);
    lives.model.answered_by(Some(forger));
    // Twice, since what lies on disk may have been replaced in the first of them.
    for _ in 0..2 {
        sleep(POLL * 2).await;
        let world = lives.life().await;
        let error = world.value("new").await.unwrap_err();
        assert_eq!(error.message, CHANGED);
        sleep(POLL * 2).await;
        // Another environment of the same answer is what it was.
        let staging = serde_json::json!({"phaseAppEnv": "staging"});
        world.mount("all", &staging, "b").await.unwrap();
        world.mounter.flush().await;
    }
}
