//! The product as a cluster's users meet it: on a node with kubelet and
//! containerd, installed by its chart. Start it with `tests/cluster/node/run`.
#![allow(clippy::unwrap_used, reason = "a test may stop at any surprise")]
#![allow(
    clippy::print_stdout,
    reason = "disturbances and numbers print their tables"
)]

mod cluster;
mod crowd;
mod phase;
mod pod;
mod team;

mod disturbances;
mod fleet;
mod identity;
mod installation;
mod numbers;
mod outages;
mod pods;
mod quiet;
mod rotation;
mod secrets;
mod sidecar;
mod telemetry;
