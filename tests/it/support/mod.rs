//! What several modules need.

pub mod daemon;
pub mod model;
pub mod replay;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

/// What is there once it is there; a minute bounds a hang, nothing that passes comes near it.
pub async fn eventually<T>(attempt: impl AsyncFn() -> Option<T>) -> T {
    let tried = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), tried)
        .await
        .expect("it comes about")
}

/// A file of recorded or computed data.
pub fn json(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The cases of a file of vectors.
pub fn cases(file: &str) -> Vec<Value> {
    let cases = json(&format!("vectors/{file}"))["cases"]
        .as_array()
        .unwrap()
        .clone();
    assert!(!cases.is_empty(), "{file} has no cases");
    cases
}

/// The text at a key.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

/// 32 bytes of hexadecimal text.
pub fn bytes32(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

/// Bytes of hexadecimal text.
pub fn bytes(hex: &str) -> Vec<u8> {
    base16ct::mixed::decode_vec(hex).unwrap()
}
