//! A failure that is held for a while, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answering::Answering;
use super::refusal::{Meaning, Refusal, length};
use crate::awaited::{Awaited, waiting};
use crate::phase::client::Endpoint;

/// Well below the pause between two republishes.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(10);
/// For how long what Phase refused again is not asked again.
const REFUSED_HOLD: Duration = Duration::from_secs(60);
/// Shorter pauses are not told.
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// A failure, and for how long it is not tried again.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) refusal: Refusal,
    pub(super) since: Instant,
    failures: u32,
    until: Instant,
    /// How often the host answered after silence before: when it does so again, this
    /// holds no longer.
    returns: Option<(Arc<Answering>, u64)>,
}

impl Trouble {
    /// One more failure in a row: the pause doubles, up to `most`, and is jittered by
    /// half of it.
    pub(super) fn after(
        before: Option<Self>,
        refusal: Refusal,
        hold: Duration,
        most: Duration,
    ) -> Self {
        let (since, failures) = counted(before);
        let pause = hold.saturating_mul(power(2, failures)).min(most);
        Self {
            refusal,
            since,
            failures,
            until: Instant::now() + pause.mul_f64(0.5 + fastrand::f64()),
            returns: None,
        }
    }

    /// Phase says no, so often in a row. What it said once may have been mended since:
    /// the pause is short. What it says again it will say for long: the pause grows
    /// fast, to half a minute up to a minute.
    pub(super) fn refused(before: Option<Self>, refusal: Refusal, hold: Duration) -> Self {
        let before = before.filter(|before| before.refusal.meaning() == Meaning::Final);
        let (since, failures) = counted(before);
        let pause = hold.saturating_mul(power(16, failures)).min(REFUSED_HOLD);
        Self {
            refusal,
            since,
            failures,
            until: Instant::now() + pause.mul_f64(0.5 + 0.5 * fastrand::f64()),
            returns: None,
        }
    }

    /// It holds no longer than until the host answers anybody.
    pub(super) fn until_answered(mut self, answering: &Arc<Answering>) -> Self {
        if self.refusal.meaning() == Meaning::Unreachable {
            self.returns = Some((Arc::clone(answering), answering.returns()));
        }
        self
    }

    /// Whether it is too soon to try again.
    pub(super) fn holds(&self) -> bool {
        let returns = self.returns.as_ref();
        Instant::now() < self.until && returns.is_none_or(|(host, then)| host.returns() == *then)
    }

    /// Whether a question may be asked all the same: where the host gave no answer, the
    /// first who comes tries for all whether it does again, and others wait for that.
    pub(super) async fn may_be_asked(&self, endpoint: Endpoint) -> bool {
        let Some((host, _)) = &self.returns else {
            return false;
        };
        let _waiting = waiting(Awaited::Phase(endpoint));
        host.may_be_asked().await
    }

    /// The refusal, and when Phase is asked again, where it is held for long.
    pub(super) fn told(&self) -> Refusal {
        let left = self.until.saturating_duration_since(Instant::now());
        if left < WORTH_TELLING {
            return self.refusal.clone();
        }
        // In whole ten seconds, so that the text does not change all the time.
        let left = length(Duration::from_secs(left.as_secs() / 10 * 10 + 10));
        let Refusal { cause, text } = self.refusal.clone();
        Refusal {
            cause,
            text: format!("{text} (remembered: Phase is asked again in {left})"),
        }
    }
}

/// Since when it fails, and how often with this time.
fn counted(before: Option<Trouble>) -> (Instant, u32) {
    match before {
        Some(before) => (before.since, before.failures.saturating_add(1)),
        None => (Instant::now(), 1),
    }
}

/// The factor of the pause after so many failures.
const fn power(base: u32, failures: u32) -> u32 {
    base.saturating_pow(failures.saturating_sub(1))
}
