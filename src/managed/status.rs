//! What is told of a `PhaseSecret`: three conditions whose reasons are a closed list.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::apply::ApplyError;
use super::redeploy::RestartError;
use crate::cause::Cause;

/// Why a `PhaseSecret` is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Every Secret holds what Phase has.
    Synced,
    /// A field of the resource must be mended.
    InvalidSpec,
    /// The Secret with the token, or its key, is missing or may not be read.
    TokenMissing,
    /// What stands there is no service token.
    TokenInvalid,
    /// Phase does not know the token, or it has expired.
    TokenRefused,
    /// The token may not read what is asked for.
    AccessForbidden,
    /// App, environment or secrets are not there.
    NotFound,
    /// A reference cannot be resolved, or something else of Phase's cannot be opened.
    Undecryptable,
    /// Phase cannot be reached.
    Unreachable,
    /// Phase asks to wait.
    RateLimited,
    /// Phase's answer is not Phase's protocol.
    MalformedAnswer,
    /// There is more than fits.
    TooLarge,
    /// Secrets cannot be the data of a Secret: names, values, or what its type demands.
    InvalidData,
    /// Others have set fields of the Secret to something else.
    Conflict,
    /// The Secret has another type.
    TypeImmutable,
    /// The controller may not write there.
    WriteForbidden,
    /// The API server refuses the Secret.
    WriteRefused,
    /// The API server does not answer.
    ApiUnavailable,
    /// A defect of ours.
    Internal,
}

impl Reason {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 19] = [
        Self::Synced,
        Self::InvalidSpec,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::TokenRefused,
        Self::AccessForbidden,
        Self::NotFound,
        Self::Undecryptable,
        Self::Unreachable,
        Self::RateLimited,
        Self::MalformedAnswer,
        Self::TooLarge,
        Self::InvalidData,
        Self::Conflict,
        Self::TypeImmutable,
        Self::WriteForbidden,
        Self::WriteRefused,
        Self::ApiUnavailable,
        Self::Internal,
    ];

    /// As conditions, events and metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::InvalidSpec => "InvalidSpec",
            Self::TokenMissing => "TokenMissing",
            Self::TokenInvalid => "TokenInvalid",
            Self::TokenRefused => "TokenRefused",
            Self::AccessForbidden => "AccessForbidden",
            Self::NotFound => "NotFound",
            Self::Undecryptable => "Undecryptable",
            Self::Unreachable => "Unreachable",
            Self::RateLimited => "RateLimited",
            Self::MalformedAnswer => "MalformedAnswer",
            Self::TooLarge => "TooLarge",
            Self::InvalidData => "InvalidData",
            Self::Conflict => "Conflict",
            Self::TypeImmutable => "TypeImmutable",
            Self::WriteForbidden => "WriteForbidden",
            Self::WriteRefused => "WriteRefused",
            Self::ApiUnavailable => "ApiUnavailable",
            Self::Internal => "Internal",
        }
    }

    /// Whether it may pass without anybody doing anything.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::RateLimited
                | Self::MalformedAnswer
                | Self::ApiUnavailable
                | Self::Internal
        )
    }
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Deadline | Cause::Stopping | Cause::Unreachable => Self::Unreachable,
            Cause::Forbidden => Self::AccessForbidden,
            Cause::Internal => Self::Internal,
            Cause::InvalidClass => Self::InvalidSpec,
            Cause::MalformedAnswer => Self::MalformedAnswer,
            Cause::NoCredential => Self::TokenMissing,
            Cause::NotFound => Self::NotFound,
            Cause::Busy | Cause::RateLimited => Self::RateLimited,
            Cause::RefusedCredential => Self::TokenRefused,
            Cause::TooLarge => Self::TooLarge,
            Cause::Undecryptable => Self::Undecryptable,
        }
    }
}

impl From<&RestartError> for Reason {
    fn from(error: &RestartError) -> Self {
        match error {
            _ if error.is_passing() => Self::ApiUnavailable,
            RestartError::Forbidden { .. } => Self::WriteForbidden,
            RestartError::Refused { .. } | RestartError::Unanswered { .. } => Self::WriteRefused,
        }
    }
}

impl From<&ApplyError> for Reason {
    fn from(error: &ApplyError) -> Self {
        match error {
            ApplyError::Conflict { .. } | ApplyError::Rival { .. } => Self::Conflict,
            ApplyError::Type { .. } | ApplyError::Credential { .. } => Self::TypeImmutable,
            ApplyError::Forbidden { .. } => Self::WriteForbidden,
            ApplyError::NoNamespace { .. } => Self::WriteRefused,
            _ if error.is_passing() => Self::ApiUnavailable,
            ApplyError::Refused { .. } | ApplyError::Unanswered { .. } => Self::WriteRefused,
        }
    }
}

/// Why a `PhaseSecret` is not as it should be: a reason, and one line that says what to
/// do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why.
    pub reason: Reason,
    /// In words, without any secret.
    pub message: String,
}

impl Trouble {
    /// A reason with its words.
    #[must_use]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "errors, which nobody needs afterwards"
    )]
    pub fn new(reason: Reason, message: impl ToString) -> Self {
        Self {
            reason,
            message: message.to_string(),
        }
    }
}

/// One of the three conditions.
pub struct State {
    /// Its type.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why.
    pub reason: &'static str,
    /// In words.
    pub message: String,
}

/// The conditions anew: the time of one that did not turn stays.
#[must_use]
pub fn conditions(
    before: &[Condition],
    states: [State; 3],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |state: State| {
        let status = if state.holds { "True" } else { "False" };
        let old = before.iter().find(|old| old.type_ == state.name);
        let since = old
            .filter(|old| old.status == status)
            .map_or(Time(now), |old| old.last_transition_time.clone());
        Condition {
            type_: state.name.to_owned(),
            status: status.to_owned(),
            reason: state.reason.to_owned(),
            message: state.message,
            observed_generation: generation,
            last_transition_time: since,
        }
    };
    states.map(condition).into()
}
