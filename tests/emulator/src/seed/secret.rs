//! A secret as the file holds it.

use super::yes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One secret.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Key, any text.
    pub key: String,
    /// Value, any text.
    #[serde(default)]
    pub value: String,
    /// Folder.
    #[serde(default = "root", skip_serializing_if = "is_root")]
    pub path: String,
    /// Comment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Names of its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `secret`, `sealed` or `config`.
    #[serde(
        default,
        rename = "type",
        skip_serializing_if = "SecretType::is_secret"
    )]
    pub kind: SecretType,
    /// `static` or `rotating`.
    #[serde(default, skip_serializing_if = "Lifecycle::is_static")]
    pub lifecycle: Lifecycle,
    /// Personal values, by the name of a user account.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, Override>,
    /// Sent in place of the encrypted value, as it is: for rows that no client can decrypt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_value: Option<String>,
    /// Sent in place of the encrypted comment, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_comment: Option<String>,
    /// Id; made from environment, path and key when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Version; 1 when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When it was made; the environment's creation when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it was changed; its creation when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// A user's own value of a secret.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Value in place of the shared one.
    pub value: String,
    /// Whether the user has it switched on.
    #[serde(default = "yes")]
    pub active: bool,
}

/// What the console makes of a secret.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretType {
    /// Not hidden in the console.
    Config,
    /// Hidden until asked for.
    Sealed,
    /// The usual kind.
    #[default]
    Secret,
}

/// Who replaces a secret's value.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// The server, on a schedule.
    Rotating,
    /// A person.
    #[default]
    Static,
}

impl Secret {
    /// A secret with a value and nothing else.
    pub fn new(path: &str, key: &str, value: &str) -> Self {
        Self {
            key: key.to_owned(),
            value: value.to_owned(),
            path: path.to_owned(),
            comment: String::new(),
            tags: Vec::new(),
            kind: SecretType::default(),
            lifecycle: Lifecycle::default(),
            overrides: BTreeMap::new(),
            stored_value: None,
            stored_comment: None,
            id: None,
            version: None,
            created_at: None,
            updated_at: None,
        }
    }
}

impl SecretType {
    fn is_secret(&self) -> bool {
        *self == Self::Secret
    }
}

impl Lifecycle {
    fn is_static(&self) -> bool {
        *self == Self::Static
    }
}

fn root() -> String {
    "/".to_owned()
}

fn is_root(path: &String) -> bool {
    path == "/"
}
