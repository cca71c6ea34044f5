//! Which changes of a resource are worth a round: not those of its status, which are our
//! own.

use std::collections::HashMap;

use futures_util::future::ready;
use futures_util::stream::{Stream, StreamExt};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{Error, Event};

use crate::digest;
use crate::managed::owner::Owner;

/// Of a watch that a store follows, the resources to look at.
pub(super) fn touched<K: Owner>(
    events: impl Stream<Item = Result<Event<K>, Error>> + Send,
    store: Store<K>,
) -> impl Stream<Item = Result<K, Error>> + Send {
    // No more than there are resources.
    let mut seen = HashMap::<ObjectRef<K>, [u8; 32]>::new();
    let mut news = move |event: Event<K>| match event {
        Event::Init => None,
        Event::InitApply(object) => {
            seen.insert(ObjectRef::from_obj(&object), print(&object));
            Some(object)
        }
        Event::InitDone => {
            seen.retain(|key, _| store.get(key).is_some());
            None
        }
        Event::Apply(object) => {
            let print = print(&object);
            let before = seen.insert(ObjectRef::from_obj(&object), print);
            (before != Some(print)).then_some(object)
        }
        Event::Delete(object) => {
            seen.remove(&ObjectRef::from_obj(&object));
            Some(object)
        }
    };
    events.filter_map(move |event| ready(event.map(&mut news).transpose()))
}

/// What of a resource, beside its status, may change what is done with it.
fn print<K: Owner>(object: &K) -> [u8; 32] {
    let metadata = object.meta();
    let finalizers = metadata.finalizers.iter().flatten().map(String::as_bytes);
    let generation = metadata.generation.unwrap_or_default().to_le_bytes();
    let is_deleted = [u8::from(metadata.deletion_timestamp.is_some())];
    let uid = metadata.uid.as_deref().unwrap_or_default().as_bytes();
    let first = [uid, &generation[..], &is_deleted[..]];
    digest::of_parts(first.into_iter().chain(finalizers))
}

#[cfg(test)]
mod tests {
    use futures_util::stream::iter;
    use kube::runtime::WatchStreamExt;
    use kube::runtime::reflector::store;

    use super::*;
    use crate::managed::resource::PhaseSecret;

    fn resource(generation: i64, app: Option<&str>) -> PhaseSecret {
        let mut resource = PhaseSecret::default();
        resource.metadata.name = Some("shop".to_owned());
        resource.metadata.namespace = Some("team".to_owned());
        resource.metadata.uid = Some("1".to_owned());
        resource.metadata.generation = Some(generation);
        if let Some(app) = app {
            resource.status.get_or_insert_default().app = Some(app.to_owned());
        }
        resource
    }

    async fn rounds(events: Vec<Event<PhaseSecret>>) -> usize {
        let (store, writer) = store();
        let events = iter(events.into_iter().map(Ok)).reflect(writer);
        touched(events, store).collect::<Vec<_>>().await.len()
    }

    #[tokio::test]
    async fn what_we_say_of_a_resource_is_no_news_of_it() {
        let told = |times: usize| {
            (0..times).map(|time| Event::Apply(resource(1, Some(&time.to_string()))))
        };
        let listed = [
            Event::Init,
            Event::InitApply(resource(1, None)),
            Event::InitDone,
        ];
        assert_eq!(rounds(listed.into_iter().chain(told(5)).collect()).await, 1);
    }

    #[tokio::test]
    async fn whatever_somebody_else_does_to_it_is() {
        let mut leaving = resource(2, None);
        leaving.metadata.finalizers = Some(vec!["somebody's".to_owned()]);
        let mut deleted = leaving.clone();
        deleted.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
            ));
        let mut another = resource(2, None);
        another.metadata.uid = Some("2".to_owned());
        let events = vec![
            Event::Apply(resource(1, None)),
            Event::Apply(resource(2, None)),
            Event::Apply(leaving),
            Event::Apply(deleted.clone()),
            Event::Delete(deleted),
            Event::Apply(another.clone()),
            Event::Delete(another.clone()),
            // Of an equal one, made anew.
            Event::Apply(another),
        ];
        let all = events.len();
        assert_eq!(rounds(events).await, all);
    }
}
