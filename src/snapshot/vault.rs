//! Plaintext that waits for its next reader: sealed under a key of this process.

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::KeyInit;
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::phase::primitives::SecretKey;
use crate::random::random;

const NONCE: usize = 24;
const TAG: usize = 16;

/// Seals what a mount was answered until the next one asks for it.
///
/// The key lives as long as the process and is wiped with it: a page of the heap
/// that is swapped, dumped or read by mistake holds no plaintext.
pub(super) struct Vault(SecretKey);

/// Sealed bytes; only the vault that made them opens them.
pub(super) struct Sealed {
    nonce: [u8; NONCE],
    tag: [u8; TAG],
    bytes: Box<[u8]>,
}

impl Vault {
    /// With a fresh random key.
    pub(super) fn new() -> Self {
        let mut key = SecretKey::default();
        random(&mut *key);
        Self(key)
    }

    /// Seals bytes under a fresh nonce.
    pub(super) fn seal(&self, plain: &[u8]) -> Sealed {
        let mut sealed = Sealed {
            nonce: [0; NONCE],
            tag: [0; TAG],
            bytes: Box::default(),
        };
        random(&mut sealed.nonce);
        // Encrypted where it will lie: only this buffer ever holds the copy.
        let mut bytes = Zeroizing::new(plain.to_vec());
        let tag = self
            .cipher()
            .encrypt_inout_detached(&XNonce::from(sealed.nonce), b"", (&mut bytes[..]).into())
            .expect("an answer is far below the cipher's 256 GiB");
        sealed.tag.copy_from_slice(&tag);
        sealed.bytes = std::mem::take(&mut *bytes).into_boxed_slice();
        sealed
    }

    /// The bytes again.
    pub(super) fn open(&self, sealed: &Sealed) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(sealed.bytes.to_vec());
        self.cipher()
            .decrypt_inout_detached(
                &XNonce::from(sealed.nonce),
                b"",
                (&mut bytes[..]).into(),
                &Tag::from(sealed.tag),
            )
            .expect("sealed bytes never leave this process");
        bytes
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back_and_is_not_there_in_the_clear() {
        let vault = Vault::new();
        let plain = b"canary canary canary canary";
        let (one, two) = (vault.seal(plain), vault.seal(plain));
        assert_eq!(&**vault.open(&one), plain);
        assert_ne!(one.bytes, two.bytes, "a fresh nonce each time");
        assert!(!one.bytes.windows(6).any(|window| window == b"canary"));
        assert_eq!(one.bytes.len(), plain.len());
    }

    #[test]
    #[should_panic(expected = "sealed bytes never leave this process")]
    fn another_process_cannot_open_it() {
        let sealed = Vault::new().seal(b"x");
        drop(Vault::new().open(&sealed));
    }

    #[test]
    fn a_vault_cannot_be_printed() {
        assert_eq!(format!("{:?}", Vault::new()), "Vault(…)");
    }
}
