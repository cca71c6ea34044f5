//! The emulator from outside, over its sockets.

#![allow(clippy::unwrap_used, missing_docs)]

mod compare;
mod control;
mod faults;
mod fidelity;
mod open;
mod plaintext;
mod program;
mod protocol;
mod raw;
mod recorded;
mod replay;
mod seed_file;
mod tls;
