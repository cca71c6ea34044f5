//! The one node that all tests share, and what an administrator does to it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kube::Client;
use phase_csi_cluster::{PATIENCE, Programs, eventually, http};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Where driver and provider are installed.
pub(crate) const SYSTEM: &str = "kube-system";
/// The name of our DaemonSet, of its pods' label, and of its container.
pub(crate) const PROVIDER: &str = "phase-csi-provider";
/// The name of the driver's DaemonSet, and of its pods' label.
pub(crate) const DRIVER: &str = "secrets-store-csi-driver";

/// A client of this node's API server; each test has its own runtime, hence its own client.
pub(crate) async fn client() -> Client {
    Programs::from_environment().client().await
}

/// Runs `kubectl` and gives what it prints.
pub(crate) async fn kubectl<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    let output = output("kubectl", arguments, "").await;
    String::from_utf8(output.unwrap()).unwrap()
}

/// Runs `kubectl`: what it prints, or its complaint.
pub(crate) async fn try_kubectl<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> Result<Vec<u8>, String> {
    output("kubectl", arguments, "").await
}

/// Applies manifests, as YAML or JSON.
pub(crate) async fn apply(namespace: &str, manifests: &str) {
    let arguments = ["--namespace", namespace, "apply", "-f", "-"];
    output("kubectl", arguments, manifests).await.unwrap();
}

/// Runs `helm` and gives what it prints.
pub(crate) async fn helm<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    String::from_utf8(output("helm", arguments, "").await.unwrap()).unwrap()
}

/// Runs one of the suite's programs with an empty home.
async fn output<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    input: &str,
) -> Result<Vec<u8>, String> {
    let mut child = Command::new(folder("BIN").join(program))
        .args(arguments)
        .env("HOME", folder("SUITE_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that needs no input may close it.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    let output = timeout(PATIENCE * 2, child.wait_with_output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("{program} hangs"))
        .unwrap();
    if output.status.success() {
        return Ok(output.stdout);
    }
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{program}: {error}"))
}

/// A folder that `run` hands over: `RUN` (the cluster's), `BIN`, `SUITE_DIR`.
pub(crate) fn folder(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    value
        .unwrap_or_else(|| panic!("{name} is not set: start the suite with tests/cluster/node/run"))
        .into()
}

/// The address of the only pod of a DaemonSet of the system's, once it is Ready.
pub(crate) async fn address_of(app: &str) -> String {
    eventually("a pod of the DaemonSet that is Ready", async || {
        let selector = match app {
            PROVIDER => format!("app.kubernetes.io/name={app}"),
            _ => format!("app={app}"),
        };
        let path =
            "{range .items[?(@.status.containerStatuses[0].ready==true)]}{.status.podIP} {end}";
        let found = kubectl([
            "--namespace",
            SYSTEM,
            "get",
            "pods",
            "--selector",
            &selector,
            "--output",
            &format!("jsonpath={path}"),
        ])
        .await;
        found.split_whitespace().next().map(str::to_owned)
    })
    .await
}

/// The provider's metrics.
pub(crate) async fn metrics() -> String {
    let address = address_of(PROVIDER).await;
    let answer = http(&format!("{address}:8086"), "GET", "/metrics", "").await;
    answer.expect("it serves metrics").1
}

/// Whether our DaemonSet's account may do something at the API server, in any namespace.
pub(crate) async fn provider_may(verb: &str, what: &str) -> bool {
    let account = format!("system:serviceaccount:{SYSTEM}:{PROVIDER}");
    let asked = [
        "auth",
        "can-i",
        verb,
        what,
        "--as",
        &account,
        "--all-namespaces",
    ];
    try_kubectl(asked).await.is_ok()
}

/// The value of one series of a Prometheus text, 0 if it is not there.
pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// Waits for the roll-out of a DaemonSet of the system's.
pub(crate) async fn rolled_out(daemon_set: &str) {
    let name = format!("daemonset/{daemon_set}");
    kubectl([
        "--namespace",
        SYSTEM,
        "rollout",
        "status",
        &name,
        "--timeout=120s",
    ])
    .await;
}

/// Our chart anew, with what the suite gives it and these arguments.
pub(crate) async fn upgrade(arguments: &[&str]) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemonset/chart");
    let values = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/values.yaml");
    let (chart, values) = (chart.to_str().unwrap(), values.to_str().unwrap());
    let usual = [
        "upgrade",
        "--install",
        PROVIDER,
        chart,
        "--namespace",
        SYSTEM,
        "--values",
        values,
        "--wait",
        "--timeout=120s",
    ];
    helm(usual.iter().chain(arguments)).await;
    rolled_out(PROVIDER).await;
}

/// The processes of a program, by the name of its file. The containers' processes
/// are among them.
pub(crate) fn processes(program: &str) -> Vec<Pid> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let named = all.filter(|entry| {
        let first = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let first = first
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec();
        Path::new(OsStr::from_bytes(&first)).file_name() == Some(OsStr::new(program))
    });
    named
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Sends a signal to the one container that runs a program.
pub(crate) async fn signal(program: &str, signal: Signal) {
    let found = processes(program);
    assert_eq!(found.len(), 1, "{program} runs once: {found:?}");
    kill_process(found[0], signal).unwrap();
}

/// A program of the node's own: `kubelet`, `containerd`, `kube-apiserver`, …
pub(crate) struct Component(pub(crate) &'static str);

impl Component {
    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(&self) {
        let pid = self.pid();
        kill_process(pid, Signal::KILL).unwrap();
        eventually("its end", async || {
            (!PathBuf::from(format!("/proc/{}/exe", pid.as_raw_nonzero())).exists()).then_some(())
        })
        .await;
    }

    /// Starts it again as the node started it.
    pub(crate) async fn start(&self) {
        let script = folder("RUN").join("start").join(self.0);
        let started = Command::new("setsid")
            .arg("--fork")
            .arg(script)
            .stdin(Stdio::null())
            .status()
            .await;
        assert!(started.unwrap().success());
    }

    fn pid(&self) -> Pid {
        let file = folder("RUN").join("pid").join(self.0);
        let text = std::fs::read_to_string(file).unwrap();
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }
}
