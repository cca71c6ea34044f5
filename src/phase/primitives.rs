//! The cryptographic building blocks of Phase, each named after its definition.
//!
//! X25519 is aws-lc-rs (it refuses the all-zero shared secret), BLAKE2b (RFC
//! 7693) is blake2, XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) is
//! chacha20poly1305. `crypto_box` and `crypto_kx` look alike and are not: the
//! first derives its key without the public keys, the second swaps both halves.

use std::fmt;
use std::ops::{Deref, DerefMut};

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, KeyType, Salt};
use blake2::digest::consts::U32;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2b256, Blake2b512, Blake2bMac, Digest};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

/// Something did not open. Deliberately without detail: which step failed
/// would tell an attacker something, and the user nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not decrypt")]
pub struct DoesNotOpen;

/// 32 secret bytes that cannot be printed, wiped on drop. They lie on the heap, where they
/// are filled in: to move them leaves no copy on any stack.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretKey(Box<[u8; 32]>);

impl SecretKey {
    /// A key that is filled in where it lies, from 32 zeros.
    #[must_use]
    pub fn filled(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut key = Self::default();
        fill(&mut key);
        key
    }
}

impl From<[u8; 32]> for SecretKey {
    /// Only for bytes that lie elsewhere, too: of those that are moved in, a copy stays.
    fn from(bytes: [u8; 32]) -> Self {
        Self(Box::new(bytes))
    }
}

impl Deref for SecretKey {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl DerefMut for SecretKey {
    fn deref_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

const NONCE: usize = 24;
const TAG: usize = 16;

/// Opens an XChaCha20-Poly1305 blob (`ciphertext ‖ tag ‖ nonce`, no associated
/// data) in place and returns its plaintext.
///
/// # Errors
/// When the blob is shorter than 40 bytes or was not made with `key`.
pub fn open_blob(
    key: &[u8; 32],
    mut blob: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    let text = blob.len().checked_sub(NONCE + TAG).ok_or(DoesNotOpen)?;
    let (sealed, nonce) = blob.split_at_mut(text + TAG);
    let (message, tag) = sealed.split_at_mut(text);
    let nonce = XNonce::try_from(&*nonce).map_err(|_| DoesNotOpen)?;
    let tag = Tag::try_from(&*tag).map_err(|_| DoesNotOpen)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&nonce, b"", message.into(), &tag)
        .map_err(|_| DoesNotOpen)?;
    blob.truncate(text);
    Ok(blob)
}

/// An X25519 key pair whose private half cannot be printed.
pub struct KeyPair {
    private: PrivateKey,
    public: [u8; 32],
}

impl KeyPair {
    /// The pair of a private key.
    ///
    /// # Errors
    /// When the library refuses the key.
    pub fn new(private: &[u8; 32]) -> Result<Self, DoesNotOpen> {
        let private = PrivateKey::from_private_key(&X25519, private).map_err(|_| DoesNotOpen)?;
        let computed = private.compute_public_key().map_err(|_| DoesNotOpen)?;
        let public = computed.as_ref().try_into().map_err(|_| DoesNotOpen)?;
        Ok(Self { private, public })
    }

    /// The pair that libsodium's `crypto_kx_seed_keypair` makes of a seed: the
    /// private key is the unkeyed BLAKE2b-256 of the seed.
    ///
    /// # Errors
    /// As [`KeyPair::new`].
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, DoesNotOpen> {
        let mut digest = Blake2b256::digest(seed);
        let private = SecretKey::filled(|key| key.copy_from_slice(&digest));
        digest.zeroize();
        Self::new(&private)
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The key with which a message from `writer`'s ephemeral key was sealed
    /// for us: the second half of BLAKE2b-512 over the shared secret, the
    /// writer's and our public key (libsodium's `crypto_kx`, we are the server).
    ///
    /// # Errors
    /// When the shared secret is all zero (a low-order public key).
    pub fn receiving_key(&self, writer: &[u8; 32]) -> Result<SecretKey, DoesNotOpen> {
        let peer = UnparsedPublicKey::new(&X25519, writer);
        agreement::agree(&self.private, peer, DoesNotOpen, |shared| {
            let mut both = Blake2b512::new()
                .chain_update(shared)
                .chain_update(writer)
                .chain_update(self.public)
                .finalize();
            let key = SecretKey::filled(|key| key.copy_from_slice(&both[32..]));
            both.zeroize();
            Ok(key)
        })
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(…)")
    }
}

/// BLAKE2b with 32 bytes of output, keyed with up to 64 bytes.
///
/// # Errors
/// When the key is longer.
pub fn keyed_digest(key: &[u8], message: &[u8]) -> Result<[u8; 32], DoesNotOpen> {
    let digest = Blake2bMac::<U32>::new_from_slice(key).map_err(|_| DoesNotOpen)?;
    Ok(digest.chain_update(message).finalize().into_bytes().into())
}

/// Two shares joined, or a key under a mask.
#[must_use]
pub fn xor(one: &[u8; 32], other: &[u8; 32]) -> SecretKey {
    SecretKey::filled(|both| {
        for ((both, one), other) in both.iter_mut().zip(one).zip(other) {
            *both = one ^ other;
        }
    })
}

/// HKDF-SHA256 (RFC 5869) without salt: 32 bytes for one purpose.
#[must_use]
pub fn derive(secret: &[u8; 32], purpose: &str) -> SecretKey {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            32
        }
    }
    let mut key = SecretKey::default();
    Salt::new(HKDF_SHA256, &[])
        .extract(secret)
        .expand(&[purpose.as_bytes()], Length)
        .and_then(|okm: hkdf::Okm<'_, Length>| okm.fill(&mut *key))
        .expect("32 bytes are within HKDF-SHA256's 8,160");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_cannot_be_printed() {
        let pair = KeyPair::new(&[7; 32]).expect("any 32 bytes are a private key");
        assert_eq!(format!("{pair:?}"), "KeyPair(…)");
    }

    #[test]
    fn derivation_is_rfc_5869_with_the_purpose_as_info() {
        // Computed with Python's hmac: PRK = HMAC(32 zero bytes, ikm), OKM = HMAC(PRK, info ‖ 01).
        let key = derive(&[1; 32], "purpose");
        let other = derive(&[1; 32], "another purpose");
        assert_ne!(*key, *other);
        assert_eq!(
            base16ct::lower::encode_string(&*key),
            EXPECTED_OKM,
            "HKDF-SHA256 of thirty-two 01 bytes"
        );
    }

    const EXPECTED_OKM: &str = "328124524ef80c3d55619ba192cbedcd81bc4269de2f795cc0f467124f4e8daf";
}
