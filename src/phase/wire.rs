//! What Phase's server answers, as far as it matters here. Unknown fields are
//! ignored, since servers grow; missing ones that matter are errors.

use serde::{Deserialize, Deserializer};

/// The answer of the tokens endpoint: who asks, and all keys it may use.
#[derive(Clone, Debug, Deserialize)]
pub struct TokensAnswer {
    /// Hex of a blob: the second share of the account's private key.
    pub wrapped_key_share: String,
    /// Every app the account can read something of, in no order.
    pub apps: Vec<App>,
}

/// An app. Names are not unique.
#[derive(Clone, Debug, Deserialize)]
pub struct App {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// One for each environment that the account may read, in no order.
    #[serde(default, deserialize_with = "null_is_default")]
    pub environment_keys: Vec<EnvironmentKey>,
}

/// An environment and its keys, sealed for the account.
#[derive(Clone, Debug, Deserialize)]
pub struct EnvironmentKey {
    /// The environment.
    pub environment: EnvironmentInfo,
    /// Hex of the environment's public key.
    #[serde(default, deserialize_with = "null_is_default")]
    pub identity_key: String,
    /// Envelope of the seed of the environment's key pair.
    #[serde(default, deserialize_with = "null_is_default")]
    pub wrapped_seed: String,
    /// Envelope of the salt of its key digests.
    #[serde(default, deserialize_with = "null_is_default")]
    pub wrapped_salt: String,
    /// Set where access was taken away (legacy tokens list such keys too).
    #[serde(default)]
    pub deleted_at: Option<String>,
}

/// An environment.
#[derive(Clone, Debug, Deserialize)]
pub struct EnvironmentInfo {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Moves with every change of its secrets; to be compared, never to be read.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
}

/// A stored secret; texts that are sealed are `ph:v1` envelopes.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "AnyRow")]
pub struct SecretRow {
    /// Its id, which stays the same when it changes.
    pub id: String,
    /// Its folder.
    pub path: String,
    /// Its tags, in the clear.
    pub tags: Vec<String>,
    /// What is sealed; nothing for a dynamic secret, which is made on demand.
    pub sealed: Option<Sealed>,
    /// What is known of a dynamic secret.
    pub dynamic: Option<Dynamic>,
}

/// A dynamic secret, of which no lease was asked for: it has no values.
#[derive(Clone, Debug)]
pub struct Dynamic {
    /// Its name, in the clear.
    pub name: String,
    /// The digests of its keys.
    pub key_digests: Vec<String>,
}

/// The sealed part of a stored secret.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its key.
    pub key: String,
    /// Its key's digest.
    pub key_digest: String,
    /// The value that counts for the token's owner: a person's own where there
    /// is one in force, which there never is for service accounts.
    pub value: String,
}

/// A row as it comes: a dynamic secret has neither key nor value.
#[derive(Clone, Debug, Deserialize)]
struct AnyRow {
    id: String,
    #[serde(default = "root")]
    path: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    key: Option<String>,
    key_digest: Option<String>,
    value: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    tags: Vec<String>,
    #[serde(default, rename = "override")]
    personal: Option<Override>,
    #[serde(default, deserialize_with = "null_is_default")]
    name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    key_map: Vec<DynamicKey>,
}

/// A key of a dynamic secret.
#[derive(Clone, Debug, Deserialize)]
struct DynamicKey {
    #[serde(default, deserialize_with = "null_is_default")]
    key_digest: String,
}

/// A person's own value of a secret.
#[derive(Clone, Debug, Deserialize)]
struct Override {
    value: String,
    is_active: bool,
}

impl EnvironmentKey {
    /// The environment's public key, if it is one.
    #[must_use]
    pub fn public(&self) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        let hex = self.identity_key.as_bytes();
        let decoded = base16ct::mixed::decode(hex, &mut key);
        decoded.is_ok_and(|key| key.len() == 32).then_some(key)
    }

    /// Whether the account still has these keys.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.deleted_at.is_none() && !self.wrapped_seed.is_empty() && !self.wrapped_salt.is_empty()
    }
}

impl TryFrom<AnyRow> for SecretRow {
    type Error = &'static str;

    fn try_from(row: AnyRow) -> Result<Self, Self::Error> {
        let is_dynamic = row.kind.as_deref() == Some("dynamic");
        let (sealed, dynamic) = if is_dynamic {
            let keys = row.key_map.into_iter();
            let dynamic = Dynamic {
                name: row.name,
                key_digests: keys.map(|key| key.key_digest).collect(),
            };
            (None, Some(dynamic))
        } else {
            let sealed = Sealed {
                key: row.key.ok_or("missing field `key`")?,
                key_digest: row.key_digest.ok_or("missing field `key_digest`")?,
                value: match row.personal {
                    Some(personal) if personal.is_active => personal.value,
                    _ => row.value.ok_or("missing field `value`")?,
                },
            };
            (Some(sealed), None)
        };
        Ok(Self {
            id: row.id,
            path: row.path,
            tags: row.tags,
            sealed,
            dynamic,
        })
    }
}

fn root() -> String {
    "/".to_owned()
}

/// Older backends send `null`, or nothing, where newer ones send an empty value.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
