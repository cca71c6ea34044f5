//! The keys that were agreed on with writers, for all credentials that may read the same
//! environment: what is sealed for it is opened with its own key, whoever reads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use aws_lc_rs::digest::{Context, SHA256};

use super::{digest, lock};
use crate::phase::agreed::Agreed;
use crate::phase::host::Host;

/// Which environment of which Phase.
type Name = [u8; 32];

/// By environment; each lives as long as somebody has its rows. Nobody learns anything here:
/// a key is found only with the private key that it was agreed on with.
#[derive(Default)]
pub(super) struct Agreements(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    all: HashMap<Name, Weak<Agreed>>,
    /// With so many, those that nobody has any more are dropped.
    most: usize,
}

impl Agreements {
    /// The one of an environment that is listed with this public key.
    pub(super) fn of(&self, host: &Host, id: &str, identity_key: &str) -> Arc<Agreed> {
        let mut name = Context::new(&SHA256);
        for text in [host.as_str(), id, identity_key] {
            name.update(&(text.len() as u64).to_be_bytes());
            name.update(text.as_bytes());
        }
        let name = digest(name);
        let mut kept = lock(&self.0);
        if let Some(agreed) = kept.all.get(&name).and_then(Weak::upgrade) {
            return agreed;
        }
        if kept.all.len() >= kept.most {
            kept.all.retain(|_, agreed| agreed.strong_count() > 0);
            kept.most = (2 * kept.all.len()).max(LEAST);
        }
        let agreed = Arc::default();
        kept.all.insert(name, Arc::downgrade(&agreed));
        agreed
    }
}

/// So many are kept without looking whether anybody has them.
const LEAST: usize = 16;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_environment_has_one_for_all_who_list_it_alike() {
        let agreements = Agreements::default();
        let host: Host = "https://phase.example".parse().unwrap();
        let other: Host = "https://other.example".parse().unwrap();
        let one = agreements.of(&host, "id", "key");
        assert!(Arc::ptr_eq(&one, &agreements.of(&host, "id", "key")));
        for (host, id, key) in [
            (&other, "id", "key"),
            (&host, "other", "key"),
            (&host, "id", "other"),
            (&host, "idk", "ey"),
        ] {
            assert!(!Arc::ptr_eq(&one, &agreements.of(host, id, key)));
        }
    }

    #[test]
    fn what_nobody_has_is_dropped() {
        let agreements = Agreements::default();
        let host: Host = "https://phase.example".parse().unwrap();
        let held: Vec<_> = (0..3 * LEAST)
            .map(|n| agreements.of(&host, "held", &n.to_string()))
            .collect();
        for n in 0..100 * LEAST {
            drop(agreements.of(&host, "dropped", &n.to_string()));
        }
        assert!(lock(&agreements.0).all.len() <= 2 * held.len());
        for (n, held) in held.iter().enumerate() {
            let again = agreements.of(&host, "held", &n.to_string());
            assert!(Arc::ptr_eq(held, &again));
        }
    }
}
