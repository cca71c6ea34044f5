//! The release binary as a process, in front of an emulator.

use std::ffi::OsString;
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use phase_csi_provider::provider::grpc::csi_driver_provider_client::CsiDriverProviderClient;
use phase_csi_provider::provider::{MountRequest, MountResponse};
use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

pub(crate) struct Node {
    pub(crate) emulator: Emulator,
    pub(crate) secrets: usize,
    client: CsiDriverProviderClient<Channel>,
    child: Child,
    _directory: TempDir,
}

/// A volume of a pod of its own.
pub(crate) struct Volume {
    token: String,
    pod: usize,
    class: usize,
    namespace: usize,
}

impl Volume {
    pub(crate) fn of_one_class(token: &str, count: usize) -> Vec<Self> {
        Self::of(token, count, 1)
    }

    /// One for each of these tokens, in eight namespaces: none may take more of the node than
    /// is left for others.
    pub(crate) fn of_tokens(tokens: Range<usize>) -> Vec<Self> {
        let volume = |pod| Self {
            token: format!("t{pod}"),
            pod,
            class: 0,
            namespace: pod % 8,
        };
        tokens.map(volume).collect()
    }

    pub(crate) fn of_ten_classes(token: &str, count: usize) -> Vec<Self> {
        Self::of(token, count, 10)
    }

    fn of(token: &str, count: usize, classes: usize) -> Vec<Self> {
        let volume = |pod| Self {
            token: token.to_owned(),
            pod,
            class: pod % classes,
            namespace: 0,
        };
        (0..count).map(volume).collect()
    }
}

impl Volume {
    fn namespace(&self) -> String {
        match self.namespace {
            0 => "shop".to_owned(),
            other => format!("shop-{other}"),
        }
    }
}

impl Node {
    /// A provider with its defaults and these flags; Phase has an environment of so
    /// many secrets, and tokens `t0` to `t31` of accounts of their own.
    pub(crate) async fn start(secrets: usize, flags: &[&str]) -> Self {
        Self::of_many(secrets, 32, flags).await
    }

    /// As [`Self::start`], with so many tokens.
    pub(crate) async fn of_many(secrets: usize, tokens: usize, flags: &[&str]) -> Self {
        let seed = seed(secrets, tokens);
        let emulator = Emulator::start(Options::new(seed)).await.unwrap();
        emulator.control().warm_up();
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("phase.sock");
        let child = Command::new(program())
            .args(["serve", "--phase-host", &emulator.url()])
            .arg("--http-listen=127.0.0.1:0")
            .args(["--endpoint", &format!("unix://{}", socket.display())])
            .args(flags)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            emulator,
            secrets,
            client: client(&socket).await,
            child,
            _directory: directory,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn mount(&self, volume: &Volume) -> Result<MountResponse, Status> {
        self.ask(&self.request(volume)).await
    }

    /// What the driver sends for this volume.
    pub(crate) fn request(&self, volume: &Volume) -> MountRequest {
        let token = self.emulator.control().token(&volume.token).unwrap();
        request(&token, volume)
    }

    pub(crate) async fn ask(&self, request: &MountRequest) -> Result<MountResponse, Status> {
        let answer = self.client.clone().mount(request.clone()).await;
        answer.map(tonic::Response::into_inner)
    }

    pub(crate) fn requests(&self) -> u64 {
        let counters = self.emulator.control().requests();
        counters.tokens + counters.secrets
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Connected once somebody serves the socket.
pub(crate) async fn client(socket: &std::path::Path) -> CsiDriverProviderClient<Channel> {
    while UnixStream::connect(socket).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let socket = socket.to_owned();
    let connector = service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    CsiDriverProviderClient::new(channel)
}

fn request(token: &str, volume: &Volume) -> MountRequest {
    let (pod, class) = (volume.pod, volume.class);
    let attributes = json!({
        "csi.storage.k8s.io/ephemeral": "true",
        "csi.storage.k8s.io/pod.name": format!("pod-{pod}"),
        "csi.storage.k8s.io/pod.namespace": volume.namespace(),
        "csi.storage.k8s.io/pod.uid": format!("uid-{pod}"),
        "csi.storage.k8s.io/serviceAccount.name": "web",
        "secretProviderClass": "keys",
        "phaseApp": "app",
        // One class differs from the other by a rule that changes nothing here.
        "processors": format!("NONE_{class}: {{type: plain}}\n"),
    });
    let secrets = json!({ "token": token }).to_string();
    let mut request = MountRequest::new(attributes.to_string(), secrets);
    request.target_path =
        format!("/var/lib/kubelet/pods/uid-{pod}/volumes/kubernetes.io~csi/keys/mount");
    request
}

/// The program that is measured: this build's, or another one to compare it with.
fn program() -> OsString {
    let ours = env!("CARGO_BIN_EXE_phase-csi-provider");
    std::env::var_os("BENCH_PROGRAM").unwrap_or_else(|| ours.into())
}

fn seed(secrets: usize, tokens: usize) -> Seed {
    let secrets: Vec<Value> = (0..secrets)
        .map(|n| json!({"key": format!("KEY_{n}"), "value": "a value of ordinary length"}))
        .collect();
    let accounts: Vec<Value> = (0..tokens)
        .map(|n| json!({"name": format!("t{n}")}))
        .collect();
    let seed = json!({
        "apps": [{"name": "app", "environments": [{"name": "Production", "secrets": secrets}]}],
        "accounts": accounts,
    });
    Seed::from_yaml(&seed.to_string()).unwrap()
}
