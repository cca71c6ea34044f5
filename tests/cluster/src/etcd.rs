//! What the API server has in etcd, for what it would refuse itself.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::process::http;

/// Of the namespaces' own etcd.
pub(crate) const ETCD: &str = "127.0.0.1:2379";

/// Changes a stored `PhaseSecret` behind the API server's back, as if its definition had
/// been another when it was written.
///
/// # Panics
/// When it is not there.
pub async fn change_stored_resource(namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
    let key = format!("/registry/secrets.phase.dev/phasesecrets/{namespace}/{name}");
    let key = ByteString(key.into_bytes());
    let found = asked("/v3/kv/range", &json!({"key": key})).await;
    let ByteString(bytes) = serde_json::from_value(found["kvs"][0]["value"].clone()).unwrap();
    let mut object = serde_json::from_slice(&bytes).unwrap();
    change(&mut object);
    let object = ByteString(object.to_string().into_bytes());
    asked("/v3/kv/put", &json!({"key": key, "value": object})).await;
}

async fn asked(path: &str, body: &Value) -> Value {
    let answer = http(ETCD, "POST", path, &body.to_string()).await;
    let (status, answer) = answer.expect("etcd answers");
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}
