//! `serve`: the daemon that a node runs.

mod args;

pub use args::{ServeArgs, SocketArgs};

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tracing::info;

use crate::credential::NodeToken;
use crate::mount::Mounter;
use crate::phase::client::CaFileError;
use crate::phase::host::HostError;
use crate::provider::{self, BindError, Readiness, Stopped};
use crate::quota;
use crate::snapshot::{Limits, Settings, Snapshot, disk};
use crate::telemetry::events::{AccountError, PodEvents};
use crate::telemetry::http::{HealthSocket, HealthSocketError, Http, ListenError, Pages, Shared};
use crate::telemetry::lines;
use crate::telemetry::live::{Dead, Live};
use crate::telemetry::metrics::Metrics;

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--ca-file` or another flag of the client is wrong.
    #[error(transparent)]
    Client(#[from] CaFileError),
    /// `--allowed-host` is wrong.
    #[error("--allowed-host: {0}")]
    Host(#[from] HostError),
    /// The socket cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no service account for `--pod-events`.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The address of health and metrics cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The socket of probes cannot be had.
    #[error(transparent)]
    Health(#[from] HealthSocketError),
    /// Another instance serves in our place.
    #[error("another instance took the socket's place: this one ends")]
    Replaced,
    /// We stood by for another instance, and it serves no more.
    #[error("the instance that took over is gone: {0}: this one ends, to be started again")]
    Forsaken(Dead),
}

/// Serves until `stop` is ready, then lets running mounts finish.
///
/// # Errors
/// [`Error`], before the socket exists or when it can no longer be served.
pub async fn run(args: ServeArgs, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let hosts = args.phase.hosts()?;
    let metrics = Metrics::default();
    let client = args.phase.client(Arc::clone(&metrics.backend))?;
    let mut beside = JoinSet::new();
    let mut pod_events = None;
    if args.pod_events {
        let account = args.test_only_service_account;
        let (events, work) = PodEvents::new(account, Arc::clone(&metrics.pod_events))?;
        beside.spawn(work);
        pod_events = Some(events);
    }
    let http = Http::bind(args.http.http_listen)?;
    let health = HealthSocket::bind(args.http.health_socket.as_ref()).await?;
    let store = match &args.state_dir {
        Some(directory) => {
            let limits = disk::Limits::default();
            Some(disk::Store::open(directory.clone(), limits, disk::Clock::system()).await)
        }
        None => None,
    };
    let settings = Settings {
        poll_interval: args.test_only_poll_interval.unwrap_or(args.poll_interval),
        max_stale: args.max_stale,
        request_budget: args.phase.request_budget,
        full_read: args.phase.full_read_interval,
        flight: args.mount_deadline,
        limits: Limits::of_memory(quota::memory_limit()),
        ..Settings::default()
    };
    let snapshot = Snapshot::new(client, settings, store);
    let node_token = args
        .default_token_file
        .map(|file| NodeToken::new(file, args.default_token_namespaces));
    let mounter = Mounter::new(snapshot, hosts).telling(pod_events);
    let mounter = mounter.sending(args.max_call_send_msg_size);
    let mounter = Arc::new(mounter.lending(node_token));
    let whole = Arc::clone(&mounter);
    let config = provider::Config {
        mount_deadline: args.mount_deadline,
        max_answer_bytes: args.max_call_send_msg_size,
        take_over: args.take_over,
        rewrite_authority: !args.test_only_raw_authority,
        figures: Arc::clone(&metrics.mounts),
        ..provider::Config::new(args.socket.endpoint)
    };
    let handler = move |request, deadline| {
        let mounter = Arc::clone(&mounter);
        async move { mounter.mount(request, deadline).await }
    };
    let bound = provider::bind(config, handler).await?;
    let live = Live::new(bound.path());
    let pages = pages(live.clone(), bound.readiness(), metrics, Arc::clone(&whole));
    if let Some(http) = http {
        beside.spawn(http.serve(pages.clone()));
    }
    if let Some(health) = health {
        beside.spawn(health.serve(pages));
    }
    let mut stop = pin!(stop);
    let stopped = bound.run(stop.as_mut()).await;
    whole.flush().await;
    lines::count_rest();
    match stopped {
        Stopped::Asked => {}
        // An end would be taken for a failure, and whoever is started again takes over again.
        Stopped::Replaced if args.take_over => {
            info!("standing by for the instance that took over, until told to stop");
            tokio::select! {
                () = stop => {}
                dead = live.stand_by() => return Err(Error::Forsaken(dead)),
            }
        }
        Stopped::Replaced => return Err(Error::Replaced),
    }
    info!("stopped");
    Ok(())
}

/// What is answered to probes and to Prometheus.
fn pages(live: Live, ready: Readiness, metrics: Metrics, memory: Arc<Mounter>) -> Shared {
    let pages = Pages {
        live: Box::new(move || {
            let live = live.clone();
            async move { live.check().await.map_err(|dead| dead.to_string()) }.boxed()
        }),
        ready: Box::new(move || match ready.is_ready() {
            true => Ok(()),
            false => Err("stopping: no new mounts are taken".to_owned()),
        }),
        metrics: Box::new(move || metrics.text(&memory.figures())),
    };
    pages.shared()
}
