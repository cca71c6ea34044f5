//! `controller`: the program that keeps managed Secrets.

mod args;

pub use args::ControllerArgs;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::ready;
use futures_util::stream::{StreamExt, TryStreamExt, select, unfold};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{self, Action, Config, ReconcileRequest, applier, trigger_self};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::watcher;
use kube::{Api, Resource, ResourceExt};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::api;
use super::apply::{LABEL, OWNER};
use super::backoff::Backoff;
use super::lease::Election;
use super::news::{Readers, news};
use super::reconcile::{Context, reconcile};
use super::resource::PhaseSecret;
use super::stored::stored;
use super::tell::{recorder, replica};
use super::token::Tokens;
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::{CaFileError, Client, ClientConfig};
use crate::phase::host::HostError;
use crate::snapshot::{Settings, Snapshot};

/// Changes of one resource within this time are one.
const TOGETHER: Duration = Duration::from_millis(200);

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
}

/// Keeps Secrets until `stop` is ready; what is being written then is finished.
///
/// # Errors
/// [`Error`], before anything is watched.
pub async fn run(args: ControllerArgs, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
    if args.insecure_skip_tls_verify {
        warn!("--insecure-skip-tls-verify: whoever is on the way to Phase can read tokens");
    }
    let hosts = AllowedHosts::new(args.phase_host, &args.allowed_host)?;
    let phase = Arc::new(Client::new(ClientConfig {
        ca_file: args.ca_file,
        insecure_skip_tls_verify: args.insecure_skip_tls_verify,
        ..ClientConfig::default()
    })?);
    let settings = Settings {
        request_budget: args.request_budget,
        ..Settings::default()
    };
    let client = api::client().await.map_err(Error::Kubernetes)?;
    let scopes: Vec<_> = match args.namespace.is_empty() {
        true => vec![None],
        false => args.namespace.into_iter().map(Some).collect(),
    };
    let places = scopes.into_iter().map(|namespace| Place {
        client: client.clone(),
        hosts: hosts.clone(),
        namespace,
        concurrency: args.concurrency,
        interval: args.test_only_poll_interval,
    });
    let places: Vec<_> = places.collect();
    let election = args
        .leader_election_namespace
        .map(|namespace| Election::new(client, &namespace, &replica().unwrap_or_default()));
    // What another replica has written meanwhile may be newer than what is remembered.
    let keep = || keep(&places, Snapshot::new(Arc::clone(&phase), settings, None));
    let work = async || match &election {
        Some(election) => election.lead(keep).await,
        None => keep().await,
    };
    tokio::select! {
        () = stop => {}
        () = work() => {}
    }
    if let Some(election) = &election {
        election.release().await;
    }
    info!("stopped");
    Ok(())
}

/// Keeps all places; when it is dropped, all of that ends.
async fn keep(places: &[Place], snapshot: Snapshot<Arc<Client>>) {
    let snapshot = Arc::new(snapshot);
    let (live, writers): (Vec<_>, Vec<_>) = places.iter().map(|_| reflector::store()).unzip();
    let live: Arc<[_]> = live.into();
    let (pokes, poked): (Vec<_>, Vec<_>) = places.iter().map(|_| channel(MOST_POKES)).unzip();
    let names = places.iter().map(|place| place.namespace.clone());
    let pokes: Arc<HashMap<_, _>> = Arc::new(names.zip(pokes).collect());
    let mut running = JoinSet::new();
    for ((place, writer), poked) in places.iter().zip(writers).zip(poked) {
        let watched = Watched {
            snapshot: Arc::clone(&snapshot),
            live: Arc::clone(&live),
            writer,
            pokes: Arc::clone(&pokes),
            poked,
        };
        running.spawn(place.clone().keep(watched));
    }
    info!("managed Secrets are kept");
    // None of them ends.
    running.join_next().await;
}

/// What places share: a resource of one may have a Secret in another.
struct Watched {
    snapshot: Arc<Snapshot<Arc<Client>>>,
    live: Arc<[Store<PartialObjectMeta<Secret>>]>,
    writer: Writer<PartialObjectMeta<Secret>>,
    /// By namespace: resources whose Secret has changed elsewhere.
    pokes: Arc<HashMap<Option<String>, Sender<ObjectRef<PhaseSecret>>>>,
    poked: Receiver<ObjectRef<PhaseSecret>>,
}

/// A namespace, or the whole cluster.
#[derive(Clone)]
struct Place {
    client: kube::Client,
    hosts: AllowedHosts,
    namespace: Option<String>,
    concurrency: u16,
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
        let changed = stored::<PhaseSecret>(&self.client, self.namespace.as_deref());
        let changed = changed
            .default_backoff()
            .reflect(resources_writer)
            .touched_objects();
        let label = format!("{}={}", LABEL.0, LABEL.1);
        // Only their metadata is asked for.
        let drifted = watcher(
            self.api::<PartialObjectMeta<Secret>>(),
            api::watching().labels(&label),
        );
        let drifted = drifted
            .default_backoff()
            .modify(slim)
            .reflect(watched.writer)
            .touched_objects();
        let readers = Arc::new(Readers::default());
        let changes = news(
            watched.snapshot.news(),
            Arc::clone(&readers),
            resources.clone(),
        );
        let context = Arc::new(Context {
            recorder: recorder(&self.client),
            client: self.client,
            snapshot: watched.snapshot,
            tokens: Tokens::default(),
            turns: Semaphore::new(self.concurrency.into()),
            readers,
            hosts: self.hosts,
            interval: self.interval,
            resources: resources.clone(),
            live: watched.live,
            written: Mutex::default(),
            failures: Backoff::default(),
        });
        // All that wait for their turn are in it, too.
        let config = Config::default().debounce(TOGETHER).concurrency(0);
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
        let work = applier(
            |object, context| Box::pin(reconcile(object, context)),
            never,
            context,
            resources,
            queue,
            config,
        );
        work.for_each(|done| async {
            match done {
                // Such as a definition that is not installed, or a right that is missing.
                Err(controller::Error::QueueError(error)) => {
                    warn!(%error, "the API server cannot be watched: look at the definition (crd) and the rights");
                }
                Err(error) => debug!(%error, "not looked at"),
                Ok(_) => {}
            }
        })
        .await;
    }
}

/// What is needed of a Secret.
fn slim(secret: &mut PartialObjectMeta<Secret>) {
    secret.metadata.managed_fields = None;
    secret.metadata.labels = None;
    if let Some(annotations) = &mut secret.metadata.annotations {
        annotations.retain(|key, _| key == OWNER);
    }
}

/// The resource that a Secret says it belongs to.
fn owner(secret: &PartialObjectMeta<Secret>) -> Option<ObjectRef<PhaseSecret>> {
    let owner = secret.annotations().get(OWNER)?;
    let (namespace, name) = owner.split_once('/')?;
    Some(ObjectRef::new(name).within(namespace))
}
