//! `controller`: the program that keeps managed Secrets.

mod alone;
mod args;
mod drift;
mod patience;
mod place;
mod touched;
mod workloads;

pub use args::ControllerArgs;

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::info;

use super::api::{ApiError, ApiServer};
use super::health::Health;
use super::lease::Election;
use super::tell::replica;
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::{CaFileError, Client};
use crate::phase::host::HostError;
use crate::quota;
use crate::snapshot::{Figures, Limits, Settings, Snapshot, lock};
use crate::telemetry::http::{HealthSocket, HealthSocketError, Http, ListenError, Pages};
use crate::telemetry::lines;
use crate::telemetry::metrics::ControllerMetrics;
use place::{Place, keep};

/// How often whoever needs no Lease shows that he lives.
const ROUND: Duration = Duration::from_secs(2);

/// Why the controller could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--ca-file` or another flag of the client is wrong.
    #[error(transparent)]
    Client(#[from] CaFileError),
    /// `--allowed-host` is wrong.
    #[error("--allowed-host: {0}")]
    Host(#[from] HostError),
    /// No way to the API server.
    #[error(
        "no way to the Kubernetes API: {0}: run it in a pod with a service account, or set KUBECONFIG"
    )]
    Kubernetes(#[from] ApiError),
    /// The address of health and metrics cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The socket of probes cannot be had.
    #[error(transparent)]
    Health(#[from] HealthSocketError),
}

/// Keeps Secrets until `stop` is ready; what is being written then is finished.
///
/// # Errors
/// [`Error`], before anything is watched.
pub async fn run(args: ControllerArgs, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let hosts = args.phase.hosts()?;
    let metrics = ControllerMetrics::default();
    let phase = Arc::new(args.phase.client(Arc::clone(&metrics.backend))?);
    let settings = Settings {
        request_budget: args.phase.request_budget,
        full_read: args.phase.full_read_interval,
        limits: Limits::of_memory(quota::memory_limit()),
        ..Settings::default()
    };
    let api = ApiServer::infer().await?;
    let memory = Memory::default();
    let health = Arc::new(Health::new(Arc::clone(&metrics.managed)));
    let places = places(&args, &hosts, &api, &health)?;
    let election = match &args.leader_election_namespace {
        Some(namespace) => {
            let (client, replica) = (api.one_by_one()?, replica().unwrap_or_default());
            let health = Arc::clone(&health);
            Some(Election::new(client, namespace, &replica, health))
        }
        None => None,
    };
    let mut beside = JoinSet::new();
    let pages = pages(&health, &memory, metrics).shared();
    if let Some(http) = Http::bind(args.http.http_listen)? {
        beside.spawn(http.serve(pages.clone()));
    }
    if let Some(socket) = HealthSocket::bind(args.http.health_socket.as_ref()).await? {
        beside.spawn(socket.serve(pages));
    }
    // What another replica has written meanwhile may be newer than what is remembered.
    let keep = || {
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&phase), settings, None));
        *lock(&memory) = Arc::downgrade(&snapshot);
        keep(&places, snapshot)
    };
    let work = async || match &election {
        Some(election) => election.lead(keep).await,
        None => {
            let _leading = health.leads();
            tokio::select! {
                () = keep() => {}
                () = go_round(&health) => {}
            }
        }
    };
    tokio::select! {
        () = stop => {}
        () = work() => {}
    }
    health.stops();
    if let Some(election) = &election {
        election.release().await;
    }
    lines::count_rest();
    info!("stopped");
    Ok(())
}

/// What is looked after: the namespaces that are named, or the cluster.
fn places(
    args: &ControllerArgs,
    hosts: &AllowedHosts,
    api: &ApiServer,
    health: &Arc<Health>,
) -> Result<Vec<Place>, ApiError> {
    let client = api.side_by_side()?;
    let place = |namespace| {
        Ok(Place {
            client: client.clone(),
            // Each with a connection of its own: watches take their share of one for ever.
            watching: api.side_by_side()?,
            health: Arc::clone(health),
            hosts: hosts.clone(),
            namespace,
            concurrency: args.concurrency,
            policy: args.policy(),
            poll_interval: args.poll_interval,
            interval: args.test_only_poll_interval,
        })
    };
    match args.namespace.as_slice() {
        [] => Ok(vec![place(None)?]),
        named => named.iter().cloned().map(Some).map(place).collect(),
    }
}

/// What whoever leads remembers of Phase, for the figures.
type Memory = Arc<Mutex<Weak<Snapshot<Arc<Client>>>>>;

/// What is answered over HTTP.
fn pages(health: &Arc<Health>, memory: &Memory, metrics: ControllerMetrics) -> Pages {
    let (live, ready, memory) = (Arc::clone(health), Arc::clone(health), Arc::clone(memory));
    let figures = move || {
        let snapshot = lock(&memory).upgrade();
        snapshot.map_or_else(Figures::default, |snapshot| snapshot.figures())
    };
    Pages {
        live: Box::new(move || future::ready(live.live()).boxed()),
        ready: Box::new(move || ready.ready()),
        metrics: Box::new(move || metrics.text(&figures())),
    }
}

/// Without a Lease this is the loop that goes round.
async fn go_round(health: &Health) {
    loop {
        health.goes_round();
        sleep(ROUND).await;
    }
}
