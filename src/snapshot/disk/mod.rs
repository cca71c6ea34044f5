//! What a node keeps across restarts: what Phase sent, as received, sealed once
//! more under a key derived from the pod's token.
//!
//! A credential has two files in `--state-dir`, under a name that tells nothing:
//! the image, which is everything of one moment, and the mark, which tells when
//! Phase last confirmed that image and who was answered from it. Each is
//! replaced in one step, so it is whole whatever ends the process; a mark names
//! its image, so a pair is never mixed. Without the token neither opens, and
//! what was changed is noticed.
//!
//! Nothing here fails a mount: what cannot be read is asked again, what cannot
//! be written is tried again each minute, and either is told once.

mod aside;
mod folder;
mod format;
mod index;
mod moment;
mod notices;
mod queue;
mod seal;
mod seen;
mod shelf;
mod store;
mod tidy;
mod writer;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use format::{Image, Mark};
pub use moment::{Clock, Moment};
pub use seal::DiskKey;
pub use store::Store;

/// How much is kept; when it does not fit, what was least recently used goes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most files; a credential has two.
    pub files: usize,
    /// Most bytes, all files together.
    pub bytes: u64,
    /// Most bytes of one image's file.
    pub image_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 1024,
            bytes: 256 << 20,
            image_bytes: 64 << 20,
        }
    }
}

/// What was kept.
pub struct Loaded {
    /// The image's id.
    pub id: [u8; 16],
    /// What Phase answered about the token.
    pub tokens: Bytes,
    /// Each environment's name and what Phase answered.
    pub environments: Vec<(String, Bytes)>,
    /// The environments' public keys, as they were first seen.
    pub pins: Vec<(String, [u8; 32])>,
    /// When Phase last confirmed it; for later marks.
    pub confirmed: Moment,
    /// How long ago that was; nothing when it cannot be known, since a clock
    /// went backwards: then it is too old for any new mount.
    pub age: Option<Duration>,
    /// Digests of the volumes answered from it during this boot; none after a
    /// reboot, since memory volumes are gone then.
    pub volumes: Vec<[u8; 16]>,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("age", &self.age)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
