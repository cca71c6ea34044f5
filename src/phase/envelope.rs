//! `ph:v1`: one text sealed for one key pair.

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::primitives::{DoesNotOpen, KeyPair, SecretKey, open_blob};
use base64ct::{Base64, Encoding};

/// Opens `ph:v1:<64 hex digits: the writer's ephemeral public key>:<standard
/// padded base64 of a blob>` with the reader's key pair.
///
/// # Errors
/// When the text has another shape, was sealed for another key, was altered,
/// or holds something that is not UTF-8.
pub fn open(envelope: &str, reader: &KeyPair) -> Result<SecretString, DoesNotOpen> {
    open_with(envelope, |writer| reader.receiving_key(writer))
}

/// As [`open`], with the key that the reader has agreed on with the writer.
pub(super) fn open_with(
    envelope: &str,
    key: impl FnOnce(&[u8; 32]) -> Result<SecretKey, DoesNotOpen>,
) -> Result<SecretString, DoesNotOpen> {
    let (writer, blob) = split(envelope)?;
    let bytes = open_blob(&*key(&writer)?, blob)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| DoesNotOpen)?;
    // A copy of the exact size: shrinking in place could leave a piece behind unwiped.
    Ok(SecretString::from(Box::<str>::from(text)))
}

/// As [`open`], for plaintext that need not be UTF-8.
pub(crate) fn open_bytes(
    envelope: &str,
    reader: &KeyPair,
) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    let (writer, blob) = split(envelope)?;
    let key = reader.receiving_key(&writer)?;
    open_blob(&key, blob)
}

/// No less than the bytes that an envelope opens to.
pub(super) const fn most_bytes(envelope: &str) -> usize {
    const HEAD: usize = "ph:v1:".len() + 64 + ":".len();
    // Of the blob's tag and nonce.
    const TAIL: usize = 16 + 24;
    let blob = envelope.len().saturating_sub(HEAD) / 4 * 3;
    blob.saturating_sub(TAIL)
}

fn split(envelope: &str) -> Result<([u8; 32], Zeroizing<Vec<u8>>), DoesNotOpen> {
    let rest = envelope.strip_prefix("ph:v1:").ok_or(DoesNotOpen)?;
    let (writer, blob) = rest.split_once(':').ok_or(DoesNotOpen)?;
    let mut public = [0; 32];
    if writer.len() != 64 {
        return Err(DoesNotOpen);
    }
    base16ct::mixed::decode(writer, &mut public).map_err(|_| DoesNotOpen)?;
    // Strict: a fifth segment, white space, url-safe or unpadded text are not in its alphabet.
    let blob = Base64::decode_vec(blob).map_err(|_| DoesNotOpen)?;
    Ok((public, Zeroizing::new(blob)))
}
