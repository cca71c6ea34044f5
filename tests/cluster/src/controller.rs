//! The controller of managed Secrets, with a namespace and a Phase of its own.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use hyper::Request;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use phase_emulator::seed::Secret;
use serde_json::{Value, json};

use crate::programs::shell;
use crate::{Namespace, OwnApi, Phase, Process, Programs, Way, eventually};

/// The Secret with the token that every resource of [`Controller::resource`] names.
const TOKEN: &str = "phase-service-token";

/// A running controller.
pub struct Controller {
    /// The controller itself, once for each replica.
    pub replicas: Vec<Process>,
    /// Its Phase.
    pub phase: Phase,
    /// The namespace that it looks after.
    pub namespace: Namespace,
    /// The way of the first replica to the API server, where that can be disturbed.
    pub way: Option<Way>,
    /// Further ones.
    pub further: Vec<String>,
    /// What its resources may ask for: flags that allow more than the default.
    pub allows: &'static [&'static str],
    programs: Programs,
    flags: &'static [&'static str],
}

/// A Phase that is asked twice a second, and a log that holds everything.
const EAGER: &[&str] = &[
    "--log-level",
    "trace",
    "--test-only-poll-interval",
    "500ms",
    "--request-budget",
    "100000",
];

/// The same, but every two seconds.
const CALM: &[&str] = &[
    "--log-level",
    "trace",
    "--test-only-poll-interval",
    "2s",
    "--request-budget",
    "100000",
];

impl Controller {
    /// Starts one that looks after a new namespace and asks a Phase with these secrets,
    /// twice a second.
    pub async fn start(name: &str, secrets: Vec<Secret>) -> Self {
        Self::start_replicas(name, secrets, 1).await
    }

    /// The same with several replicas, of which one works.
    pub async fn start_replicas(name: &str, secrets: Vec<Secret>, replicas: usize) -> Self {
        let mut controller = Self::defined(name, secrets).await;
        for _ in 0..replicas {
            controller.add_replica();
        }
        controller
    }

    /// The same at another API server.
    pub async fn start_at(api: &OwnApi, name: &str, secrets: Vec<Secret>, replicas: usize) -> Self {
        let programs = api.programs();
        define_at(&programs);
        let mut controller = Self::prepare(programs, name, secrets).await;
        for _ in 0..replicas {
            controller.add_replica();
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

    /// One whose way to the API server can be disturbed. It asks Phase every two seconds.
    pub async fn start_disturbable(name: &str, secrets: Vec<Secret>) -> Self {
        let mut controller = Self::defined(name, secrets).await;
        let folder = controller.folder();
        controller.way = Some(Way::open(&controller.programs, &folder).await);
        controller.flags = CALM;
        controller.add_replica();
        controller
    }

    /// A way that can be disturbed.
    pub fn way(&mut self) -> &mut Way {
        self.way.as_mut().expect("started as disturbable")
    }

    /// One as users have it, with its defaults, that is not started yet. Nor is there a
    /// token.
    pub async fn prepare_usual(name: &str, phase: Phase) -> Self {
        let programs = Programs::from_environment();
        define(&programs);
        let mut controller = Self::prepare_with(programs, name, phase).await;
        controller.flags = &[];
        controller
    }

    /// Makes namespace, Phase and token, and defines the resource; no replica runs yet.
    pub async fn defined(name: &str, secrets: Vec<Secret>) -> Self {
        let programs = Programs::from_environment();
        define(&programs);
        Self::prepare(programs, name, secrets).await
    }

    /// Makes namespace, Phase and token; no replica runs yet, and the resource is not
    /// defined.
    pub async fn prepare(programs: Programs, name: &str, secrets: Vec<Secret>) -> Self {
        let phase = Phase::start(secrets, Vec::new()).await;
        let controller = Self::prepare_with(programs, name, phase).await;
        let token = controller.phase.token();
        controller.namespace.token(TOKEN, &token).await;
        controller
    }

    async fn prepare_with(programs: Programs, name: &str, phase: Phase) -> Self {
        let namespace = Namespace::create(&programs.client().await, name).await;
        let controller = Self {
            replicas: Vec::new(),
            phase,
            namespace,
            way: None,
            further: Vec::new(),
            allows: &[],
            programs,
            flags: EAGER,
        };
        let folder = controller.folder();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(&controller.programs.kubeconfig, folder.join("kubeconfig")).unwrap();
        let own = format!("kubectl config set-context --current --namespace {name}");
        controller.kubectl(&own).await.unwrap();
        controller
    }

    /// Starts one more replica.
    pub fn add_replica(&mut self) {
        let process = self.started(self.replicas.len());
        self.replicas.push(process);
    }

    /// The same with a way of its own to the API server.
    pub fn add_replica_through(&mut self, kubeconfig: &Path) {
        let process = self.started_through(self.replicas.len(), kubeconfig);
        self.replicas.push(process);
    }

    /// Where commands run, and logs are.
    pub fn folder(&self) -> PathBuf {
        self.programs.folder.join(&self.namespace.name)
    }

    /// Runs a command line as an administrator whose `kubectl` looks at the namespace;
    /// what it prints, or its complaint.
    ///
    /// # Errors
    /// When it fails.
    pub async fn kubectl(&self, command: &str) -> Result<String, String> {
        let folder = self.folder();
        shell(command, &folder, &folder.join("kubeconfig")).await
    }

    /// Kills a replica and starts it again.
    pub async fn restart(&mut self, replica: usize) {
        self.replicas[replica].kill().await;
        self.replicas[replica] = self.started(replica);
    }

    /// Who holds the Lease: a replica, and which of its lives.
    pub async fn leader(&self) -> Option<(usize, String)> {
        let holder = self.lease().await?.spec?.holder_identity?;
        let (replica, life) = holder.strip_prefix("replica-")?.split_once('_')?;
        Some((replica.parse().ok()?, life.to_owned()))
    }

    /// The Lease, once there is one.
    pub async fn lease(&self) -> Option<Lease> {
        let leases = self.namespace.api::<Lease>();
        let lease = leases.get_opt("phase-csi-provider-controller").await;
        lease.unwrap()
    }

    /// The API server's own metrics.
    pub async fn api_metrics(&self) -> String {
        let request = Request::get("/metrics").body(Vec::new()).unwrap();
        let client = self.programs.client().await;
        client.request_text(request).await.unwrap()
    }

    fn started(&self, replica: usize) -> Process {
        let way = self.way.as_ref().filter(|_| replica == 0);
        let kubeconfig = way.map_or(&self.programs.kubeconfig, |way| &way.kubeconfig);
        self.started_through(replica, kubeconfig)
    }

    fn started_through(&self, replica: usize, kubeconfig: &Path) -> Process {
        let namespace = self.namespace.name.as_str();
        let mut flags = vec![
            "--namespace",
            namespace,
            "--leader-election-namespace",
            namespace,
        ];
        flags.extend(self.flags);
        flags.extend(self.allows);
        for further in &self.further {
            flags.extend(["--namespace", further]);
        }
        self.run_plainly(&format!("replica-{replica}"), kubeconfig, &flags)
    }

    /// Starts the program beside the replicas, under a name, with further flags.
    pub fn run(&self, name: &str, kubeconfig: &Path, flags: &[&str]) -> Process {
        self.run_plainly(name, kubeconfig, &[EAGER, flags].concat())
    }

    fn run_plainly(&self, name: &str, kubeconfig: &Path, flags: &[&str]) -> Process {
        let url = self.phase.url();
        let common = [
            "controller",
            "--http-listen",
            "127.0.0.1:0",
            "--phase-host",
            &url,
        ];
        self.run_with(name, kubeconfig, &[&common, flags].concat())
    }

    /// Starts the program with these arguments alone.
    pub fn run_with(&self, name: &str, kubeconfig: &Path, arguments: &[&str]) -> Process {
        let variables = [
            ("KUBECONFIG", kubeconfig.as_os_str()),
            ("HOSTNAME", OsStr::new(name)),
        ];
        let log = self.folder().join(format!("{name}.log"));
        Process::start(&self.programs.provider, arguments, &variables, &log)
    }

    /// The administrator's way to the API server.
    pub fn kubeconfig(&self) -> &Path {
        &self.programs.kubeconfig
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

    /// The notes of all events with this reason.
    pub async fn notes(&self, reason: &str) -> Vec<String> {
        let events = self.namespace.events().await;
        let of = events.into_iter().filter(|(found, _)| found == reason);
        of.map(|(_, note)| note).collect()
    }

    /// A kubeconfig of a `ServiceAccount` of the namespace, with a token of its own.
    pub async fn account(&self, name: &str) -> String {
        let file = format!("{name}.kubeconfig");
        let own = format!(
            "cp kubeconfig {file} && kubectl --kubeconfig {file} config unset users && \
             kubectl --kubeconfig {file} config set-credentials u --token=$(kubectl create token {name})"
        );
        self.kubectl(&own).await.unwrap();
        file
    }

    /// The resources.
    pub fn resources(&self) -> Api<DynamicObject> {
        self.resources_of(&self.namespace)
    }

    /// The resources of another namespace.
    pub fn resources_of(&self, namespace: &Namespace) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("secrets.phase.dev", "v1alpha1", "PhaseSecret");
        namespace.dynamic(&ApiResource::from_gvk_with_plural(&kind, "phasesecrets"))
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

/// Defines the resource at the suite's own API server, once.
fn define(programs: &Programs) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| define_at(programs));
}

/// Defines the resource, as an administrator does.
fn define_at(programs: &Programs) {
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
