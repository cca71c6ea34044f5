//! What can be wrong with a `PhaseSecret`.

use crate::class::Mistake;
use crate::managed::resource::{LEAST_POLLING_INTERVAL, MOST_POLLING_INTERVAL};

/// What is wrong with a `PhaseSecret`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanMistake {
    /// What selects the secrets.
    #[error("spec.{0}")]
    Selection(Mistake),
    /// A name that no object can have.
    #[error(
        "spec.{field} {name:?} is no name of a Kubernetes object: use lower-case letters, digits, \"-\" and \".\""
    )]
    Name {
        /// The field.
        field: String,
        /// What stands there.
        name: String,
    },
    /// A value that the schema does not list.
    #[error("spec.{field} {value:?} is unknown: write one of {known}")]
    Unknown {
        /// The field.
        field: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        known: String,
    },
    /// Two entries write one Secret.
    #[error(
        "spec.managedSecretReferences[{first}] and [{second}] both write the Secret {secret}: make them one"
    )]
    Twice {
        /// The first of them.
        first: usize,
        /// The other.
        second: usize,
        /// The Secret.
        secret: String,
    },
    /// No entries.
    #[error("spec.managedSecretReferences is empty: name the Secret to write")]
    Nothing,
    /// Asked too often.
    #[error("spec.pollingInterval {0} is below {LEAST_POLLING_INTERVAL} seconds: ask less often")]
    Interval(i64),
    /// Asked too seldom.
    #[error(
        "spec.pollingInterval {0} is above {MOST_POLLING_INTERVAL} seconds, which is a day: ask more often"
    )]
    SeldomInterval(i64),
    /// Workloads cannot be chosen by it.
    #[error(
        "spec.redeployLabelSelector {0:?} is no label selector: write for example \"tier=web\""
    )]
    Selector(String),
    /// An owner in another namespace.
    #[error(
        "spec.managedSecretReferences[{0}].ownerReference needs a Secret in the resource's own namespace: leave one of the two out"
    )]
    Owner(usize),
    /// The output would overwrite the token.
    #[error(
        "spec.managedSecretReferences[{0}] would write the Secret that holds the token: name another"
    )]
    Token(usize),
    /// A type that the controller writes for nobody.
    #[error(
        "Secret {secret} would be of type {kind}, a credential of the cluster itself: write another type, or start the controller with --allow-privileged-secret-types"
    )]
    Privileged {
        /// The Secret.
        secret: String,
        /// The type.
        kind: String,
    },
    /// A class that overwrites what is somebody else's.
    #[error(
        "Secret {secret} has {field} in mirror, by which whoever may write a class overwrites Secrets of others: leave it out, or start the controller with --allow-mirror-overwrite"
    )]
    Overwrite {
        /// The Secret.
        secret: String,
        /// The field and its value.
        field: &'static str,
    },
    /// A Secret elsewhere, and the controller keeps resources to their namespace.
    #[error(
        "spec.{field}.secretNamespace names {namespace:?}, which is not its own: leave it out, or start the controller with --allow-cross-namespace-refs"
    )]
    Elsewhere {
        /// The field of the Secret.
        field: String,
        /// The namespace that stands there.
        namespace: String,
    },
}
