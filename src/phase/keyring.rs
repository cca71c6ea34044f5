//! From a token and the tokens answer to the keys of each environment.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::agreed::Agreed;
use super::envelope;
use super::primitives::{DoesNotOpen, KeyPair, SecretKey, derive, keyed_digest, open_blob, xor};
use super::token::Token;
use super::wire::EnvironmentKey;
use crate::cause::Cause;

/// The account's key pair, opened with a token.
pub struct Keyring {
    pair: KeyPair,
}

/// The keys of one environment.
pub struct EnvironmentKeys {
    pair: KeyPair,
    /// Where they remember what they have agreed on.
    agreed: Option<Arc<Agreed>>,
    /// The salt as the 64 hex digits it is stored as; digests are keyed with the text.
    salt: Zeroizing<Vec<u8>>,
}

/// Why the keys could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The account's half of the private key does not fit the token.
    #[error(
        "key share of the account does not open with this token: the token was damaged or belongs to another Phase server: create a new service token"
    )]
    Account,
    /// An environment has other keys than it was first seen with.
    #[error(
        "keys of environment \"{environment}\" are others than this node has seen before, and Phase never changes them: find out who answers in Phase's place; if Phase's data was set up anew, give the pods a new service token"
    )]
    Changed {
        /// The environment's name.
        environment: String,
    },
    /// An environment's seed or salt does not fit.
    #[error(
        "keys of environment \"{environment}\" in app \"{app}\" do not open with this token: remove and add the account's access to it in Phase"
    )]
    Environment {
        /// The app's name.
        app: String,
        /// The environment's name.
        environment: String,
    },
}

impl KeyringError {
    /// Always something that does not decrypt.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        Cause::Undecryptable
    }
}

impl Keyring {
    /// Joins the token's share of the account's private key with the share that
    /// the server keeps wrapped (hex of a blob whose plaintext is 64 hex digits).
    ///
    /// # Errors
    /// When the wrapped share does not open, or the joined key is not the
    /// private half of the token's public key.
    pub fn unlock(token: &Token, wrapped_key_share: &str) -> Result<Self, KeyringError> {
        join(token, wrapped_key_share).map_err(|DoesNotOpen| KeyringError::Account)
    }

    /// Opens the keys of one environment.
    ///
    /// # Errors
    /// When seed or salt do not open, or the seed's key pair is not the one the
    /// server names.
    pub fn environment(
        &self,
        app: &str,
        key: &EnvironmentKey,
    ) -> Result<EnvironmentKeys, KeyringError> {
        self.open_environment(key)
            .map_err(|DoesNotOpen| KeyringError::Environment {
                app: app.to_owned(),
                environment: key.environment.name.clone(),
            })
    }

    fn open_environment(&self, key: &EnvironmentKey) -> Result<EnvironmentKeys, DoesNotOpen> {
        let seed = hex_key(&envelope::open_bytes(&key.wrapped_seed, &self.pair)?)?;
        let pair = KeyPair::from_seed(&seed)?;
        let named = hex_key(key.identity_key.as_bytes())?;
        if pair.public() != &*named {
            return Err(DoesNotOpen);
        }
        let salt = envelope::open_bytes(&key.wrapped_salt, &self.pair)?;
        hex_key(&salt)?;
        Ok(EnvironmentKeys {
            pair,
            agreed: None,
            salt,
        })
    }
}

impl EnvironmentKeys {
    /// The same, which remember there what they have agreed on.
    #[must_use]
    pub fn with(self, agreed: Arc<Agreed>) -> Self {
        Self {
            agreed: Some(agreed),
            ..self
        }
    }

    /// The public key of the environment.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        self.pair.public()
    }

    /// 32 bytes for one purpose, equal for every account that may read the environment, on
    /// every node and after every restart; only who may read it can make them.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> SecretKey {
        let mut secret = SecretKey::default();
        // Phase keeps the salt sealed for those who may read, as it does the seed.
        base16ct::mixed::decode(self.salt.as_slice(), &mut *secret)
            .expect("a salt is 64 hex digits");
        derive(&secret, purpose)
    }

    /// Opens one `ph:v1` field of a row of this environment.
    ///
    /// # Errors
    /// When it was not sealed for this environment, or is not UTF-8.
    pub fn open(&self, field: &str) -> Result<SecretString, DoesNotOpen> {
        envelope::open_with(field, |writer| match &self.agreed {
            Some(agreed) => agreed.key(&self.pair, writer),
            None => self.pair.receiving_key(writer),
        })
    }

    /// The digest under which the server knows a key: lower-case hex.
    #[must_use]
    pub fn key_digest(&self, key: &str) -> String {
        let digest = keyed_digest(&self.salt, key.as_bytes()).expect("a salt is 64 bytes");
        base16ct::lower::encode_string(&digest)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(…)")
    }
}

impl fmt::Debug for EnvironmentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvironmentKeys(…)")
    }
}

fn join(token: &Token, wrapped_key_share: &str) -> Result<Keyring, DoesNotOpen> {
    let blob = base16ct::mixed::decode_vec(wrapped_key_share).map_err(|_| DoesNotOpen)?;
    let other = hex_key(&open_blob(&token.wrap_key, Zeroizing::new(blob))?)?;
    let private = xor(&token.share, &other);
    let pair = KeyPair::new(&private)?;
    if pair.public() != &token.public_key {
        return Err(DoesNotOpen);
    }
    Ok(Keyring { pair })
}

fn hex_key(text: &[u8]) -> Result<SecretKey, DoesNotOpen> {
    let mut key = SecretKey::default();
    if text.len() != 64 {
        return Err(DoesNotOpen);
    }
    base16ct::mixed::decode(text, &mut *key).map_err(|_| DoesNotOpen)?;
    Ok(key)
}

/// For tests and benchmarks that check one environment on its own.
impl EnvironmentKeys {
    /// The keys of a known private key and salt.
    ///
    /// # Errors
    /// When either is not 64 hex digits.
    pub fn from_hex(private: &SecretString, salt: &SecretString) -> Result<Self, DoesNotOpen> {
        let pair = KeyPair::new(&*hex_key(private.expose_secret().as_bytes())?)?;
        let salt = Zeroizing::new(salt.expose_secret().as_bytes().to_vec());
        hex_key(&salt)?;
        Ok(Self {
            pair,
            agreed: None,
            salt,
        })
    }
}
