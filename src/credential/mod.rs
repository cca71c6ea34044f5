//! Whose Phase token a mount uses: one file per way. This room knows no
//! secrets of Phase. A credential that is not the pod's own is used only where the
//! administrator lends the node's to its namespace, and never in a named one's place.

mod node;
mod own;
mod publish_secret;

pub use node::NodeToken;
pub use own::{OwnTokenError, own_token};
pub(crate) use publish_secret::KEYS as TOKEN_KEYS;
pub use publish_secret::token;

use crate::cause::Cause;
use crate::phase::token::TokenError;

/// Why a pod has no usable token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The volume names no Secret.
    #[error(
        "no Phase token: the pod's volume names no Secret: create one with the service token under the key token, in namespace \"{namespace}\", and name it in the volume's csi.nodePublishSecretRef"
    )]
    Absent {
        /// The pod's namespace.
        namespace: String,
    },
    /// The Secret has neither of the keys.
    #[error(
        "no Phase token: the Secret of nodePublishSecretRef in namespace \"{namespace}\" has no key token or PHASE_SERVICE_TOKEN: it has {found}"
    )]
    NoKey {
        /// The pod's namespace.
        namespace: String,
        /// Its keys.
        found: String,
    },
    /// The namespace may use the node's token, and that is none.
    #[error(
        "token of the node for namespace \"{namespace}\" cannot be used: {file}: {reason}: this is for the cluster's administrator: check --default-token-file"
    )]
    Node {
        /// The pod's namespace.
        namespace: String,
        /// The file that should hold it.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The driver sent something else than an object of texts.
    #[error(
        "secrets of the mount request are not a JSON object of texts: this is for the driver to mend: check its version"
    )]
    NotJson,
    /// The text under the key is no token.
    #[error(
        "{error} (key {key} of the Secret of nodePublishSecretRef in namespace \"{namespace}\")"
    )]
    Token {
        /// The pod's namespace.
        namespace: String,
        /// The Secret's key.
        key: &'static str,
        /// What is wrong with it.
        error: TokenError,
    },
}

impl CredentialError {
    /// What the driver's code follows from.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Absent { .. } | Self::NoKey { .. } => Cause::NoCredential,
            Self::NotJson => Cause::InvalidClass,
            Self::Token { .. } | Self::Node { .. } => Cause::RefusedCredential,
        }
    }
}
