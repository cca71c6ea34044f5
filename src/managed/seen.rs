//! What of a Secret is ours, as far as its metadata says: whoever begins to lead looks at
//! it before he writes. Of who has set what, the API server keeps an exact account
//! (`managedFields`): a value that somebody else has set since is not ours any more. So
//! where all that is wished is ours, with the digest of its content, it is as it was
//! written.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::core::PartialObjectMeta;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::adopt::{self, Predecessors};
use super::apply::{CONTENT, LABEL, Write};
use crate::digest;

/// What is compared.
#[derive(Serialize)]
struct Ours<'a> {
    keys: BTreeSet<&'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    owners: BTreeSet<&'a str>,
}

impl Ours<'_> {
    fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        base16ct::lower::encode_string(&digest::of_parts([text.as_slice()]))
    }
}

/// Keeps of `managedFields` the digest of what is ours; nothing where there is nothing, or
/// where Phase's own operator has left something.
pub(super) fn brief(metadata: &mut ObjectMeta) {
    let digest = ours(metadata).map(|ours| ours.digest());
    metadata.managed_fields = digest.map(|digest| {
        vec![ManagedFieldsEntry {
            manager: Some(digest),
            ..ManagedFieldsEntry::default()
        }]
    });
}

/// Whether a Secret, whose metadata is in brief, is as it is wished.
pub(super) fn is_so(live: &PartialObjectMeta<Secret>, write: &Write<'_>) -> bool {
    let entries = live.metadata.managed_fields.iter().flatten();
    let seen = entries.filter_map(|entry| entry.manager.as_deref()).next();
    write.predecessors == Predecessors::default()
        && seen.is_some()
        && seen == wished(write).map(|ours| ours.digest()).as_deref()
}

fn ours(metadata: &ObjectMeta) -> Option<Ours<'_>> {
    if Predecessors::default().hand_over(metadata).is_some() {
        return None;
    }
    let mut entries = metadata.managed_fields.iter().flatten();
    let own = entries.find(|entry| adopt::is_own(entry))?;
    let fields = own.fields_v1.as_ref()?.0.as_object()?;
    let within = |of: &str| fields.get("f:metadata")?.get(of)?.as_object();
    Some(Ours {
        keys: names(fields.get("f:data")?.as_object()?).collect(),
        labels: owned(within("f:labels"), metadata.labels.as_ref()),
        annotations: owned(within("f:annotations"), metadata.annotations.as_ref()),
        owners: owners(within("f:ownerReferences"), metadata),
    })
}

/// What is written.
fn wished<'a>(write: &'a Write<'_>) -> Option<Ours<'a>> {
    let keys = serde_json::from_str::<BTreeMap<&str, IgnoredAny>>(write.data.get()).ok()?;
    let texts = |of: &'a BTreeMap<String, String>| {
        let texts = of.iter();
        texts.map(|(key, text)| (key.as_str(), text.as_str()))
    };
    let labels = texts(&write.output.labels).chain([LABEL]);
    let ours = write.annotations.iter().map(|(key, text)| (*key, *text));
    let annotations = texts(&write.output.annotations).chain(ours);
    Some(Ours {
        keys: keys.into_keys().collect(),
        labels: labels.collect(),
        annotations: annotations.chain([(CONTENT, write.hash)]).collect(),
        owners: write.owner.iter().map(|owner| owner.uid.as_str()).collect(),
    })
}

/// The names of fields.
fn names(fields: &Map<String, Value>) -> impl Iterator<Item = &str> {
    fields.keys().filter_map(|field| field.strip_prefix("f:"))
}

/// Of labels or annotations, those of these fields.
fn owned<'a>(
    fields: Option<&'a Map<String, Value>>,
    all: Option<&'a BTreeMap<String, String>>,
) -> BTreeMap<&'a str, &'a str> {
    let names = fields.into_iter().flat_map(names);
    let texts = names.filter_map(|name| Some((name, all?.get(name)?.as_str())));
    texts.collect()
}

/// The owners that these fields name: `k:{"uid":"…"}`.
fn owners<'a>(
    fields: Option<&'a Map<String, Value>>,
    metadata: &'a ObjectMeta,
) -> BTreeSet<&'a str> {
    let all = metadata.owner_references.iter().flatten();
    let all = all.map(|owner| owner.uid.as_str());
    let is_named = |uid: &&str| {
        let fields = fields.into_iter().flat_map(Map::keys);
        fields.into_iter().any(|field| field.contains(*uid))
    };
    all.filter(is_named).collect()
}

#[cfg(test)]
mod tests;
