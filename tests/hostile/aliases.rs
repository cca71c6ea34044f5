//! A class whose YAML is small until its aliases are written out.

use std::time::Duration;

use crate::support::attacks::{again, aliases};
use crate::support::scene::Scene;
use crate::support::tenant::Volume;

const SHORT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_aliases_of_one_text_need_no_token_and_hurt_nobody() {
    let scene = Scene::start(&[], &["--request-budget", "6000"]).await;
    let hostile = scene.tenant("hostile").await;
    let volume = Volume::new(None, "pod", &aliases(300_000, 2_000));
    let attack = again(hostile, vec![volume], Duration::from_millis(500));
    let outcome = scene.attacked("aliases: 300 kB x 2,000, no token", SHORT, attack);
    outcome.await.assert_harmless();
}
