//! The class in the place of a `PhaseSecret`, or of a part of it.

use std::fmt::Write;

use super::resource::{Names, Output, PhaseSecret};
use crate::check::secret_types;
use crate::manifest::{as_scalar, comment};
use crate::render::transformer::Transformer;
use crate::secret_types::{is_key, required};

/// Fields that keep name and meaning.
const SAME: [&str; 7] = [
    "phaseHost",
    "phaseApp",
    "phaseAppId",
    "phaseAppEnv",
    "phaseAppEnvPath",
    "phaseAppEnvTag",
    "onSecretReferenceError",
];

/// The class for outputs of equal names; alone, it has the resource's name.
pub(super) fn write(resource: &PhaseSecret<'_>, group: &[&Output<'_>], alone: bool) -> String {
    let first = group[0];
    let own = &resource.manifest.name;
    let name = match alone || first.secret.is_empty() {
        true => own.clone(),
        false => format!("{own}-{}", first.secret),
    };
    let mut text =
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata:\n"
            .to_owned();
    line(&mut text, 2, "name", &name);
    if let Some(namespace) = first.namespace {
        line(&mut text, 2, "namespace", namespace);
    }
    text += "spec:\n  provider: phase\n  parameters:\n";
    for field in SAME {
        if let Some(value) = resource.text(field) {
            line(&mut text, 4, field, value);
        }
    }
    names(&mut text, &first.names);
    secret_objects(&mut text, group);
    volume(&mut text, &name, resource.token().0);
    text
}

fn line(text: &mut String, indent: usize, key: &str, value: &str) {
    writeln!(
        text,
        "{:indent$}{}: {}",
        "",
        as_scalar(key),
        as_scalar(value)
    )
    .ok();
}

fn names(text: &mut String, names: &Names) {
    if let Some(transformer) = names.transformer {
        line(text, 4, "nameTransformer", transformer.name());
    }
    let mut written = names
        .processors
        .iter()
        .filter(|(_, own)| **own != Default::default());
    let Some(first) = written.next() else { return };
    *text += "    processors: |\n";
    for (key, own) in [first].into_iter().chain(written) {
        writeln!(text, "      {}:", as_scalar(key)).ok();
        if let Some(name) = &own.as_name {
            line(text, 8, "asName", name);
        }
        if let Some(transformer) = own.transformer.filter(|_| own.as_name.is_none()) {
            line(text, 8, "nameTransformer", Transformer::name(transformer));
        }
        if own.base64 {
            line(text, 8, "type", "base64");
        }
    }
}

/// Secrets whose keys are known, and as comments those whose are not.
fn secret_objects(text: &mut String, group: &[&Output<'_>]) {
    let named = || group.iter().filter(|output| !output.secret.is_empty());
    let (known, unknown): (Vec<&&Output<'_>>, Vec<&&Output<'_>>) =
        named().partition(|output| !keys(output).is_empty());
    if !known.is_empty() {
        *text += "  secretObjects:\n";
    }
    for output in &known {
        *text += &entry(output, &keys(output));
        if secret_types::takes(output.kind, "any") {
            *text += "        # and every further key that the Secret must have: the driver copies no other\n";
        }
    }
    let header = if known.is_empty() {
        "#  secretObjects:\n"
    } else {
        ""
    };
    for (number, output) in unknown.iter().enumerate() {
        *text += &comment(
            "The driver copies only keys that are listed, and these are known to Phase alone: name them,",
        );
        *text += &comment("and remove the # below (or mount the files, and need no Secret).");
        *text += if number == 0 { header } else { "" };
        for line in entry(output, &["<key>".to_owned()]).lines() {
            writeln!(text, "#{line}").ok();
        }
    }
}

fn entry(output: &Output<'_>, keys: &[String]) -> String {
    let mut text = format!("    - secretName: {}\n", as_scalar(output.secret));
    line(&mut text, 6, "type", output.kind);
    for (field, pairs) in [
        ("labels", &output.labels),
        ("annotations", &output.annotations),
    ] {
        if !pairs.is_empty() {
            writeln!(text, "      {field}:").ok();
        }
        for (key, value) in pairs {
            line(&mut text, 8, key, value);
        }
    }
    text += "      data:\n";
    for key in keys {
        let key = as_scalar(key);
        writeln!(text, "        - objectName: {key}\n          key: {key}").ok();
    }
    text
}

/// Keys that have a processor or that the Secret's type demands.
fn keys(output: &Output<'_>) -> Vec<String> {
    let mut keys: Vec<_> = required(output.kind).map(str::to_owned).collect();
    for key in &output.keys {
        let name = output.names.name(key);
        let fits = is_key(&name) && secret_types::takes(output.kind, &name);
        if fits && !keys.contains(&name) {
            keys.push(name);
        }
    }
    keys
}

/// What the pod needs, to paste.
fn volume(text: &mut String, class: &str, token: &str) {
    let (class, token) = (as_scalar(class), as_scalar(token));
    let lines = [
        "In the pod (or in the template of its Deployment):".to_owned(),
        "  containers:".to_owned(),
        "    - volumeMounts:".to_owned(),
        "        - {name: secrets, mountPath: /secrets, readOnly: true}".to_owned(),
        "  volumes:".to_owned(),
        "    - name: secrets".to_owned(),
        "      csi:".to_owned(),
        "        driver: secrets-store.csi.k8s.io".to_owned(),
        "        readOnly: true".to_owned(),
        format!("        volumeAttributes: {{secretProviderClass: {class}}}"),
        format!("        nodePublishSecretRef: {{name: {token}}}"),
    ];
    for line in lines {
        *text += &comment(&line);
    }
}
