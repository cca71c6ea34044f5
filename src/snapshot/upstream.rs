//! The way to Phase: one request each, within the node's budget.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::answering::Answering;
use super::gate::{Asker, Gate, Lane, Outcome, Pass, Priority};
use super::refusal::{Loss, Meaning, Refusal, loss};
use crate::awaited::{Awaited, waiting};
use crate::deadline::Deadline;
use crate::phase;
use crate::phase::client::{Asked, Client, ClientError};
use crate::phase::retry::{Advice, Retry};

/// The network, handed in: one request, tried once.
pub trait Upstream: Send + Sync + 'static {
    /// The body of the answer as Phase sent it.
    ///
    /// # Errors
    /// See [`ClientError`].
    fn once(
        &self,
        asked: &Asked<'_>,
        attempt: u32,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Bytes, ClientError>> + Send;
}

impl Upstream for Client {
    async fn once(
        &self,
        asked: &Asked<'_>,
        attempt: u32,
        deadline: Deadline,
    ) -> Result<Bytes, ClientError> {
        Self::once(self, asked, attempt, deadline).await
    }
}

/// One that several memories use, one after the other.
impl<U: Upstream> Upstream for Arc<U> {
    async fn once(
        &self,
        asked: &Asked<'_>,
        attempt: u32,
        deadline: Deadline,
    ) -> Result<Bytes, ClientError> {
        U::once(self, asked, attempt, deadline).await
    }
}

/// Who asks, for whom, and with which share of the budget.
pub(super) struct Errand<'a> {
    pub(super) asked: Asked<'a>,
    pub(super) lane: &'a Lane,
    pub(super) asker: &'a Asker,
    pub(super) priority: Priority,
    pub(super) answering: &'a Answering,
    pub(super) deadline: Deadline,
    /// Whether it may as well be asked a poll later.
    pub(super) can_wait: bool,
}

/// Why a request brought nothing.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) refusal: Refusal,
    /// What Phase takes away by it.
    pub(super) loss: Loss,
}

/// Asks until there is an answer, the failure is final, or no further attempt fits
/// before the deadline; each attempt is spent from the budget. The instant is that
/// before the request that was answered. `pass` is the place
/// of the first attempt, where somebody has waited for it already.
pub(super) async fn ask<U: Upstream>(
    upstream: &U,
    gate: &Gate,
    retry: Retry,
    errand: &Errand<'_>,
    mut pass: Option<Pass>,
) -> Result<(Bytes, Instant), Lost> {
    let mut made = 0;
    let mut last = None;
    loop {
        let place = match pass.take() {
            Some(pass) => pass,
            None => match admitted(gate, errand).await {
                Ok(pass) => pass,
                Err(lost) => return Err(last.unwrap_or(lost)),
            },
        };
        let _waiting = waiting(Awaited::Phase(errand.asked.target().endpoint));
        made += 1;
        let begun = Instant::now();
        let error = match upstream.once(&errand.asked, made, errand.deadline).await {
            Ok(body) => {
                place.ended(Outcome::Answered);
                errand.answering.answers();
                gate.succeeded(errand.lane);
                return Ok((body, begun));
            }
            Err(error) => error,
        };
        let lost = Lost::from(error.clone());
        place.ended(outcome(&error, &lost.refusal));
        stay_away(gate, errand, &error);
        let advice = match error.advice() {
            // Other nodes want the same few requests, and pods of theirs may wait.
            _ if is_limit(&error) && errand.can_wait => Advice::Never,
            // The gate makes everybody wait, us too.
            Advice::After(_) => Advice::BackOff,
            _ if is_limit(&error) => Advice::BackOff,
            advice => advice,
        };
        let pause = retry.pause(made, advice, errand.deadline.left(), fastrand::f64());
        let is_limit = is_limit(&error);
        // Who limits requests, or refuses one, has answered.
        match lost.refusal.meaning() {
            Meaning::Unreachable if !is_limit => errand.answering.is_silent(),
            _ => errand.answering.answers(),
        }
        match pause {
            Some(pause) => sleep(pause).await,
            None => return Err(lost),
        }
        last = Some(lost);
    }
}

/// What a failure says of how much Phase bears, and of who asked.
const fn outcome(error: &ClientError, refusal: &Refusal) -> Outcome {
    match error {
        ClientError::RateLimited { .. }
        | ClientError::ServerFailed { .. }
        | ClientError::ResponseTimeout { .. }
        | ClientError::Deadline(_) => Outcome::Overloaded,
        _ => match refusal.meaning() {
            Meaning::Final => Outcome::Refused,
            _ => Outcome::Neither,
        },
    }
}

const fn is_limit(error: &ClientError) -> bool {
    matches!(error, ClientError::RateLimited { .. })
}

async fn admitted(gate: &Gate, errand: &Errand<'_>) -> Result<Pass, Lost> {
    let _waiting = waiting(Awaited::Budget(errand.asked.target().endpoint));
    let admitted = gate.admit(errand.lane, errand.asker, errand.priority, errand.deadline);
    admitted.await.map_err(|throttled| Lost {
        refusal: Refusal::from(throttled),
        loss: Loss::Nothing,
    })
}

/// A server that asks to wait is obeyed by everybody it concerns.
fn stay_away(gate: &Gate, errand: &Errand<'_>, error: &ClientError) {
    match error {
        ClientError::RateLimited { wait, .. } => gate.block(errand.lane, *wait),
        ClientError::ServerFailed {
            wait: Some(wait), ..
        } => gate.block_host(errand.asked.host, *wait),
        _ => {}
    }
}

impl From<ClientError> for Lost {
    fn from(error: ClientError) -> Self {
        Self {
            loss: loss(&error),
            refusal: phase::Error::from(error).into(),
        }
    }
}
