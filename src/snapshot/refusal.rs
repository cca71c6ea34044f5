//! Why there is no answer, and what that means for what is remembered.

use std::time::Duration;

use super::gate::Throttled;
use crate::cause::Cause;
use crate::phase;
use crate::phase::client::{ClientError, Endpoint};
use crate::quota::{Exceeded, Stopped};

/// Why there is no answer: one line for whoever asked, and its cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// What failed, on which object, what to do next.
    pub text: String,
}

/// What a failure means for what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Phase cannot be asked now: what is remembered counts for its time.
    Unreachable,
    /// What Phase sent cannot be used: existing volumes keep what they have.
    Broken,
    /// Phase says no, or the class asks for what is not there: nothing that is
    /// remembered may be answered.
    Final,
}

impl Refusal {
    /// A defect of ours that must cost no more than one answer.
    pub(super) fn defect() -> Self {
        Self {
            cause: Cause::Internal,
            text: "internal error: work for this mount ended in the middle: this is a defect, please report it".to_owned(),
        }
    }

    /// More is under way than there may be.
    pub(super) fn crowd(most: usize) -> Self {
        Self {
            cause: Cause::RateLimited,
            text: format!(
                "this node works at {most} questions and answers already: the mount is retried automatically; if this stays, look at the load of Phase and of this node"
            ),
        }
    }

    /// What is remembered is older than a new volume may get.
    pub(super) fn too_old(&self, age: Option<Duration>, most: Duration) -> Self {
        let most = length(most);
        let old = match age {
            Some(age) => format!("{} old, more than the {most} of maxStale", length(age)),
            None => format!(
                "of unknown age (the clock of this node went backwards), and maxStale is {most}"
            ),
        };
        Self {
            cause: self.cause,
            text: format!(
                "what this node remembers is {old}, and Phase gives nothing newer: {self}"
            ),
        }
    }

    pub(super) const fn meaning(&self) -> Meaning {
        match self.cause {
            Cause::Busy
            | Cause::Deadline
            | Cause::RateLimited
            | Cause::Stopping
            | Cause::Unreachable => Meaning::Unreachable,
            Cause::Internal | Cause::MalformedAnswer | Cause::TooLarge | Cause::Undecryptable => {
                Meaning::Broken
            }
            Cause::Forbidden
            | Cause::InvalidClass
            | Cause::NoCredential
            | Cause::NotFound
            | Cause::RefusedCredential => Meaning::Final,
        }
    }
}

impl From<phase::Error> for Refusal {
    fn from(error: phase::Error) -> Self {
        Self {
            cause: error.cause(),
            text: error.to_string(),
        }
    }
}

impl From<Exceeded> for Refusal {
    fn from(error: Exceeded) -> Self {
        Self {
            cause: error.cause(),
            text: error.to_string(),
        }
    }
}

impl From<Stopped> for Refusal {
    fn from(error: Stopped) -> Self {
        Self {
            cause: error.cause(),
            text: error.to_string(),
        }
    }
}

impl From<Throttled> for Refusal {
    fn from(error: Throttled) -> Self {
        Self {
            cause: Cause::RateLimited,
            text: error.to_string(),
        }
    }
}

/// How much of what one credential opened a failure takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Everything: the credential, or its account, may read nothing any more.
    Credential,
    /// Nothing yet: a firewall in front of Phase may have refused, with this status.
    Doubtful(u16),
    /// One environment.
    Environment,
    /// Nothing.
    Nothing,
}

/// What Phase takes away by failing a request in this way.
pub(super) const fn loss(error: &ClientError) -> Loss {
    match error {
        ClientError::TokenRefused(_)
        | ClientError::NetworkPolicy(_)
        | ClientError::PermissionMissing(_) => Loss::Credential,
        ClientError::EnvironmentUnknown(_) | ClientError::NoAccess(_) => Loss::Environment,
        ClientError::RefusedUnclearly { status, .. } => Loss::Doubtful(*status),
        ClientError::RefusedRepeatedly { target, .. } => match target.endpoint {
            Endpoint::Tokens => Loss::Credential,
            Endpoint::Secrets => Loss::Environment,
        },
        _ => Loss::Nothing,
    }
}

/// A length of time in at most two units: `45 s`, `2 h 5 min`, `3 d 1 h`.
pub(super) fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, name) in units {
        if left >= size && parts.len() < 2 {
            parts.push(format!("{} {name}", left / size));
            left %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    match parts[..] {
        [] => format!("{seconds} s"),
        _ => parts.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (45, "45 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (7_500, "2 h 5 min"),
            (7_201, "2 h"),
            (266_460, "3 d 2 h"),
        ] {
            assert_eq!(length(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn what_is_too_old_says_how_old_how_old_it_may_be_and_why_there_is_nothing_newer() {
        let refusal = Refusal {
            cause: Cause::Unreachable,
            text: "name of https://x cannot be resolved".to_owned(),
        };
        let old = refusal.too_old(Some(Duration::from_secs(7_500)), Duration::from_secs(3_600));
        assert_eq!(old.cause, Cause::Unreachable);
        assert_eq!(
            old.text,
            "what this node remembers is 2 h 5 min old, more than the 1 h of maxStale, and Phase gives nothing newer: name of https://x cannot be resolved"
        );
        let unknown = refusal.too_old(None, Duration::from_secs(3_600));
        assert_eq!(
            unknown.text,
            "what this node remembers is of unknown age (the clock of this node went backwards), and maxStale is 1 h, and Phase gives nothing newer: name of https://x cannot be resolved"
        );
    }

    #[test]
    fn every_cause_means_one_thing() {
        let of = |cause| {
            Refusal {
                cause,
                text: String::new(),
            }
            .meaning()
        };
        for cause in [Cause::Unreachable, Cause::RateLimited, Cause::Deadline] {
            assert_eq!(of(cause), Meaning::Unreachable, "{cause:?}");
        }
        for cause in [
            Cause::Undecryptable,
            Cause::MalformedAnswer,
            Cause::TooLarge,
        ] {
            assert_eq!(of(cause), Meaning::Broken, "{cause:?}");
        }
        for cause in [
            Cause::RefusedCredential,
            Cause::Forbidden,
            Cause::NotFound,
            Cause::InvalidClass,
        ] {
            assert_eq!(of(cause), Meaning::Final, "{cause:?}");
        }
    }
}
