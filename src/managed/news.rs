//! Which resources are concerned when Phase has news for a token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::stream::{Stream, StreamExt, iter, unfold};
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::snapshot::{News, lock};

/// What reads secrets: a resource, a class, a workload.
pub(super) trait Reads: Resource<DynamicType = ()> + Clone + 'static {}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Reads for K {}

/// Which resources of a kind read with which tokens.
pub(super) struct Readers<K: Reads>(Mutex<HashMap<ObjectRef<K>, Vec<News>>>);

impl<K: Reads> Default for Readers<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Reads> Readers<K> {
    /// A resource reads with these tokens from now on.
    pub(super) fn reads(&self, object: ObjectRef<K>, tokens: Vec<News>) {
        let mut readers = lock(&self.0);
        match tokens.is_empty() {
            true => readers.remove(&object),
            false => readers.insert(object, tokens),
        };
    }

    /// Those that read with this token and still exist.
    fn of(&self, token: &News, resources: &Store<K>) -> Vec<ObjectRef<K>> {
        let mut readers = lock(&self.0);
        readers.retain(|object, _| resources.get(object).is_some());
        let readers = readers.iter().filter(|(_, own)| own.contains(token));
        readers.map(|(object, _)| object.clone()).collect()
    }
}

/// The resources to look at: those whose token has news; all, where news were missed.
pub(super) fn news<K: Reads>(
    receiver: Receiver<News>,
    readers: Arc<Readers<K>>,
    resources: Store<K>,
) -> impl Stream<Item = ObjectRef<K>> {
    let next = move |mut receiver: Receiver<News>| {
        let (readers, resources) = (Arc::clone(&readers), resources.clone());
        async move {
            let concerned: Vec<_> = match receiver.recv().await {
                Ok(token) => readers.of(&token, &resources),
                Err(RecvError::Lagged(_)) => {
                    let all = resources.state();
                    all.iter().map(|one| ObjectRef::from_obj(&**one)).collect()
                }
                Err(RecvError::Closed) => return None,
            };
            Some((iter(concerned), receiver))
        }
    };
    unfold(receiver, next).flatten()
}
