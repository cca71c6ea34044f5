//! The admin port: kubelet's probes of it, and callers who say nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How the chart's `livenessProbe` asks, but sooner again.
const EVERY: Duration = Duration::from_millis(500);
const WITHIN: Duration = Duration::from_secs(5);

/// Asks `/live` again and again until it is dropped.
pub struct Probes {
    counts: Arc<Counts>,
    _asking: JoinSet<()>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
}

/// Where kubelet asks.
#[derive(Clone, Debug)]
pub enum Place {
    /// A port of the pod, from the node.
    Port(SocketAddr),
    /// A socket in the container, by `probe --live`, as in the chart.
    Socket(String),
}

impl Probes {
    /// Of this place.
    pub fn of(place: Place) -> Self {
        let counts = Arc::new(Counts::default());
        let mut asking = JoinSet::new();
        let of = Arc::clone(&counts);
        asking.spawn(async move {
            loop {
                let is_live = match &place {
                    Place::Port(address) => is_live(*address).await,
                    Place::Socket(socket) => is_live_by_exec(socket).await,
                };
                let count = match is_live {
                    true => &of.answered,
                    false => &of.failed,
                };
                count.fetch_add(1, Ordering::Relaxed);
                sleep(EVERY).await;
            }
        });
        Self {
            counts,
            _asking: asking,
        }
    }

    /// How many were answered well, and how many not.
    pub fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.counts.answered), read(&self.counts.failed))
    }
}

/// What kubelet would find.
async fn is_live(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = "GET /live HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(WITHIN, ask).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200")))
}

/// What kubelet would find by running a command.
async fn is_live_by_exec(socket: &str) -> bool {
    let mut probe = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"));
    let probe = probe.args(["probe", "--live", socket]).kill_on_drop(true);
    let ended = timeout(WITHIN, probe.output()).await;
    ended.is_ok_and(|ended| ended.is_ok_and(|ended| ended.status.success()))
}

/// So many silent connections from this address, each opened again when it is closed.
pub fn silent(to: SocketAddr, from: Ipv4Addr, count: usize) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for _ in 0..count {
        all.spawn(async move {
            loop {
                if let Ok(mut stream) = connect(to, from).await {
                    let mut nothing = [0; 1];
                    let _ = stream.read(&mut nothing).await;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    all
}

async fn connect(to: SocketAddr, from: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    socket.connect(to).await
}
