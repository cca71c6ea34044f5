//! A kube-apiserver of a test's own, for flags that no other test may have, such as
//! encryption of what it writes to etcd; and what etcd then holds.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use kube::Client;
use serde_json::{Value, json};

use crate::etcd::ETCD;
use crate::eventually;
use crate::process::{Process, http, run};
use crate::programs::{Programs, client_of, shell, variable};

const USUAL_PORT: u16 = 6443;

/// A kube-apiserver whose objects lie in etcd under a name of their own. It takes as
/// much memory, and as long to start, as all the rest: for a few tests alone.
pub struct OwnApi {
    name: &'static str,
    port: u16,
    flags: Vec<String>,
    folder: PathBuf,
    server: Option<Process>,
}

impl OwnApi {
    /// Prepares one on a port that no other test has, nor the suite's own (6443); it is
    /// not started yet.
    pub fn prepare(name: &'static str, port: u16) -> Self {
        let folder = variable("SUITE_DIR").join(format!("api-{name}"));
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        let usual = fs::read_to_string(variable("KUBECONFIG")).unwrap();
        let config = usual.replace(&format!(":{USUAL_PORT}\""), &format!(":{port}\""));
        assert_ne!(config, usual, "the address of the API server was found");
        fs::write(folder.join("kubeconfig"), config).unwrap();
        Self {
            name,
            port,
            flags: Vec::new(),
            folder,
            server: None,
        }
    }

    /// With a further flag.
    #[must_use]
    pub fn with(mut self, flag: String) -> Self {
        self.flags.push(flag);
        self
    }

    /// A file or socket of this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its name, which its objects have before them in etcd.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Puts an `etcdctl` beside the suite's programs that can do what our pages use of it:
    /// the values of all keys that begin so, a line each.
    pub fn etcdctl(&self) {
        let script = format!(
            r#"#!/bin/bash
set -euo pipefail
[[ "$1 $3 $4" = "get --prefix --print-value-only" ]]
end=${{2%/}}0 # it follows the slash
body=$(printf '{{"key":"%s","range_end":"%s"}}' "$(printf %s "$2" | base64 -w0)" "$(printf %s "$end" | base64 -w0)")
curl -sS "http://{ETCD}/v3/kv/range" -d "$body" | {{ grep -o '"value":"[^"]*"' || true; }} |
  while IFS=: read -r _ value; do tr -d '"' <<< "$value" | base64 -d; echo; done
"#
        );
        let file = self.folder.join("etcdctl");
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().await;
        }
    }

    /// Starts it, or starts it again, with this configuration or with none.
    pub async fn restart(&mut self, configuration: Option<&str>) {
        self.stop().await;
        let mut arguments = self.arguments();
        if let Some(configuration) = configuration {
            let file = self.path("encryption.yaml");
            fs::write(&file, configuration).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            arguments.push(format!("--encryption-provider-config={}", file.display()));
        }
        let program = variable("BIN").join("kube-apiserver");
        let log = self.path("kube-apiserver.log");
        let mut server = Process::start(&program, arguments, &[], &log);
        eventually("the API server", async || {
            assert!(!server.has_ended(), "it ended: {}", server.output());
            self.kubectl("kubectl get --raw /readyz").await.ok()
        })
        .await;
        self.server = Some(server);
    }

    fn arguments(&self) -> Vec<String> {
        let pki = variable("RUN").join("pki");
        let pki = |name: &str| pki.join(name).display().to_string();
        [
            ("etcd-servers", format!("http://{ETCD}")),
            ("etcd-prefix", format!("/{}", self.name)),
            ("bind-address", "127.0.0.1".to_owned()),
            ("advertise-address", "10.99.0.1".to_owned()),
            ("secure-port", self.port.to_string()),
            ("endpoint-reconciler-type", "none".to_owned()),
            ("authorization-mode", "RBAC".to_owned()),
            ("cert-dir", self.path("certificates").display().to_string()),
            ("tls-cert-file", pki("apiserver.crt")),
            ("tls-private-key-file", pki("apiserver.key")),
            ("client-ca-file", pki("ca.crt")),
            (
                "service-account-issuer",
                "https://kubernetes.default.svc".to_owned(),
            ),
            ("service-account-signing-key-file", pki("sa.key")),
            ("service-account-key-file", pki("sa.key")),
            ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .into_iter()
        .chain(self.flags.iter().cloned())
        .collect()
    }

    /// A client, as its administrator.
    pub async fn client(&self) -> Client {
        client_of(&self.path("kubeconfig")).await
    }

    /// The suite's programs, with this API server in the place of its own.
    pub fn programs(&self) -> Programs {
        Programs {
            kubeconfig: self.path("kubeconfig"),
            ..Programs::from_environment()
        }
    }

    /// Runs a command line with `kubectl` in it against this API server; what it
    /// prints, or its complaint.
    ///
    /// # Errors
    /// When it fails.
    pub async fn kubectl(&self, command: &str) -> Result<String, String> {
        shell(command, &self.folder, &self.path("kubeconfig")).await
    }

    /// What etcd holds of its Secrets, by their keys in etcd.
    pub async fn stored_secrets(&self) -> BTreeMap<String, Vec<u8>> {
        let begin = format!("/{}/secrets/", self.name);
        // The key behind every key that begins so: `0` follows `/`.
        let end = format!("/{}/secrets0", self.name);
        let bytes = |text: String| ByteString(text.into_bytes());
        let body = json!({"key": bytes(begin), "range_end": bytes(end)}).to_string();
        let answer = http(ETCD, "POST", "/v3/kv/range", &body).await;
        let (status, answer) = answer.expect("etcd answers");
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let found = answer["kvs"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| {
            let ByteString(bytes) = serde_json::from_value(value.clone()).unwrap();
            bytes
        };
        found
            .iter()
            .map(|pair| {
                let key = String::from_utf8(text(&pair["key"])).unwrap();
                (key, text(&pair["value"]))
            })
            .collect()
    }
}

/// What our `encryption-config` prints with these arguments.
pub async fn encryption_config(arguments: &[&str]) -> String {
    let arguments = [&["encryption-config"], arguments].concat();
    let printed = run(Path::new("/"), &variable("PROVIDER_BIN"), &arguments, &[]).await;
    printed.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}
