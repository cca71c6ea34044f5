//! The class's parameters as the provider reads them, and the files they make.

use super::finding::Findings;
use super::rule::Rule;
use crate::class::{Attributes, Class};
use crate::manifest::ProviderClass;
use crate::phase::allowed::AllowedHosts;

/// What a class makes, as far as that is known without Phase.
#[derive(Default)]
pub(super) struct Reading {
    /// The class, when nothing is wrong with its parameters.
    pub(super) class: Option<Class>,
    /// Paths that are sure to be made, or to fail the mount.
    pub(super) known: Vec<String>,
    /// What makes further files, by the keys that Phase has.
    pub(super) selections: Vec<Selection>,
    /// The narrowest permission of its files.
    pub(super) mode: Option<u32>,
}

impl Reading {
    /// Whether some key of Phase could become this file.
    pub(super) fn may_make(&self, path: &str) -> bool {
        let mut selections = self.selections.iter();
        selections.any(|selection| selection.recursive || !path.contains('/'))
    }
}

/// A selection of many keys, each a file.
pub(super) struct Selection {
    /// Whether its files may stand in directories.
    pub(super) recursive: bool,
}

/// Reads the parameters as the provider does; every mistake is a finding.
pub(super) fn read(
    class: &ProviderClass,
    hosts: &AllowedHosts,
    findings: &mut Findings,
) -> Reading {
    let mut texts: serde_json::Map<String, serde_json::Value> = class
        .pairs()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    texts.insert("csi.storage.k8s.io/pod.namespace".into(), "n".into());
    let json = serde_json::Value::Object(texts).to_string();
    let Ok(attributes) = Attributes::parse(&json) else {
        return Reading::default();
    };
    match Class::parse(&attributes, hosts) {
        Err(error) => {
            findings.add(Rule::Parameters, class.at, error.to_string());
            Reading::default()
        }
        Ok(class) => Reading {
            known: Vec::new(),
            selections: vec![Selection {
                recursive: class.query.filter.recursive,
            }],
            mode: Some(class.file_mode),
            class: Some(class),
        },
    }
}
