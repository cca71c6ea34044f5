//! The sealing half of Phase's cryptography: what a console does before it stores a secret.
//!
//! Written apart from the provider on purpose, so that a mistake in one half shows against the other.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use base64ct::{Base64, Encoding};
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, KeyInit as _, Update};
use blake2::{Blake2b256, Blake2b512, Blake2bMac, Digest};
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// Thirty-two bytes: a private or public X25519 key, a seed, a share or a wrap key.
pub(crate) type Key = [u8; 32];

/// An XChaCha20 nonce.
pub(crate) type Nonce = [u8; 24];

/// An X25519 key pair, kept as bytes.
#[derive(Clone, Copy)]
pub(crate) struct KeyPair {
    pub(crate) private: Key,
    pub(crate) public: Key,
}

impl KeyPair {
    /// The pair whose private half is `private`.
    pub(crate) fn from_private(private: Key) -> Self {
        let public = x25519(&private)
            .compute_public_key()
            .expect("the base point times any scalar is a point");
        let public = public
            .as_ref()
            .try_into()
            .expect("an X25519 point has 32 bytes");
        Self { private, public }
    }

    /// The pair of an environment: its private half is BLAKE2b-256 of the seed.
    pub(crate) fn from_seed(seed: &Key) -> Self {
        Self::from_private(Blake2b256::digest(seed).into())
    }

    /// A fresh random pair.
    pub(crate) fn random() -> Self {
        Self::from_private(random())
    }
}

/// Random bytes from the system's generator.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

/// Bytes that follow from `key` and `labels` alone, different for different labels.
pub(crate) fn derive(key: &[u8], labels: &[&str]) -> Key {
    let mut mac = keyed(key);
    for label in labels {
        // The length in front keeps ("a", "bc") apart from ("ab", "c").
        Update::update(&mut mac, &(label.len() as u64).to_le_bytes());
        Update::update(&mut mac, label.as_bytes());
    }
    mac.finalize_fixed().into()
}

/// Lower-case digest of a secret's key, under the environment's salt as hex text.
pub(crate) fn key_digest(salt_text: &str, key: &str) -> String {
    let mut mac = keyed(salt_text.as_bytes());
    Update::update(&mut mac, key.as_bytes());
    let digest: Key = mac.finalize_fixed().into();
    hex(&digest)
}

/// The envelope `ph:v1:…` of `plaintext` for whoever holds the private half of `reader`.
pub(crate) fn envelope(reader: &Key, plaintext: &str) -> String {
    let writer = KeyPair::random();
    let sealed = blob(
        &writer_key(&writer, reader),
        &random(),
        plaintext.as_bytes(),
    );
    format!(
        "ph:v1:{}:{}",
        hex(&writer.public),
        Base64::encode_string(&sealed)
    )
}

/// XChaCha20-Poly1305 in Phase's order: ciphertext, tag, nonce.
pub(crate) fn blob(key: &Key, nonce: &Nonce, plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(*nonce), plaintext)
        .expect("a plaintext that fits in memory is short enough");
    sealed.extend_from_slice(nonce);
    sealed
}

/// The server's copy of a second share: hex of the blob of the share's hex text.
pub(crate) fn wrapped_share(wrap: &Key, nonce: &Nonce, share: &Key) -> String {
    hex(&blob(wrap, nonce, hex(share).as_bytes()))
}

/// The share that gives `private` when it is XORed with `other`.
pub(crate) fn other_share(private: &Key, other: &Key) -> Key {
    std::array::from_fn(|index| private[index] ^ other[index])
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Thirty-two bytes from sixty-four hex digits of either case.
pub(crate) fn unhex(text: &str) -> Option<Key> {
    let mut bytes = [0; 32];
    let decoded = base16ct::mixed::decode(text, &mut bytes).ok()?;
    (decoded.len() == 32).then_some(())?;
    Some(bytes)
}

/// The writer is the client of the exchange, so its transmit key is the digest's second half.
fn writer_key(writer: &KeyPair, reader: &Key) -> Key {
    let peer = UnparsedPublicKey::new(&X25519, reader);
    agreement::agree(&x25519(&writer.private), peer, (), |shared| {
        let digest = Blake2b512::new()
            .chain_update(shared)
            .chain_update(writer.public)
            .chain_update(reader)
            .finalize();
        Ok(digest[32..].try_into().expect("half of 64 bytes"))
    })
    .expect("readers are key pairs of this program, never a point of low order")
}

fn x25519(private: &Key) -> PrivateKey {
    PrivateKey::from_private_key(&X25519, private).expect("any 32 bytes are an X25519 scalar")
}

fn keyed(key: &[u8]) -> Blake2bMac<U32> {
    Blake2bMac::new_from_slice(key).expect("keys here are at most 64 bytes")
}

#[cfg(test)]
#[path = "seal_vectors.rs"]
mod vectors;
