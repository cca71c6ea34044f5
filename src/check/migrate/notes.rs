//! What a class cannot carry over of a `PhaseSecret`, or does differently.

use super::resource::{Output, PhaseSecret, text};
use crate::check::finding::shortened;
use crate::check::secret_types;
use crate::check::workloads::list;
use crate::phase::host::DEFAULT_HOST;
use crate::render::transformer::Transformer;
use crate::yaml::Node;

/// Fields of `spec` that are read, or spoken of.
const KNOWN: [&str; 11] = [
    "authentication",
    "managedSecretReferences",
    "onSecretReferenceError",
    "phaseApp",
    "phaseAppEnv",
    "phaseAppEnvPath",
    "phaseAppEnvTag",
    "phaseAppId",
    "phaseHost",
    "pollingInterval",
    "redeployLabelSelector",
];

/// One line for each.
pub(super) fn of(resource: &PhaseSecret<'_>, outputs: &[Output<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    of_selection(resource, &mut notes);
    of_place(resource, outputs, &mut notes);
    of_secrets(outputs, &mut notes);
    for reference in list(resource.spec, "managedSecretReferences") {
        of_names(reference, &mut notes);
    }
    for field in resource.spec.map().unwrap_or_default() {
        if !KNOWN.contains(&field.key.as_str()) {
            let name = shortened(&field.key);
            notes.push(format!(
                "spec.{name} is no field of a PhaseSecret, and is left out"
            ));
        }
    }
    notes
}

fn of_selection(resource: &PhaseSecret<'_>, notes: &mut Vec<String>) {
    let mut say = |note: &str| notes.push(note.to_owned());
    if resource.text("phaseAppId").is_none() {
        say(
            "phaseApp and phaseAppEnv are whole names here, in any case: the operator also takes a part of one",
        );
    } else {
        say("phaseAppEnv is a whole name here, in any case: the operator also takes a part of one");
    }
    if let Some(tag) = resource.text("phaseAppEnvTag") {
        say(
            "phaseAppEnvTag is a whole tag here, in any case: the operator also takes a part of one",
        );
        if tag.contains(',') {
            say(
                "phaseAppEnvTag has a comma, which separates tags here: each part selects on its own",
            );
        }
    }
    let host = resource.text("phaseHost");
    if host.is_some_and(|host| host.trim_end_matches('/') != DEFAULT_HOST) {
        say(
            "phaseHost must be admitted by the provider: start it with --allowed-host, or with --phase-host",
        );
    }
    if resource.text("pollingInterval").is_some() {
        say(
            "pollingInterval is left out: how often pods' files are renewed is the driver's --rotation-poll-interval",
        );
    }
    if resource.text("redeployLabelSelector").is_some() {
        say("redeployLabelSelector is left out: files change in place, and nothing is restarted");
    }
}

fn of_place(resource: &PhaseSecret<'_>, outputs: &[Output<'_>], notes: &mut Vec<String>) {
    let (token, token_namespace) = resource.token();
    let token = shortened(token);
    let is_elsewhere = |namespace: Option<&str>| namespace != resource.namespace();
    if is_elsewhere(token_namespace) || outputs.iter().any(|of| is_elsewhere(of.namespace)) {
        notes.push("secretNamespace of another namespace: the controller refuses this PhaseSecret unless started with --allow-cross-namespace-refs".to_owned());
    }
    for output in outputs {
        let namespace = output.namespace.map(shortened);
        let shown = namespace.as_deref().unwrap_or("default");
        if output.namespace != resource.namespace() {
            push_once(
                notes,
                format!(
                    "Secret {:?} is in another namespace: its class is in {shown:?} too, where the pod must be",
                    shortened(output.secret)
                ),
            );
        }
        if output.namespace != token_namespace {
            let theirs = token_namespace.map_or_else(|| "default".to_owned(), shortened);
            push_once(
                notes,
                format!(
                    "the token's Secret {token:?} is in namespace {theirs:?}: copy it to {shown:?}, a pod can name only its own"
                ),
            );
        }
    }
}

fn of_secrets(outputs: &[Output<'_>], notes: &mut Vec<String>) {
    if outputs.iter().all(|output| output.secret.is_empty()) {
        return;
    }
    notes.push("a Secret of secretObjects exists only while a pod mounts the class, holds only the keys that are listed, and needs the driver's syncSecret.enabled=true".to_owned());
    for output in outputs {
        let names = output.keys.iter().map(|key| output.names.name(key));
        for name in names.filter(|name| !secret_types::takes(output.kind, name)) {
            let note = format!(
                "{:?} is not in Secret {:?}: the driver writes no key but tls.crt and tls.key into one of type {}; it stays a file",
                shortened(&name),
                shortened(output.secret),
                output.kind
            );
            push_once(notes, note);
        }
    }
    if outputs
        .iter()
        .any(|output| output.kind == "kubernetes.io/tls")
    {
        notes.push("the driver takes tls.crt and tls.key apart itself, and writes the private key anew (RSA or EC, not Ed25519)".to_owned());
    }
    let metadata =
        |output: &Output<'_>| !output.labels.is_empty() || !output.annotations.is_empty();
    if outputs.iter().any(metadata) {
        notes.push("labels and annotations replace those of the Secret: the operator keeps what others have set".to_owned());
    }
}

/// Names that the operator leaves as they are, and collisions.
fn of_names(reference: &Node, notes: &mut Vec<String>) {
    let processors = reference.get("processors").and_then(Node::map);
    let own = processors
        .unwrap_or_default()
        .iter()
        .map(|field| &field.value);
    for node in own.clone().chain([reference]) {
        let name = text(node, "nameTransformer");
        if let Some(name) = name.filter(|name| Transformer::parse(name).is_none()) {
            let name = shortened(name);
            let note = format!(
                "nameTransformer {name:?} is unknown to the operator, which leaves keys unchanged: so does the class"
            );
            push_once(notes, note);
        }
    }
    for kind in own.filter_map(|node| text(node, "type")) {
        if !["plain", "base64"].contains(&kind) {
            let kind = shortened(kind);
            let note = format!(
                "type {kind:?} is unknown to the operator, which takes it as plain: so does the class"
            );
            push_once(notes, note);
        }
    }
    if text(reference, "nameTransformer").is_some() || processors.is_some() {
        let note =
            "two keys that get one name are an error here: with the operator one of them wins";
        push_once(notes, note.to_owned());
    }
}

fn push_once(notes: &mut Vec<String>, note: String) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}
