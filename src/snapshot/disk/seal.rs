//! Sealing for the disk: what stands in a file opens with the credential alone,
//! and only under the name that it was written to.
//!
//! `magic ‖ version ‖ nonce ‖ ciphertext ‖ tag`, XChaCha20-Poly1305. The
//! associated data are magic, version, kind and file name.

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::phase::primitives::{SecretKey, derive, keyed_digest};
use crate::quota::Tenant;
use crate::random::random;

const MAGIC: &[u8; 8] = b"phasekpt";
const VERSION: u8 = 1;
const NONCE: usize = 24;
const TAG: usize = 16;
/// Where the ciphertext begins.
const HEAD: usize = MAGIC.len() + 1 + NONCE;
/// What sealing adds, in bytes.
pub(super) const OVERHEAD: usize = HEAD + TAG;
/// Hex digits of a name.
const DIGITS: usize = 32;

/// Where one credential's set lies and what opens it. Both are derived from the
/// token's secret part and the host, and tell neither.
#[derive(Clone)]
pub struct DiskKey {
    name: String,
    seal: SecretKey,
    tenant: Option<Tenant>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Mark,
}

/// Why a file's bytes are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    /// Not this program's, or of another version of it.
    #[error("it is not a file of this version of the provider")]
    Foreign,
    /// Longer than anything that is written.
    #[error("it is longer than any file of the provider")]
    TooLong,
    /// Changed, cut off, or moved here from another name.
    #[error("it is damaged")]
    Damaged,
}

impl DiskKey {
    /// The key of a credential: 32 bytes that only holders of the token know,
    /// and the console's address.
    #[must_use]
    pub fn derive(secret: &[u8; 32], host: &str) -> Self {
        let part = |purpose| {
            let key = derive(secret, purpose);
            let digest = keyed_digest(&*key, host.as_bytes()).expect("BLAKE2b takes 64 bytes");
            let digest = Zeroizing::new(digest);
            SecretKey::filled(|key| key.copy_from_slice(&*digest))
        };
        let name = part("phase-csi-provider state directory: name");
        Self {
            name: base16ct::lower::encode_string(&name[..DIGITS / 2]),
            seal: part("phase-csi-provider state directory: seal"),
            tenant: None,
        }
    }

    /// The same, counted as what this tenant keeps.
    #[must_use]
    pub fn of(self, tenant: &Tenant) -> Self {
        Self {
            tenant: Some(tenant.clone()),
            ..self
        }
    }

    /// Whose it is, if that is known.
    pub(super) const fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// 32 hex digits.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for DiskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskKey(…)")
    }
}

impl Kind {
    /// The file of this kind under a key's name.
    pub(super) fn file(self, name: &str) -> String {
        format!("{name}.{}", self.ending())
    }

    /// Kind and key's name of a file's name.
    pub(super) fn of(file: &str) -> Option<(Self, &str)> {
        let (name, ending) = file.split_once('.')?;
        let kind = [Self::Image, Self::Mark];
        let kind = kind.into_iter().find(|kind| kind.ending() == ending)?;
        let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (name.len() == DIGITS && name.bytes().all(digit)).then_some((kind, name))
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Mark => "mark",
        }
    }
}

/// A buffer for a plaintext of `length` bytes, which [`seal`] seals in place.
pub(super) fn blank(length: usize) -> Zeroizing<Vec<u8>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(length.saturating_add(OVERHEAD)));
    buffer.extend_from_slice(MAGIC);
    buffer.push(VERSION);
    buffer.extend_from_slice(&[0; NONCE]);
    buffer
}

/// Seals what was appended to a [`blank`] buffer; nothing for a buffer of another make.
pub(super) fn seal(
    key: &DiskKey,
    kind: Kind,
    mut buffer: Zeroizing<Vec<u8>>,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut nonce = [0; NONCE];
    random(&mut nonce);
    let (head, text) = buffer.split_at_mut_checked(HEAD)?;
    head[HEAD - NONCE..].copy_from_slice(&nonce);
    let tag = XChaCha20Poly1305::new((&*key.seal).into())
        .encrypt_inout_detached(&XNonce::from(nonce), &associated(key, kind), text.into())
        .ok()?;
    buffer.extend_from_slice(&tag);
    Some(buffer)
}

/// Opens a whole file; its plaintext begins at [`HEAD`] of the answer, see [`text`].
///
/// # Errors
/// [`Flaw`].
pub(super) fn open(
    key: &DiskKey,
    kind: Kind,
    mut file: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let begin = [MAGIC.as_slice(), &[VERSION]].concat();
    if !file.starts_with(&begin) {
        return Err(Flaw::Foreign);
    }
    let end = file.len().checked_sub(TAG).filter(|&end| end >= HEAD);
    let (rest, tag) = file.split_at_mut(end.ok_or(Flaw::Damaged)?);
    let (head, text) = rest.split_at_mut(HEAD);
    let nonce = XNonce::try_from(&head[begin.len()..]).map_err(|_| Flaw::Damaged)?;
    let tag = Tag::try_from(&*tag).map_err(|_| Flaw::Damaged)?;
    XChaCha20Poly1305::new((&*key.seal).into())
        .decrypt_inout_detached(&nonce, &associated(key, kind), text.into(), &tag)
        .map_err(|_| Flaw::Damaged)?;
    file.truncate(end.unwrap_or(HEAD));
    Ok(file)
}

/// The plaintext of an opened file.
pub(super) fn text(opened: &[u8]) -> &[u8] {
    opened.get(HEAD..).unwrap_or_default()
}

fn associated(key: &DiskKey, kind: Kind) -> Vec<u8> {
    let kinds = match kind {
        Kind::Image => b'i',
        Kind::Mark => b'm',
    };
    let file = kind.file(&key.name);
    [MAGIC.as_slice(), &[VERSION, kinds], file.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sealed(key: &DiskKey, kind: Kind) -> Zeroizing<Vec<u8>> {
        let mut buffer = blank(5);
        buffer.extend_from_slice(b"plain");
        seal(key, kind, buffer).unwrap()
    }

    fn opened(key: &DiskKey, kind: Kind, file: &[u8]) -> Result<Vec<u8>, Flaw> {
        let opened = open(key, kind, Zeroizing::new(file.to_vec()))?;
        Ok(text(&opened).to_vec())
    }

    fn key() -> DiskKey {
        DiskKey::derive(&[1; 32], "https://a")
    }

    #[test]
    fn it_opens_with_its_key_as_its_kind_under_its_name_only() {
        let file = sealed(&key(), Kind::Image);
        assert_eq!(file.len(), 5 + OVERHEAD);
        assert_eq!(opened(&key(), Kind::Image, &file).unwrap(), b"plain");
        assert_eq!(opened(&key(), Kind::Mark, &file), Err(Flaw::Damaged));
        let mut renamed = key();
        renamed.name = "0".repeat(DIGITS);
        assert_eq!(opened(&renamed, Kind::Image, &file), Err(Flaw::Damaged));
        for other in [
            DiskKey::derive(&[2; 32], "https://a"),
            DiskKey::derive(&[1; 32], "https://b"),
        ] {
            assert_ne!(other.name, key().name);
            let moved = DiskKey {
                name: key().name,
                ..other
            };
            assert_eq!(opened(&moved, Kind::Image, &file), Err(Flaw::Damaged));
        }
    }

    #[test]
    fn every_changed_bit_and_every_missing_byte_is_noticed() {
        let file = sealed(&key(), Kind::Mark);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.to_vec();
                changed[at] ^= 1 << bit;
                assert!(opened(&key(), Kind::Mark, &changed).is_err(), "{at}.{bit}");
            }
            assert!(opened(&key(), Kind::Mark, &file[..at]).is_err(), "{at}");
        }
        let longer = [&file[..], b"\0"].concat();
        assert!(opened(&key(), Kind::Mark, &longer).is_err());
    }

    #[test]
    fn another_version_is_foreign() {
        let mut file = sealed(&key(), Kind::Image);
        file[MAGIC.len()] += 1;
        assert_eq!(opened(&key(), Kind::Image, &file), Err(Flaw::Foreign));
    }

    #[test]
    fn no_two_files_are_alike() {
        assert_ne!(sealed(&key(), Kind::Image), sealed(&key(), Kind::Image));
    }

    #[test]
    fn sealing_does_not_move_the_plaintext() {
        let buffer = blank(5);
        let (place, capacity) = (buffer.as_ptr(), buffer.capacity());
        let mut buffer = buffer;
        buffer.extend_from_slice(b"plain");
        let file = seal(&key(), Kind::Image, buffer).unwrap();
        assert_eq!((file.as_ptr(), file.capacity()), (place, capacity));
    }

    #[test]
    fn a_key_cannot_be_printed_and_its_name_is_32_hex_digits() {
        assert_eq!(format!("{:?}", key()), "DiskKey(…)");
        let file = Kind::Image.file(key().name());
        assert_eq!(Kind::of(&file), Some((Kind::Image, key().name())));
        for other in [
            "a.image",
            "clock",
            &file.to_uppercase(),
            &format!("{file}x"),
        ] {
            assert_eq!(Kind::of(other), None, "{other}");
        }
    }
}
