//! Takes over what Phase's own operator has left: its Secrets, which nobody else keeps
//! then, and the finalizer that would let no resource go.
//!
//! Who has set which field of a Secret stands in its `managedFields`. What the
//! operator has set becomes ours there, as if we had applied it: so what goes in Phase
//! goes in the Secret too, and is not held there by somebody who has left.

use std::collections::HashSet;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use kube::api::Patch;
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tracing::{info, warn};

use super::apply::{FIELD_MANAGER, WITHIN, as_ours};
use super::plan::SecretName;
use super::reconcile::{Context, Outcome, name};
use super::resource::PhaseSecret;
use crate::snapshot::lock;

/// What the operator's version 1 leaves on every resource.
pub const FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";
/// What Python's client calls itself; so do other programs in Python.
const PYTHON: [&str; 2] = ["OpenAPI-Generator", "kopf"];
/// What Go's client calls the operator's version 2, by its file; so it calls many.
const GO: &str = "manager";
/// Nobody else is called so.
const OPERATOR: &str = "phase-operator";

/// Whose Secrets are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Predecessors {
    /// The operator's version 1 has looked after the resource.
    is_of_python: bool,
}

/// Who a field manager is.
#[derive(PartialEq, Eq)]
enum Standing {
    /// Phase's operator.
    Known,
    /// A name that it has, and others too.
    Perhaps,
    /// Somebody else.
    Foreign,
}

impl Predecessors {
    /// Those of a resource with these finalizers.
    #[must_use]
    pub fn of(finalizers: &[String]) -> Self {
        Self {
            is_of_python: finalizers.iter().any(|one| one == FINALIZER),
        }
    }

    fn standing(self, manager: &str) -> Standing {
        match manager {
            OPERATOR => Standing::Known,
            GO => Standing::Perhaps,
            _ if !PYTHON.contains(&manager) => Standing::Foreign,
            _ if self.is_of_python => Standing::Known,
            _ => Standing::Perhaps,
        }
    }

    /// Whether it is the operator for certain, so that its values give way to ours.
    pub(super) fn gives_way(self, manager: &str) -> bool {
        self.standing(manager) == Standing::Known
    }

    /// The entries as they should be after an apply of ours; none if they are so.
    ///
    /// All that the operator has set for certain becomes ours: the next apply takes away
    /// what is not wished any more. Of one that only may be the operator, what we have
    /// set too (so with the values that Phase has) is ours alone, where that is all of
    /// its data: nothing is lost by it.
    fn handed_over(self, entries: &[ManagedFieldsEntry]) -> Option<Vec<ManagedFieldsEntry>> {
        let is_left = |entry: &ManagedFieldsEntry| {
            let manager = entry.manager.as_deref().unwrap_or_default();
            is_own(entry) || self.standing(manager) == Standing::Foreign
        };
        // Nearly always: nothing needs to be compared.
        if entries.iter().all(is_left) {
            return None;
        }
        let own = entries.iter().find(|entry| is_own(entry))?;
        let mut fields = fields(own)?.clone();
        let known = fields.clone();
        let mut left = Vec::new();
        let mut has_changed = false;
        for entry in entries.iter().filter(|entry| !is_own(entry)) {
            let manager = entry.manager.as_deref().unwrap_or_default();
            let theirs = self::fields(entry).filter(|_| !is_of_subresource(entry));
            match (self.standing(manager), theirs) {
                (Standing::Known, Some(theirs)) => {
                    add(&mut fields, theirs);
                    has_changed = true;
                }
                (Standing::Perhaps, Some(theirs)) if is_data_within(theirs, &known) => {
                    let mut rest = theirs.clone();
                    take_away(&mut rest, &known);
                    if !rest.is_empty() {
                        left.push(with(entry, rest));
                    }
                    has_changed = true;
                }
                _ => left.push(entry.clone()),
            }
        }
        left.push(with(own, fields));
        has_changed.then_some(left)
    }

    /// The change of a Secret's metadata that hands it over; none if nothing of the
    /// operator's is there. It counts for no other version of the Secret.
    pub(super) fn hand_over(self, metadata: &ObjectMeta) -> Option<Value> {
        let entries = self.handed_over(metadata.managed_fields.as_ref()?)?;
        let version = metadata.resource_version.as_ref()?;
        Some(json!({"metadata": {"resourceVersion": version, "managedFields": entries}}))
    }
}

pub(super) fn is_own(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && !is_of_subresource(entry)
}

fn is_of_subresource(entry: &ManagedFieldsEntry) -> bool {
    let of = entry.subresource.as_deref();
    of.is_some_and(|of| !of.is_empty())
}

fn fields(entry: &ManagedFieldsEntry) -> Option<&Map<String, Value>> {
    entry.fields_v1.as_ref()?.0.as_object()
}

fn with(entry: &ManagedFieldsEntry, fields: Map<String, Value>) -> ManagedFieldsEntry {
    ManagedFieldsEntry {
        fields_v1: Some(FieldsV1(Value::Object(fields))),
        ..entry.clone()
    }
}

/// The map itself, beside what is in it. An apply does not name it.
const MAP: &str = ".";

/// Whether there is data, and no key of it that is not in `all`.
fn is_data_within(fields: &Map<String, Value>, all: &Map<String, Value>) -> bool {
    let data = |of: &Map<String, Value>| of.get("f:data").and_then(Value::as_object).cloned();
    let (Some(mut data), Some(all)) = (data(fields), data(all)) else {
        return false;
    };
    data.remove(MAP);
    !data.is_empty() && data.keys().all(|key| all.contains_key(key))
}

/// Fields are a tree of objects; what has none below it is a field.
fn add(fields: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        match (fields.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(below)) => add(known, below),
            (Some(_), _) => {}
            (None, value) => drop(fields.insert(key.clone(), value.clone())),
        }
    }
}

fn take_away(fields: &mut Map<String, Value>, others: &Map<String, Value>) {
    fields.retain(|key, value| match (value, others.get(key)) {
        (Value::Object(below), Some(Value::Object(others))) => {
            take_away(below, others);
            below.keys().any(|key| key != MAP)
        }
        (_, other) => other.is_none(),
    });
}

/// Whether a Secret that is there was written by Phase's own operator: by its name, or as
/// an empty one by a name that it has, too.
pub(super) async fn was_theirs(client: &kube::Client, secret: &SecretName) -> bool {
    let secrets = Api::<Secret>::namespaced(client.clone(), &secret.namespace);
    let found = timeout(WITHIN, secrets.get_metadata_opt(&secret.name)).await;
    let Ok(Ok(Some(found))) = found else {
        return false;
    };
    let entries = found.metadata.managed_fields.unwrap_or_default();
    let standings = entries.iter().map(|entry| {
        let manager = entry.manager.as_deref().unwrap_or_default();
        Predecessors::default().standing(manager)
    });
    let has_data = entries.iter().any(|entry| {
        let data = fields(entry).and_then(|fields| fields.get("f:data")?.as_object());
        data.is_some_and(|data| data.keys().any(|key| key != MAP))
    });
    standings.into_iter().any(|standing| match standing {
        Standing::Known => true,
        Standing::Perhaps => !has_data,
        Standing::Foreign => false,
    })
}

/// Resources whose finalizer was taken off: no more than there are.
#[derive(Default)]
pub(super) struct Released(Mutex<HashSet<ObjectRef<PhaseSecret>>>);

/// Takes the operator's finalizer off a resource that is ours now, and says what of
/// the operator's was taken over.
pub(super) async fn adopt<U>(
    object: &PhaseSecret,
    context: &Context<U, PhaseSecret>,
    outcome: &Outcome,
) {
    let is_released = release(object, context, outcome).await;
    let mut parts = Vec::new();
    if !outcome.adopted.is_empty() {
        parts.push(format!("Secrets {}", outcome.adopted.join(", ")));
    }
    if is_released {
        parts.push(format!("the finalizer {FINALIZER}, which is off now"));
    }
    if parts.is_empty() {
        return;
    }
    let note = format!("taken over from Phase's operator: {}", parts.join("; "));
    info!(object = name(object), "{note}");
    context
        .event(object, EventType::Normal, "Adopted", &note)
        .await;
}

/// The change of an object that takes the operator's finalizer off this version of it;
/// none if it has none.
pub(super) fn without_finalizer(metadata: &ObjectMeta) -> Option<Value> {
    let finalizers = metadata.finalizers.as_ref()?;
    let others: Vec<_> = finalizers.iter().filter(|one| *one != FINALIZER).collect();
    (others.len() < finalizers.len()).then(|| {
        json!({"metadata": {
            "resourceVersion": metadata.resource_version, "finalizers": others,
        }})
    })
}

/// Whether it was taken off now. As long as anything is wrong it stays, so that it is
/// seen whose the Secrets are; but nothing that is deleted waits for that. Once only,
/// if not: an operator that still runs puts it there again.
async fn release<U>(
    object: &PhaseSecret,
    context: &Context<U, PhaseSecret>,
    outcome: &Outcome,
) -> bool {
    let Some(patch) = without_finalizer(&object.metadata) else {
        return false;
    };
    let key = ObjectRef::from_obj(object);
    if object.metadata.deletion_timestamp.is_none() {
        let is_known = lock(&context.released.0).contains(&key);
        if is_known || !outcome.troubles.is_empty() {
            return false;
        }
    }
    let namespace = object.namespace().unwrap_or_default();
    let resources = Api::<PhaseSecret>::namespaced(context.client.clone(), &namespace);
    let parameters = as_ours();
    let of = object.name_any();
    let patch = Patch::Merge(patch);
    let patched = timeout(WITHIN, resources.patch_metadata(&of, &parameters, &patch));
    match patched.await {
        Ok(Ok(_)) => {
            let mut released = lock(&context.released.0);
            released.retain(|one| context.resources.get(one).is_some());
            released.insert(key);
            true
        }
        // It has changed, or gone, and is looked at again.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => false,
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            warn!(
                object = name(object),
                "the operator's finalizer stays, and the resource cannot be deleted: give the controller's ServiceAccount patch on phasesecrets"
            );
            false
        }
        _ => {
            warn!(
                object = name(object),
                "the operator's finalizer could not be taken off: it is tried again"
            );
            false
        }
    }
}

#[cfg(test)]
mod tests;
