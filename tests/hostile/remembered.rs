//! Classes and environments that fit one by one, and are too much together.

use std::time::Duration;

use crate::support::attacks::{again, fat, formats, one_key, one_of_each, templates, values};
use crate::support::scene::Scene;

const SHORT: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn classes_of_a_hundred_templates_each_are_not_kept_beyond_the_bound() {
    let scene = Scene::start(&[("templates", one_key())], &["--request-budget", "6000"]).await;
    let tenant = scene.tenant("hostile").await;
    // Each is another class: another name, and other bytes.
    let class = |number: usize| templates("templates", 60_000 + 9 * number, 100);
    let volumes = (0..4).map(|number| scene.volume("templates", &class(number)));
    let attack = again(tenant, volumes.collect(), Duration::from_millis(500));
    let outcome = scene.attacked("templates: 4 classes of 60 kB x 100", SHORT, attack);
    outcome.await.assert_harmless();
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_of_24_megabytes_are_not_read_beyond_the_bound() {
    let scene = Scene::start(&[("fat", fat(12, 24))], &["--request-budget", "6000"]).await;
    let tenant = scene.tenant("hostile").await;
    let volume = scene.volume("fat", &one_of_each("fat", 12));
    let attack = again(tenant, vec![volume], Duration::from_millis(500));
    let outcome = scene.attacked("environments: 12 x 24 MiB", SHORT, attack);
    outcome.await.assert_harmless();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_no_answer_can_hold_are_not_made() {
    let scene = Scene::start(
        &[("formats", values(400_000))],
        &["--request-budget", "6000"],
    )
    .await;
    let tenant = scene.tenant("hostile").await;
    // Each is another class.
    let volumes = (0..3).map(|number| scene.volume("formats", &formats("formats", 58 + number)));
    let attack = again(tenant, volumes.collect(), Duration::from_millis(500));
    let outcome = scene.attacked("formats: 60 x 400 kB", SHORT, attack);
    outcome.await.assert_harmless();
}
