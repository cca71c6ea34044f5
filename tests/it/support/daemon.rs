//! The real binary, and the driver's side of its socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use phase_csi_provider::provider::grpc::csi_driver_provider_client::CsiDriverProviderClient;
use phase_csi_provider::provider::{MountRequest, MountResponse};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::eventually;

/// Bounds a hang; nothing that passes comes near it.
const SAFETY: Duration = Duration::from_secs(60);

/// `phase-csi-provider serve` as a process of its own, killed when dropped.
pub struct Daemon {
    running: Running,
    directory: Arc<TempDir>,
}

/// A process, and what it has written so far.
struct Running {
    child: Child,
    written: Written,
    readers: [JoinHandle<()>; 2],
}

type Written = Arc<Mutex<Vec<u8>>>;

/// All that a stopped daemon has written.
pub struct Ended {
    pub status: ExitStatus,
    pub output: String,
}

impl Daemon {
    /// Started with further flags; returns once the socket can be called.
    pub async fn start(flags: &[&str]) -> Self {
        Self::with(flags, &[]).await
    }

    /// The same with variables in its environment.
    pub async fn with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let daemon = Self::spawned(directory, flags, variables);
        let connected = async {
            while UnixStream::connect(daemon.socket()).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SAFETY, connected)
            .await
            .expect("the socket is served");
        daemon
    }

    fn spawned(directory: Arc<TempDir>, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self {
            running: spawn(&directory.path().join("phase.sock"), flags, variables),
            directory,
        }
    }

    /// Another one on the same socket; returns once it says that it serves.
    pub async fn successor(&self, flags: &[&str]) -> Self {
        let daemon = Self::spawned(Arc::clone(&self.directory), flags, &[]);
        eventually(async || daemon.written().contains("\"serving\"").then_some(())).await;
        daemon
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("phase.sock")
    }

    pub fn id(&self) -> u32 {
        self.running.child.id().expect("it runs")
    }

    /// What it has written so far.
    pub fn written(&self) -> String {
        self.running.written()
    }

    /// Where it serves health and metrics.
    pub async fn http(&self) -> SocketAddr {
        let address = eventually(async || {
            let written = self.written();
            let (_, rest) = written.split_once("serving health and metrics")?;
            let (line, _) = rest.split_once('\n')?;
            let all = line.split(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
            all.filter_map(|text| text.trim_matches(':').parse().ok())
                .next()
        });
        address.await
    }

    /// A page of health and metrics: its status, its type and its text.
    pub async fn page(&self, path: &str) -> (u16, String, String) {
        let url = format!("http://{}{path}", self.http().await);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = client.get(url).timeout(SAFETY).send().await.unwrap();
        let kind = page.headers()["content-type"].to_str().unwrap().to_owned();
        (page.status().as_u16(), kind, page.text().await.unwrap())
    }

    /// The value of a series, as it is written in the metrics.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, _, text) = self.page("/metrics").await;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("{series} in {text}"));
        value.parse().unwrap()
    }

    /// The driver's call for a pod of namespace `shop` with this token and class.
    pub async fn mount(&self, token: &str, parameters: &Value) -> Result<MountResponse, Status> {
        self.call(
            attributes(parameters),
            json!({ "token": token }).to_string(),
        )
        .await
    }

    pub async fn call(&self, attributes: String, secrets: String) -> Result<MountResponse, Status> {
        self.ask(MountRequest::new(attributes, secrets)).await
    }

    /// The driver's call for the volume of one pod, on the path that kubelet makes.
    pub async fn publish(
        &self,
        token: &str,
        parameters: &Value,
        pod: &str,
    ) -> Result<MountResponse, Status> {
        let mut parameters = parameters.clone();
        parameters["csi.storage.k8s.io/pod.uid"] = json!(format!("uid-{pod}"));
        let secrets = json!({ "token": token }).to_string();
        let mut request = MountRequest::new(attributes(&parameters), secrets);
        request.target_path =
            format!("/var/lib/kubelet/pods/uid-{pod}/volumes/kubernetes.io~csi/keys/mount");
        self.ask(request).await
    }

    async fn ask(&self, request: MountRequest) -> Result<MountResponse, Status> {
        let mut client = self.client().await;
        let answer = timeout(SAFETY, client.mount(request))
            .await
            .expect("a mount has a deadline");
        answer.map(tonic::Response::into_inner)
    }

    pub async fn client(&self) -> CsiDriverProviderClient<Channel> {
        let socket = self.socket();
        let connector = service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        CsiDriverProviderClient::new(channel).max_decoding_message_size(usize::MAX)
    }

    /// Ended as the kernel ends a process that takes too much memory.
    pub async fn kill(mut self) {
        self.running.child.kill().await.unwrap();
    }

    /// Asked to stop as the kubelet asks a container.
    pub fn terminate(&self) {
        let id = i32::try_from(self.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    /// What it wrote until it ended by itself.
    pub async fn ended(mut self) -> Ended {
        self.running.ended().await
    }

    /// Stopped as the kubelet stops a container; what it wrote.
    pub async fn stop(mut self) -> Ended {
        self.terminate();
        let ended = self.running.ended().await;
        assert!(!self.socket().exists(), "a clean stop removes the socket");
        ended
    }
}

/// Runs the binary on a socket until it ends by itself.
pub async fn run(socket: &Path, flags: &[&str]) -> Ended {
    run_with(socket, flags, &[]).await
}

/// The same with variables in its environment.
pub async fn run_with(socket: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Ended {
    spawn(socket, flags, variables).ended().await
}

fn spawn(socket: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
        .arg("serve")
        .args(["--endpoint", &format!("unix://{}", socket.display())])
        .args(flags)
        .env_clear()
        // By variable, so that a test may say otherwise by flag.
        .env("PHASE_CSI_LOG_LEVEL", "trace")
        .env("PHASE_CSI_HTTP_LISTEN", "127.0.0.1:0")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let written = Written::default();
    let readers = [
        read(child.stdout.take().unwrap(), &written),
        read(child.stderr.take().unwrap(), &written),
    ];
    Running {
        child,
        written,
        readers,
    }
}

/// Reads to the end.
fn read(mut from: impl AsyncRead + Send + Unpin + 'static, written: &Written) -> JoinHandle<()> {
    let written = Arc::clone(written);
    tokio::spawn(async move {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            written.lock().unwrap().extend_from_slice(&piece[..length]);
        }
    })
}

impl Running {
    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    async fn ended(&mut self) -> Ended {
        let whole = async {
            for reader in &mut self.readers {
                reader.await.unwrap();
            }
            self.child.wait().await.unwrap()
        };
        let status = timeout(SAFETY, whole).await.expect("it ends");
        Ended {
            status,
            output: self.written(),
        }
    }
}

/// The driver's attributes for a pod of namespace `shop`.
pub fn attributes(parameters: &Value) -> String {
    let pod = json!({
        "csi.storage.k8s.io/ephemeral": "true",
        "csi.storage.k8s.io/pod.name": "web-0",
        "csi.storage.k8s.io/pod.namespace": "shop",
        "csi.storage.k8s.io/pod.uid": "5b0e7c0e-0000-4000-8000-000000000001",
        "csi.storage.k8s.io/serviceAccount.name": "web",
        "secretProviderClass": "keys",
    });
    let mut all: Map<String, Value> = pod.as_object().unwrap().clone();
    all.extend(parameters.as_object().unwrap().clone());
    Value::from(all).to_string()
}

/// `path → text` of an answer's files.
pub fn texts(answer: &MountResponse) -> Vec<(String, String)> {
    let files = answer.files.iter();
    files
        .map(|file| {
            (
                file.path.clone(),
                String::from_utf8(file.contents.clone()).unwrap(),
            )
        })
        .collect()
}
