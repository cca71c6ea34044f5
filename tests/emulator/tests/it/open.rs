//! A reader of Phase's answers, written apart from the half that seals.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base64ct::{Base64, Encoding};
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, KeyInit as _, Update};
use blake2::{Blake2b256, Blake2b512, Blake2bMac, Digest};
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde_json::Value;

type Key = [u8; 32];

/// What a token and its tokens answer open.
pub(crate) struct Account {
    pub(crate) private: Key,
    public: Key,
}

/// The keys of one environment.
pub(crate) struct Environment {
    private: Key,
    public: Key,
    pub(crate) salt: String,
}

/// A row in plaintext.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Secret {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) comment: String,
}

impl Account {
    /// Joins the shares, and checks that they make the key that the token names.
    pub(crate) fn open(token: &str, answer: &Value) -> Self {
        let fields: Vec<&str> = token.split(':').collect();
        let share = blob(
            &unhex(fields[5]),
            &base16ct::mixed::decode_vec(text(&answer["wrapped_key_share"])).unwrap(),
        )
        .unwrap();
        let (one, two) = (
            unhex(fields[4]),
            unhex(std::str::from_utf8(&share).unwrap()),
        );
        let private: Key = std::array::from_fn(|index| one[index] ^ two[index]);
        assert_eq!(
            public_of(&private),
            unhex(fields[3]),
            "the shares make the token's key"
        );
        Self {
            private,
            public: public_of(&private),
        }
    }

    /// Opens one entry of `environment_keys`, and checks that it is the key it says it is.
    pub(crate) fn environment(&self, entry: &Value) -> Environment {
        let open =
            |field: &str| envelope(&self.private, &self.public, text(&entry[field])).unwrap();
        let private: Key = Blake2b256::digest(unhex(&open("wrapped_seed"))).into();
        let public = public_of(&private);
        assert_eq!(
            public,
            unhex(text(&entry["identity_key"])),
            "the seed makes the identity key"
        );
        Environment {
            private,
            public,
            salt: open("wrapped_salt"),
        }
    }
}

impl Environment {
    /// The keys that follow from a seed and a salt, both as hex text.
    pub(crate) fn from_seed(seed: &str, salt: &str) -> Self {
        let private: Key = Blake2b256::digest(unhex(seed)).into();
        Self {
            private,
            public: public_of(&private),
            salt: salt.to_owned(),
        }
    }

    /// Opens a row, and checks that its digest is its key's.
    pub(crate) fn secret(&self, row: &Value) -> Option<Secret> {
        let open = |field: &str| envelope(&self.private, &self.public, text(&row[field]));
        let key = open("key")?;
        assert_eq!(self.digest(&key), text(&row["key_digest"]));
        let comment = if row["comment"] == "" {
            String::new()
        } else {
            open("comment").unwrap_or_default()
        };
        Some(Secret {
            path: text(&row["path"]).to_owned(),
            value: open("value")?,
            comment,
            key,
        })
    }

    /// Opens an envelope of this environment.
    pub(crate) fn text(&self, sealed: &Value) -> Option<String> {
        envelope(&self.private, &self.public, text(sealed))
    }

    pub(crate) fn digest(&self, key: &str) -> String {
        let mut mac = Blake2bMac::<U32>::new_from_slice(self.salt.as_bytes()).unwrap();
        mac.update(key.as_bytes());
        base16ct::lower::encode_string(&mac.finalize_fixed())
    }
}

fn envelope(private: &Key, public: &Key, sealed: &str) -> Option<String> {
    let fields: Vec<&str> = sealed.split(':').collect();
    let ["ph", "v1", writer, body] = fields[..] else {
        return None;
    };
    let writer = unhex(writer);
    let own = PrivateKey::from_private_key(&X25519, private).unwrap();
    let session: Key = agree(
        &own,
        UnparsedPublicKey::new(&X25519, writer),
        (),
        |shared| {
            let digest = Blake2b512::new()
                .chain_update(shared)
                .chain_update(writer)
                .chain_update(public)
                .finalize();
            Ok(digest[32..].try_into().unwrap())
        },
    )
    .ok()?;
    String::from_utf8(blob(&session, &Base64::decode_vec(body).ok()?)?).ok()
}

fn blob(key: &Key, sealed: &[u8]) -> Option<Vec<u8>> {
    let (body, nonce) = sealed.split_last_chunk::<24>()?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(*nonce), body)
        .ok()
}

fn public_of(private: &Key) -> Key {
    let own = PrivateKey::from_private_key(&X25519, private).unwrap();
    own.compute_public_key()
        .unwrap()
        .as_ref()
        .try_into()
        .unwrap()
}

pub(crate) fn unhex(text: &str) -> Key {
    base16ct::mixed::decode_vec(text)
        .unwrap()
        .try_into()
        .unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is text"))
}
