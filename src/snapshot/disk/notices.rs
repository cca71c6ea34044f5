//! What went wrong with the directory, told once.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::{debug, warn};

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Incident {
    /// A file that was written here is not what it was.
    Damaged = 1,
    /// Something that was not written here.
    Foreign = 2,
    /// A set is not kept.
    NotKept = 4,
    /// A file cannot be read.
    Unreadable = 8,
    /// The wall clock went backwards.
    Clock = 16,
    /// The directory vanished.
    Vanished = 32,
}

/// Writes the first line about each [`Incident`] as a warning, further ones for debugging.
pub(super) struct Notices {
    shown: PathBuf,
    told: AtomicU8,
}

impl Notices {
    pub(super) const fn new(shown: PathBuf) -> Self {
        let told = AtomicU8::new(0);
        Self { shown, told }
    }

    pub(super) fn tell(&self, incident: Incident, text: impl Display) {
        let bit = incident as u8;
        let shown = self.shown.display();
        if self.told.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            warn!("--state-dir {shown}: {text}");
        } else {
            debug!("--state-dir {shown}: {text}");
        }
    }
}
