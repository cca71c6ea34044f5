//! Whoever waited in vain is told for what.

use thiserror::Error;

use super::credential::Credential;
use super::flight::Waited;
use super::gate::Gate;
use super::refusal::Refusal;
use crate::awaited::Awaited;
use crate::cause::Cause;
use crate::phase;
use crate::phase::client::{ClientError, Endpoint, Target};

/// Why a mount ends before there is an answer, where Phase is not to blame, or not yet.
#[derive(Debug, Error)]
enum Late {
    #[error(
        "{target} has given no answer for {seconds} s, and nothing that is remembered could take its place: the question stays open and the mount is retried automatically; if this stays, look at the load of Phase and the network between"
    )]
    Silent { target: Target, seconds: u64 },
    #[error(
        "time of this mount ran out in line for the request budget of this node, to ask {0}: the mount is retried automatically; if this stays, raise --request-budget or use fewer tokens per node"
    )]
    Budget(Target),
    #[error(
        "time of this mount ran out while this node opened and rendered secrets for others: the mount is retried automatically; if this stays, give the provider more processor time, or mount fewer secrets"
    )]
    Turn,
    #[error(
        "time of this mount ran out while this node opened and rendered its secrets, which Phase had sent: the mount is retried automatically; if this stays, give the provider more processor time, or mount fewer secrets in one class"
    )]
    Work,
}

/// Why there is no answer yet: the time of the mount is over, or it has waited for Phase
/// for too long.
pub(super) fn refusal(
    credential: &Credential,
    gate: &Gate,
    awaited: Awaited,
    waited: &Waited,
    is_over: bool,
) -> Refusal {
    let (Awaited::Budget(endpoint) | Awaited::Phase(endpoint)) = awaited else {
        let late = if awaited == Awaited::Turn {
            Late::Turn
        } else {
            Late::Work
        };
        return told(Cause::Deadline, &late);
    };
    let lane = match endpoint {
        Endpoint::Tokens => &credential.address,
        Endpoint::Secrets => &credential.account,
    };
    if let Some(throttled) = gate.blocked(lane) {
        return throttled.into();
    }
    let target = Target {
        host: credential.host.clone(),
        endpoint,
    };
    match (awaited, is_over) {
        (Awaited::Budget(_), _) => told(Cause::RateLimited, &Late::Budget(target)),
        (_, true) => phase::Error::from(ClientError::Deadline(target)).into(),
        (_, false) => {
            let seconds = waited.phase.as_secs();
            told(Cause::Deadline, &Late::Silent { target, seconds })
        }
    }
}

fn told(cause: Cause, late: &Late) -> Refusal {
    Refusal {
        cause,
        text: late.to_string(),
    }
}
