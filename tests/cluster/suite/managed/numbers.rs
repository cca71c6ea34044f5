//! What 500 resources cost, on the real API server. Counts and ratios are tested; times
//! are printed beside what is to be reached, since machines are shared.
#![allow(clippy::print_stdout, reason = "a measurement prints")]

mod rounds;

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{ListParams, PostParams};
use kube::core::PartialObjectMeta;
use phase_csi_cluster::{Controller, PATIENCE, Phase};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::writes::Writes;
use rounds::{apart, first_syncs};

const RESOURCES: usize = 500;
const TOKENS: usize = 5;
/// Ten resources read each folder.
const FOLDERS: usize = 10;
const KEYS: usize = 50;
/// In seconds, of the 500.
const INTERVAL: u64 = 10;

fn row(what: &str, measured: &str, to_reach: &str) {
    println!("| {what} | {measured} | {to_reach} |");
}

fn secret_name(number: usize) -> String {
    format!("managed-{number:03}")
}

fn place(number: usize) -> (usize, String) {
    let folder = number / TOKENS % FOLDERS;
    (number % TOKENS, format!("/folder-{folder}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of minutes: see tests/README.md"]
async fn five_hundred_resources() {
    println!("\n| what | measured | to reach |\n| --- | --- | --- |");
    if std::env::var_os("APART").is_some() {
        apart();
    }
    let phase = Phase::fleet(TOKENS + 1, FOLDERS, KEYS).await;
    phase.delay(Duration::from_millis(20));
    let mut controller = Controller::prepare_usual("managed-numbers", phase).await;
    for app in 0..=TOKENS {
        let token = controller.phase.token_of(app);
        controller.namespace.token(&Phase::app(app), &token).await;
    }
    first_syncs(&mut controller).await;
    if std::env::var_os("FIRST_ONLY").is_some() {
        return;
    }
    steady(&controller).await;
    sixty(&controller).await;
    memory(&controller, "after all that");
    latency(&controller).await;
}

/// For a minute nothing changes.
async fn steady(controller: &Controller) {
    const INTERVALS: u64 = 6;
    // What follows the first sync.
    sleep(Duration::from_secs(INTERVAL)).await;
    let (before, writes) = (versions(controller).await, Writes::count(controller).await);
    let (asked, all) = (controller.phase.asked(), controller.phase.requests());
    let api = api_requests(controller).await;
    sleep(Duration::from_secs(INTERVALS * INTERVAL)).await;
    let asked = controller.phase.asked() - asked;
    let all = controller.phase.requests() - all;
    let now = api_requests(controller).await;
    let mut more: Vec<_> = now
        .into_iter()
        .map(|(what, count)| (count - api.get(&what).copied().unwrap_or_default(), what))
        .filter(|(count, _)| *count > 0.0)
        .collect();
    more.sort_by(|one, other| other.0.total_cmp(&one.0));
    row(
        &format!("{INTERVALS} intervals without a change: requests for tokens, to Phase in total"),
        &format!("{asked}, {all}"),
        &format!("{}", INTERVALS * TOKENS as u64),
    );
    row(
        "the same: what the API server was asked (with ours)",
        &format!("{:?}", &more[..more.len().min(6)]),
        "",
    );
    let written: u64 = (0..RESOURCES)
        .map(|number| writes.of(&secret_name(number)))
        .sum();
    let changed = versions(controller)
        .await
        .iter()
        .filter(|(name, version)| before.get(*name) != Some(*version))
        .count();
    row(
        "the same: Secrets and statuses written",
        &format!("{written} and {changed}"),
        "0",
    );
    assert_eq!((written, changed), (0, 0));
    assert!(
        asked <= INTERVALS * TOKENS as u64 + TOKENS as u64,
        "{asked}"
    );
    assert_eq!(asked, all, "nothing else is asked");
    memory(controller, "after a minute without a change");
}

/// Six folders that ten resources read each, within a minute.
async fn sixty(controller: &Controller) {
    let writes = Writes::count(controller).await;
    let mut changed = Vec::new();
    for folder in 0..6 {
        let app = folder % TOKENS;
        let path = format!("/folder-{folder}");
        controller
            .phase
            .set_of(app, &path, "KEY_07", "another value");
        let readers = (0..RESOURCES).filter(|number| place(*number) == (app, path.clone()));
        changed.push((Instant::now(), readers.collect::<Vec<_>>()));
        sleep(Duration::from_secs(10)).await;
    }
    let count: usize = changed.iter().map(|(_, readers)| readers.len()).sum();
    assert_eq!(count, 60);
    let is_concerned = |number: usize| changed.iter().any(|(_, readers)| readers.contains(&number));
    eventually_all(|number| !is_concerned(number) || writes.of(&secret_name(number)) >= 1).await;
    let mut took = Vec::new();
    for (at, readers) in &changed {
        let took_one = |number: &usize| writes.times(&secret_name(*number))[0] - *at;
        took.extend(readers.iter().map(took_one));
    }
    let (median, longest) = spread(took);
    row(
        &format!("60 changed Secrets in a minute, poll interval {INTERVAL} s: median, longest"),
        &format!(
            "{:.1} s, {:.1} s",
            median.as_secs_f64(),
            longest.as_secs_f64()
        ),
        &format!("{} s", INTERVAL + 1),
    );
    // Nobody else's, and each once.
    sleep(Duration::from_secs(INTERVAL)).await;
    for number in 0..RESOURCES {
        let expected = u64::from(is_concerned(number));
        assert_eq!(writes.of(&secret_name(number)), expected, "{number}");
    }
}

/// One resource with an interval of five seconds, beside all others.
async fn latency(controller: &Controller) {
    resource(controller, "quick", TOKENS, "/folder-0", 5).await;
    controller.synced("quick", "Synced").await;
    let writes = Writes::count(controller).await;
    let mut took = Vec::new();
    for change in 0..24_u64 {
        let text = format!("canary-{change}");
        controller
            .phase
            .set_of(TOKENS, "/folder-0", "KEY_00", &text);
        let begun = Instant::now();
        while writes.of("quick") <= change {
            assert!(begun.elapsed() < PATIENCE, "it is not written");
            sleep(Duration::from_millis(5)).await;
        }
        took.push(begun.elapsed());
        // The next change comes at another point of the interval.
        sleep(Duration::from_millis(change * 613 % 2_900)).await;
    }
    let (median, longest) = spread(took);
    row(
        "a change in Phase → the Secret, poll interval 5 s, 24 times: median, longest",
        &format!(
            "{:.1} s, {:.1} s",
            median.as_secs_f64(),
            longest.as_secs_f64()
        ),
        "6 s",
    );
}

fn memory(controller: &Controller, when: &str) {
    let (now, most) = controller.replicas[0].memory();
    let measured = format!("{now:.1} MiB, {most:.1} MiB");
    row(
        &format!("memory {when}: now, at most so far"),
        &measured,
        "60 MiB",
    );
}

fn spread(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

/// When the last one was done.
async fn eventually_all(is_done: impl Fn(usize) -> bool) -> Instant {
    let begun = Instant::now();
    for number in 0..RESOURCES {
        while !is_done(number) {
            assert!(begun.elapsed() < PATIENCE, "{number} is not done");
            sleep(Duration::from_millis(5)).await;
        }
    }
    Instant::now()
}

/// When the last resource said that it is synced.
async fn all_told(controller: &Controller) -> Instant {
    let begun = Instant::now();
    loop {
        let all = controller.resources().list(&ListParams::default()).await;
        let is_synced = |status: &Value| {
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            conditions.any(|one| one["type"] == "Synced" && one["status"] == "True")
        };
        if all
            .unwrap()
            .iter()
            .all(|one| is_synced(&one.data["status"]))
        {
            return Instant::now();
        }
        assert!(begun.elapsed() < PATIENCE, "not all are told");
        // Each look costs the API server something.
        sleep(Duration::from_secs(1)).await;
    }
}

/// The version of each resource.
async fn versions(controller: &Controller) -> BTreeMap<String, String> {
    let all = controller
        .resources()
        .list_metadata(&ListParams::default())
        .await;
    let pair = |one: PartialObjectMeta<_>| {
        (
            one.metadata.name.unwrap(),
            one.metadata.resource_version.unwrap(),
        )
    };
    all.unwrap().into_iter().map(pair).collect()
}

/// What the API server has been asked so far, by verb and resource.
async fn api_requests(controller: &Controller) -> BTreeMap<String, f64> {
    let text = controller.api_metrics().await;
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("apiserver_request_total{") else {
            continue;
        };
        let (labels, count) = rest.rsplit_once("} ").unwrap();
        let label = |name: &str| {
            let of = labels.split(',').find_map(|label| label.strip_prefix(name));
            of.unwrap_or_default().trim_matches('"').to_owned()
        };
        let what = format!("{} {}", label("verb="), label("resource="));
        *counts.entry(what).or_default() += count.parse::<f64>().unwrap();
    }
    counts
}

async fn resource(controller: &Controller, name: &str, app: usize, folder: &str, interval: u64) {
    let object = json!({
        "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
        "metadata": {"name": name},
        "spec": {
            "phaseApp": Phase::app(app),
            "phaseAppEnvPath": folder,
            "pollingInterval": interval,
            "authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": Phase::app(app)}}},
            "managedSecretReferences": [{"secretName": name}],
        },
    });
    let object = serde_json::from_value(object).unwrap();
    let resources = controller.resources();
    resources
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}
