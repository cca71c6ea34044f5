//! The first sync of all resources against bare server-side applies of the same Secrets.
//!
//! Machines are shared, so both are done by turns, and the median of the ratios counts.

use std::process::Command;
use std::time::Duration;

use futures_util::stream::{StreamExt, iter};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use phase_csi_cluster::{Controller, eventually, processor_time};
use serde_json::json;
use tokio::time::Instant;

use super::super::writes::Writes;
use super::{
    INTERVAL, KEYS, RESOURCES, all_told, eventually_all, memory, place, resource, row, secret_name,
};

const ROUNDS: usize = 5;
/// The controller's own default.
const AT_ONCE: usize = 32;

/// The API server and its etcd have a core for themselves, and everything else, the
/// controller too, another: as on machines of their own, neither takes the other's time.
pub(super) fn apart() {
    let core = |of: &str, core: &str| {
        let set = Command::new("taskset").args(["-acp", core, of]).output();
        assert!(set.unwrap().status.success());
    };
    for server in api_server() {
        core(&server.to_string(), "0");
    }
    core(&std::process::id().to_string(), "1");
}

/// The processes of the API server and its etcd.
fn api_server() -> [u32; 2] {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if ["kube-apiserver", "etcd"].contains(&name.trim()) {
            found.push(path.file_name().unwrap().to_str().unwrap().parse().unwrap());
        }
    }
    found.try_into().expect("API server and etcd")
}

/// How much processor time the API server and its etcd have taken so far.
fn api_time() -> Duration {
    api_server().into_iter().map(processor_time).sum()
}

/// By turns: bare applies, and a controller that finds all resources and no Secret. The
/// last one stays.
pub(super) async fn first_syncs(controller: &mut Controller) {
    let mut bares = vec![bare(controller).await];
    let mut syncs = Vec::new();
    for round in 1..=ROUNDS {
        for number in 0..RESOURCES {
            let (app, folder) = place(number);
            resource(controller, &secret_name(number), app, &folder, INTERVAL).await;
        }
        syncs.push(first_sync(controller).await);
        if round < ROUNDS {
            clear(controller).await;
        }
        bares.push(bare(controller).await);
    }
    let around = |round: usize| f64::midpoint(bares[round], bares[round + 1]);
    let mut ratios: Vec<_> = (0..ROUNDS)
        .map(|round| syncs[round] / around(round))
        .collect();
    ratios.sort_by(f64::total_cmp);
    row(
        &format!(
            "bare applies of {RESOURCES} Secrets of {KEYS} keys, {AT_ONCE} at once, each second"
        ),
        &listed(&bares, 0),
        "",
    );
    row(
        "first syncs, from the start of the program to the last Secret, each second",
        &listed(&syncs, 0),
        "",
    );
    row(
        "each against the bare ones before and after it: the median; all",
        &format!("**{:.2}**; {}", ratios[ROUNDS / 2], listed(&ratios, 2)),
        "0.7",
    );
}

fn listed(numbers: &[f64], decimals: usize) -> String {
    let numbers = numbers.iter().map(|number| format!("{number:.decimals$}"));
    numbers.collect::<Vec<_>>().join(", ")
}

/// From the start of a program to the last Secret: how many a second.
async fn first_sync(controller: &mut Controller) -> f64 {
    let writes = Writes::count(controller).await;
    let (begun, api) = (Instant::now(), api_time());
    controller.add_replica();
    let written = eventually_all(|number| writes.of(&secret_name(number)) >= 1).await - begun;
    let spent = controller.replicas[0].processor_time();
    let api = api_time() - api;
    let told = all_told(controller).await - begun;
    let mut times: Vec<_> = (0..RESOURCES)
        .map(|number| (writes.times(&secret_name(number))[0] - begun).as_secs_f64())
        .collect();
    times.sort_by(f64::total_cmp);
    let times = [0, 50, 100, 250, 400, 499].map(|place| times[place]);
    row(
        "a first sync: the 1st, 51st, 101st, 251st, 401st, last Secret; the last status; processor time up to the last Secret: the controller, the API server with etcd",
        &format!(
            "{} s; {:.1} s; {:.2} s, {:.2} s",
            listed(&times, 2),
            told.as_secs_f64(),
            spent.as_secs_f64(),
            api.as_secs_f64()
        ),
        "",
    );
    memory(controller, "after a first sync");
    for number in 0..RESOURCES {
        let name = secret_name(number);
        assert_eq!(writes.of(&name), 1, "{name}");
    }
    RESOURCES as f64 / written.as_secs_f64()
}

/// Stops the controller, and takes all away that it was for.
async fn clear(controller: &mut Controller) {
    for mut replica in controller.replicas.drain(..) {
        assert!(replica.stop().await);
    }
    let (delete, all) = (DeleteParams::default(), ListParams::default());
    let resources = controller.resources();
    resources.delete_collection(&delete, &all).await.unwrap();
    gone(controller, "secrets.phase.dev/managed=true").await;
}

/// The same Secrets under other names and another label, as fast as the API server takes
/// them: how many a second.
async fn bare(controller: &Controller) -> f64 {
    // The same is watched of both.
    let _writes = Writes::count(controller).await;
    let secrets = controller.namespace.api::<PartialObjectMeta<Secret>>();
    let values = (0..KEYS).map(|key| {
        let value = format!("a value as long as usual, of key {key} in /folder-0");
        (
            format!("KEY_{key:02}"),
            json!(ByteString(value.into_bytes())),
        )
    });
    let data: serde_json::Map<_, _> = values.collect();
    let (begun, spent) = (Instant::now(), processor_time(std::process::id()));
    let api = api_time();
    let all = iter(0..RESOURCES).map(|number| {
        let name = format!("compare-{number:03}");
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
            "metadata": {
                "name": name,
                "labels": {"suite": "bare"},
                "annotations": {
                    "suite.phase.dev/content-hash": "a".repeat(32),
                    "suite.phase.dev/phasesecret": format!("{}/{name}", controller.namespace.name),
                },
            },
        });
        let (secrets, secret) = (&secrets, Patch::Apply(secret));
        async move {
            let apply = PatchParams::apply("bare");
            let applied = secrets.patch_metadata(&name, &apply, &secret);
            applied.await.unwrap();
        }
    });
    all.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    let rate = RESOURCES as f64 / begun.elapsed().as_secs_f64();
    let spent = processor_time(std::process::id()) - spent;
    let api = api_time() - api;
    row(
        "bare applies; processor time: this client, the API server with etcd",
        &format!(
            "{rate:.0}/s; {:.2} s, {:.2} s",
            spent.as_secs_f64(),
            api.as_secs_f64()
        ),
        "",
    );
    gone(controller, "suite=bare").await;
    rate
}

/// Takes away the Secrets with a label.
async fn gone(controller: &Controller, label: &str) {
    let secrets = controller.namespace.api::<Secret>();
    let these = ListParams::default().labels(label);
    let delete = DeleteParams::default();
    secrets.delete_collection(&delete, &these).await.unwrap();
    eventually("their end", async || {
        let left = secrets.list_metadata(&these).await.unwrap();
        left.items.is_empty().then_some(())
    })
    .await;
}
