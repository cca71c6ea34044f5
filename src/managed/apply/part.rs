//! A Secret without what others have set in it to something else: the rest of it is ours
//! to write.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{Context, SHA256};
use kube::core::Status;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{LABEL, OURS, Write};
use crate::secret_types::needs;

const DATA: &str = "data.";
const LABELS: &str = "metadata.labels.";
const ANNOTATIONS: &str = "metadata.annotations.";

/// Fields that are not written, by their paths in a Secret; mostly none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without(BTreeSet<String>);

/// The data that is written.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum DataPart<'a> {
    All(&'a RawValue),
    Some(BTreeMap<&'a str, &'a RawValue>),
}

impl Without {
    /// What a conflict names, where the rest can be written: the Secret is ours, what says
    /// so is not contested, and neither is what belongs together by the Secret's type.
    pub(super) fn of(write: &Write<'_>, status: &Status) -> Option<Self> {
        if !write.is_kept || status.code != 409 {
            return None;
        }
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let fields = causes.map(|cause| cause.field.trim_start_matches('.').to_owned());
        let fields: BTreeSet<_> = fields.collect();
        let together = needs(&write.output.form.kind);
        let together = |key: &str| together.iter().any(|any_of| any_of.contains(&key));
        let may_stay = |field: &String| {
            let data = field.strip_prefix(DATA);
            let label = field.strip_prefix(LABELS);
            let annotation = field.strip_prefix(ANNOTATIONS);
            data.is_some_and(|key| !together(key))
                || label.is_some_and(|key| key != LABEL.0)
                || annotation.is_some_and(|key| !key.starts_with(OURS))
        };
        (!fields.is_empty() && fields.iter().all(may_stay)).then_some(Self(fields))
    }

    /// Drops labels that are not written.
    pub(super) fn labels(&self, labels: &mut BTreeMap<&str, &str>) {
        self.retain(LABELS, labels);
    }

    /// Drops annotations that are not written.
    pub(super) fn annotations(&self, annotations: &mut BTreeMap<&str, &str>) {
        self.retain(ANNOTATIONS, annotations);
    }

    fn retain(&self, prefix: &str, of: &mut BTreeMap<&str, &str>) {
        if !self.0.is_empty() {
            of.retain(|key, _| !self.0.contains(&format!("{prefix}{key}")));
        }
    }

    /// The data that is written.
    pub(super) fn data<'a>(&self, data: &'a RawValue) -> DataPart<'a> {
        if self.keys().next().is_none() {
            return DataPart::All(data);
        }
        let all = serde_json::from_str::<BTreeMap<&str, &RawValue>>(data.get());
        let mut all = all.expect("names of keys need no escape");
        all.retain(|key, _| !self.keys().any(|kept| kept == *key));
        DataPart::Some(all)
    }

    /// The digest of what is written of a content with this one.
    pub(super) fn hash(&self, hash: &str) -> String {
        if self.keys().next().is_none() {
            return hash.to_owned();
        }
        let mut context = Context::new(&SHA256);
        for text in std::iter::once(hash).chain(self.keys()) {
            context.update(text.as_bytes());
            context.update(b"\0");
        }
        base16ct::lower::encode_string(&context.finish().as_ref()[..16])
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|field| field.strip_prefix(DATA))
    }
}
