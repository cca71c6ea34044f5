//! Keys that were agreed on with writers, so that nobody agrees on one twice.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2bMac512, digest::Output};
use zeroize::Zeroize;

use super::primitives::{DoesNotOpen, KeyPair, SecretKey, xor};
use crate::random::random;

/// The keys of the fields of one environment, as far as somebody has needed them.
///
/// Each field of a row is sealed by a writer of its own, and to agree on the key with that
/// writer is nearly all that opening it costs: 25 µs of X25519 against 1 µs for the
/// rest. The same field is opened again for every class and resource that takes it,
/// and whenever anything else in its environment has changed.
///
/// No plaintext is kept: the field must be there, and it must open. Each key lies masked
/// under a secret of this value's own, so no page of the heap holds it in the clear.
pub struct Agreed {
    secret: SecretKey,
    keys: Mutex<Keys>,
}

/// Which pair and which writer: no two have the same, and it tells nothing of them.
type Name = [u8; 16];

#[derive(Default)]
struct Keys {
    /// What was needed since the content changed last.
    newer: HashMap<Name, [u8; 32]>,
    /// What was needed before, and not since.
    older: HashMap<Name, [u8; 32]>,
}

/// More than the fields of the largest answer that is read: what comes on top is agreed on
/// each time.
const MOST: usize = 100_000;

/// What one key takes: name, masked key, and its share of the table.
const BYTES_A_KEY: usize = 80;

impl Agreed {
    /// The key under which `writer` sealed something for `reader`.
    ///
    /// # Errors
    /// See [`KeyPair::receiving_key`].
    pub(super) fn key(
        &self,
        reader: &KeyPair,
        writer: &[u8; 32],
    ) -> Result<SecretKey, DoesNotOpen> {
        let (name, mask) = self.name(reader, writer);
        if let Some(masked) = self.keys().get(&name) {
            return Ok(xor(&masked, &mask));
        }
        let key = reader.receiving_key(writer)?;
        let newer = &mut self.keys().newer;
        if newer.len() < MOST {
            newer.insert(name, *xor(&key, &mask));
        }
        Ok(key)
    }

    /// The content has changed: what nobody needs from now until the next time is forgotten
    /// then.
    pub fn turn(&self) {
        let mut keys = self.keys();
        keys.older = std::mem::take(&mut keys.newer);
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let keys = self.keys();
        (keys.newer.len() + keys.older.len()) * BYTES_A_KEY
    }

    /// One for each pair and writer, and neither can be had without the secret.
    fn name(&self, reader: &KeyPair, writer: &[u8; 32]) -> (Name, SecretKey) {
        let digest =
            Blake2bMac512::new_from_slice(&*self.secret).expect("BLAKE2b takes keys of 32 bytes");
        let digest = digest.chain_update(reader.public()).chain_update(writer);
        let mut digest: Output<Blake2bMac512> = digest.finalize().into_bytes();
        let (mut name, mut mask) = (Name::default(), SecretKey::default());
        name.copy_from_slice(&digest[..16]);
        mask.copy_from_slice(&digest[16..48]);
        digest.zeroize();
        (name, mask)
    }

    /// Held for moments only; what is behind it is always whole.
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn get(&mut self, name: &Name) -> Option<[u8; 32]> {
        if let Some(masked) = self.newer.get(name) {
            return Some(*masked);
        }
        let masked = self.older.remove(name)?;
        self.newer.insert(*name, masked);
        Some(masked)
    }
}

impl Default for Agreed {
    /// Nothing yet, and a fresh secret.
    fn default() -> Self {
        let mut secret = SecretKey::default();
        random(&mut *secret);
        Self {
            secret,
            keys: Mutex::default(),
        }
    }
}

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Agreed(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(byte: u8) -> KeyPair {
        KeyPair::new(&[byte; 32]).expect("any 32 bytes are a private key")
    }

    #[test]
    fn a_key_is_the_same_when_it_is_remembered_and_belongs_to_one_pair_and_writer() {
        let agreed = Agreed::default();
        let (one, other, writer) = (pair(1), pair(2), *pair(3).public());
        for reader in [&one, &other, &one, &other] {
            let key = agreed.key(reader, &writer).expect("they agree");
            assert_eq!(key, reader.receiving_key(&writer).expect("they agree"));
        }
        assert_eq!(agreed.keys().newer.len(), 2);
        let key = agreed.key(&one, pair(4).public()).expect("they agree");
        assert_eq!(
            key,
            one.receiving_key(pair(4).public()).expect("they agree")
        );
    }

    #[test]
    fn a_key_that_cannot_be_agreed_on_is_never_remembered() {
        let agreed = Agreed::default();
        for _ in 0..2 {
            assert!(agreed.key(&pair(1), &[0; 32]).is_err(), "of low order");
        }
        assert_eq!(agreed.bytes(), 0);
    }

    #[test]
    fn what_nobody_needs_is_forgotten_when_the_content_changes_twice() {
        let agreed = Agreed::default();
        let (reader, needed, left) = (pair(1), *pair(2).public(), *pair(3).public());
        for writer in [&needed, &left] {
            agreed.key(&reader, writer).expect("they agree");
        }
        agreed.turn();
        assert_eq!(agreed.bytes(), 2 * BYTES_A_KEY);
        agreed.key(&reader, &needed).expect("they agree");
        agreed.turn();
        assert_eq!(agreed.bytes(), BYTES_A_KEY);
        let (name, mask) = agreed.name(&reader, &needed);
        let masked = agreed.keys().get(&name).expect("it is remembered");
        assert_eq!(
            xor(&masked, &mask),
            reader.receiving_key(&needed).expect("they agree")
        );
    }

    #[test]
    fn nothing_lies_in_the_clear_and_nothing_is_printed() {
        let agreed = Agreed::default();
        let (reader, writer) = (pair(1), *pair(2).public());
        let key = agreed.key(&reader, &writer).expect("they agree");
        assert!(agreed.keys().newer.values().all(|masked| masked != &*key));
        assert_eq!(format!("{agreed:?}"), "Agreed(…)");
    }
}
