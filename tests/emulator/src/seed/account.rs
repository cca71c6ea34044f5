//! An account and its tokens as the file holds them.

use super::yes;
use serde::{Deserialize, Serialize};

/// An account that may ask for secrets.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Name.
    pub name: String,
    /// Kind, which decides the form of its tokens.
    #[serde(default)]
    pub kind: AccountKind,
    /// Id; made from the name when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// X25519 private key, 64 hex digits; needed only beside tokens made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    /// What it may read; every environment when missing. A legacy account names one app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Vec<Access>>,
    /// Whether its role may read secrets; the tokens endpoint answers either way.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub may_read_secrets: bool,
    /// Network access policy: addresses or blocks (`10.0.0.0/8`) that may read secrets; an empty
    /// list blocks everyone, and no policy at all lets everyone in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_addresses: Option<Vec<String>>,
    /// Its tokens; one, named like the account, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Token>,
}

/// The three kinds of token holder.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// Bound to one app: `pss_service:v1:…`.
    Legacy,
    /// A service account: `pss_service:v2:…`.
    #[default]
    Service,
    /// A person: `pss_user:v1:…`.
    User,
}

/// Environments of one app that an account may read.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Name or id of the app.
    pub app: String,
    /// Names of the environments; all of the app when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
}

/// A token of an account.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Name, unique in the organisation.
    pub name: String,
    /// The whole token; made when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether it works.
    #[serde(default, skip_serializing_if = "TokenStatus::is_active")]
    pub status: TokenStatus,
}

/// Whether a token works.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenStatus {
    /// It works.
    #[default]
    Active,
    /// Its time is over.
    Expired,
    /// Someone deleted it.
    Revoked,
}

impl Account {
    /// A service account that may read everything, with one token named like it.
    pub fn service(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: AccountKind::Service,
            id: None,
            private_key: None,
            access: None,
            may_read_secrets: true,
            allowed_addresses: None,
            tokens: Vec::new(),
        }
    }
}

impl Token {
    /// A working token, to be made at the start.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            token: None,
            status: TokenStatus::Active,
        }
    }
}

impl TokenStatus {
    fn is_active(&self) -> bool {
        *self == Self::Active
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_yes(value: &bool) -> bool {
    *value
}
