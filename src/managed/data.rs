//! The bytes of a managed Secret: names, decoded values, and what its type demands,
//! checked before anything is written.

use std::collections::BTreeMap;
use std::io::Write;

use base64ct::{Base64, Encoding as _};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret, SecretSlice};
use serde::de::IgnoredAny;

use super::plan::Form;
use crate::class::shortened;
use crate::mistakes::Mistakes;
use crate::phase::environment::Secret;
use crate::render::encoding::DecodeProblem;
use crate::render::wiped::WipedBuffer;
use crate::render::{File, VersionKey};
use crate::secret_types::{DOCKER_CONFIG, OLD_DOCKER_CONFIG, TLS, TLS_KEYS, is_key, needs};

/// What the API server takes of one Secret's bytes, keys not counted.
pub const MOST_BYTES: usize = 1 << 20;
/// The same as base64, with names and signs.
const MOST_TEXT: usize = 2 << 20;

/// The data of one Secret.
pub struct Data {
    /// The JSON object of its `data` field: keys and base64, sorted.
    pub json: SecretSlice<u8>,
    /// Changes exactly when a key or a byte does, and reveals nothing.
    pub hash: String,
}

/// Why secrets cannot be the data of a Secret. The texts say nothing of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataMistake {
    /// Two keys with one name.
    #[error(
        "keys {first:?} and {second:?} would both be {name:?}: give one of them another name by processors and asName"
    )]
    Collision {
        /// The first of them.
        first: String,
        /// The other.
        second: String,
        /// Their name.
        name: String,
    },
    /// A name that no key of a Secret can have.
    #[error(
        "key {key:?} would be {name:?}, which no Secret takes: give it another name by processors and asName (letters, digits, \"-\", \"_\", \".\")"
    )]
    Name {
        /// The key.
        key: String,
        /// Its name.
        name: String,
    },
    /// A file of a class whose path no key of a Secret can be.
    #[error(
        "file {path:?} cannot be a key of a Secret: give it another objectName (letters, digits, \"-\", \"_\", \".\")"
    )]
    File {
        /// Its path.
        path: String,
    },
    /// Two files of a class with one key.
    #[error(
        "files {first:?} and {second:?} would both be the key {name:?}: give one of them another objectName"
    )]
    FileCollision {
        /// The first of them.
        first: String,
        /// The other.
        second: String,
        /// Their key.
        name: String,
    },
    /// A value that is not what its processor says.
    #[error("key {key:?}: {problem}")]
    Value {
        /// The key.
        key: String,
        /// Why.
        problem: DecodeProblem,
    },
    /// A key that the type needs.
    #[error(
        "type {kind} needs the key {needed}: select it, or name one so by processors and asName"
    )]
    Missing {
        /// The type.
        kind: String,
        /// The key, or a choice of two.
        needed: String,
    },
    /// Not PEM.
    #[error("{key} is no PEM {what}: the certificate belongs into tls.crt, its key into tls.key")]
    Pem {
        /// The key.
        key: &'static str,
        /// What it should be.
        what: &'static str,
    },
    /// Two halves of different wholes.
    #[error("tls.crt and tls.key do not belong together: renew both at once")]
    Pair,
    /// Not JSON.
    #[error("{key} is no JSON object: store the registry's configuration as it is")]
    Json {
        /// The key.
        key: &'static str,
    },
    /// More than a Secret may hold.
    #[error(
        "it would have {bytes} bytes, and a Secret may have {MOST_BYTES}: select fewer secrets, or write two Secrets"
    )]
    Large {
        /// How many bytes.
        bytes: usize,
    },
}

type Entries = BTreeMap<String, (String, SecretSlice<u8>)>;

/// The data of this form that there is of secrets.
///
/// # Errors
/// All mistakes of names and values at once; then what its type demands.
pub fn data<'a>(
    form: &Form,
    secrets: impl IntoIterator<Item = &'a Secret>,
    versions: &VersionKey,
) -> Result<Data, Mistakes<DataMistake>> {
    let mut entries = Entries::new();
    let mut mistakes = Vec::new();
    for secret in secrets {
        if let Err(mistake) = add(form, secret, &mut entries) {
            mistakes.push(mistake);
        }
    }
    checked(form, &entries, mistakes, versions)
}

/// The data of this form that there is of the files of a class: a key for each, in which folders
/// stand before a dot.
///
/// # Errors
/// As [`data`].
pub fn data_of_files(
    form: &Form,
    files: &[File],
    versions: &VersionKey,
) -> Result<Data, Mistakes<DataMistake>> {
    let mut entries = Entries::new();
    let mut mistakes = Vec::new();
    // Nothing is made of the marker of an empty volume: a Secret may be empty.
    for file in files.iter().filter(|file| file.origin.is_some()) {
        let path = &file.path;
        let key = path.replace('/', ".");
        if !is_key(&key) {
            mistakes.push(DataMistake::File {
                path: shortened(path),
            });
        }
        let contents = file.contents.expose_secret().to_vec().into();
        if let Some((other, _)) = entries.insert(key.clone(), (path.clone(), contents)) {
            mistakes.push(DataMistake::FileCollision {
                first: shortened(&other),
                second: shortened(path),
                name: shortened(&key),
            });
        }
    }
    checked(form, &entries, mistakes, versions)
}

fn checked(
    form: &Form,
    entries: &Entries,
    mut mistakes: Vec<DataMistake>,
    versions: &VersionKey,
) -> Result<Data, Mistakes<DataMistake>> {
    mistakes.sort_by_key(ToString::to_string);
    Mistakes::none_or(mistakes)?;
    typed(form, entries).map_err(one)?;
    let bytes = entries
        .values()
        .map(|(_, value)| value.expose_secret().len());
    let bytes = bytes.sum();
    if bytes > MOST_BYTES {
        return Err(one(DataMistake::Large { bytes }));
    }
    let json = json(entries).ok_or_else(|| one(DataMistake::Large { bytes }))?;
    Ok(Data {
        hash: versions.version(&form.kind, 0, json.expose_secret()),
        json,
    })
}

fn one(mistake: DataMistake) -> Mistakes<DataMistake> {
    match Mistakes::none_or(vec![mistake]) {
        Err(mistakes) => mistakes,
        Ok(()) => unreachable!("there is one"),
    }
}

fn add(form: &Form, secret: &Secret, entries: &mut Entries) -> Result<(), DataMistake> {
    let key = &secret.key;
    let name = form.rules.name(key);
    if !is_key(&name) {
        return Err(DataMistake::Name {
            key: shortened(key),
            name: shortened(&name),
        });
    }
    let value = form
        .rules
        .encoding(key)
        .decode(secret.value.expose_secret());
    let value = value.map_err(|problem| DataMistake::Value {
        key: shortened(key),
        problem,
    })?;
    match entries.insert(name.clone(), (key.clone(), value)) {
        None => Ok(()),
        Some((other, _)) => {
            let mut both = [&other, key];
            both.sort();
            Err(DataMistake::Collision {
                first: shortened(both[0]),
                second: shortened(both[1]),
                name: shortened(&name),
            })
        }
    }
}

/// What the type demands.
fn typed(form: &Form, entries: &Entries) -> Result<(), DataMistake> {
    for any_of in needs(&form.kind) {
        if !any_of.iter().any(|key| entries.contains_key(*key)) {
            return Err(DataMistake::Missing {
                kind: form.kind.clone(),
                needed: any_of.join(" or "),
            });
        }
    }
    let value = |key: &str| entries.get(key).map(|(_, value)| value.expose_secret());
    if form.kind == TLS {
        let [certificate, key] = TLS_KEYS.map(|key| value(key).unwrap_or_default());
        pair(certificate, key)?;
    }
    for (kind, key) in [DOCKER_CONFIG, OLD_DOCKER_CONFIG] {
        let text = value(key).filter(|_| form.kind == kind);
        let is_object =
            |text: &[u8]| serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(text).is_ok();
        if text.is_some_and(|text| !is_object(text)) {
            return Err(DataMistake::Json { key });
        }
    }
    Ok(())
}

/// A certificate and its key. Keys of kinds that we cannot read are left to the reader.
fn pair(certificate: &[u8], key: &[u8]) -> Result<(), DataMistake> {
    let [certificate_name, key_name] = TLS_KEYS;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or(DataMistake::Pem {
        key: certificate_name,
        what: "certificate",
    })?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| DataMistake::Pem {
        key: key_name,
        what: "private key",
    })?;
    let Ok(key) = any_supported_type(&key) else {
        return Ok(());
    };
    match CertifiedKey::new(chain, key).keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(DataMistake::Pair)
        }
        _ => Ok(()),
    }
}

/// Sorted, so that equal data is equal text; none if it is too long.
fn json(entries: &Entries) -> Option<SecretSlice<u8>> {
    let mut buffer = WipedBuffer::new(MOST_TEXT);
    let mut letters = zeroize::Zeroizing::new([0; 1024]);
    for (number, (name, (_, value))) in entries.iter().enumerate() {
        let separator = if number == 0 { "{" } else { "," };
        // Names of keys need no escape.
        write!(buffer, "{separator}\"{name}\":\"").ok()?;
        // Three bytes are four letters, so that parts join without padding between.
        for part in value.expose_secret().chunks(768) {
            let text = Base64::encode(part, &mut *letters).ok()?;
            buffer.write_all(text.as_bytes()).ok()?;
        }
        buffer.write_all(b"\"").ok()?;
    }
    buffer
        .write_all(if entries.is_empty() { b"{}" } else { b"}" })
        .ok()?;
    buffer.finish().ok()
}

#[cfg(test)]
mod tests;
