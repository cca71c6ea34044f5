//! The flags of `encryption-config`.

use std::str::FromStr;

use clap::{Args, ValueEnum};

const EXAMPLE: &str = "\
Example: umask 077; phase-csi-provider encryption-config > encryption.yaml
Example: umask 077; phase-csi-provider encryption-config --rotate encryption.yaml > next.yaml
Exit codes: 0 fine, 1 FILE is wrong, 2 usage";

/// Prints an EncryptionConfiguration for kube-apiserver, with a fresh key.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct EncryptionConfigArgs {
    /// secretbox, aesgcm, aescbc or kms [default: secretbox, or FILE's first]
    #[arg(long, value_enum, value_name = "PROVIDER", hide_possible_values = true)]
    pub provider: Option<ProviderKind>,

    /// Print FILE with a fresh key before the old ones; - for standard input
    #[arg(long, value_name = "FILE")]
    pub rotate: Option<String>,

    /// What is encrypted, repeatable [default: secrets]
    #[arg(long = "resource", value_name = "RESOURCE")]
    pub resources: Vec<Resource>,

    /// Name of the fresh key [default: key-1, or the next number]
    #[arg(long, value_name = "NAME")]
    pub key_name: Option<Name>,

    /// Name of the KMS plugin (v2)
    #[arg(long, value_name = "NAME", required_if_eq("provider", "kms"))]
    pub kms_name: Option<Name>,

    /// Socket of the KMS plugin: unix://PATH
    #[arg(long, value_name = "URL", required_if_eq("provider", "kms"))]
    pub kms_endpoint: Option<Socket>,
}

/// Who encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProviderKind {
    /// XSalsa20 and Poly1305.
    Secretbox,
    /// AES in Galois/counter mode.
    Aesgcm,
    /// AES in cipher block chaining mode.
    Aescbc,
    /// A plugin that has a key management service encrypt the keys.
    Kms,
}

/// The name of a key or a plugin, which stands in etcd before what it encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// The plural of a resource, with its group: what `kubectl get` takes, and the
/// configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource(String);

/// Where a KMS plugin serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket(String);

/// Why a flag's value cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlagError {
    /// No name.
    #[error("may hold letters, digits, dots, dashes and underscores, at most {LONGEST_NAME}")]
    Name,
    /// The API server takes it for nothing, or refuses it.
    #[error("the API server encrypts nothing of this name: write {meant} for {given}")]
    OtherName {
        /// The flag's value.
        given: String,
        /// Under which name it is encrypted.
        meant: String,
    },
    /// No resource.
    #[error(
        "must be a resource's plural in lower case, with its group if it has one, such as secrets or widgets.shop.example"
    )]
    Resource,
    /// No unix socket.
    #[error("must start with unix:// and an absolute path, such as unix:///run/kms/plugin.sock")]
    Socket,
}

/// As a label of Kubernetes: more than any date or number.
const LONGEST_NAME: usize = 63;
/// `events.events.k8s.io` is stored in the core group.
const EVENTS: &str = ".events.k8s.io";

impl FromStr for Name {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let good = (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(fits);
        good.then(|| Self(text.to_owned())).ok_or(FlagError::Name)
    }
}

impl FromStr for Resource {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        if !crate::manifest::is_object_name(text) {
            return Err(FlagError::Resource);
        }
        match text.strip_suffix(EVENTS) {
            Some(plural) => Err(FlagError::OtherName {
                given: text.to_owned(),
                meant: plural.to_owned(),
            }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for Socket {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        let path = text.strip_prefix("unix://").ok_or(FlagError::Socket)?;
        let good = path.len() > 1 && path.starts_with('/') && !path.contains(char::is_control);
        good.then(|| Self(text.to_owned())).ok_or(FlagError::Socket)
    }
}

impl Name {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Resource {
    /// What has no name is meant: Secrets.
    pub(super) fn default_list() -> Vec<Self> {
        vec![Self("secrets".to_owned())]
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Socket {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
