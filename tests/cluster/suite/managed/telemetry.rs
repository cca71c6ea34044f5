//! What each replica tells over HTTP: whether it lives and is ready, and its figures.

use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use phase_csi_cluster::{Controller, OwnApi, Process, eventually, http, secret};
use serde_json::json;

use super::named;
use super::operation::deployment;

/// A page of a replica, once it serves.
async fn page(replica: &Process, path: &str) -> (u16, String) {
    eventually(path, async || http(&replica.http()?, "GET", path, "").await).await
}

/// The value of a series.
async fn figure(replica: &Process, series: &str) -> f64 {
    let (_, text) = page(replica, "/metrics").await;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("{series} in {text}"));
    value.parse().unwrap()
}

async fn reaches(replica: &Process, series: &str, value: f64) {
    eventually(series, async || {
        (figure(replica, series).await == value).then_some(())
    })
    .await;
}

const LEADS: &str = "phase_csi_leader";
const SYNCED: &str = "phase_csi_managed_resources{reason=\"Synced\"}";
const TOKENLESS: &str = "phase_csi_managed_resources{reason=\"TokenMissing\"}";
const CHANGED: &str = "phase_csi_managed_writes_total{outcome=\"changed\"}";
const FAILED: &str = "phase_csi_managed_writes_total{outcome=\"failed\"}";
const CONTESTED: &str = "phase_csi_managed_writes_total{outcome=\"conflict\"}";
const CONFLICT: &str = "phase_csi_managed_resources{reason=\"Conflict\"}";
const RESTARTS: &str = "phase_csi_managed_restarts_total";

#[tokio::test]
async fn figures_follow_what_the_leader_does_and_a_standby_is_ready() {
    let secrets = vec![secret("/", "KEY", "canary-one")];
    let mut controller = Controller::start_replicas("managed-figures", secrets, 2).await;
    let (leader, _) = eventually("a leader", async || controller.leader().await).await;
    let (leads, waits) = (
        &controller.replicas[leader],
        &controller.replicas[1 - leader],
    );
    reaches(leads, LEADS, 1.0).await;
    let from = json!({"envFrom": [{"secretRef": {"name": "shop"}}]});
    deployment(
        &controller,
        "web",
        json!({"secrets.phase.dev/redeploy": "true"}),
        from,
    )
    .await;
    controller.resource("shop", named("shop")).await;
    let token = json!({"serviceToken": {"serviceTokenSecretReference": {"secretName": "none"}}});
    let token = json!({"authentication": token});
    controller
        .resource_with("tokenless", named("other"), token)
        .await;
    controller.synced("shop", "Synced").await;
    controller.synced("tokenless", "TokenMissing").await;
    for replica in [leads, waits] {
        eventually("ready", async || {
            (page(replica, "/ready").await == (200, "ok\n".to_owned())).then_some(())
        })
        .await;
        assert_eq!(page(replica, "/live").await, (200, "ok\n".to_owned()));
    }
    reaches(leads, SYNCED, 1.0).await;
    reaches(leads, TOKENLESS, 1.0).await;
    assert_eq!(figure(leads, CHANGED).await, 1.0);
    assert_eq!(figure(leads, RESTARTS).await, 0.0);
    for series in [LEADS, SYNCED, TOKENLESS, CHANGED] {
        assert_eq!(figure(waits, series).await, 0.0, "{series}");
    }
    controller.phase.set("/", "KEY", "canary-two");
    controller.shows("shop", "KEY", "canary-two").await;
    reaches(leads, RESTARTS, 1.0).await;
    reaches(leads, CHANGED, 2.0).await;
    assert_eq!(figure(leads, CONTESTED).await, 0.0);
    let edit = Patch::Merge(json!({"data": {"KEY": "Y2FuYXJ5"}}));
    let secrets = controller.namespace.api::<Secret>();
    let edited = secrets.patch("shop", &PatchParams::default(), &edit).await;
    edited.unwrap();
    reaches(leads, CONFLICT, 1.0).await;
    reaches(leads, SYNCED, 0.0).await;
    assert!(figure(leads, CONTESTED).await >= 1.0);
    assert_eq!(figure(leads, FAILED).await, 0.0);
    let taking = json!([{"secretName": "shop", "onConflict": "Take"}]);
    controller.resource("shop", taking).await;
    reaches(leads, SYNCED, 1.0).await;
    let resources = controller.resources();
    resources
        .delete("tokenless", &DeleteParams::default())
        .await
        .unwrap();
    reaches(leads, TOKENLESS, 0.0).await;
    reaches(leads, "phase_csi_managed_syncs_in_flight", 0.0).await;
    let (_, text) = page(leads, "/metrics").await;
    for found in ["canary", "shop", "KEY", "managed-figures", "tokenless"] {
        assert!(!text.contains(found), "{found} in {text}");
    }
    assert!(text.contains("phase_csi_backend_requests_total{endpoint=\"tokens\",outcome=\"ok\"}"));
    assert!(figure(leads, "phase_csi_snapshot_entries").await >= 1.0);
    controller.replicas[leader].kill().await;
    let waits = &controller.replicas[1 - leader];
    reaches(waits, LEADS, 1.0).await;
    reaches(waits, SYNCED, 1.0).await;
}

#[tokio::test]
async fn a_replica_without_an_api_server_is_live_and_not_ready() {
    let controller = Controller::start("managed-deaf", vec![secret("/", "KEY", "canary")]).await;
    let nowhere = controller.folder().join("nowhere.kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
        "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
    });
    std::fs::write(&nowhere, config.to_string()).unwrap();
    let waits = controller.run(
        "waits",
        &nowhere,
        &["--leader-election-namespace", "default"],
    );
    let works = controller.run("works", &nowhere, &["--namespace", "default"]);
    for (replica, why) in [
        (&waits, "starting: the Lease has not been asked for yet\n"),
        (
            &works,
            "starting: resources and Secrets have not been listed yet\n",
        ),
    ] {
        assert_eq!(page(replica, "/live").await, (200, "ok\n".to_owned()));
        assert_eq!(page(replica, "/ready").await, (503, why.to_owned()));
    }
    let failures = "phase_csi_managed_watch_failures_total";
    eventually(failures, async || {
        (figure(&works, failures).await >= 2.0).then_some(())
    })
    .await;
    assert!(works.output().contains("the API server cannot be watched"));
}

/// The API server is its own, since the definition is one for all.
#[tokio::test]
async fn a_replica_is_not_ready_before_the_resource_is_defined() {
    let mut api = OwnApi::prepare("undefined", 6448);
    api.restart(None).await;
    let secrets = vec![secret("/", "KEY", "canary")];
    let mut controller = Controller::prepare(api.programs(), "undefined", secrets).await;
    controller.add_replica();
    let replica = &controller.replicas[0];
    eventually("what it misses", async || {
        let said = replica.output();
        let misses = said.contains("the API server cannot be watched: look at the definition");
        misses.then_some(())
    })
    .await;
    let why = "starting: resources and Secrets have not been listed yet\n";
    assert_eq!(page(replica, "/ready").await, (503, why.to_owned()));
    assert_eq!(page(replica, "/live").await, (200, "ok\n".to_owned()));
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemonset/crd.yaml");
    let define = format!("kubectl apply --server-side -f {}", definition.display());
    controller.kubectl(&define).await.unwrap();
    eventually("ready", async || {
        (page(replica, "/ready").await == (200, "ok\n".to_owned())).then_some(())
    })
    .await;
    drop(controller);
    api.stop().await;
}
