//! Why a Secret was not written.

use kube::core::Status;

use crate::managed::plan::SecretName;

/// Why a Secret was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Other field managers have set fields to something else.
    #[error(
        "{fields} of Secret {secret} belong to {managers}: remove them there, or set onConflict: Take"
    )]
    Conflict {
        /// The Secret.
        secret: SecretName,
        /// The fields, the first few.
        fields: String,
        /// Whose they are.
        managers: String,
    },
    /// Another resource names the same Secret.
    #[error("Secret {secret} is kept for {rival} already: name it in one of the two alone")]
    Rival {
        /// The Secret.
        secret: SecretName,
        /// The other: its kind and name.
        rival: String,
    },
    /// Its type cannot be changed.
    #[error(
        "Secret {secret} has another type than {kind}, and a type cannot be changed: delete the Secret, or set onTypeChange: Recreate"
    )]
    Type {
        /// The Secret.
        secret: SecretName,
        /// The type that it should have.
        kind: String,
    },
    /// It has another type, and is not ours to delete.
    #[error(
        "Secret {secret} is a credential of the cluster itself, which is not deleted for another type: delete it by hand, or write another Secret"
    )]
    Credential {
        /// The Secret.
        secret: SecretName,
    },
    /// No right to write it.
    #[error(
        "the controller may not write Secret {secret}: give its ServiceAccount a Role with create, patch and delete on secrets in that namespace"
    )]
    Forbidden {
        /// The Secret.
        secret: SecretName,
    },
    /// Its namespace does not exist.
    #[error("namespace {namespace} does not exist: create it, or name another in secretNamespace")]
    NoNamespace {
        /// The namespace.
        namespace: String,
    },
    /// The API server refuses it.
    #[error("the API server refuses Secret {secret} (status {status}): {message}")]
    Refused {
        /// The Secret.
        secret: SecretName,
        /// The status code.
        status: u16,
        /// In its words, which show no data.
        message: String,
    },
    /// No answer in time, or none at all.
    #[error("the API server did not answer while Secret {secret} was written: it is tried again")]
    Unanswered {
        /// The Secret.
        secret: SecretName,
    },
}

impl ApplyError {
    /// Whether trying again may help without anything else changing.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            // 409 of nobody's: two requests have met.
            Self::Refused { status, .. } => matches!(status, 409 | 429 | 500..),
            _ => false,
        }
    }
}

/// The field managers that a conflict names, each once.
pub(super) fn managers(status: &Status) -> Vec<&str> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let quoted = causes.filter_map(|cause| cause.message.split('"').nth(1));
    let mut managers: Vec<_> = quoted.collect();
    managers.sort_unstable();
    managers.dedup();
    managers
}

pub(super) fn is_about_type(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 422 && causes.any(|cause| cause.field == "type")
}

/// The fields that a conflict names, the first few.
pub(super) fn fields(status: &Status) -> String {
    const SHOWN: usize = 5;
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<_> = causes.map(|cause| cause.field.as_str()).collect();
    let more = fields.len().saturating_sub(SHOWN);
    let shown = fields
        .into_iter()
        .take(SHOWN)
        .collect::<Vec<_>>()
        .join(", ");
    match more {
        0 => shown,
        _ => format!("{shown} and {more} more"),
    }
}
