//! The driver's side of a class: `secretObjects`, from which it writes Secrets.

use std::collections::BTreeMap;

use super::finding::{Findings, hint, shortened};
use super::language::Reading;
use super::rule::Rule;
use super::secret_types::{self, Keys};
use super::workloads::list;
use crate::manifest::{ProviderClass, is_object_name};
use crate::secret_types::is_key;
use crate::yaml::{Node, Place};

const FIELDS: [&str; 5] = ["annotations", "data", "labels", "secretName", "type"];
const DATA_FIELDS: [&str; 2] = ["key", "objectName"];

/// Every rule for `secretObjects`. Without a class, names of files are not checked.
pub(super) fn check(class: &ProviderClass, reading: &Reading, findings: &mut Findings) {
    let Some(node) = class.secret_objects.as_ref().filter(|node| !node.is_null()) else {
        return;
    };
    let Some(entries) = node.list() else {
        let message = format!(
            "spec.secretObjects is {}, not a list: begin each entry with -",
            node.kind()
        );
        return findings.add(Rule::WrongType, node.at, message);
    };
    let mut names = BTreeMap::new();
    for (number, entry) in entries.iter().enumerate() {
        let path = format!("secretObjects[{number}]");
        if entry.map().is_none() {
            let message = format!(
                "{path} is {}, not a map: write secretName, type and data",
                entry.kind()
            );
            findings.add(Rule::WrongType, entry.at, message);
            continue;
        }
        findings.fields(entry, &FIELDS, &path);
        secret_name(entry, &path, &mut names, findings);
        metadata(entry, &path, findings);
        let keys = data(entry, &path, reading, findings);
        secret_types::check(entry, &path, &keys, findings);
    }
}

fn secret_name(
    entry: &Node,
    path: &str,
    names: &mut BTreeMap<String, Place>,
    findings: &mut Findings,
) {
    let path = format!("{path}.secretName");
    let Some(name) = findings.text(entry, "secretName", &path) else {
        return;
    };
    let at = entry.get("secretName").map_or(entry.at, |node| node.at);
    let shown = shortened(name);
    if !is_object_name(name) {
        let message = format!(
            "{path} {shown:?} is no name in Kubernetes: use lower-case letters, digits, - and ."
        );
        findings.add(Rule::Name, at, message);
    }
    if let Some(first) = names.insert(name.to_owned(), at) {
        let message = format!(
            "{path} {shown:?} is also written by the entry on line {}: they would overwrite each other: join their data",
            first.line
        );
        findings.add(Rule::DuplicateSecret, at, message);
    }
}

/// Labels and annotations are texts.
fn metadata(entry: &Node, path: &str, findings: &mut Findings) {
    for field in ["labels", "annotations"] {
        let Some(node) = entry.get(field).filter(|node| !node.is_null()) else {
            continue;
        };
        let path = format!("{path}.{field}");
        let Some(fields) = node.map() else {
            let message = format!("{path} is {}, not a map: write name: text", node.kind());
            findings.add(Rule::WrongType, node.at, message);
            continue;
        };
        findings.repeated(node, &path);
        for field in fields {
            findings.expect_text(&field.value, &format!("{path}.{}", shortened(&field.key)));
        }
    }
}

/// The keys of the Secret, with what each is made from.
fn data<'a>(entry: &'a Node, path: &str, reading: &Reading, findings: &mut Findings) -> Keys<'a> {
    let path = format!("{path}.data");
    let node = entry.get("data").filter(|node| !node.is_null());
    let Some(items) = node.and_then(Node::list).filter(|items| !items.is_empty()) else {
        let at = node.map_or(entry.at, |node| node.at);
        let message = format!("{path} is missing: list objectName and key of each value");
        findings.add(Rule::MissingField, at, message);
        return BTreeMap::new();
    };
    let mut keys = BTreeMap::new();
    for (number, item) in items.iter().enumerate() {
        if findings.is_full(Rule::ObjectName) {
            break;
        }
        let path = format!("{path}[{number}]");
        if item.map().is_none() {
            let message = format!(
                "{path} is {}, not a map: write objectName and key",
                item.kind()
            );
            findings.add(Rule::WrongType, item.at, message);
            continue;
        }
        findings.fields(item, &DATA_FIELDS, &path);
        keys.extend(key(item, &path, &keys, findings));
        object_name(item, &path, reading, findings);
    }
    keys
}

fn key<'a>(
    item: &'a Node,
    path: &str,
    before: &Keys<'_>,
    findings: &mut Findings,
) -> Option<(&'a str, Place)> {
    let path = format!("{path}.key");
    let key = findings.text(item, "key", &path)?;
    let at = item.get("key").map_or(item.at, |node| node.at);
    let shown = shortened(key);
    if !is_key(key) {
        let message = format!(
            "{path} {shown:?} is no key of a Secret: use letters, digits, -, _ and ., at most 253"
        );
        findings.add(Rule::SecretKey, at, message);
    }
    if let Some(first) = before.get(key) {
        let message = format!(
            "{path} {shown:?} is also on line {}: one of them would be lost: give it another key",
            first.line
        );
        findings.add(Rule::SecretKey, at, message);
    }
    Some((key, at))
}

/// Whether each `objectName` is a file, once all files are known.
pub(super) fn found(class: &ProviderClass, files: &[String], findings: &mut Findings) {
    let entries = class.secret_objects.as_ref().and_then(Node::list);
    let entries = entries.unwrap_or_default().iter();
    let items = entries.flat_map(|entry| list(entry, "data"));
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    for node in items.filter_map(|item| item.get("objectName")) {
        let name = node.text().unwrap_or_default().trim();
        if files.contains(&name) {
            continue;
        }
        if findings.is_full(Rule::ObjectName) {
            break;
        }
        let next = match crate::spelling::near(name, &files) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => "create the key in Phase, or mend the name".to_owned(),
        };
        let name = shortened(name);
        let message = format!(
            "objectName {name:?} is none of the {} files: {next}",
            files.len()
        );
        findings.add(Rule::ObjectName, node.at, message);
    }
}

/// The driver looks for a file of that path in the volume.
fn object_name(item: &Node, path: &str, reading: &Reading, findings: &mut Findings) {
    let path = format!("{path}.objectName");
    let Some(name) = findings.text(item, "objectName", &path) else {
        return;
    };
    let at = item.get("objectName").map_or(item.at, |node| node.at);
    if reading.class.is_none() || reading.known.iter().any(|known| known == name) {
        return;
    }
    let known: Vec<_> = reading.known.iter().map(String::as_str).collect();
    let shown = shortened(name);
    if let Err(problem) = crate::render::check(name) {
        let message =
            format!("{path} {shown:?} cannot be a file: {problem}: name a file of the volume");
        findings.add(Rule::ObjectName, at, message);
    } else if !reading.is_dynamic() {
        let next = hint(name, &known).replace(": remove it; there are ", ": it makes ");
        let message = format!("{path} {shown:?} is no file of the class{next}");
        findings.add(Rule::ObjectName, at, message);
    } else if reading.may_make(name) {
        let meant = crate::spelling::near(name, &known);
        let near = meant.map_or(String::new(), |near| format!(", or write \"{near}\""));
        let message = format!(
            "{path} {shown:?} is found only if Phase has a key that makes this file: try it with --online{near}, or list it under objects"
        );
        findings.add(Rule::DynamicObjectName, at, message);
    } else {
        let message = format!(
            "{path} {shown:?} is no file of the class: no selection takes it: mend the name, or set recursive, include or exclude"
        );
        findings.add(Rule::ObjectName, at, message);
    }
}
