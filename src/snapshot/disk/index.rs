//! What lies in the directory, and in which order it was used.

use std::collections::HashMap;

use super::seal::Kind;

/// What lies in the directory, by a key's name.
#[derive(Default)]
pub(super) struct Index {
    places: HashMap<String, Place>,
    turn: u64,
}

/// One key's files: their sizes in bytes.
#[derive(Clone, Copy, Default)]
struct Place {
    image: Option<u64>,
    mark: Option<u64>,
    used: u64,
}

impl Place {
    const fn slot(&mut self, kind: Kind) -> &mut Option<u64> {
        match kind {
            Kind::Image => &mut self.image,
            Kind::Mark => &mut self.mark,
        }
    }

    fn sizes(self) -> impl Iterator<Item = u64> {
        self.image.into_iter().chain(self.mark)
    }
}

impl Index {
    /// Notes a file's size, or that it is gone; a file that is there was just used.
    pub(super) fn note(&mut self, name: &str, kind: Kind, size: Option<u64>) {
        self.turn += 1;
        let place = self.places.entry(name.to_owned()).or_default();
        *place.slot(kind) = size;
        if size.is_some() {
            place.used = self.turn;
        }
        if place.sizes().next().is_none() {
            self.places.remove(name);
        }
    }

    /// A file's size in bytes, if it is there.
    pub(super) fn size(&self, name: &str, kind: Kind) -> Option<u64> {
        let mut place = *self.places.get(name)?;
        *place.slot(kind)
    }

    /// Names of marks whose image is gone.
    pub(super) fn orphans(&self) -> Vec<String> {
        let orphans = self
            .places
            .iter()
            .filter(|(_, place)| place.image.is_none());
        orphans.map(|(name, _)| name.clone()).collect()
    }

    /// The name least recently used, but not this one.
    pub(super) fn least_used(&self, but: &str) -> Option<String> {
        let others = self.places.iter().filter(|(name, _)| *name != but);
        let least = others.min_by_key(|(_, place)| place.used);
        least.map(|(name, _)| name.clone())
    }

    /// Files and bytes, those of one name left out.
    pub(super) fn usage(&self, but: &str) -> (usize, u64) {
        let others = self.places.iter().filter(|(name, _)| *name != but);
        let sizes = others.flat_map(|(_, place)| place.sizes());
        sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}
