//! What lies in the directory, and in which order it was used.

use std::collections::HashMap;

use super::seal::Kind;
use crate::quota::Tenant;

/// What lies in the directory, by a key's name.
#[derive(Default)]
pub(super) struct Index {
    places: HashMap<String, Place>,
    turn: u64,
}

/// One key's files: their sizes in bytes, and whose they are, which is not known of those
/// that an earlier life of the process wrote until they are used.
#[derive(Clone, Default)]
struct Place {
    tenant: Option<Tenant>,
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

    fn sizes(&self) -> impl Iterator<Item = u64> + use<> {
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

    /// Notes whose a key's files are.
    pub(super) fn own(&mut self, name: &str, tenant: Option<&Tenant>) {
        if let Some(place) = self.places.get_mut(name)
            && place.tenant.as_ref() != tenant
        {
            place.tenant = tenant.cloned();
        }
    }

    /// A file's size in bytes, if it is there.
    pub(super) fn size(&self, name: &str, kind: Kind) -> Option<u64> {
        let mut place = self.places.get(name)?.clone();
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

    /// The name that gives way to another: of the tenant that keeps most bytes, what was
    /// least recently used.
    pub(super) fn gives_way(&self, to: &str) -> Option<String> {
        let mut bytes: HashMap<Option<&Tenant>, u64> = HashMap::new();
        let others = || self.places.iter().filter(|(name, _)| *name != to);
        for (_, place) in others() {
            *bytes.entry(place.tenant.as_ref()).or_default() += place.sizes().sum::<u64>();
        }
        let (heaviest, _) = bytes.into_iter().max_by_key(|&(_, bytes)| bytes)?;
        let its = others().filter(|(_, place)| place.tenant.as_ref() == heaviest);
        let least = its.min_by_key(|(_, place)| place.used);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Who keeps most gives way, though others were used longer ago.
    #[test]
    fn the_oldest_of_whoever_keeps_most_gives_way() {
        let (greedy, other) = (Tenant::new("greedy"), Tenant::new("other"));
        let mut index = Index::default();
        let mut keep = |name: &str, tenant: Option<&Tenant>, size| {
            index.note(name, Kind::Image, Some(size));
            index.own(name, tenant);
        };
        keep("unknown", None, 10);
        keep("modest", Some(&other), 30);
        keep("first", Some(&greedy), 20);
        keep("second", Some(&greedy), 20);
        assert_eq!(index.gives_way("new").as_deref(), Some("first"));
        assert_eq!(index.gives_way("first").as_deref(), Some("modest"));
        index.note("first", Kind::Image, None);
        assert_eq!(index.gives_way("new").as_deref(), Some("modest"));
        index.own("modest", None);
        assert_eq!(index.gives_way("new").as_deref(), Some("unknown"));
    }
}
