//! Work without end: templates to parse, references to look up, globs to try.

use std::time::Duration;

use serde_json::json;

use crate::support::attacks::{again, globs, long_keys, lookups, one_key, templates};
use crate::support::liar::Lie;
use crate::support::scene::Scene;

const SHORT: Duration = Duration::from_secs(3);
const BUDGET: [&str; 2] = ["--request-budget", "6000"];
const PAUSE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn templates_beyond_their_number_are_not_parsed_on_anybodys_time() {
    let scene = Scene::start(&[("templates", one_key())], &BUDGET).await;
    let tenant = scene.tenant("hostile").await;
    let class = templates("templates", 60_000, 1_500);
    let volumes = (0..2).map(|_| scene.volume("templates", &class));
    let attack = again(tenant, volumes.collect(), PAUSE);
    let outcome = scene.attacked("templates: 60 kB x 1,500", SHORT, attack);
    outcome.await.assert_harmless();
}

#[tokio::test(flavor = "multi_thread")]
async fn references_into_many_apps_are_looked_up_on_nobody_elses_time() {
    let apps = [("lookups", lookups(9_000))];
    let lies = [("lookups", Lie::Apps(10_000))];
    let scene = Scene::lying(&apps, &lies, &BUDGET).await;
    let tenant = scene.tenant("hostile").await;
    let class = |number: usize| json!({"phaseApp": "lookups", "onSecretReferenceError": "Warn", "maxStale": format!("{number}s")});
    let volumes = (0..3).map(|number| scene.volume("lookups", &class(number)));
    let attack = again(tenant, volumes.collect(), PAUSE);
    let outcome = scene.attacked("references: 9,000 among 10,000 apps", SHORT, attack);
    outcome.await.assert_harmless();
}

#[tokio::test(flavor = "multi_thread")]
async fn globs_without_number_end_with_their_mount() {
    let scene = Scene::start(&[("globs", long_keys(2_000))], &BUDGET).await;
    let tenant = scene.tenant("hostile").await;
    let volumes = (0..3).map(|number| scene.volume("globs", &globs("globs", 4_000 + number)));
    let attack = again(tenant, volumes.collect(), PAUSE);
    let outcome = scene.attacked("globs: 4,000 on 2,000 keys", SHORT, attack);
    outcome.await.assert_harmless();
}
