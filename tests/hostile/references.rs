//! Values that are small until their references are filled in.

use std::time::Duration;

use serde_json::json;

use crate::support::attacks::{again, references};
use crate::support::scene::Scene;

const SHORT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_that_many_refer_to_ten_times_each_hurts_nobody() {
    let hostile = references(300_000, 120, 10);
    let scene = Scene::start(&[("bomb", hostile)], &["--request-budget", "6000"]).await;
    let tenant = scene.tenant("hostile").await;
    let volume = scene.volume("bomb", &json!({"phaseApp": "bomb"}));
    let attack = again(tenant, vec![volume], Duration::from_millis(500));
    let outcome = scene.attacked("references: 300 kB, 120 x 10", SHORT, attack);
    outcome.await.assert_harmless();
}
