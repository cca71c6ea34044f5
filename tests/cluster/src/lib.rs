//! The cluster suite's house: a node on which our release binary serves a CSI
//! driver, with a real API server behind it and `phase-emulator` as Phase.
//!
//! There is no kubelet: `Pod` plays it, on the driver's socket. The suite
//! runs inside the namespaces that `tests/cluster/run` makes, and learns from
//! the environment which programs to use (`Programs`).
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a broken test bed should stop the test")]

mod api;
mod controller;
mod csi;
mod etcd;
mod faults;
mod installation;
mod kms;
mod kubelet;
mod node;
mod own_api;
mod phase;
mod process;
mod programs;
pub mod sync_controller;
mod tunnel;
mod volume;

pub use api::{Namespace, PodStatus};
pub use controller::Controller;
pub use etcd::change_stored_resource;
pub use faults::{Asked, Blow, Fault, Way};
pub use kms::KmsPlugin;
pub use kubelet::Pod;
pub use node::{Node, NodeBuilder, parameters};
pub use own_api::{OwnApi, encryption_config};
pub use phase::{Phase, secret, tagged, undecryptable};
pub use process::{Process, http, http_get, processor_time};
pub use programs::{Line, Programs};
pub use tunnel::Tunnel;
pub use volume::{Entry, Volume};

use std::time::Duration;

/// Bounds a hang; nothing that works comes near it, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Looks again and again until `look` finds something; fails the test after [`PATIENCE`].
///
/// # Panics
/// When nothing was found in time.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
