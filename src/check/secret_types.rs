//! Types of Secrets: what the driver demands of each beside the API server.

use std::collections::BTreeMap;

use super::finding::{Findings, shortened};
use super::rule::Rule;
use crate::secret_types::{SERVICE_ACCOUNT, SERVICE_ACCOUNT_NAME, TLS, TLS_KEYS, TYPES};
use crate::yaml::{Node, Place};

/// The keys of a Secret, and where they stand.
pub(super) type Keys<'a> = BTreeMap<&'a str, Place>;

/// Whether the driver writes a key into a Secret of a type.
pub(super) fn takes(kind: &str, key: &str) -> bool {
    kind != TLS || TLS_KEYS.contains(&key)
}

/// Every rule for the type of one entry with these keys.
pub(super) fn check(entry: &Node, path: &str, keys: &Keys<'_>, findings: &mut Findings) {
    let path = format!("{path}.type");
    let Some(name) = findings.text(entry, "type", &path) else {
        return;
    };
    let at = entry.get("type").map_or(entry.at, |node| node.at);
    let Some(known) = TYPES.iter().find(|known| known.name == name) else {
        return unknown(name, &path, at, findings);
    };
    for any_of in known.needs.iter().filter(|_| !keys.is_empty()) {
        if !any_of.iter().any(|key| keys.contains_key(key)) {
            let needed = any_of.join(" or ");
            let message = format!(
                "{path} {name} needs the key {needed}: add an entry to data with key: {}",
                any_of[0]
            );
            findings.add(Rule::SecretTypeKeys, at, message);
        }
    }
    if name == TLS {
        no_other_keys(keys, findings);
    }
    if name == SERVICE_ACCOUNT && !is_bound(entry) {
        let message = format!(
            "{path} {name} needs the annotation {SERVICE_ACCOUNT_NAME}: add it to annotations"
        );
        findings.add(Rule::SecretTypeKeys, at, message);
    }
}

/// The driver reads PEM for these two, and refuses every other key.
fn no_other_keys(keys: &Keys<'_>, findings: &mut Findings) {
    for (key, at) in keys.iter().filter(|(key, _)| !TLS_KEYS.contains(key)) {
        let key = shortened(key);
        let message = format!(
            "the driver writes only tls.crt and tls.key into a Secret of type {TLS}, not {key:?}: put it into another Secret"
        );
        findings.add(Rule::SecretTypeKeys, *at, message);
    }
}

fn is_bound(entry: &Node) -> bool {
    let name = entry
        .get("annotations")
        .and_then(|annotations| annotations.get(SERVICE_ACCOUNT_NAME));
    name.is_some()
}

/// Types of one's own are allowed; those of Kubernetes are a closed list.
fn unknown(name: &str, path: &str, at: Place, findings: &mut Findings) {
    let names = TYPES.map(|known| known.name);
    let near = crate::spelling::near(name, &names);
    let shown = shortened(name);
    let message = match near {
        Some(meant) => {
            format!("{path} {shown:?} is unknown to Kubernetes: did you mean {meant:?}?")
        }
        None if name.contains("kubernetes.io/") => {
            format!(
                "{path} {shown:?} is unknown to Kubernetes: write Opaque, or a type of your own"
            )
        }
        None => return,
    };
    findings.add(Rule::SecretType, at, message);
}
