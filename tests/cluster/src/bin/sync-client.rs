//! The second client of a provider, in a container beside it: asks as the sync
//! controller asks until it is answered, and writes what it gets where it would
//! make a Secret of it.
//!
//! `sync-client SOCKET NAMESPACE PARAMETERS FOLDER`

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program of the test bed"
)]

use std::path::Path;
use std::time::Duration;

use phase_csi_cluster::sync_controller::ask;
use serde_json::json;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, namespace, parameters, folder] = arguments.as_slice() else {
        panic!("sync-client SOCKET NAMESPACE PARAMETERS FOLDER");
    };
    let parameters: serde_json::Value = serde_json::from_str(parameters).unwrap();
    while !Path::new(socket).exists() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let files = loop {
        match ask(Path::new(socket), parameters.clone(), namespace, json!({})).await {
            Ok(files) => break files,
            Err(error) => eprintln!("{error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    for (path, contents) in files {
        std::fs::write(Path::new(folder).join(path), contents).unwrap();
    }
    // The controller goes on; its pod does not end.
    std::future::pending().await
}
