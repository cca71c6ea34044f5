//! A namespace, or the whole cluster: what is watched there, and who looks at it.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{StreamExt, TryStreamExt, select, unfold};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{self, Action, Config, ReconcileRequest, applier, trigger_self};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::alone::alone;
use super::drift::{MOST_POKES, pokes};
use super::patience::{is_undefined, patient};
use super::touched::touched;
use super::workloads::{follow, look_for};
use crate::managed::adopt::Released;
use crate::managed::api;
use crate::managed::backoff::{Backoff, LONGEST};
use crate::managed::candidates::Candidates;
use crate::managed::follow::Following;
use crate::managed::health::{Health, States, Unlisted};
use crate::managed::ledger::Ledger;
use crate::managed::news::{Readers, news};
use crate::managed::owner::{Owner, Owners};
use crate::managed::policy::Policy;
use crate::managed::reconcile::{Context, defect, reconcile};
use crate::managed::refused::Refused;
use crate::managed::resource::PhaseSecret;
use crate::managed::room::room;
use crate::managed::stored::stored;
use crate::managed::take_back::bury;
use crate::managed::tell::recorder;
use crate::managed::token::Tokens;
use crate::managed::turns::Turns;
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::Client;
use crate::quota::Budget;
use crate::snapshot::Snapshot;
use crate::telemetry::lines;

/// Changes of one resource within this time are one.
pub(super) const TOGETHER: Duration = Duration::from_millis(10);

/// All resources may wait for their turn: who waits takes little, and whose turn it is
/// depends on who waits.
const UNBOUNDED: u16 = 0;

/// Keeps all places; when it is dropped, all of that ends.
pub(super) async fn keep(places: &[Place], snapshot: Arc<Snapshot<Arc<Client>>>) {
    let (live, live_writers): (Vec<_>, Vec<_>) = stores(places).unzip();
    let (resources, resource_writers): (Vec<_>, Vec<_>) = stores(places).unzip();
    let (classes, class_writers): (Vec<_>, Vec<_>) = stores(places).unzip();
    // Before anything is waited for: until then it would pass for ready.
    let unlisted: Vec<_> = places.iter().map(|place| place.health.waits()).collect();
    let clients = places.iter().map(|place| (place, &place.watching));
    let clients = clients.chain(places.first().map(|place| (place, &place.client)));
    api::connect(clients.map(|(place, client)| place.api_of(client))).await;
    let concurrency = places.first().map_or(1, |place| place.concurrency);
    let (ledger, later) = Ledger::new(live.clone().into());
    let shared = Shared {
        tokens: Arc::default(),
        candidates: Arc::default(),
        room: room(),
        turns: Arc::new(Turns::new(concurrency)),
        snapshot,
        ledger: Arc::new(ledger),
        owners: Arc::new(Owners::new(resources.clone(), classes.clone())),
    };
    let (resource_pokes, poked_resources) = pokes(places);
    let (class_pokes, poked_classes) = pokes(places);
    let mut running = JoinSet::new();
    let pokes = (Arc::clone(&resource_pokes), Arc::clone(&class_pokes));
    for (place, writer) in places.iter().zip(live_writers) {
        let ledger = Arc::clone(&shared.ledger);
        running.spawn(place.clone().drift(writer, ledger, pokes.clone()));
    }
    if let Some(place) = places.first() {
        let ledger = Arc::clone(&shared.ledger);
        running.spawn(place.clone().drift_later(later, ledger, pokes));
    }
    let resources = resources.into_iter().zip(resource_writers);
    for (number, (((place, store), poked), unlisted)) in places
        .iter()
        .zip(resources)
        .zip(poked_resources)
        .zip(unlisted)
        .enumerate()
    {
        let (resources, secrets) = (store.0.clone(), live[number].clone());
        let listed = listed(resources, secrets, unlisted).boxed();
        running.spawn(place.clone().work(store, poked, shared.clone(), listed));
    }
    let pace = Arc::default();
    for (place, classes) in places.iter().zip(&classes) {
        let following = Arc::new(Following {
            client: place.client.clone(),
            snapshot: Arc::clone(&shared.snapshot),
            tokens: Arc::clone(&shared.tokens),
            hosts: place.hosts.clone(),
            classes: classes.clone(),
            refused: Refused::default(),
            interval: place.interval.unwrap_or(place.poll_interval),
            pace: Arc::clone(&pace),
            figures: Arc::clone(&place.health.figures),
        });
        let watch = || (place.clone(), Arc::clone(&shared.candidates));
        running.spawn(follow::<Deployment>(watch(), Arc::clone(&following)));
        running.spawn(follow::<StatefulSet>(watch(), Arc::clone(&following)));
        running.spawn(follow::<DaemonSet>(watch(), following));
        running.spawn(look_for::<Job>(watch()));
        running.spawn(look_for::<CronJob>(watch()));
    }
    let classes = classes.into_iter().zip(class_writers);
    for ((place, store), poked) in places.iter().zip(classes).zip(poked_classes) {
        // Classes need not be defined.
        let listed = ready(()).boxed();
        running.spawn(place.clone().work(store, poked, shared.clone(), listed));
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

/// What all places and kinds share: a resource of one may have a Secret in another.
#[derive(Clone)]
struct Shared {
    tokens: Arc<Tokens>,
    candidates: Arc<Candidates>,
    /// For all that is watched.
    room: Budget,
    /// Of all kinds and places together.
    turns: Arc<Turns>,
    snapshot: Arc<Snapshot<Arc<Client>>>,
    ledger: Arc<Ledger>,
    owners: Arc<Owners>,
}

/// A namespace, or the whole cluster.
#[derive(Clone)]
pub(super) struct Place {
    /// For single requests.
    pub(super) client: kube::Client,
    pub(super) watching: kube::Client,
    pub(super) health: Arc<Health>,
    pub(super) hosts: AllowedHosts,
    pub(super) namespace: Option<String>,
    pub(super) concurrency: u16,
    pub(super) policy: Policy,
    /// How often Phase is asked for classes.
    pub(super) poll_interval: Duration,
    /// In place of the resources' own, in tests.
    pub(super) interval: Option<Duration>,
}

impl Place {
    /// What is watched.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        self.api_of(&self.watching)
    }

    fn api_of<K>(&self, client: &kube::Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    /// Keeps the Secrets of one kind of resource.
    async fn work<K: Owner>(
        self,
        (resources, writer): (Store<K>, Writer<K>),
        poked: Receiver<ObjectRef<K>>,
        shared: Shared,
        listed: BoxFuture<'static, ()>,
    ) {
        let changed = stored::<K>(&self.watching, self.namespace.as_deref(), shared.room);
        let changed = patient(changed).modify(K::thin).reflect(writer);
        let changed = touched(changed, resources.clone());
        let readers = Arc::new(Readers::default());
        let changes = news(
            shared.snapshot.news(),
            Arc::clone(&readers),
            resources.clone(),
        );
        let health = Arc::clone(&self.health);
        let context = Arc::new(Context {
            recorder: recorder(&self.client),
            client: self.client,
            states: States::new(Arc::clone(&health.figures)),
            snapshot: shared.snapshot,
            tokens: shared.tokens,
            candidates: shared.candidates,
            turns: shared.turns,
            readers,
            hosts: self.hosts,
            policy: self.policy,
            poll_interval: self.poll_interval,
            interval: self.interval,
            resources: resources.clone(),
            owners: shared.owners,
            ledger: shared.ledger,
            failures: Backoff::default(),
            told: Mutex::default(),
            refused: Refused::default(),
            released: Released::default(),
        });
        let config = Config::default().debounce(TOGETHER);
        let config = config.concurrency(UNBOUNDED);
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
        let one = |object: Arc<K>, context: Arc<Context<_, K>>| {
            let namespace = object.namespace().unwrap_or_default();
            let otherwise = defect(Arc::clone(&object), Arc::clone(&context));
            alone(
                lines::bounded(&namespace, reconcile(object, context)),
                lines::bounded(&namespace, otherwise),
                Ok(Action::requeue(LONGEST)),
            )
        };
        let work = applier(one, never, Arc::clone(&context), resources, queue, config);
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
                    Err(controller::Error::QueueError(error)) => say(&health, &error),
                    Err(controller::Error::ObjectNotFound(object)) => {
                        context.states.gone(&object);
                        if K::TAKES_BACK {
                            // If it is full, the next start looks at the rest.
                            drop(left.try_send(*object));
                        }
                    }
                    Err(error) => debug!(%error, "not looked at"),
                    Ok(_) => {}
                }
            }
        };
        // In one task, since a store wakes one of those that wait for it.
        tokio::join!(work, bury(&context, gone), listed);
    }
}

/// A watch that fails, such as of a definition that is not installed, or without a right.
pub(super) fn say(health: &Health, error: &watcher::Error) {
    health.figures.watch_failed();
    warn!(%error, "the API server cannot be watched: look at the definition (crd) and the rights");
}

/// Waits until resources and Secrets have been listed once.
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
