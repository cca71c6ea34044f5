//! `controller`: the program that keeps managed Secrets.

mod args;

pub use args::ControllerArgs;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, join, ready};
use futures_util::stream::{StreamExt, TryStreamExt, select, unfold};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{self, Action, Config, ReconcileRequest, applier, trigger_self};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::apply::{LABEL, OWNER};
use super::health::{Health, States, Unlisted};
use super::lease::Election;
use super::news::{Readers, news};
use super::reconcile::{Context, reconcile};
use super::resource::PhaseSecret;
use super::tell::{recorder, replica};
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::{CaFileError, Client};
use crate::phase::host::HostError;
use crate::snapshot::{Settings, Snapshot};
use crate::telemetry::http::{Http, ListenError, Pages};
use crate::telemetry::metrics::ControllerMetrics;

/// Changes of one resource within this time are one.
const TOGETHER: Duration = Duration::from_millis(200);

/// How often whoever needs no Lease shows that he lives.
const ROUND: Duration = Duration::from_secs(2);

/// So many resources may wait that were changed elsewhere.
const MOST_POKES: usize = 1_024;

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
    let phase = args.phase.client(Arc::clone(&metrics.backend))?;
    let settings = Settings {
        request_budget: args.phase.request_budget,
        ..Settings::default()
    };
    let client = kube::Client::try_default().await;
    let client = client.map_err(|error| Error::Kubernetes(error.to_string()))?;
    let http = Http::bind(args.http.http_listen).await?;
    let snapshot = Arc::new(Snapshot::new(phase, settings, None));
    let health = Arc::new(Health::new(Arc::clone(&metrics.managed)));
    let mut beside = JoinSet::new();
    if let Some(http) = http {
        beside.spawn(http.serve(pages(&health, &snapshot, metrics)));
    }
    let scopes: Vec<_> = match args.namespace.is_empty() {
        true => vec![None],
        false => args.namespace.into_iter().map(Some).collect(),
    };
    let places = scopes.into_iter().map(|namespace| Place {
        client: client.clone(),
        snapshot: Arc::clone(&snapshot),
        health: Arc::clone(&health),
        hosts: hosts.clone(),
        namespace,
        concurrency: args.concurrency,
        keeps_to_namespace: args.no_cross_namespace_refs,
        interval: args.test_only_poll_interval,
    });
    let places: Vec<_> = places.collect();
    let election = args.leader_election_namespace.map(|namespace| {
        let replica = replica().unwrap_or_default();
        Election::new(client, &namespace, &replica, Arc::clone(&health))
    });
    let work = async || match &election {
        Some(election) => election.lead(|| keep(&places)).await,
        None => {
            let _leading = health.leads();
            tokio::select! {
                () = keep(&places) => {}
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

/// What is answered over HTTP.
fn pages(
    health: &Arc<Health>,
    snapshot: &Arc<Snapshot<Client>>,
    metrics: ControllerMetrics,
) -> Pages {
    let (live, ready, memory) = (Arc::clone(health), Arc::clone(health), Arc::clone(snapshot));
    Pages {
        live: Box::new(move || future::ready(live.live()).boxed()),
        ready: Box::new(move || ready.ready()),
        metrics: Box::new(move || metrics.text(&memory.figures())),
    }
}

/// Without a Lease this is the loop that goes round.
async fn go_round(health: &Health) {
    loop {
        health.goes_round();
        sleep(ROUND).await;
    }
}

/// Keeps all places; when it is dropped, all of that ends.
async fn keep(places: &[Place]) {
    let (live, writers): (Vec<_>, Vec<_>) = places.iter().map(|_| reflector::store()).unzip();
    let live: Arc<[_]> = live.into();
    let (pokes, poked): (Vec<_>, Vec<_>) = places.iter().map(|_| channel(MOST_POKES)).unzip();
    let names = places.iter().map(|place| place.namespace.clone());
    let pokes: Arc<HashMap<_, _>> = Arc::new(names.zip(pokes).collect());
    let mut running = JoinSet::new();
    for ((place, writer), poked) in places.iter().zip(writers).zip(poked) {
        let watched = Watched {
            live: Arc::clone(&live),
            writer,
            pokes: Arc::clone(&pokes),
            poked,
            unlisted: place.health.waits(),
        };
        running.spawn(place.clone().keep(watched));
    }
    info!("managed Secrets are kept");
    // None of them ends.
    running.join_next().await;
}

/// What places share: a resource of one may have a Secret in another.
struct Watched {
    live: Arc<[Store<PartialObjectMeta<Secret>>]>,
    writer: Writer<PartialObjectMeta<Secret>>,
    /// By namespace: resources whose Secret has changed elsewhere.
    pokes: Arc<HashMap<Option<String>, Sender<ObjectRef<PhaseSecret>>>>,
    poked: Receiver<ObjectRef<PhaseSecret>>,
    /// Held until this place's watches have been listed.
    unlisted: Unlisted,
}

/// A namespace, or the whole cluster.
#[derive(Clone)]
struct Place {
    client: kube::Client,
    snapshot: Arc<Snapshot<Client>>,
    health: Arc<Health>,
    hosts: AllowedHosts,
    namespace: Option<String>,
    concurrency: u16,
    keeps_to_namespace: bool,
    /// In place of the resources' own, in tests.
    interval: Option<Duration>,
}

impl Place {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    async fn keep(self, watched: Watched) {
        let (resources, resources_writer) = reflector::store();
        let secrets = watched.writer.as_reader();
        let changed = watcher(self.api::<PhaseSecret>(), watcher::Config::default());
        let changed = changed
            .default_backoff()
            .reflect(resources_writer)
            .touched_objects();
        let label = format!("{}={}", LABEL.0, LABEL.1);
        // Only their metadata is asked for.
        let drifted = watcher(
            self.api::<PartialObjectMeta<Secret>>(),
            watcher::Config::default().labels(&label),
        );
        let drifted = drifted
            .default_backoff()
            .reflect(watched.writer)
            .touched_objects();
        let readers = Arc::new(Readers::default());
        let changes = news(
            self.snapshot.news(),
            Arc::clone(&readers),
            resources.clone(),
        );
        let context = Arc::new(Context {
            recorder: recorder(&self.client),
            client: self.client,
            states: States::new(Arc::clone(&self.health.figures)),
            snapshot: self.snapshot,
            readers,
            hosts: self.hosts,
            keeps_to_namespace: self.keeps_to_namespace,
            interval: self.interval,
            resources: resources.clone(),
            live: watched.live,
            written: Mutex::default(),
            failures: Mutex::default(),
        });
        let config = Config::default()
            .debounce(TOGETHER)
            .concurrency(self.concurrency);
        let (pokes, own) = (watched.pokes, self.namespace);
        let drifted = drifted.filter_map(move |secret| {
            let here = secret.map(|secret| {
                let of = owner(&secret)?;
                let key = own.as_ref().and_then(|_| of.namespace.clone());
                match pokes.get(&key) {
                    _ if key == own => return Some(of),
                    // If it is full, its resources are looked at before long anyway.
                    Some(place) => drop(place.try_send(of)),
                    None => {}
                }
                None
            });
            ready(here.transpose())
        });
        let poked = unfold(watched.poked, async |mut poked| {
            let object = poked.recv().await?;
            Some((object, poked))
        });
        let others = select(Box::pin(poked), changes).map(Ok);
        let queue = select(
            trigger_self(changed, ()),
            select(drifted, others).map_ok(ReconcileRequest::from),
        );
        let never = |_, _: &std::convert::Infallible, _| Action::await_change();
        let kept = Arc::clone(&context);
        let listed = listed(resources.clone(), secrets, watched.unlisted);
        let work = applier(
            |object, context| Box::pin(reconcile(object, context)),
            never,
            context,
            resources,
            queue,
            config,
        );
        let work = work.for_each(|done| {
            match done {
                Err(controller::Error::ObjectNotFound(object)) => kept.states.gone(&object),
                // Such as a definition that is not installed, or a right that is missing.
                Err(controller::Error::QueueError(error)) => {
                    kept.states.figures.watch_failed();
                    warn!(%error, "the API server cannot be watched: look at the definition (crd) and the rights");
                }
                Err(error) => debug!(%error, "not looked at"),
                Ok(_) => {}
            }
            ready(())
        });
        join(work, listed).await;
    }
}

/// Waits until both have been listed once.
async fn listed(
    resources: Store<PhaseSecret>,
    secrets: Store<PartialObjectMeta<Secret>>,
    unlisted: Unlisted,
) {
    // An error is a writer that is gone: then all of this ends.
    let _ = resources.wait_until_ready().await;
    let _ = secrets.wait_until_ready().await;
    drop(unlisted);
}

/// The resource that a Secret says it belongs to.
fn owner(secret: &PartialObjectMeta<Secret>) -> Option<ObjectRef<PhaseSecret>> {
    let owner = secret.annotations().get(OWNER)?;
    let (namespace, name) = owner.split_once('/')?;
    Some(ObjectRef::new(name).within(namespace))
}
