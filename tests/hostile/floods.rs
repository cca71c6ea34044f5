//! Many at once: calls, classes, lines of the log.

use std::time::Duration;

use serde_json::json;

use crate::support::attacks::{again, dangling, one_key};
use crate::support::scene::Scene;

const SHORT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(500);
/// So many lines a failed or warned mount, a new pod each half second, and what the
/// victims write.
const MOST_LINES: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn many_mounts_of_one_tenant_at_once_keep_nobody_waiting() {
    let flags = ["--request-budget", "6000"];
    let scene = Scene::start(&[("many", one_key())], &flags).await;
    let tenant = scene.tenant("hostile").await;
    // Each class is another one, of much text.
    let class = |number: usize| {
        let entry = |line| format!("- {{secretKey: KEY, objectName: file-{number}-{line}}}\n");
        let objects: String = (0..2_000).map(entry).collect();
        json!({"phaseApp": "many", "objects": objects})
    };
    let volumes = (0..64).map(|number| scene.volume("many", &class(number)));
    let attack = again(tenant, volumes.collect(), PAUSE);
    let outcome = scene.attacked("calls: 64 classes of 2,000 entries", SHORT, attack);
    outcome.await.assert_harmless();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_with_many_warnings_writes_a_few_lines() {
    let flags = ["--request-budget", "6000"];
    let scene = Scene::start(&[("warned", dangling(40_000))], &flags).await;
    let tenant = scene.tenant("hostile").await;
    let before = scene.daemon.lines();
    let class = json!({"phaseApp": "warned", "onSecretReferenceError": "Warn"});
    let attack = again(tenant, vec![scene.volume("warned", &class)], PAUSE);
    let outcome = scene
        .attacked("warnings: 40,000 of one mount", SHORT, attack)
        .await;
    outcome.assert_harmless();
    let lines = outcome.lines - before;
    assert!(lines < MOST_LINES, "{lines} lines");
}
