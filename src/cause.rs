//! Why a mount was refused: a closed list that decides the gRPC code, the exit code
//! and the label in metrics.

use tonic::Code;

/// Why a mount was refused. Every error of every room has exactly one.
///
/// The list is closed on purpose: the gRPC code and the metric label
/// come from here and nowhere else, so the five codes that can start a pod
/// with an empty volume (`CANCELLED`, `DEADLINE_EXCEEDED`, `UNAVAILABLE`,
/// `RESOURCE_EXHAUSTED`, `ABORTED`) cannot be chosen by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// What the namespace, or the node, may use at once is in use.
    Busy,
    /// Our own time limit, or the caller's, ran out.
    Deadline,
    /// The credential is known but may not read what was asked for.
    Forbidden,
    /// A defect of ours: a panic, an impossible state.
    Internal,
    /// The SecretProviderClass, or the request around it, is wrong.
    InvalidClass,
    /// Phase answered with something that is not Phase's protocol.
    MalformedAnswer,
    /// The pod's volume names no credential.
    NoCredential,
    /// The app, environment, folder, key or reference does not exist.
    NotFound,
    /// Phase asked us to wait for longer than this mount can.
    RateLimited,
    /// The credential is malformed, expired, deleted or unknown.
    RefusedCredential,
    /// The provider is shutting down.
    Stopping,
    /// The answer is larger than the driver accepts.
    TooLarge,
    /// Something did not decrypt, or decrypted to the wrong thing.
    Undecryptable,
    /// Phase could not be reached, or answered with a server error.
    Unreachable,
}

impl Cause {
    /// Every cause, in the order of its number.
    pub const ALL: [Self; 14] = [
        Self::Busy,
        Self::Deadline,
        Self::Forbidden,
        Self::Internal,
        Self::InvalidClass,
        Self::MalformedAnswer,
        Self::NoCredential,
        Self::NotFound,
        Self::RateLimited,
        Self::RefusedCredential,
        Self::Stopping,
        Self::TooLarge,
        Self::Undecryptable,
        Self::Unreachable,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Forbidden => "forbidden",
            Self::Internal => "internal",
            Self::InvalidClass => "invalid_class",
            Self::MalformedAnswer => "malformed_answer",
            Self::NoCredential => "no_credential",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::RefusedCredential => "refused_credential",
            Self::Stopping => "stopping",
            Self::TooLarge => "too_large",
            Self::Undecryptable => "undecryptable",
            Self::Unreachable => "unreachable",
        }
    }

    /// The gRPC code that the driver gets.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Forbidden => Code::PermissionDenied,
            Self::InvalidClass => Code::InvalidArgument,
            Self::NoCredential => Code::FailedPrecondition,
            Self::NotFound => Code::NotFound,
            Self::RefusedCredential => Code::Unauthenticated,
            Self::Undecryptable => Code::DataLoss,
            Self::Busy
            | Self::Deadline
            | Self::Internal
            | Self::MalformedAnswer
            | Self::RateLimited
            | Self::Stopping
            | Self::TooLarge
            | Self::Unreachable => Code::Internal,
        }
    }

    /// The exit code of a command that failed for it: 1 where the class or the
    /// token must be mended, 3 where Phase gave no usable answer this time.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Forbidden
            | Self::InvalidClass
            | Self::NoCredential
            | Self::NotFound
            | Self::RefusedCredential
            | Self::TooLarge
            | Self::Undecryptable => 1,
            Self::Busy
            | Self::Deadline
            | Self::Internal
            | Self::MalformedAnswer
            | Self::RateLimited
            | Self::Stopping
            | Self::Unreachable => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_each_stands_at_its_number() {
        assert_eq!(Cause::ALL.len(), Cause::Unreachable as usize + 1);
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, number);
        }
    }

    #[test]
    fn a_label_is_the_name_in_snake_case() {
        for cause in Cause::ALL {
            let mut label = String::new();
            for letter in format!("{cause:?}").chars() {
                if letter.is_uppercase() && !label.is_empty() {
                    label.push('_');
                }
                label.push(letter.to_ascii_lowercase());
            }
            assert_eq!(cause.label(), label);
        }
    }
}
