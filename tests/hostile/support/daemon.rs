//! The real program in its memory limit.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use phase_csi_provider::provider::grpc::csi_driver_provider_client::CsiDriverProviderClient;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::limit::{self, Group};
use super::usage;

/// Bounds a hang; nothing that passes comes near it.
const SAFETY: Duration = Duration::from_secs(60);
/// So many of its last lines are kept, to be shown when a test fails.
const KEPT_LINES: usize = 40;

/// A process, what it took, and what it wrote.
pub struct Daemon {
    child: Child,
    id: u32,
    peak: Arc<AtomicU64>,
    written: Arc<Mutex<Written>>,
    directory: TempDir,
    beside: JoinSet<()>,
    // After the process.
    _group: Group,
}

/// What a process wrote.
#[derive(Default)]
pub struct Written {
    /// How many lines.
    pub lines: u64,
    /// Where it answers probes.
    admin: Option<SocketAddr>,
    last: std::collections::VecDeque<String>,
}

impl Daemon {
    /// `serve` with these flags; it answers on its socket when this returns.
    pub async fn serve(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("phase.sock");
        let endpoint = format!("unix://{}", socket.display());
        let health = health(&directory);
        let own = ["serve", "--endpoint", &endpoint, "--health-socket", &health];
        let flags = [&own, flags].concat();
        let daemon = Self::spawn(directory, &flags, &[]);
        let connected = async {
            while UnixStream::connect(&socket).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let served = timeout(SAFETY, connected).await;
        assert!(served.is_ok(), "no socket:\n{}", daemon.last_lines());
        daemon
    }

    /// `controller` with these flags and this kubeconfig.
    pub fn controller(flags: &[&str], kubeconfig: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig).unwrap();
        let flags = [&["controller"], flags].concat();
        Self::spawn(directory, &flags, &[("KUBECONFIG", file.to_str().unwrap())])
    }

    fn spawn(directory: TempDir, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let group = Group::new();
        let program = env!("CARGO_BIN_EXE_phase-csi-provider");
        let mut command = match group.entrance() {
            // In the group before the program begins, under the same id.
            Some(entrance) => {
                let mut command = Command::new("sh");
                let enter = r#"echo $$ > "$0" && exec "$@""#;
                command.arg("-c").arg(enter).arg(entrance).arg(program);
                command
            }
            None => Command::new(program),
        };
        let mut child = command
            .args(flags)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("PHASE_CSI_LOG_FORMAT", "json")
            .env("PHASE_CSI_HTTP_LISTEN", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (written, peak) = (Arc::default(), Arc::new(AtomicU64::new(0)));
        let mut beside = JoinSet::new();
        beside.spawn(read(child.stdout.take().unwrap(), Arc::clone(&written)));
        beside.spawn(read(child.stderr.take().unwrap(), Arc::clone(&written)));
        let id = child.id().expect("it runs");
        let seen = Arc::clone(&peak);
        beside.spawn(async move { limit::watch(id, &seen).await });
        Self {
            child,
            id,
            peak,
            written,
            directory,
            beside,
            _group: group,
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What was its own at most, in bytes.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Time on processors so far; none of one that has ended.
    pub fn processor(&self) -> Duration {
        usage::processor(self.id).unwrap_or_default()
    }

    /// How many lines it wrote so far.
    pub fn lines(&self) -> u64 {
        self.written.lock().unwrap().lines
    }

    /// The end of what it wrote.
    pub fn last_lines(&self) -> String {
        let written = self.written.lock().unwrap();
        let last: Vec<_> = written.last.iter().map(String::as_str).collect();
        last.join("\n")
    }

    /// Where it answers probes.
    pub async fn admin(&self) -> SocketAddr {
        let found = async {
            loop {
                if let Some(address) = self.written.lock().unwrap().admin {
                    return address;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let found = timeout(SAFETY, found).await;
        found.unwrap_or_else(|_| panic!("no admin port:\n{}", self.last_lines()))
    }

    /// Its socket for probes of its own container.
    pub fn health(&self) -> String {
        health(&self.directory)
    }

    /// The driver's side of its socket: a connection of its own.
    pub async fn client(&self) -> CsiDriverProviderClient<Channel> {
        let socket = self.directory.path().join("phase.sock");
        let connector = service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        CsiDriverProviderClient::new(channel).max_decoding_message_size(usize::MAX)
    }
}

fn health(directory: &TempDir) -> String {
    format!("unix://{}", directory.path().join("health.sock").display())
}

/// Reads to the end; a line may be long.
async fn read(from: impl AsyncRead + Unpin, written: Arc<Mutex<Written>>) {
    let mut lines = BufReader::new(from).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut written = written.lock().unwrap();
        written.lines += 1;
        if line.contains("serving health and metrics") {
            written.admin = address(&line);
        }
        if written.last.len() == KEPT_LINES {
            written.last.pop_front();
        }
        written.last.push_back(line);
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    format!("127.0.0.1:{digits}").parse().ok()
}
