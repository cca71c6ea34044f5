//! The other client of a provider: the sync controller, which makes Kubernetes
//! Secrets without any pod. Here only what it sends is imitated.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::use_self,
    unused_qualifications,
    reason = "generated code"
)]

tonic::include_proto!("v1alpha1");

use std::collections::BTreeMap;
use std::path::Path;

use csi_driver_provider_client::CsiDriverProviderClient;
use serde_json::{Value, json};
use tonic::Status;
use tonic::transport::Endpoint;

/// The files by path, if the provider gives them.
pub async fn ask(
    socket: &Path,
    parameters: Value,
    namespace: &str,
    secrets: Value,
) -> Result<BTreeMap<String, Vec<u8>>, Status> {
    let endpoint = Endpoint::try_from(format!("unix://{}", socket.display())).unwrap();
    let channel = endpoint.connect().await.expect("the provider serves");
    let request = MountRequest {
        attributes: attributes(parameters, namespace).to_string(),
        secrets: secrets.to_string(),
        target_path: String::from("/mnt/secrets-store"),
        permission: String::from("420"),
        current_object_version: Vec::new(),
    };
    let answer = CsiDriverProviderClient::new(channel)
        .mount(request)
        .await?
        .into_inner();
    assert!(
        !answer.object_version.is_empty(),
        "it demands versions, too"
    );
    Ok(answer
        .files
        .into_iter()
        .map(|file| (file.path, file.contents))
        .collect())
}

/// The pod is the controller's own; what a volume adds (class, ephemeral) is missing.
fn attributes(mut parameters: Value, namespace: &str) -> Value {
    for (key, value) in [
        ("pod.name", "secrets-store-sync-controller-0"),
        ("pod.uid", "5b0e7c0e-0000-4000-8000-000000000001"),
        ("pod.namespace", namespace),
        ("serviceAccount.name", "default"),
    ] {
        parameters[format!("csi.storage.k8s.io/{key}")] = json!(value);
    }
    parameters
}
