//! The pod's side of a class: the volume that names it.

use super::finding::{Findings, hint, shortened};
use super::language::Reading;
use super::rule::Rule;
use super::workloads::{CLASS_ATTRIBUTE, DRIVER, Volume};
use crate::class::KNOWN_PARAMETERS;
use crate::manifest::{Manifest, ProviderClass, Scalar, scalar};
use crate::yaml::Node;

/// Everything in the files that a volume may name.
pub(super) struct Around<'a> {
    pub(super) classes: Vec<(&'a ProviderClass, &'a Reading)>,
    pub(super) secrets: Vec<&'a Manifest>,
}

/// Where the next step of a missing token is spelt out.
const HOW_TO_GIVE_A_TOKEN: &str = "store the service token in a Secret of the pod's namespace (kubectl create secret generic phase-token --from-file=token=./token.txt) and add nodePublishSecretRef: {name: phase-token}";

/// Every rule for one volume.
pub(super) fn check(
    manifest: &Manifest,
    volume: &Volume<'_>,
    around: &Around<'_>,
    findings: &mut Findings,
) {
    let path = format!("volume {:?}", shortened(volume.name));
    let named = class(manifest, volume, around, &path, findings);
    if matches!(named, Named::Foreign) {
        return;
    }
    driver(volume, &path, findings);
    read_only(volume, &path, findings);
    if !matches!(named, Named::Unknown) {
        attributes(volume, &path, findings);
        token(manifest, volume, around, &path, findings);
    }
    sub_path(volume, &path, findings);
    if let Named::Ours(class, reading) = named {
        file_mode(volume, class, reading, &path, findings);
    }
}

/// What a volume's class is.
enum Named<'a> {
    Ours(&'a ProviderClass, &'a Reading),
    /// None that is in the files.
    Unknown,
    /// Another provider's.
    Foreign,
}

fn class<'a>(
    manifest: &Manifest,
    volume: &Volume<'_>,
    around: &Around<'a>,
    path: &str,
    findings: &mut Findings,
) -> Named<'a> {
    let Some(node) = volume.class() else {
        let at = volume.csi.get("volumeAttributes").unwrap_or(volume.csi).at;
        let message =
            format!("{path} names no class: add volumeAttributes: {{{CLASS_ATTRIBUTE}: <name>}}");
        findings.add(Rule::MissingField, at, message);
        return Named::Unknown;
    };
    let name = node.text().unwrap_or_default();
    let shown = shortened(name);
    let of_name = || {
        around
            .classes
            .iter()
            .filter(|(class, _)| class.name == name)
    };
    let here = of_name().find(|(class, _)| !differ(&class.namespace, &manifest.namespace));
    match here.or_else(|| of_name().next()) {
        Some((class, _)) if !class.is_phase() && class.provider.is_some() => Named::Foreign,
        Some((class, reading)) => {
            if here.is_none() {
                let theirs = class.namespace_or_default();
                let message = format!(
                    "{path} names SecretProviderClass {shown:?}, which is in namespace {theirs:?}: the driver looks for it in the pod's, {:?}: put both into one",
                    manifest.namespace_or_default()
                );
                findings.add(Rule::OtherNamespace, node.at, message);
            }
            Named::Ours(class, reading)
        }
        None => {
            let names = around.classes.iter().map(|(class, _)| class.name.as_str());
            unknown(&shown, &names.collect::<Vec<_>>(), path, node, findings);
            Named::Unknown
        }
    }
}

fn unknown(name: &str, names: &[&str], path: &str, node: &Node, findings: &mut Findings) {
    let next = match crate::spelling::near(name, names) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => "give its file too, with another -f".to_owned(),
    };
    let message =
        format!("{path} names SecretProviderClass {name:?}, which is in none of the files: {next}");
    findings.add(Rule::UnknownClass, node.at, message);
}

/// Two namespaces that are both written, and differ.
fn differ(one: &Option<String>, other: &Option<String>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

fn driver(volume: &Volume<'_>, path: &str, findings: &mut Findings) {
    if volume.driver() != DRIVER {
        let at = volume.csi.get("driver").unwrap_or(volume.csi).at;
        let found = shortened(volume.driver());
        let message = format!("{path} has the driver {found:?}: write {DRIVER}");
        findings.add(Rule::Driver, at, message);
    }
}

fn read_only(volume: &Volume<'_>, path: &str, findings: &mut Findings) {
    let node = volume.csi.get("readOnly");
    if !node.is_some_and(is_true) {
        let at = node.unwrap_or(volume.csi).at;
        let message = format!(
            "{path} is not read-only, and the driver refuses it: add readOnly: true under csi"
        );
        findings.add(Rule::ReadOnly, at, message);
    }
}

/// True to kubectl: in quotes it is a text, which the API server refuses.
fn is_true(node: &Node) -> bool {
    let text = node.text().unwrap_or_default().to_ascii_lowercase();
    scalar(node) == Scalar::Switch && ["true", "yes", "on", "y"].contains(&text.as_str())
}

fn attributes(volume: &Volume<'_>, path: &str, findings: &mut Findings) {
    let Some(node) = volume.csi.get("volumeAttributes") else {
        return;
    };
    findings.repeated(node, &format!("{path}.volumeAttributes"));
    for field in node.map().unwrap_or_default() {
        let name = shortened(&field.key);
        findings.expect_text(&field.value, &format!("{path}.volumeAttributes.{name}"));
        let key = field.key.as_str();
        if KNOWN_PARAMETERS.contains(&key) {
            let message = format!(
                "{path} sets {name}, which overrides the class's for this pod: put it into the class"
            );
            findings.add(Rule::Override, field.at, message);
        } else if key != CLASS_ATTRIBUTE && !key.starts_with("csi.storage.k8s.io/") {
            let mut known = KNOWN_PARAMETERS.to_vec();
            known.push(CLASS_ATTRIBUTE);
            let next = match crate::spelling::near(key, &known) {
                Some(_) => hint(key, &known),
                None => ": remove it".to_owned(),
            };
            let message = format!("{path} has the attribute {name:?}, which is no parameter{next}");
            findings.add(Rule::UnknownAttribute, field.at, message);
        }
    }
}

fn token(
    manifest: &Manifest,
    volume: &Volume<'_>,
    around: &Around<'_>,
    path: &str,
    findings: &mut Findings,
) {
    let reference = volume.csi.get("nodePublishSecretRef");
    let name = reference.and_then(|reference| reference.get("name"));
    let Some((name, at)) = name.and_then(|node| Some((node.text()?, node.at))) else {
        let at = reference.unwrap_or(volume.csi).at;
        let message = format!("{path} names no Secret with the Phase token: {HOW_TO_GIVE_A_TOKEN}");
        return findings.add(Rule::NoToken, at, message);
    };
    let of_name = || around.secrets.iter().filter(|secret| secret.name == name);
    let here = of_name().find(|secret| !differ(&secret.namespace, &manifest.namespace));
    let shown = shortened(name);
    match (here, of_name().next()) {
        (Some(secret), _) if !has_token_key(secret) => {
            let message = format!(
                "{path} names Secret {shown:?}, which has neither key token nor PHASE_SERVICE_TOKEN: it has {}: store the service token under token",
                keys(secret)
            );
            findings.add(Rule::TokenKey, at, message);
        }
        (None, Some(secret)) => {
            let message = format!(
                "{path} names Secret {shown:?}, which is in namespace {:?}: kubelet looks for it in the pod's, {:?}: put it there",
                secret.namespace_or_default(),
                manifest.namespace_or_default()
            );
            findings.add(Rule::OtherNamespace, at, message);
        }
        _ => {}
    }
}

fn data(secret: &Manifest) -> impl Iterator<Item = &str> {
    let maps = ["data", "stringData"]
        .into_iter()
        .filter_map(|field| secret.get(&[field])?.map());
    maps.flatten().map(|field| field.key.as_str())
}

fn has_token_key(secret: &Manifest) -> bool {
    data(secret).any(|key| ["token", "PHASE_SERVICE_TOKEN"].contains(&key))
}

/// The names of a Secret's keys; never a value.
fn keys(secret: &Manifest) -> String {
    const MOST: usize = 5;
    let keys: Vec<_> = data(secret).take(MOST).map(shortened).collect();
    if keys.is_empty() {
        "no key".to_owned()
    } else {
        keys.join(", ")
    }
}

fn sub_path(volume: &Volume<'_>, path: &str, findings: &mut Findings) {
    for (container, mount) in volume.mounts() {
        let by = ["subPath", "subPathExpr"];
        if let Some(node) = by.iter().find_map(|field| mount.get(field)) {
            let name = container
                .get("name")
                .and_then(Node::text)
                .unwrap_or_default();
            let message = format!(
                "container {:?} mounts {path} by subPath, and never sees a changed secret: mount the whole volume",
                shortened(name)
            );
            findings.add(Rule::SubPath, node.at, message);
        }
    }
}

/// Files belong to root, and kubelet applies no fsGroup to these volumes.
fn file_mode(
    volume: &Volume<'_>,
    class: &ProviderClass,
    reading: &Reading,
    path: &str,
    findings: &mut Findings,
) {
    let Some(mode) = reading.narrow_mode() else {
        return;
    };
    let pod = volume.pod.get("securityContext");
    for (container, mount) in volume.mounts() {
        let own = container.get("securityContext");
        if is_not_root(own, pod) {
            let name = container
                .get("name")
                .and_then(Node::text)
                .unwrap_or_default();
            let message = format!(
                "container {:?} does not run as root, and files of mode {mode:04o} in {path} are root's (fsGroup does not apply): set filePermission: \"0644\" in SecretProviderClass {}",
                shortened(name),
                shortened(&class.name)
            );
            findings.add(Rule::FileMode, mount.at, message);
        }
    }
}

fn is_not_root(own: Option<&Node>, pod: Option<&Node>) -> bool {
    let setting = |field: &str| {
        let of = |context: Option<&Node>| context?.get(field)?.text().map(str::to_owned);
        of(own).or_else(|| of(pod))
    };
    match setting("runAsUser") {
        Some(user) => user != "0",
        None => setting("runAsNonRoot").as_deref() == Some("true"),
    }
}
