//! Objects as they were stored, perhaps under a laxer definition: one that cannot be
//! read is told so, and stops nobody's watch.

use std::fmt::Debug;

use futures_util::stream::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch};
use kube::runtime::watcher::{Error, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::adopt::{self, FINALIZER};
use super::api::watching;
use super::apply::{WITHIN, as_ours};
use super::room::Kept;
use super::status::{Reason, State, conditions};
use crate::quota::{Budget, Exceeded};

/// So much is told of what is wrong.
const LONGEST: usize = 200;

/// So many are read at once: each may have a megabyte, which nobody has bounded yet.
const PAGE: u32 = 25;

/// Why an object cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A field is not what it should be.
    #[error(
        "the resource was stored under another definition and cannot be read: {field}: {problem}: mend it (kubectl edit)"
    )]
    Field {
        /// The field.
        field: String,
        /// Why.
        problem: String,
    },
    /// It takes more than its namespace may have.
    #[error(
        "the resource has no room in the controller: {0}: make it smaller, or delete others of its namespace"
    )]
    NoRoom(Exceeded),
}

/// Watches the objects of a kind in a namespace, or in all. Those that cannot be read
/// are as if they were not there, but for their status.
pub(super) fn stored<K>(
    client: &Client,
    namespace: Option<&str>,
    room: Budget,
) -> impl Stream<Item = Result<Event<K>, Error>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Default
        + DeserializeOwned
        + Send
        + 'static,
{
    let kind = ApiResource::erase::<K>(&());
    let api = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    let client = client.clone();
    let mut kept = Kept::new(room);
    watcher(api, watching().page_size(PAGE)).filter_map(move |event| {
        let (client, kind) = (client.clone(), kind.clone());
        let refused = match &event {
            Ok(Event::Init) => {
                kept.begins();
                None
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => kept.take(object).err(),
            Ok(Event::InitDone) => {
                kept.ends();
                None
            }
            Ok(Event::Delete(object)) => {
                kept.gone(object);
                None
            }
            Err(_) => None,
        };
        async move {
            let (object, readable): (_, fn(K) -> Event<K>) = match event {
                Err(error) => return Some(Err(error)),
                Ok(Event::Init) => return Some(Ok(Event::Init)),
                Ok(Event::InitDone) => return Some(Ok(Event::InitDone)),
                Ok(Event::Delete(object)) => return Some(Ok(Event::Delete(bare(&object)))),
                Ok(Event::InitApply(object)) => (object, Event::InitApply),
                Ok(Event::Apply(object)) => (object, Event::Apply),
            };
            let read = match refused {
                Some(exceeded) => Err(Unreadable::NoRoom(exceeded)),
                None => read::<K>(&object),
            };
            let error = match read {
                Ok(read) => return Some(Ok(readable(read))),
                Err(error) => error,
            };
            match object.metadata.deletion_timestamp {
                None => tell(client, &kind, &object, &error).await,
                Some(_) => release(client, &kind, &object).await,
            }
            // In a list it is left out; one that was readable before is forgotten.
            let is_listed = matches!(readable(K::default()), Event::InitApply(_));
            (!is_listed).then(|| Ok(Event::Delete(bare(&object))))
        }
    })
}

/// An object; a status that is somebody else's is none.
fn read<K: DeserializeOwned>(object: &DynamicObject) -> Result<K, Unreadable> {
    let mut value = json!({"metadata": object.metadata});
    if let (Value::Object(value), Value::Object(data)) = (&mut value, &object.data) {
        value["metadata"]["managedFields"].take();
        value.extend(data.iter().map(|(key, data)| (key.clone(), data.clone())));
    }
    let first = K::deserialize(&value);
    let read = first.or_else(|error| {
        value["status"].take();
        K::deserialize(&value).map_err(|_| error)
    });
    read.map_err(|error| Unreadable::Field {
        field: field::<K>(&value, &error),
        problem: error.to_string().chars().take(LONGEST).collect(),
    })
}

/// The field without which it would not be wrong in this way.
fn field<K: DeserializeOwned>(value: &Value, error: &serde_json::Error) -> String {
    let error = error.to_string();
    let fields = value["spec"].as_object().into_iter().flat_map(Map::keys);
    let is_it = |field: &&String| {
        let mut without = value.clone();
        without["spec"]
            .as_object_mut()
            .map(|spec| spec.remove(*field));
        let other = K::deserialize(&without).err();
        other.map(|other| other.to_string()).as_ref() != Some(&error)
    };
    let found = fields.into_iter().find(is_it);
    found.map_or_else(|| "spec".to_owned(), |field| format!("spec.{field}"))
}

/// No more of an object than which it is.
fn bare<K: Resource + Default>(object: &DynamicObject) -> K {
    let mut bare = K::default();
    bare.meta_mut().clone_from(&object.metadata);
    bare
}

/// Lets one go that is being deleted: the finalizer of Phase's own operator comes off,
/// whatever else is wrong with it.
async fn release(client: Client, kind: &ApiResource, object: &DynamicObject) {
    let Some(mut off) = adopt::without_finalizer(&object.metadata) else {
        return;
    };
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api = Api::<DynamicObject>::namespaced_with(client, &namespace, kind);
    let parameters = as_ours();
    let patched = async |off: &Value| {
        let off = Patch::Merge(off);
        timeout(WITHIN, api.patch_metadata(&name, &parameters, &off)).await
    };
    let mut done = patched(&off).await;
    if matches!(&done, Ok(Err(kube::Error::Api(status))) if status.code == 422) {
        // No change of it counts that leaves it as it is; and nobody needs it any more.
        off["spec"] = json!({"phaseApp": "deleted", "managedSecretReferences": []});
        done = patched(&off).await;
    }
    match done {
        Ok(Ok(_)) => info!(
            object = format!("{namespace}/{name}"),
            "the operator's finalizer {FINALIZER} is off: it was being deleted"
        ),
        // It has changed, or gone, and is looked at again.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {}
        Ok(Err(error)) => warn!(
            object = format!("{namespace}/{name}"),
            %error,
            "the operator's finalizer could not be taken off, and the resource cannot be deleted: take it off by hand (kubectl edit)"
        ),
        Err(_) => warn!(
            object = format!("{namespace}/{name}"),
            "the operator's finalizer could not be taken off, and the resource cannot be deleted: the API server did not answer"
        ),
    }
}

/// Says so in the status, once, where that is possible.
async fn tell(client: Client, kind: &ApiResource, object: &DynamicObject, error: &Unreadable) {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let message = error.to_string();
    let mut told = object.data["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    if told.any(|told| told["type"] == "Synced" && told["message"] == *message) {
        return;
    }
    warn!(object = format!("{namespace}/{name}"), "{message}");
    let state = |name, reason| State {
        name,
        holds: false,
        reason,
        message: message.clone(),
    };
    let reason = Reason::InvalidSpec.as_str();
    let states = [
        state("Ready", reason),
        state("Synced", reason),
        state("Stale", "Unknown"),
    ];
    let generation = object.metadata.generation;
    let conditions = conditions(&[], states, generation, Timestamp::now());
    let status = json!({"status": {"conditions": conditions, "observedGeneration": generation}});
    let parameters = as_ours();
    let api = Api::<DynamicObject>::namespaced_with(client, &namespace, kind);
    let status = Patch::Merge(status);
    let patched = timeout(WITHIN, api.patch_status(&name, &parameters, &status)).await;
    if !matches!(patched, Ok(Ok(_))) {
        debug!(
            object = format!("{namespace}/{name}"),
            "its status cannot be written"
        );
    }
}
