//! Workloads that wish to be restarted: who they are, and those that mount a class.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::future::ready;
use futures_util::stream::{Stream, StreamExt, TryStreamExt, select};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{self, Action, Config, ReconcileRequest, applier, trigger_self};
use kube::runtime::reflector;
use kube::runtime::watcher::{Error, Event, watcher};

use super::alone::alone;
use super::patience::patient;
use super::place::{Place, TOGETHER, say};
use crate::managed::api;
use crate::managed::backoff::LONGEST;
use crate::managed::candidates::Candidates;
use crate::managed::follow::{self, Following, wishing};
use crate::managed::news::{Readers, news};
use crate::managed::redeploy::Workload;
use crate::phase::client::Client;
use crate::telemetry::lines;

/// Those of one kind, which are taken down on the way.
fn watched<W: Workload>(
    place: &Place,
    candidates: Arc<Candidates>,
) -> impl Stream<Item = Result<Event<PartialObjectMeta<W>>, Error>> + Send + use<W> {
    let namespace = place.namespace.clone();
    let events = watcher(place.api::<PartialObjectMeta<W>>(), api::watching());
    let wishing = events.filter_map(|event| ready(event.map(wishing).transpose()));
    patient(wishing).inspect(move |event| candidates.saw(namespace.as_deref(), event))
}

/// Looks where those are that are only told of.
pub(super) async fn look_for<W: Workload>((place, candidates): (Place, Arc<Candidates>)) {
    let mut watched = pin!(watched::<W>(&place, candidates));
    while let Some(event) = watched.next().await {
        if let Err(error) = event {
            say(&place.health, &error);
        }
    }
}

/// Restarts workloads of one kind that mount a class which has changed.
pub(super) async fn follow<W: Workload>(
    (place, candidates): (Place, Arc<Candidates>),
    all: Arc<Following<Arc<Client>>>,
) {
    let (workloads, writer) = reflector::store();
    let changed = watched::<W>(&place, candidates);
    let changed = changed.reflect(writer).applied_objects();
    let readers = Arc::new(Readers::default());
    let changes = news(all.snapshot.news(), Arc::clone(&readers), workloads.clone());
    let context = Arc::new(follow::Context {
        all,
        workloads: workloads.clone(),
        readers,
        known: Mutex::default(),
    });
    let changes = changes.map(Ok).map_ok(ReconcileRequest::from);
    let config = Config::default()
        .debounce(TOGETHER)
        .concurrency(place.concurrency);
    let never = |_, _: &std::convert::Infallible, _| Action::await_change();
    let one = |object: Arc<PartialObjectMeta<W>>, context| {
        let again = || Ok(Action::requeue(LONGEST));
        let namespace = object.namespace().unwrap_or_default();
        let work = lines::bounded(&namespace, follow::reconcile(object, context));
        alone(work, ready(again()), again())
    };
    let work = applier(
        one,
        never,
        context,
        workloads,
        select(trigger_self(changed, ()), changes),
        config,
    );
    let mut work = pin!(work);
    while let Some(done) = work.next().await {
        if let Err(controller::Error::QueueError(error)) = done {
            say(&place.health, &error);
        }
    }
}
