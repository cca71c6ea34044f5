//! Kubernetes Secrets that the driver makes of mounted files (`secretObjects`).

use phase_csi_cluster::eventually;
use serde_json::{Value, json};

use crate::team::{CLASS, Team, pod_spec};

const CERTIFICATE: &str = include_str!("../suite/tls.crt");
const KEY: &str = include_str!("../suite/tls.key");

/// A Deployment of one pod that mounts a class.
async fn deployment(team: &Team, name: &str, class: &str, container: Value) {
    let labels = json!({"app": name});
    team.apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": pod_spec(&[class], container)}},
    }))
    .await;
}

async fn rolled_out(team: &Team, name: &str) {
    team.kubectl(&[
        "rollout",
        "status",
        &format!("deployment/{name}"),
        "--timeout=120s",
    ])
    .await;
}

#[tokio::test]
async fn a_secret_has_keys_labels_and_annotations_and_fills_variables() {
    let team = Team::new("synced", &[("DB_PASSWORD", "canary-synced")]).await;
    let secret = json!([{
        "secretName": "db", "type": "Opaque",
        "labels": {"team": "payments"}, "annotations": {"note": "made by the driver"},
        "data": [{"objectName": "DB_PASSWORD", "key": "password"}],
    }]);
    team.class(CLASS, json!({}), secret).await;
    let variable = json!({"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}});
    let pod = team
        .pod_with("web", &[CLASS], json!({"env": [variable]}))
        .await;
    pod.ready().await;
    assert_eq!(pod.sh("echo -n $PASSWORD").await, "canary-synced");
    let secret = team.namespace.secret("db").await.unwrap();
    let labels = secret.metadata.labels.unwrap();
    assert_eq!(labels["team"], "payments");
    assert_eq!(labels["secrets-store.csi.k8s.io/managed"], "true");
    assert_eq!(
        secret.metadata.annotations.unwrap()["note"],
        "made by the driver"
    );
    assert_eq!(secret.data.unwrap()["password"].0, b"canary-synced");
}

#[tokio::test]
async fn a_secret_of_two_deployments_lives_as_long_as_the_last() {
    let team = Team::new("owners", &[("KEY", "canary-owners")]).await;
    let secret = json!([{"secretName": "shared", "type": "Opaque", "data": [{"objectName": "KEY", "key": "key"}]}]);
    team.class(CLASS, json!({}), secret).await;
    for name in ["one", "two"] {
        deployment(&team, name, CLASS, json!({})).await;
    }
    for name in ["one", "two"] {
        rolled_out(&team, name).await;
    }
    let owners = async || {
        let secret = team.namespace.secret("shared").await?;
        Some(secret.metadata.owner_references.unwrap_or_default().len())
    };
    eventually("two owners", async || {
        (owners().await == Some(2)).then_some(())
    })
    .await;
    team.kubectl(&["delete", "deployment", "one"]).await;
    eventually("one owner", async || {
        (owners().await == Some(1)).then_some(())
    })
    .await;
    assert_eq!(
        team.namespace.secret_data("shared").await.unwrap()["key"],
        b"canary-owners"
    );
    team.kubectl(&["delete", "deployment", "two"]).await;
    eventually("the Secret's end", async || {
        owners().await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_tls_secret_is_made_of_one_file_and_of_two() {
    let team = Team::new(
        "tls",
        &[
            ("CERTIFICATE", CERTIFICATE),
            ("KEY", KEY),
            ("BUNDLE", &format!("{CERTIFICATE}{KEY}")),
        ],
    )
    .await;
    let data = |certificate: &str, key: &str| json!([{"objectName": certificate, "key": "tls.crt"}, {"objectName": key, "key": "tls.key"}]);
    let secrets = json!([
        {"secretName": "separate", "type": "kubernetes.io/tls", "data": data("CERTIFICATE", "KEY")},
        {"secretName": "combined", "type": "kubernetes.io/tls", "data": data("BUNDLE", "BUNDLE")},
    ]);
    team.class(CLASS, json!({}), secrets).await;
    team.pod("web").await.ready().await;
    for name in ["separate", "combined"] {
        let secret = eventually(name, async || team.namespace.secret(name).await).await;
        assert_eq!(secret.type_.unwrap(), "kubernetes.io/tls");
        let data = secret.data.unwrap();
        assert!(
            data["tls.crt"]
                .0
                .starts_with(b"-----BEGIN CERTIFICATE-----"),
            "{name}"
        );
        assert!(
            data["tls.key"]
                .0
                .windows(11)
                .any(|text| text == b"PRIVATE KEY"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_job_finds_the_image_pull_secret_that_its_volume_made() {
    let credentials = r#"{"auths":{"registry.test":{"username":"ci","password":"canary-pull","auth":"Y2k6Y2FuYXJ5LXB1bGw="}}}"#;
    let team = Team::new("pulls", &[("REGISTRY", credentials)]).await;
    let secret = json!([{"secretName": "registry", "type": "kubernetes.io/dockerconfigjson",
        "data": [{"objectName": "REGISTRY", "key": ".dockerconfigjson"}]}]);
    team.class(CLASS, json!({}), secret).await;
    // Volumes come before images: kubelet mounts first, and pulls with what is there then.
    let mut spec = pod_spec(
        &[CLASS],
        json!({"command": ["test", "-s", "/secrets/REGISTRY"]}),
    );
    spec["restartPolicy"] = json!("Never");
    spec["imagePullSecrets"] = json!([{"name": "registry"}]);
    team.apply(
        &json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "build"},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}}}),
    )
    .await;
    team.kubectl(&[
        "wait",
        "--for=condition=Complete",
        "job/build",
        "--timeout=120s",
    ])
    .await;
    let secret = eventually("the Secret", async || {
        team.namespace.secret("registry").await
    })
    .await;
    assert_eq!(secret.type_.unwrap(), "kubernetes.io/dockerconfigjson");
    assert_eq!(
        secret.data.unwrap()[".dockerconfigjson"].0,
        credentials.as_bytes()
    );
}

#[tokio::test]
async fn decoded_bytes_are_exact_in_the_secret() {
    let team = Team::new("decoded", &[("KEYSTORE", "/u3+7QAAAAI=")]).await;
    let secret = json!([{"secretName": "keystore", "type": "Opaque", "data": [{"objectName": "store.jks", "key": "store.jks"}]}]);
    team.class(
        CLASS,
        json!({"objects": "- {secretKey: KEYSTORE, objectName: store.jks, encoding: base64}\n"}),
        secret,
    )
    .await;
    team.pod("web").await.ready().await;
    let data = eventually("the Secret", async || {
        team.namespace.secret_data("keystore").await
    })
    .await;
    assert_eq!(data["store.jks"], [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]);
}
