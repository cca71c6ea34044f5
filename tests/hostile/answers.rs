//! A Phase that lies: answers that are large, endless, deep or wide.

use std::time::Duration;

use serde_json::json;

use crate::support::attacks::{again, one_key};
use crate::support::liar::Lie;
use crate::support::scene::Scene;

const SHORT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(500);
const NAMES: [&str; 8] = ["l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7"];

async fn liars(name: &str, lies: [Lie; 8]) {
    let apps = NAMES.map(|name| (name, one_key()));
    let lies: Vec<_> = NAMES.into_iter().zip(lies).collect();
    let scene = Scene::lying(&apps, &lies, &["--request-budget", "6000"]).await;
    let tenant = scene.tenant("hostile").await;
    let volume = |name| {
        scene.volume(
            name,
            &json!({"phaseApp": name, "objects": "- secretKey: KEY\n"}),
        )
    };
    let attack = again(tenant, NAMES.map(volume).into(), PAUSE);
    let outcome = scene.attacked(name, SHORT, attack).await;
    outcome.assert_harmless();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_many_small_parts_take_no_more_than_their_share() {
    liars("answers: 8 of 350,000 apps", [Lie::Apps(350_000); 8]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_with_nothing_in_them_take_no_more_than_their_share() {
    liars("answers: 8 of 250,000 empty rows", [Lie::Rows(250_000); 8]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_endless_slow_deep_or_wide_end_for_their_tenant_alone() {
    let lies = [
        Lie::Long(64 << 20),
        Lie::Long(31 << 20),
        Lie::Drip,
        Lie::Drip,
        Lie::Nested(8 << 20),
        Lie::Fields(1_000_000),
        Lie::Environments(10_000),
        Lie::Environments(10_000),
    ];
    liars("answers: 64 MiB, dripped, deep, wide", lies).await;
}
