//! How many requests of one host are under way at once.

use super::Asker;

/// Who has a request of a host under way, once for each.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Asker>);

/// The most for one host.
pub(super) const PER_HOST: usize = 8;
/// The most of them for one asker: one that hangs leaves places for others.
pub(super) const PER_ASKER: usize = 4;

impl Places {
    pub(super) const fn is_full(&self) -> bool {
        self.0.len() >= PER_HOST
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the asker has all that one may have, so that it waits for itself only.
    pub(super) fn is_held(&self, asker: &Asker) -> bool {
        self.0.iter().filter(|taken| *taken == asker).count() >= PER_ASKER
    }

    pub(super) fn take(&mut self, asker: Asker) {
        self.0.push(asker);
    }

    pub(super) fn give_back(&mut self, asker: &Asker) {
        if let Some(place) = self.0.iter().position(|taken| taken == asker) {
            self.0.swap_remove(place);
        }
    }
}
