//! A node under attack: the real program in a memory limit, an emulator, tenants that
//! attack, and victims that mount beside them. Tests and `cargo bench --bench neighbours`
//! share it.

pub mod admin;
pub mod attacks;
pub mod cluster;
pub mod daemon;
pub mod liar;
pub mod limit;
pub mod phase;
pub mod scene;
pub mod tenant;
pub mod usage;
pub mod victims;
