//! Each type of Secret: written where the data fits, refused with the next step where it
//! does not; and how much fits.

use phase_csi_cluster::{Controller, eventually, secret};
use serde_json::json;

const CERTIFICATE: &str = include_str!("../tls.crt");
const KEY: &str = include_str!("../tls.key");
const LOGIN: &str = r#"{"auths": {"registry.example": {"auth": "Y2FuYXJ5"}}}"#;

#[tokio::test]
async fn each_type_is_written_with_data_that_fits() {
    let secrets = vec![
        secret("/opaque", "ANY", "canary"),
        secret("/tls", "TLS_CERT", CERTIFICATE),
        secret("/tls", "TLS_KEY", KEY),
        secret("/registry", "LOGIN", LOGIN),
        secret("/user", "username", "canary-user"),
        secret("/user", "password", "canary-password"),
        secret("/ssh", "SSH_KEY", "canary-key"),
        secret("/bootstrap", "token-id", "abcdef"),
        secret("/bootstrap", "token-secret", "0123456789abcdef"),
    ];
    let mut controller = Controller::defined("managed-types", secrets).await;
    controller.allows = &["--allow-privileged-secret-types"];
    controller.add_replica();
    let named = |key: &str, name: &str| json!({key: {"asName": name}});
    let account =
        json!({"metadata": {"annotations": {"kubernetes.io/service-account.name": "default"}}});
    let tls = json!({"TLS_CERT": {"asName": "tls.crt"}, "TLS_KEY": {"asName": "tls.key"}});
    let types = [
        ("opaque", "Opaque", "/opaque", json!({}), json!({})),
        ("tls", "kubernetes.io/tls", "/tls", tls, json!({})),
        (
            "docker",
            "kubernetes.io/dockerconfigjson",
            "/registry",
            named("LOGIN", ".dockerconfigjson"),
            json!({}),
        ),
        (
            "old-docker",
            "kubernetes.io/dockercfg",
            "/registry",
            named("LOGIN", ".dockercfg"),
            json!({}),
        ),
        (
            "user",
            "kubernetes.io/basic-auth",
            "/user",
            json!({}),
            json!({}),
        ),
        (
            "ssh",
            "kubernetes.io/ssh-auth",
            "/ssh",
            named("SSH_KEY", "ssh-privatekey"),
            json!({}),
        ),
        (
            "bootstrap",
            "bootstrap.kubernetes.io/token",
            "/bootstrap",
            json!({}),
            json!({}),
        ),
        (
            "account",
            "kubernetes.io/service-account-token",
            "/opaque",
            json!({}),
            account,
        ),
    ];
    controller
        .kubectl("kubectl create serviceaccount default")
        .await
        .unwrap();
    for (name, kind, path, processors, template) in &types {
        let output = json!([{"secretName": name, "secretType": kind, "processors": processors, "template": template}]);
        controller
            .resource_with(name, output, json!({"phaseAppEnvPath": path}))
            .await;
    }
    for (name, kind, ..) in &types {
        controller.synced(name, "Synced").await;
        let found = controller.namespace.secret(name).await.unwrap();
        assert_eq!(found.type_.as_deref(), Some(*kind));
    }
    controller.shows("tls", "tls.crt", CERTIFICATE).await;
    controller.shows("tls", "tls.key", KEY).await;
    controller.shows("docker", ".dockerconfigjson", LOGIN).await;
    controller.shows("account", "ANY", "canary").await;
}

#[tokio::test]
async fn each_type_refuses_data_that_does_not_fit_and_says_what_to_do() {
    let big = "b".repeat(600 << 10);
    let secrets = vec![
        secret("/wrong", "OTHER", "canary-other"),
        secret("/pair", "tls.crt", CERTIFICATE),
        secret("/big", "ONE", &big),
        secret("/big", "TWO", &big),
    ];
    let mut controller = Controller::defined("managed-wrong", secrets).await;
    controller.allows = &["--allow-privileged-secret-types"];
    controller.add_replica();
    let made = "openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt";
    let other_key = controller.kubectl(made).await.unwrap();
    controller.phase.set("/pair", "tls.key", &other_key);
    let needs = |kind: &str, what: &str| {
        format!(
            "type {kind} needs the key {what}: select it, or name one so by processors and asName"
        )
    };
    let no_json =
        |key: &str| format!("{key} is no JSON object: store the registry's configuration as it is");
    let size = 2 * (600 << 10);
    let large = format!(
        "it would have {size} bytes, and a Secret may have 1048576: select fewer secrets, or write two Secrets"
    );
    let named = |name: &str| json!({"OTHER": {"asName": name}});
    for (name, kind, path, processors, text) in [
        (
            "pair",
            "kubernetes.io/tls",
            "/pair",
            json!({}),
            "tls.crt and tls.key do not belong together: renew both at once".to_owned(),
        ),
        (
            "tls",
            "kubernetes.io/tls",
            "/wrong",
            named("tls.crt"),
            needs("kubernetes.io/tls", "tls.key"),
        ),
        (
            "docker",
            "kubernetes.io/dockerconfigjson",
            "/wrong",
            named(".dockerconfigjson"),
            no_json(".dockerconfigjson"),
        ),
        (
            "old-docker",
            "kubernetes.io/dockercfg",
            "/wrong",
            named(".dockercfg"),
            no_json(".dockercfg"),
        ),
        (
            "login",
            "kubernetes.io/dockerconfigjson",
            "/wrong",
            json!({}),
            needs("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
        ),
        (
            "user",
            "kubernetes.io/basic-auth",
            "/wrong",
            json!({}),
            needs("kubernetes.io/basic-auth", "username or password"),
        ),
        (
            "ssh",
            "kubernetes.io/ssh-auth",
            "/wrong",
            json!({}),
            needs("kubernetes.io/ssh-auth", "ssh-privatekey"),
        ),
        (
            "bootstrap",
            "bootstrap.kubernetes.io/token",
            "/wrong",
            named("token-id"),
            needs("bootstrap.kubernetes.io/token", "token-secret"),
        ),
        ("big", "Opaque", "/big", json!({}), large),
    ] {
        let output = json!([{"secretName": name, "secretType": kind, "processors": processors}]);
        controller
            .resource_with(name, output, json!({"phaseAppEnvPath": path}))
            .await;
        let message = controller.synced(name, "InvalidData").await;
        assert_eq!(message, format!("Secret managed-wrong/{name}: {text}"));
        assert!(controller.namespace.secret(name).await.is_none());
    }
    // What only the API server knows.
    let account =
        json!([{"secretName": "account", "secretType": "kubernetes.io/service-account-token"}]);
    controller
        .resource_with("account", account, json!({"phaseAppEnvPath": "/wrong"}))
        .await;
    let message = controller.synced("account", "WriteRefused").await;
    assert!(
        message.contains("Secret managed-wrong/account (status 422)"),
        "{message}"
    );
    assert!(
        message.contains("kubernetes.io/service-account.name"),
        "{message}"
    );
    assert!(!message.contains("canary"), "{message}");
    // Mended in Phase, it is written.
    controller.phase.set("/pair", "tls.key", KEY);
    controller.shows("pair", "tls.key", KEY).await;
    controller.phase.delete("/big", "TWO");
    eventually("the half of it", async || {
        controller.namespace.secret("big").await.map(drop)
    })
    .await;
}
