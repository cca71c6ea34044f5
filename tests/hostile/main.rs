//! Tenants that attack the node they share: the real program in the chart's memory limit,
//! and victims that mount beside. A module per attack.
//!
//! Short forms run with all tests; long ones by
//! `cargo test --release --test hostile -- --ignored`.

#![allow(
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub
)]

mod admin_port;
mod aliases;
mod answers;
mod floods;
mod mirror;
mod references;
mod remembered;
mod strangers;
mod support;
mod work;
mod zz_table;
