//! Phase secrets for Kubernetes pods, through the Secrets Store CSI Driver.
//!
//! The way of a mount goes through the rooms in one direction:
//!
//! [`provider`] (bytes in, deadline) → [`class`] (what is wanted) →
//! [`credential`] (who asks) → [`snapshot`] (have we got it? else [`phase`]: fetch,
//! open, resolve; then [`render`]: files, modes, versions) → [`provider`] (bytes
//! out). [`mount`] is that way in one function, [`serve`] the daemon around it.
//! [`preview`] goes the same way for a person, from a [`manifest`], without a driver
//! and without memory. [`encryption`] is beside that way: it helps where secrets are
//! in etcd all the same.

pub mod awaited;
pub mod cause;
pub mod check;
pub mod class;
mod connections;
pub mod console;
pub mod core_dumps;
pub mod credential;
pub mod deadline;
mod digest;
pub mod duration;
pub mod encryption;
pub mod managed;
pub mod manifest;
pub mod manual;
pub mod mistakes;
pub mod mount;
pub mod phase;
pub mod preview;
pub mod probe;
pub mod provider;
pub mod quota;
mod random;
pub mod render;
mod secret_types;
pub mod serve;
mod shown;
pub mod snapshot;
mod spelling;
pub mod telemetry;
pub mod yaml;
