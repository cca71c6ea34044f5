//! The controller of managed Secrets, with a namespace and a Phase of its own.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use phase_emulator::seed::Secret;
use serde_json::{Value, json};

use crate::{Namespace, OwnApi, Phase, Process, Programs, eventually};

/// The Secret with the token that every resource of [`Controller::resource`] names.
const TOKEN: &str = "phase-service-token";

/// A running controller.
pub struct Controller {
    /// The controller itself, once for each replica.
    pub replicas: Vec<Process>,
    /// Its Phase.
    pub phase: Phase,
    /// The only namespace that it looks after.
    pub namespace: Namespace,
    programs: Programs,
}

impl Controller {
    /// Starts one that looks after a new namespace and asks a Phase with these secrets,
    /// twice a second.
    pub async fn start(name: &str, secrets: Vec<Secret>) -> Self {
        Self::start_replicas(name, secrets, 1).await
    }

    /// The same with several replicas, of which one works.
    pub async fn start_replicas(name: &str, secrets: Vec<Secret>, replicas: usize) -> Self {
        static DEFINED: Once = Once::new();
        let programs = Programs::from_environment();
        DEFINED.call_once(|| define(&programs));
        Self::start_with(programs, name, secrets, replicas).await
    }

    /// The same at another API server.
    pub async fn start_at(api: &OwnApi, name: &str, secrets: Vec<Secret>, replicas: usize) -> Self {
        let programs = Programs {
            kubeconfig: api.path("kubeconfig"),
            ..Programs::from_environment()
        };
        define(&programs);
        Self::start_with(programs, name, secrets, replicas).await
    }

    async fn start_with(
        programs: Programs,
        name: &str,
        secrets: Vec<Secret>,
        replicas: usize,
    ) -> Self {
        let namespace = Namespace::create(&programs.client().await, name).await;
        let phase = Phase::start(secrets, Vec::new()).await;
        namespace.token(TOKEN, &phase.token()).await;
        let mut controller = Self {
            replicas: Vec::new(),
            phase,
            namespace,
            programs,
        };
        for replica in 0..replicas {
            let process = controller.started(replica);
            controller.replicas.push(process);
        }
        controller
    }

    /// The same one seen through another client: its API server has started again.
    #[must_use]
    pub fn through(self, client: &kube::Client) -> Self {
        Self {
            namespace: self.namespace.through(client),
            ..self
        }
    }

    /// Kills a replica and starts it again.
    pub async fn restart(&mut self, replica: usize) {
        self.replicas[replica].kill().await;
        self.replicas[replica] = self.started(replica);
    }

    /// Who holds the Lease: a replica, and which of its lives.
    pub async fn leader(&self) -> Option<(usize, String)> {
        let leases = self.namespace.api::<Lease>();
        let lease = leases.get_opt("phase-csi-provider-controller").await;
        let holder = lease.unwrap()?.spec?.holder_identity?;
        let (replica, life) = holder.strip_prefix("replica-")?.split_once('_')?;
        Some((replica.parse().ok()?, life.to_owned()))
    }

    fn started(&self, replica: usize) -> Process {
        let namespace = self.namespace.name.as_str();
        let flags = [
            "--namespace",
            namespace,
            "--leader-election-namespace",
            namespace,
        ];
        self.run(
            &format!("replica-{replica}"),
            &self.programs.kubeconfig,
            &flags,
        )
    }

    /// Starts the program beside the replicas, under a name, with further flags.
    pub fn run(&self, name: &str, kubeconfig: &Path, flags: &[&str]) -> Process {
        let url = self.phase.url();
        let common = [
            "controller",
            "--http-listen",
            "127.0.0.1:0",
            "--phase-host",
            &url,
            "--log-level",
            "trace",
            "--test-only-poll-interval",
            "500ms",
            "--request-budget",
            "100000",
        ];
        self.run_with(name, kubeconfig, &[&common, flags].concat())
    }

    /// Starts the program with these arguments alone.
    pub fn run_with(&self, name: &str, kubeconfig: &Path, arguments: &[&str]) -> Process {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).unwrap();
        let variables = [
            ("KUBECONFIG", kubeconfig.as_os_str()),
            ("HOSTNAME", OsStr::new(name)),
        ];
        let log = folder.join(format!("{name}.log"));
        Process::start(&self.programs.provider, arguments, &variables, &log)
    }

    /// The administrator's way to the API server.
    pub fn kubeconfig(&self) -> &Path {
        &self.programs.kubeconfig
    }

    /// Where everything of this test goes.
    pub fn folder(&self) -> PathBuf {
        self.programs.folder.join(&self.namespace.name)
    }

    /// Creates or changes a resource of app `shop` that writes these Secrets.
    pub async fn resource(&self, name: &str, secrets: Value) {
        self.resource_with(name, secrets, json!({})).await;
    }

    /// The same with further fields of `spec`.
    pub async fn resource_with(&self, name: &str, secrets: Value, extra: Value) {
        let mut spec = json!({
            "phaseApp": "shop",
            "phaseHost": self.phase.url(),
            "pollingInterval": 5,
            "authentication": {"serviceToken": {"serviceTokenSecretReference": {
                "secretName": TOKEN, "secretNamespace": self.namespace.name,
            }}},
            "managedSecretReferences": secrets,
        });
        let (Value::Object(spec), Value::Object(extra)) = (&mut spec, extra) else {
            panic!("an object");
        };
        spec.extend(extra);
        let resource = json!({
            "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
            "metadata": {"name": name}, "spec": spec,
        });
        let apply = PatchParams::apply("suite").force();
        let resources = self.resources();
        resources
            .patch(name, &apply, &Patch::Apply(resource))
            .await
            .unwrap();
    }

    /// The resources.
    pub fn resources(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("secrets.phase.dev", "v1alpha1", "PhaseSecret");
        self.namespace
            .dynamic(&ApiResource::from_gvk_with_plural(&kind, "phasesecrets"))
    }

    /// The status of a resource.
    pub async fn status(&self, name: &str) -> Value {
        let found = self.resources().get(name).await.unwrap();
        found.data["status"].clone()
    }

    /// Status, reason and message of a condition of a resource.
    pub async fn condition(&self, name: &str, condition: &str) -> Option<(bool, String, String)> {
        let status = self.status(name).await;
        let all = status["conditions"].as_array()?.clone();
        let found = all.into_iter().find(|found| found["type"] == condition)?;
        let text = |field: &str| found[field].as_str().unwrap().to_owned();
        Some((text("status") == "True", text("reason"), text("message")))
    }

    /// Waits until `Synced` has this reason; its message.
    pub async fn synced(&self, name: &str, reason: &str) -> String {
        eventually(reason, async || {
            let (_, found, message) = self.condition(name, "Synced").await?;
            (found == reason).then_some(message)
        })
        .await
    }

    /// Waits until a Secret has this text under a key.
    pub async fn shows(&self, secret: &str, key: &str, text: &str) {
        eventually("the Secret's text", async || {
            let data = self.namespace.secret_data(secret).await?;
            (data.get(key)? == text.as_bytes()).then_some(())
        })
        .await;
    }
}

/// Defines the resource, as an administrator does.
fn define(programs: &Programs) {
    let printed = Command::new(&programs.provider)
        .arg("crd")
        .output()
        .unwrap();
    assert!(printed.status.success());
    let mut apply = kubectl(programs);
    apply
        .args(["apply", "--server-side", "-f", "-"])
        .stdin(Stdio::piped());
    let mut apply = apply.spawn().unwrap();
    let mut stdin = apply.stdin.take().unwrap();
    stdin.write_all(&printed.stdout).unwrap();
    drop(stdin);
    assert!(apply.wait().unwrap().success());
    let mut wait = kubectl(programs);
    wait.args([
        "wait",
        "--for=condition=Established",
        "crd/phasesecrets.secrets.phase.dev",
        "--timeout=60s",
    ]);
    assert!(wait.status().unwrap().success());
}

fn kubectl(programs: &Programs) -> Command {
    let bin = std::env::var_os("BIN").expect("set by tests/cluster/run");
    let mut command = Command::new(Path::new(&bin).join("kubectl"));
    command
        .env("KUBECONFIG", &programs.kubeconfig)
        .env("HOME", &programs.folder);
    command
}
