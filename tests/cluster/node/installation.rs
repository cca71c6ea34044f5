//! What an administrator does with the chart: install, upgrade, test, uninstall.

use std::path::Path;

use phase_csi_cluster::eventually;
use serde_json::json;

use crate::cluster::{
    PROVIDER, SYSTEM, helm, kubectl, metrics, processes, provider_may, try_kubectl, upgrade, value,
};
use crate::team::{CLASS, Team};

const SOCKET: &str = "/var/run/secrets-store-csi-providers/phase.sock";

#[tokio::test]
async fn both_kinds_are_established_and_driver_and_provider_run_on_every_node() {
    kubectl([
        "wait",
        "--for=condition=Established",
        "crd/secretproviderclasses.secrets-store.csi.x-k8s.io",
        "crd/secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
        "--timeout=60s",
    ])
    .await;
    let nodes = kubectl(["get", "nodes", "--output=name"])
        .await
        .lines()
        .count();
    for name in [PROVIDER, crate::cluster::DRIVER] {
        crate::cluster::rolled_out(name).await;
        let ready = kubectl([
            "--namespace",
            SYSTEM,
            "get",
            "daemonset",
            name,
            "--output=jsonpath={.status.numberReady}",
        ])
        .await;
        assert_eq!(ready, nodes.to_string(), "{name}");
    }
    assert_eq!(
        value(
            &metrics().await,
            &format!(
                "phase_csi_build_info{{version=\"{}\"}}",
                env!("CARGO_PKG_VERSION")
            )
        ),
        1.0
    );
}

#[tokio::test]
async fn helm_test_passes_on_the_socket_and_with_a_class() {
    // What the class's test needs lies beside the release.
    let token = crate::phase::Phase::shared().token("pods").await;
    drop(
        try_kubectl([
            "--namespace",
            SYSTEM,
            "create",
            "secret",
            "generic",
            "helm-test-token",
            &format!("--from-literal=token={token}"),
        ])
        .await,
    );
    crate::cluster::apply(SYSTEM, &json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": {"name": "helm-test"},
        "spec": {"provider": "phase", "parameters": {"phaseApp": "shop"}},
    }).to_string()).await;
    upgrade(&[
        "--set",
        "test.secretProviderClass=helm-test,test.tokenSecret=helm-test-token",
    ])
    .await;
    let said = helm(["test", PROVIDER, "--namespace", SYSTEM, "--timeout=60s"]).await;
    assert_eq!(said.matches("Succeeded").count(), 2, "{said}");
    upgrade(&[]).await;
}

#[tokio::test]
async fn an_uninstalled_release_leaves_nothing_and_running_pods_their_files() {
    let team = Team::new("uninstalled", &[("KEY", "canary-uninstalled")]).await;
    team.usual_class().await;
    let pod = team.pod("web").await;
    pod.ready().await;
    assert!(Path::new(SOCKET).exists());
    helm([
        "uninstall",
        PROVIDER,
        "--namespace",
        SYSTEM,
        "--wait",
        "--timeout=120s",
    ])
    .await;
    eventually("the provider's end", async || {
        processes(PROVIDER).is_empty().then_some(())
    })
    .await;
    assert!(!Path::new(SOCKET).exists(), "the socket is removed");
    eventually("the end of all that the chart made", async || {
        let left = kubectl([
            "get",
            "all,serviceaccounts,configmaps,clusterroles,clusterrolebindings,networkpolicies",
            "--all-namespaces",
            "--selector=app.kubernetes.io/name=phase-csi-provider",
            "--output=name",
        ])
        .await;
        left.is_empty().then_some(())
    })
    .await;
    assert_eq!(pod.text("/secrets/KEY").await, "canary-uninstalled");
    let late = team.pod("late").await;
    // The driver has a connection, and waits for its other end for two minutes.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(!late.is("Ready").await);
    upgrade(&[]).await;
    late.ready().await;
    assert_eq!(late.text("/secrets/KEY").await, "canary-uninstalled");
    pod.delete().await;
}

#[tokio::test]
async fn a_release_installed_before_the_driver_serves_it_when_it_comes() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/manifests/driver.yaml");
    let manifest = manifest.to_str().unwrap();
    kubectl(["delete", "-f", manifest, "--timeout=60s"]).await;
    let team = Team::new("early", &[("KEY", "canary-early")]).await;
    team.usual_class().await;
    let pod = team.pod("web").await;
    pod.event("driver name secrets-store.csi.k8s.io not found")
        .await;
    kubectl(["apply", "-f", manifest]).await;
    crate::cluster::rolled_out(crate::cluster::DRIVER).await;
    pod.ready().await;
    assert_eq!(pod.text("/secrets/KEY").await, "canary-early");
    let versions = pod.versions(CLASS).await;
    assert_eq!(versions.len(), 1);
}

#[tokio::test]
async fn pods_are_told_of_failed_rotations_where_the_chart_says_so() {
    upgrade(&["--set", "podEvents.enabled=true"]).await;
    assert!(provider_may("create", "events").await);
    for (verb, what) in [
        ("get", "events"),
        ("list", "secrets"),
        ("create", "serviceaccounts/token"),
        ("get", "pods"),
    ] {
        assert!(!provider_may(verb, what).await, "{verb} {what}");
    }
    let team = Team::new("told", &[("KEY", "canary-told"), ("OTHER", "canary-other")]).await;
    team.class(
        CLASS,
        json!({"objects": "- {secretKey: KEY}\n- {secretKey: OTHER}\n"}),
        json!([]),
    )
    .await;
    let pod = team.pod("web").await;
    pod.ready().await;
    team.phase.delete(&team.folder(), "KEY").await;
    let event = pod.event_of("PhaseRotationFailed").await;
    assert!(
        event.contains("KEY") && !event.contains("canary"),
        "{event}"
    );
    assert_eq!(
        pod.text("/secrets/KEY").await,
        "canary-told",
        "the files stay"
    );
    team.set("KEY", "canary-told-anew").await;
    pod.event_of("PhaseRotationRecovered").await;
    upgrade(&[]).await;
    assert!(
        !provider_may("create", "events").await,
        "the right goes with the value"
    );
}
