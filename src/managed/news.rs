//! Which resources are concerned when Phase has news for a token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::stream::{Stream, StreamExt, iter, unfold};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::resource::PhaseSecret;
use crate::snapshot::{News, lock};

/// Which resources read with which token: each with one.
#[derive(Default)]
pub(super) struct Readers(Mutex<HashMap<ObjectRef<PhaseSecret>, News>>);

impl Readers {
    /// A resource reads with this token from now on.
    pub(super) fn reads(&self, object: ObjectRef<PhaseSecret>, token: News) {
        lock(&self.0).insert(object, token);
    }

    /// Those that read with this token and still exist.
    fn of(&self, token: &News, resources: &Store<PhaseSecret>) -> Vec<ObjectRef<PhaseSecret>> {
        let mut readers = lock(&self.0);
        readers.retain(|object, _| resources.get(object).is_some());
        let readers = readers.iter().filter(|(_, own)| *own == token);
        readers.map(|(object, _)| object.clone()).collect()
    }
}

/// The resources to look at: those whose token has news; all, where news were missed.
pub(super) fn news(
    receiver: Receiver<News>,
    readers: Arc<Readers>,
    resources: Store<PhaseSecret>,
) -> impl Stream<Item = ObjectRef<PhaseSecret>> {
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
