//! What `controller` says when there is no way to the API server: one line, and it ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::eventually;

/// A process that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A kubeconfig for this cluster.
fn write_kubeconfig(path: &Path, cluster: &Value) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    });
    std::fs::write(path, config.to_string()).unwrap();
}

#[tokio::test]
async fn probes_are_answered_on_a_socket_of_its_own_without_http_and_without_an_api_server() {
    let folder = tempdir().unwrap();
    let (kubeconfig, socket) = (
        folder.path().join("kubeconfig"),
        folder.path().join("s.sock"),
    );
    write_kubeconfig(&kubeconfig, &json!({"server": "https://127.0.0.1:1"}));
    let endpoint = format!("unix://{}", socket.display());
    let controller = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
        .args(["controller", "--http-listen", "off"])
        .args(["--health-socket", &endpoint])
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .stderr(Stdio::null())
        .spawn();
    let _controller = Running(controller.unwrap());
    let probe = async |flag: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
            .args(["probe", flag, &endpoint])
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    };
    eventually(async || (probe("--live").await == (Some(0), "ok\n".to_owned())).then_some(()))
        .await;
    let (code, said) = probe("--ready").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error: starting: "), "{said}");
}

/// What it complains about with this cluster in its kubeconfig, or with no kubeconfig.
fn complaint(cluster: Option<&Value>, variables: &[(&str, &str)]) -> String {
    let folder = tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    if let Some(cluster) = cluster {
        write_kubeconfig(&kubeconfig, cluster);
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
