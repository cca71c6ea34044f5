//! `controller`: the program that keeps managed Secrets.

mod alone;
mod args;
mod place;

pub use args::ControllerArgs;

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::info;

use super::api;
use super::health::Health;
use super::lease::Election;
use super::tell::replica;
use crate::phase::client::{CaFileError, Client};
use crate::phase::host::HostError;
use crate::snapshot::{Figures, Settings, Snapshot, lock};
use crate::telemetry::http::{Http, ListenError, Pages};
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
    Kubernetes(String),
    /// The address of health and metrics cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
        ..Settings::default()
    };
    let client = api::client().await.map_err(Error::Kubernetes)?;
    let http = Http::bind(args.http.http_listen).await?;
    let memory = Memory::default();
    let health = Arc::new(Health::new(Arc::clone(&metrics.managed)));
    let mut beside = JoinSet::new();
    if let Some(http) = http {
        beside.spawn(http.serve(pages(&health, &memory, metrics)));
    }
    let scopes: Vec<_> = match args.namespace.is_empty() {
        true => vec![None],
        false => args.namespace.into_iter().map(Some).collect(),
    };
    let places = scopes.into_iter().map(|namespace| Place {
        client: client.clone(),
        health: Arc::clone(&health),
        hosts: hosts.clone(),
        namespace,
        concurrency: args.concurrency,
        keeps_to_namespace: args.no_cross_namespace_refs,
        poll_interval: args.poll_interval,
        interval: args.test_only_poll_interval,
    });
    let places: Vec<_> = places.collect();
    let election = args.leader_election_namespace.map(|namespace| {
        let replica = replica().unwrap_or_default();
        Election::new(client, &namespace, &replica, Arc::clone(&health))
    });
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
    info!("stopped");
    Ok(())
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
