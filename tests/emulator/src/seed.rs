//! The YAML file: an organisation in plaintext, as a person writes it.

mod account;
mod error;
mod secret;

pub use account::{Access, Account, AccountKind, Token, TokenStatus};
pub use error::SeedError;
pub use secret::{Lifecycle, Override, Secret, SecretType};

use crate::throttle::Rate;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An organisation to serve: its apps, secrets and accounts, as the YAML file holds them.
///
/// Only what matters needs to be written; every id, key and token that is missing is made up when
/// the emulator starts, and the same names always get the same ids.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// Name of the organisation.
    #[serde(default = "default_organisation")]
    pub organisation: String,
    /// Its id; made from the name when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation_id: Option<String>,
    /// 64 hex digits from which all key material follows; random when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When the organisation came into being; the start of the emulator when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// How many requests an account, or an address, may make; no limit when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Rate>,
    /// The apps.
    #[serde(default)]
    pub apps: Vec<App>,
    /// The accounts; one service account named `default` that may read everything when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
}

/// An app and its environments.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Name; two apps may have the same.
    pub name: String,
    /// Id; made from the name when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether the real server could decrypt, too.
    #[serde(default, skip_serializing_if = "Encryption::is_end_to_end")]
    pub encryption: Encryption,
    /// The environments.
    #[serde(default)]
    pub environments: Vec<Environment>,
}

/// What an app says of its encryption; the wire form of its secrets is the same.
#[derive(Clone, Copy, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Encryption {
    /// Only clients decrypt.
    #[default]
    #[serde(rename = "E2E")]
    EndToEnd,
    /// The server decrypts, too.
    #[serde(rename = "SSE")]
    ServerSide,
}

/// A dynamic secret: it has no values, since no leases are made here.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dynamic {
    /// Name.
    pub name: String,
    /// Folder; the top one when missing.
    #[serde(default = "top")]
    pub path: String,
    /// The names of its keys.
    pub keys: Vec<String>,
}

/// An environment and its secrets.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Name.
    pub name: String,
    /// Id; made from the app's and the environment's name when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Fixed kind; read from the name when missing (`Production` is `prod`), else `custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_type: Option<EnvironmentType>,
    /// Place in the console; the place in the list when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// When it was made; the organisation's time when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When a change last reached it; its creation when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Seed of its key pair, 64 hex digits; made when missing. Given beside `salt` for an environment made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Salt of its key digests, 64 hex digits; made when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Dynamic secrets, sent to whoever asks with the header `dynamic`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dynamic: Vec<Dynamic>,
    /// The secrets, in the order in which they are sent.
    #[serde(default)]
    pub secrets: Vec<Secret>,
}

/// The fixed kind of an environment, independent of its name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentType {
    /// Made by a user.
    Custom,
    /// Development.
    Dev,
    /// Production.
    Prod,
    /// Staging.
    Staging,
}

impl Seed {
    /// Reads the YAML form.
    ///
    /// # Errors
    /// [`SeedError::Yaml`] says where the text is not of this form.
    pub fn from_yaml(text: &str) -> Result<Self, SeedError> {
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| SeedError::Yaml(error.to_string().replace('\n', " ")))
    }

    /// The YAML form.
    pub fn to_yaml(&self) -> String {
        // Block scalars would fold long lines and lose carriage returns; quotes keep every text as it is.
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(self, options)
            .expect("plain structs of text have a YAML form")
    }

    /// The organisation of the quickstart: app `keyspace.cloud` with a handful of secrets.
    pub fn demo() -> Self {
        Self::from_yaml(include_str!("../demo.yaml")).expect("the demo seed is tested")
    }

    /// An app `keyspace.cloud` whose `Production` holds `secrets` secrets at the root, for benchmarks.
    pub fn sized(secrets: usize) -> Self {
        let secrets = (0..secrets).map(|number| {
            Secret::new(
                "/",
                &format!("KEY_{number:05}"),
                &format!("value of secret number {number:05}"),
            )
        });
        let production = Environment::new("Production", secrets.collect());
        Self::new(vec![App::new("keyspace.cloud", vec![production])])
    }

    /// An organisation of `apps` with one service account, `default`, that may read them all.
    pub fn new(apps: Vec<App>) -> Self {
        Self {
            organisation: default_organisation(),
            organisation_id: None,
            key: None,
            created_at: None,
            rate_limit: None,
            apps,
            accounts: Vec::new(),
        }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Seed({:?}, {} apps)",
            self.organisation,
            self.apps.len()
        )
    }
}

impl App {
    /// An end-to-end encrypted app.
    pub fn new(name: &str, environments: Vec<Environment>) -> Self {
        Self {
            name: name.to_owned(),
            id: None,
            encryption: Encryption::default(),
            environments,
        }
    }
}

impl Environment {
    /// An environment whose kind follows from its name.
    pub fn new(name: &str, secrets: Vec<Secret>) -> Self {
        let name = name.to_owned();
        Self {
            name,
            id: None,
            env_type: None,
            index: None,
            created_at: None,
            updated_at: None,
            seed: None,
            salt: None,
            dynamic: Vec::new(),
            secrets,
        }
    }
}

impl Encryption {
    fn is_end_to_end(&self) -> bool {
        *self == Self::EndToEnd
    }
}

fn default_organisation() -> String {
    "Keyspace".to_owned()
}

fn top() -> String {
    "/".to_owned()
}

fn yes() -> bool {
    true
}
