//! Why no configuration is printed, and the exit code of it.
//!
//! Nothing of a file is ever quoted: where a name belongs, somebody may have put a
//! key. Fields are called by their path.

use std::io;

use crate::manifest::ManifestError;
use crate::yaml::Place;

/// Why no configuration is printed: one line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file holds something else.
    #[error(
        "{file} holds {documents} documents, where one EncryptionConfiguration belongs: name such a file, and write to another one"
    )]
    Documents {
        /// The file.
        file: String,
        /// How many documents stand in it.
        documents: usize,
    },
    /// A name for a key that is not here.
    #[error("--key-name: kms has no key here, it lies in the KMS: leave the flag out")]
    KeyName,
    /// The new key would have the name of an old one.
    #[error("--key-name: {file} has a key of this name: choose another")]
    KeyNameTaken {
        /// The file.
        file: String,
    },
    /// Flags of a plugin without the plugin.
    #[error("--kms-name and --kms-endpoint are of --provider kms: add it, or leave them out")]
    KmsFlags,
    /// The new plugin would have the name of an old one.
    #[error("--kms-name: {file} has a plugin of this name: choose another")]
    KmsNameTaken {
        /// The file.
        file: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A mistake in the file.
    #[error("{file}:{}:{}: {mistake}", mistake.at.line, mistake.at.column)]
    Mistake {
        /// The file.
        file: String,
        /// What is wrong with it.
        mistake: Mistake,
    },
    /// Standard output does not take the configuration.
    #[error("the configuration cannot be written: {0}: check standard output")]
    Write(io::Error),
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {problem}")]
pub struct Mistake {
    /// Where.
    pub at: Place,
    /// The field, from the top.
    pub path: String,
    /// Why.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Another version, or another object.
    #[error("is not apiserver.config.k8s.io/v1: give an EncryptionConfiguration")]
    ApiVersion,
    /// It is not there.
    #[error("is missing: the API server needs it")]
    Absent,
    /// A list, map or text with nothing in it.
    #[error("is empty: the API server needs one at least")]
    Empty,
    /// What is written first is not encrypted.
    #[error("is identity, so {resource} are written in plain text: put it last, then rotate")]
    Identity {
        /// What is not encrypted.
        resource: String,
    },
    /// Another object.
    #[error("is not EncryptionConfiguration: give one")]
    Kind,
    /// There is no key to rotate.
    #[error("is kms, whose key is rotated in the KMS: do it there, or name another --provider")]
    Kms,
    /// A colon ends the name, where it stands in etcd.
    #[error("holds a colon: a plugin of v2 has none in its name")]
    KmsColon,
    /// Two plugins of one name.
    #[error("is that of an earlier plugin: give each a name of its own")]
    KmsTwice,
    /// A version of plugins that does not exist.
    #[error("is not v1 or v2: give one of them")]
    KmsVersion,
    /// No key of this cipher.
    #[error("has {bytes} bytes, where {cipher} takes {expected}: copy the key again")]
    KeyLength {
        /// How many it has.
        bytes: usize,
        /// Whose key it is.
        cipher: &'static str,
        /// How many it should have.
        expected: &'static str,
    },
    /// Two keys of one name, which stands in etcd before what either encrypted.
    #[error("is that of an earlier key: keep the one in use under this name, and remove the other")]
    KeyTwice,
    /// No base64.
    #[error("is not base64 (standard alphabet, padded): copy the key again")]
    NotBase64,
    /// No unix socket.
    #[error("does not start with unix://: name the plugin's socket")]
    NotUnix,
    /// Two entries.
    #[error("has {one} and {other} in two places: rotate one after the other")]
    Places {
        /// A resource of the flags.
        one: String,
        /// One that stands elsewhere.
        other: String,
    },
    /// No name that the API server could have a resource of.
    #[error("is no resource: write its plural in lower case, with its group, or * for either")]
    Resource,
    /// Several providers in one item.
    #[error("has several providers: give each an item of its own")]
    Several,
    /// Another shape.
    #[error("is {found}, where {expected} belongs")]
    Shape {
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A field twice in one map.
    #[error("stands here twice: remove one")]
    Twice,
    /// No entry for what is to be encrypted.
    #[error("has nothing for {resource}, so they are written in plain text: add them")]
    Uncovered {
        /// What is not encrypted.
        resource: String,
    },
    /// What Kubernetes takes for something else than a text.
    #[error("is {found}, where a text belongs: put it in quotes")]
    Unquoted {
        /// What it is.
        found: &'static str,
    },
    /// A field that does not exist.
    #[error("has a field that the API server does not know: it takes {known}")]
    Unknown {
        /// Those that do.
        known: String,
    },
}

/// The exit code of wrong usage.
const USAGE: u8 = 2;
/// The exit code of a file that is wrong.
const WRONG: u8 = 1;

impl Error {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Documents { .. }
            | Self::Manifest(ManifestError::Yaml { .. })
            | Self::Mistake { .. } => WRONG,
            Self::KeyName
            | Self::KeyNameTaken { .. }
            | Self::KmsFlags
            | Self::KmsNameTaken { .. }
            | Self::Manifest(_)
            | Self::Write(_) => USAGE,
        }
    }
}

/// The exit code of several, which are all of one file.
#[must_use]
pub fn exit_code(errors: &[Error]) -> u8 {
    errors.first().map_or(0, Error::exit_code)
}
