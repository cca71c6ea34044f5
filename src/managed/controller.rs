//! `controller`: the program that keeps managed Secrets.

mod args;

pub use args::ControllerArgs;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt, select, unfold};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{self, Action, Config, ReconcileRequest, applier, trigger_self};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Resource};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::adopt::Released;
use super::api;
use super::apply::LABEL;
use super::lease::Election;
use super::mirror::SecretProviderClass;
use super::news::{Readers, news};
use super::owner::{Owner, Owners, owner};
use super::reconcile::{Context, reconcile};
use super::resource::PhaseSecret;
use super::stored::stored;
use super::take_back::bury;
use super::tell::{recorder, replica};
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
        poll_interval: args.poll_interval,
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
    let (live, live_writers): (Vec<_>, Vec<_>) = stores(places).unzip();
    let (resources, resource_writers): (Vec<_>, Vec<_>) = stores(places).unzip();
    let (classes, class_writers): (Vec<_>, Vec<_>) = stores(places).unzip();
    let shared = Shared {
        snapshot: Arc::new(snapshot),
        live: live.into(),
        owners: Arc::new(Owners {
            resources: resources.clone(),
            classes: classes.clone(),
        }),
    };
    let (resource_pokes, poked_resources) = pokes(places);
    let (class_pokes, poked_classes) = pokes(places);
    let mut running = JoinSet::new();
    for (place, writer) in places.iter().zip(live_writers) {
        let pokes = (Arc::clone(&resource_pokes), Arc::clone(&class_pokes));
        running.spawn(place.clone().drift(writer, pokes.0, pokes.1));
    }
    let resources = resources.into_iter().zip(resource_writers);
    for ((place, store), poked) in places.iter().zip(resources).zip(poked_resources) {
        running.spawn(place.clone().work(store, poked, shared.clone()));
    }
    let classes = classes.into_iter().zip(class_writers);
    for ((place, store), poked) in places.iter().zip(classes).zip(poked_classes) {
        running.spawn(place.clone().work(store, poked, shared.clone()));
    }
    info!("managed Secrets are kept");
    // None of them ends.
    running.join_next().await;
}

fn stores<K>(places: &[Place]) -> impl Iterator<Item = (Store<K>, Writer<K>)>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    places.iter().map(|_| reflector::store())
}

/// By namespace: who is told that a Secret of one of its resources has changed.
type Pokes<K> = Arc<HashMap<Option<String>, Sender<ObjectRef<K>>>>;

fn pokes<K: Owner>(places: &[Place]) -> (Pokes<K>, Vec<Receiver<ObjectRef<K>>>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = places.iter().map(|_| channel(MOST_POKES)).unzip();
    let names = places.iter().map(|place| place.namespace.clone());
    (Arc::new(names.zip(senders).collect()), receivers)
}

/// What all places and kinds share: a resource of one may have a Secret in another.
#[derive(Clone)]
struct Shared {
    snapshot: Arc<Snapshot<Arc<Client>>>,
    live: Arc<[Store<PartialObjectMeta<Secret>>]>,
    owners: Arc<Owners>,
}

/// A namespace, or the whole cluster.
#[derive(Clone)]
struct Place {
    client: kube::Client,
    hosts: AllowedHosts,
    namespace: Option<String>,
    concurrency: u16,
    /// How often Phase is asked for classes.
    poll_interval: Duration,
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

    /// Watches what was written, and says which resources are concerned.
    async fn drift(
        self,
        writer: Writer<PartialObjectMeta<Secret>>,
        resources: Pokes<PhaseSecret>,
        classes: Pokes<SecretProviderClass>,
    ) {
        let label = format!("{}={}", LABEL.0, LABEL.1);
        // Only their metadata is asked for.
        let secrets = self.api::<PartialObjectMeta<Secret>>();
        let drifted = watcher(secrets, api::watching().labels(&label));
        let drifted = drifted.default_backoff().reflect(writer).touched_objects();
        let mut drifted = pin!(drifted);
        while let Some(secret) = drifted.next().await {
            match secret {
                Ok(secret) => {
                    self.poke(&resources, &secret).await;
                    self.poke(&classes, &secret).await;
                }
                Err(error) => say(&error),
            }
        }
    }

    async fn poke<K: Owner>(&self, pokes: &Pokes<K>, secret: &PartialObjectMeta<Secret>) {
        let Some(of) = owner::<K>(secret) else {
            return;
        };
        let key = self.namespace.as_ref().and_then(|_| of.namespace.clone());
        if let Some(place) = pokes.get(&key) {
            // Whoever does not listen any more has ended, and all with him.
            drop(place.send(of).await);
        }
    }

    /// Keeps the Secrets of one kind of resource.
    async fn work<K: Owner>(
        self,
        (resources, writer): (Store<K>, Writer<K>),
        poked: Receiver<ObjectRef<K>>,
        shared: Shared,
    ) {
        let changed = stored::<K>(&self.client, self.namespace.as_deref());
        let changed = changed.default_backoff().modify(K::thin);
        let changed = changed.reflect(writer).touched_objects();
        let readers = Arc::new(Readers::default());
        let changes = news(
            shared.snapshot.news(),
            Arc::clone(&readers),
            resources.clone(),
        );
        let context = Arc::new(Context {
            recorder: recorder(&self.client),
            client: self.client,
            snapshot: shared.snapshot,
            readers,
            hosts: self.hosts,
            poll_interval: self.poll_interval,
            interval: self.interval,
            resources: resources.clone(),
            owners: shared.owners,
            live: shared.live,
            written: Mutex::default(),
            failures: Mutex::default(),
            told: Mutex::default(),
            released: Released::default(),
        });
        let config = Config::default()
            .debounce(TOGETHER)
            .concurrency(self.concurrency);
        let poked = unfold(poked, async |mut poked| {
            let object = poked.recv().await?;
            Some((object, poked))
        });
        let others = select(Box::pin(poked), changes).map(Ok);
        let queue = select(
            trigger_self(changed, ()),
            others.map_ok(ReconcileRequest::from),
        );
        let never = |_, _: &std::convert::Infallible, _| Action::await_change();
        let work = applier(
            |object, context| Box::pin(reconcile(object, context)),
            never,
            Arc::clone(&context),
            resources,
            queue,
            config,
        );
        let (left, gone) = channel(MOST_POKES);
        let work = async {
            let mut work = pin!(work);
            let mut is_told = false;
            while let Some(done) = work.next().await {
                match done {
                    // Whose resources are nowhere defined, has none.
                    Err(controller::Error::QueueError(error))
                        if K::TAKES_BACK && is_undefined(&error) =>
                    {
                        if !std::mem::replace(&mut is_told, true) {
                            info!("no {} is defined here: none is looked at", K::KIND);
                        }
                    }
                    Err(controller::Error::QueueError(error)) => say(&error),
                    Err(controller::Error::ObjectNotFound(object)) if K::TAKES_BACK => {
                        // If it is full, the next start looks at the rest.
                        drop(left.try_send(*object));
                    }
                    Err(error) => debug!(%error, "not looked at"),
                    Ok(_) => {}
                }
            }
        };
        tokio::join!(work, bury(&context, gone));
    }
}

/// A watch that fails, such as of a definition that is not installed, or without a right.
fn say(error: &watcher::Error) {
    warn!(%error, "the API server cannot be watched: look at the definition (crd) and the rights");
}

/// Whether the API server does not know such resources at all.
fn is_undefined(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}
