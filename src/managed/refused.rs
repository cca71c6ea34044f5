//! What was read in vain: a resource or class that is refused is not read again until it
//! changes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use super::status::Trouble;
use crate::snapshot::lock;

/// Of so many it is known; of more, all are read again.
const MOST: usize = 4_096;

/// Why things cannot be read, each as it was in one version.
pub(super) struct Refused<K, V>(Mutex<HashMap<K, (V, Trouble)>>);

impl<K, V> Default for Refused<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: PartialEq> Refused<K, V> {
    /// Why this version cannot be read, where that is known.
    pub(super) fn of(&self, key: &K, version: &V) -> Option<Trouble> {
        let all = lock(&self.0);
        let (known, trouble) = all.get(key)?;
        (known == version).then(|| trouble.clone())
    }

    /// What came of reading this version.
    pub(super) fn read<T>(&self, key: K, version: V, read: &Result<T, Trouble>) {
        let mut all = lock(&self.0);
        match read {
            Ok(_) => drop(all.remove(&key)),
            Err(trouble) => {
                if all.len() >= MOST && !all.contains_key(&key) {
                    all.clear();
                }
                all.insert(key, (version, trouble.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::status::Reason;

    fn wrong() -> Result<(), Trouble> {
        Err(Trouble::new(Reason::InvalidSpec, "wrong"))
    }

    #[test]
    fn what_is_refused_is_known_until_it_changes() {
        let refused = Refused::default();
        assert_eq!(refused.of(&"shop", &1), None);
        refused.read("shop", 1, &wrong());
        assert_eq!(refused.of(&"shop", &1), wrong().err());
        assert_eq!(refused.of(&"shop", &2), None, "it has changed");
        assert_eq!(refused.of(&"other", &1), None);
        refused.read("shop", 2, &Ok(()));
        assert_eq!(refused.of(&"shop", &1), None);
    }

    #[test]
    fn no_more_than_some_thousands_are_known() {
        let refused = Refused::default();
        for key in 0..3 * MOST {
            refused.read(key, 1, &wrong());
            assert_eq!(refused.of(&key, &1), wrong().err());
        }
        assert!(lock(&refused.0).len() <= MOST);
    }
}
