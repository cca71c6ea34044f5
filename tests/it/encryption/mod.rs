//! `encryption-config`, run as a cluster's administrator runs it.

mod fresh;
mod mistakes;
mod refusals;
mod rotation;

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::preview::{Ran, command, ran};

/// `encryption-config` with arguments.
async fn encryption_config(arguments: &[&str]) -> Ran {
    ran(command(&[&["encryption-config"], arguments].concat())).await
}

/// What it prints, when all is well.
async fn printed(arguments: &[&str]) -> String {
    encryption_config(arguments).await.fine()
}

/// A file of this text.
fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// `encryption-config --rotate` of this text.
async fn rotation_of(text: &str, arguments: &[&str]) -> Ran {
    let file = file(text);
    let path = file.path().to_str().unwrap();
    encryption_config(&[&["--rotate", path], arguments].concat()).await
}

async fn rotated(text: &str, arguments: &[&str]) -> String {
    rotation_of(text, arguments).await.fine()
}

/// A configuration as the API server reads it.
fn read(text: &str) -> Value {
    let read: Value =
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(read["apiVersion"], "apiserver.config.k8s.io/v1", "{text}");
    assert_eq!(read["kind"], "EncryptionConfiguration", "{text}");
    read
}

/// The providers of an entry.
fn providers(text: &str, entry: usize) -> Value {
    read(text)["resources"][entry]["providers"].clone()
}

/// The key of 32 times one byte, as a configuration has it.
fn key(byte: u8) -> String {
    Base64::encode_string(&[byte; 32])
}

/// The names of keys, and that each is a good one.
fn names(keys: &Value) -> Vec<String> {
    let keys = keys.as_array().unwrap().iter();
    keys.map(|key| {
        let bytes = Base64::decode_vec(key["secret"].as_str().unwrap()).unwrap();
        assert_eq!(bytes.len(), 32);
        key["name"].as_str().unwrap().to_owned()
    })
    .collect()
}

/// A configuration for Secrets with these providers, as JSON, which is YAML, too.
fn configuration(providers: &Value) -> String {
    entries(&json!([{"resources": ["secrets"], "providers": providers}]))
}

fn entries(resources: &Value) -> String {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": resources,
    })
    .to_string()
}
