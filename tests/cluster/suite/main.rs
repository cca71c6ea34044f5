//! The product behind a CSI driver on a real API server, one test per
//! behaviour. Start it with `tests/cluster/run`.
#![allow(clippy::unwrap_used, reason = "a test may stop at any surprise")]

mod authority;
mod credentials;
mod encryption;
mod formats;
mod limits;
mod managed;
mod manifests;
mod memory;
mod mistakes;
mod mounts;
mod names;
mod objects;
mod optional;
mod quiet;
mod restarts;
mod rotation;
mod secrets;
mod selection;
mod support;
