//! Tokens that Phase does not know, over and over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::support::attacks::{again, strangers};
use crate::support::scene::Scene;

/// So often a pod is tried again.
const RETRY: Duration = Duration::from_secs(8);
const SHORT: Duration = Duration::from_secs(16);
const LONG: Duration = Duration::from_secs(400);
/// The victims' own new pods stay below their share of a request a second.
const NEW_POD: Duration = Duration::from_secs(3);
/// The shortest there is.
const POLL: Duration = Duration::from_secs(5);

async fn made_up_tokens(name: &str, most: Duration) {
    let poll = format!("{}s", POLL.as_secs());
    let scene = Scene::start(&[], &["--poll-interval", &poll]).await;
    let scene = scene.new_pods_each(NEW_POD);
    let (tenant, known) = (scene.tenant("hostile").await, scene.tenant("shop").await);
    let control = scene.emulator.control();
    let class = json!({"phaseApp": "shop", "objects": "- secretKey: KEY_0\n", "maxStale": "120s"});
    let volume = scene.volume("victim-0", &class);
    known.mount(&volume).await.unwrap();
    let noticed = AtomicBool::new(false);
    let change = async {
        sleep(Duration::from_secs(1)).await;
        control
            .put_secret("shop", "Production", "/", "KEY_0", "changed")
            .unwrap();
        while known.mount(&volume).await.unwrap().files[0].contents != b"changed" {
            sleep(Duration::from_millis(200)).await;
        }
        noticed.store(true, Ordering::Relaxed);
    };
    let attack = async {
        tokio::join!(
            Box::pin(again(tenant, strangers(240), RETRY)),
            Box::pin(change)
        );
    };
    let outcome = Box::pin(scene.attacked(name, most, attack)).await;
    outcome.assert_harmless();
    let noticed = noticed.load(Ordering::Relaxed);
    assert!(noticed, "a known token's change was not seen in {most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_tokens_take_no_request_from_those_who_have_one() {
    Box::pin(made_up_tokens("tokens: 240 made up, every 8 s", SHORT)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "seven minutes: cargo test --release --test hostile strangers -- --ignored"]
async fn made_up_tokens_take_no_request_for_long() {
    Box::pin(made_up_tokens("tokens: 240 made up, every 8 s, long", LONG)).await;
}
