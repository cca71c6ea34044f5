//! What `controller` says when there is no way to the API server: one line, and it ends.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::tempdir;

/// What it complains about with this cluster in its kubeconfig, or with no kubeconfig.
fn complaint(cluster: Option<&Value>, variables: &[(&str, &str)]) -> String {
    let folder = tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    if let Some(cluster) = cluster {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
    }
    let ran = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
        .args(["controller", "--http-listen", "127.0.0.1:0"])
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .env("KUBECONFIG", kubeconfig)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(!ran.status.success());
    let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn no_way_to_the_api_server_is_told_with_its_next_step() {
    let server = json!("https://127.0.0.1:1");
    let direct = json!({"server": server});
    let over = json!({"server": server, "proxy-url": "http://user:canary@127.0.0.1:1"});
    let misnamed = json!({"server": server, "tls-server-name": "not a name"});
    let proxy = "a proxy to the API server is not supported: take proxy-url out of the \
                 kubeconfig, and HTTPS_PROXY out of the environment";
    let environment = [("HTTPS_PROXY", "http://user:canary@127.0.0.1:1")];
    for (said, why) in [
        (complaint(None, &[]), "failed to"),
        (complaint(Some(&over), &[]), proxy),
        (complaint(Some(&direct), &environment), proxy),
        (
            complaint(Some(&misnamed), &[]),
            "tls-server-name is not the name of a server: correct it in the kubeconfig",
        ),
    ] {
        assert!(said.contains("no way to the Kubernetes API: "), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}
