//! The second client: the sync controller, which has the provider as a container of
//! its own pod. Its program is not to be had; one that asks exactly as it asks does
//! (`src/bin/sync-client.rs`). No host path, no root, no driver.

use std::path::Path;

use phase_csi_cluster::eventually;
use serde_json::{Value, json};

use crate::cluster::kubectl;
use crate::team::{TOKEN, Team};

/// A pod of the controller and of our image, both as one user without rights.
fn controller(namespaces: &str, asked_for: &str, parameters: &Value) -> Value {
    let confined = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "secrets-store-sync-controller"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
            "containers": [
                {
                    "name": "manager", "image": "localhost/sync-client:1", "imagePullPolicy": "Never",
                    "args": ["/provider/phase.sock", asked_for, parameters.to_string(), "/out"],
                    "securityContext": confined,
                    "volumeMounts": [{"name": "provider", "mountPath": "/provider"}, {"name": "out", "mountPath": "/out"}],
                },
                {
                    "name": "phase-csi-provider", "image": image(), "imagePullPolicy": "Never",
                    "args": [
                        "serve", "--endpoint=unix:///provider/phase.sock", "--http-listen=off", "--log-level=trace",
                        "--phase-host=https://10.96.0.20", "--ca-file=/ca/ca.crt",
                        "--default-token-file=/token/token", format!("--default-token-namespaces={namespaces}"),
                    ],
                    "securityContext": confined,
                    "volumeMounts": [
                        {"name": "provider", "mountPath": "/provider"},
                        {"name": "ca", "mountPath": "/ca"}, {"name": "token", "mountPath": "/token"},
                    ],
                },
            ],
            "volumes": [
                {"name": "provider", "emptyDir": {}}, {"name": "out", "emptyDir": {}},
                {"name": "ca", "configMap": {"name": "phase-ca"}},
                {"name": "token", "secret": {"secretName": TOKEN, "defaultMode": 0o440}},
            ],
        },
    })
}

/// The image that the chart installs.
fn image() -> String {
    format!(
        "ghcr.io/phasehq/phase-csi-provider:{}",
        env!("CARGO_PKG_VERSION")
    )
}

/// The team, with Phase's CA beside its token.
async fn team(name: &str) -> Team {
    let team = Team::new(name, &[("DB_PASSWORD", "canary-sidecar")]).await;
    let ca = kubectl([
        "--namespace=kube-system",
        "get",
        "configmap",
        "phase-ca",
        "--output=json",
    ])
    .await;
    let ca: Value = serde_json::from_str(&ca).unwrap();
    team.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "phase-ca"}, "data": ca["data"]})).await;
    team
}

#[tokio::test]
async fn a_sidecar_without_rights_serves_the_sync_controller_with_the_nodes_token() {
    let team = team("syncing").await;
    let parameters = json!({"phaseApp": "shop", "phaseAppEnvPath": team.folder()});
    team.apply(&controller(&team.name, &team.name, &parameters))
        .await;
    let pod = crate::pod::Pod::named(&team, "secrets-store-sync-controller");
    pod.ready().await;
    let out = Path::new("/var/lib/kubelet/pods")
        .join(pod.uid().await)
        .join("volumes/kubernetes.io~empty-dir/out/DB_PASSWORD");
    let bytes = eventually("what a Secret would be made of", async || {
        std::fs::read(&out).ok()
    })
    .await;
    assert_eq!(bytes, b"canary-sidecar");
    pod.delete().await; // others look for the one provider of the node
}

#[tokio::test]
async fn a_namespace_that_is_not_listed_gets_nothing_of_the_nodes_token() {
    let team = team("unlisted").await;
    let parameters = json!({"phaseApp": "shop", "phaseAppEnvPath": team.folder()});
    team.apply(&controller("another-namespace", &team.name, &parameters))
        .await;
    let said = eventually("the client's complaint", async || {
        let logs = crate::cluster::try_kubectl([
            "--namespace",
            &team.name,
            "logs",
            "secrets-store-sync-controller",
            "--container=manager",
        ])
        .await;
        let logs = String::from_utf8(logs.ok()?).unwrap();
        logs.contains("Phase").then_some(logs)
    })
    .await;
    assert!(said.contains("nodePublishSecretRef"), "{said}");
    crate::pod::Pod::named(&team, "secrets-store-sync-controller")
        .delete()
        .await;
}
