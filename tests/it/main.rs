//! What the provider does, seen from outside: one binary, a module per behaviour.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub
)]

mod check;
mod class;
mod controller;
mod docs;
mod encryption;
mod examples;
mod formats;
mod heap;
mod killed_writer;
mod managed_crd;
mod mount;
mod node_token;
mod objects;
mod opened;
mod outage;
mod phase_http;
mod phase_in_trouble;
mod preview;
mod provider;
mod references;
mod refused;
mod render;
mod replay;
mod rolling;
mod selection;
mod snapshot;
mod support;
mod telemetry;
mod templates;
mod vectors;
mod versions;
