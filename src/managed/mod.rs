//! Managed Kubernetes Secrets: what the resource `PhaseSecret` asks for is kept in
//! Secrets, and workloads that use them follow.
//!
//! `reconcile` is the way of one resource: its fields as a [`plan`], as far as the [`policy`] admits it, its token
//! ([`token`]), the contents out of the memory that mounts use too (`contents`,
//! [`data`]), one server-side apply for each Secret that is not as it should be
//! ([`apply`]; [`adopt`] for those of Phase's own operator), restarts ([`redeploy`]), and what is told of all that (`tell`, [`status`]).
//! [`controller`] is the program around it, [`lease`] lets one of several
//! replicas work, [`health`] is what each says of itself. [`api`] is the way to the API server, [`stored`] what is watched there. This
//! room knows the Kubernetes API; it knows nothing of sockets and drivers.

pub mod adopt;
pub mod api;
pub mod apply;
mod backoff;
pub mod candidates;
mod contents;
pub mod controller;
pub mod data;
pub mod follow;
mod followed;
pub mod health;
pub mod lease;
mod ledger;
mod mirror;
mod news;
mod one;
mod outputs;
mod owner;
pub mod plan;
pub mod policy;
mod reconcile;
pub mod redeploy;
mod refused;
pub mod resource;
mod room;
mod seen;
mod selector;
pub mod status;
pub mod stored;
pub mod take_back;
mod tell;
pub mod token;
mod turns;
