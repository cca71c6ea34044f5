//! A cold mount: how many requests, and how long at 50 ms of backend latency
//! against two bare requests to the same emulator; the release binary's size
//! and its time from start to socket.
//!
//! `cargo bench --bench mount`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark of known data"
)]

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::mount::Mounter;
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::client::{Asked, Client, ClientConfig, ClientError};
use phase_csi_provider::provider::MountRequest;
use phase_csi_provider::snapshot::{Settings, Snapshot, Upstream};
use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};

#[path = "requests/mod.rs"]
mod requests;

const LATENCY: Duration = Duration::from_millis(50);
const ROUNDS: usize = 9;

#[tokio::main]
async fn main() {
    let plain = Bench::new(&[]).await;
    let requests = plain.requests().await;
    println!("cold mount of 50 secrets         {requests:>8} requests (to reach: 2)");
    let referring = Bench::new(&["${Staging.X}", "${other::Production.X}"]).await;
    let requests = referring.requests().await;
    println!("the same, referring to 2 others  {requests:>8} requests (to reach: 4)\n");
    plain.time_at_latency().await;
    binary();
}

/// An emulator with 50 secrets, and the way of a mount without the socket.
struct Bench {
    emulator: Emulator,
    hosts: AllowedHosts,
    request: Box<dyn Fn() -> MountRequest>,
}

impl Bench {
    async fn new(references: &[&str]) -> Self {
        let emulator = Emulator::start(Options::new(seed(references)))
            .await
            .unwrap();
        emulator.control().warm_up();
        let host = emulator.url().parse().unwrap();
        let hosts = AllowedHosts::new(host, &[] as &[&str]).unwrap();
        let token = emulator.control().token("ci").unwrap();
        let attributes = json!({
            "csi.storage.k8s.io/pod.namespace": "shop",
            "phaseApp": "app",
        });
        let request = move || {
            let secrets = json!({ "token": token }).to_string();
            MountRequest::new(attributes.to_string(), secrets)
        };
        Self {
            emulator,
            hosts,
            request: Box::new(request),
        }
    }

    /// A node that remembers nothing yet, over connections that are kept.
    fn node(&self, client: &Arc<Client>) -> Mounter<Kept> {
        let snapshot = Snapshot::new(Kept(Arc::clone(client)), Settings::default(), None);
        Mounter::new(snapshot, self.hosts.clone())
    }

    async fn mount(&self, client: &Arc<Client>) -> Duration {
        let node = self.node(client);
        let begun = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(60));
        let answer = node.mount((self.request)(), deadline).await;
        assert!(answer.is_ok_and(|answer| answer.files == 50));
        begun.elapsed()
    }

    async fn requests(&self) -> u64 {
        self.emulator.control().reset_counters();
        self.mount(&client()).await;
        let counters = self.emulator.control().requests();
        counters.tokens + counters.secrets
    }

    async fn time_at_latency(&self) {
        self.emulator.control().set_latency(LATENCY);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let client = client();
        requests::two(&self.emulator, "ci", &http).await;
        self.mount(&client).await;
        let (mut mounts, mut bares) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            mounts.push(self.mount(&client).await);
            bares.push(requests::two(&self.emulator, "ci", &http).await);
        }
        let (mount, bare) = (median(mounts), median(bares));
        println!(
            "mount at 50 ms latency           {:>8.1} ms",
            mount.as_secs_f64() * 1e3
        );
        println!(
            "two bare requests                {:>8.1} ms",
            bare.as_secs_f64() * 1e3
        );
        println!(
            "ratio                            {:>8.2} (to reach: 1.15)\n",
            mount.as_secs_f64() / bare.as_secs_f64()
        );
    }
}

/// A client whose connections outlive the node.
struct Kept(Arc<Client>);

impl Upstream for Kept {
    async fn once(
        &self,
        asked: &Asked<'_>,
        attempt: u32,
        deadline: Deadline,
    ) -> Result<Bytes, ClientError> {
        self.0.once(asked, attempt, deadline).await
    }
}

fn client() -> Arc<Client> {
    Arc::new(Client::new(ClientConfig::default()).unwrap())
}

fn seed(references: &[&str]) -> Seed {
    let value = |n: usize| {
        references
            .get(n)
            .copied()
            .unwrap_or("a value of ordinary length")
    };
    let secrets: Vec<Value> = (0..50)
        .map(|n| json!({"key": format!("KEY_{n}"), "value": value(n)}))
        .collect();
    let other = json!([{"key": "X", "value": "from another"}]);
    let seed = json!({
        "apps": [
            {"name": "app", "environments": [
                {"name": "Production", "secrets": secrets},
                {"name": "Staging", "secrets": other},
            ]},
            {"name": "other", "environments": [{"name": "Production", "secrets": other}]},
        ],
        "accounts": [{"name": "ci"}],
    });
    Seed::from_yaml(&seed.to_string()).unwrap()
}

fn binary() {
    let path = env!("CARGO_BIN_EXE_phase-csi-provider");
    let size = std::fs::metadata(path).unwrap().len() as f64 / 1e6;
    println!("release binary                   {size:>8.1} MB (to reach: 20)");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("phase.sock");
    let starts: Vec<_> = (0..ROUNDS).map(|_| start(path, &socket)).collect();
    let start = median(starts).as_secs_f64() * 1e3;
    println!("start to socket ready            {start:>8.1} ms (to reach: 100)");
}

fn start(path: &str, socket: &Path) -> Duration {
    let begun = Instant::now();
    let mut child = Command::new(path)
        .args([
            "serve",
            "--http-listen=127.0.0.1:0",
            "--endpoint",
            &format!("unix://{}", socket.display()),
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while UnixStream::connect(socket).is_err() {
        std::thread::sleep(Duration::from_micros(200));
    }
    let ready = begun.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    ready
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
