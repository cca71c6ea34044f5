//! When to ask again, and how long to wait before.

use std::time::Duration;

use tokio::time::sleep;

use crate::deadline::Deadline;

/// How often and how soon a request is tried again: exponential back-off with
/// full jitter, so that the nodes of a cluster do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is made in all; at least 1.
    pub attempts: u32,
    /// The upper bound of the first pause; it doubles with every failure.
    pub base: Duration,
    /// The upper bound of every pause.
    pub cap: Duration,
}

/// What a failure says about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// It would fail in the same way.
    Never,
    /// It may pass by itself: back off and try again.
    BackOff,
    /// The server said for how long to stay away.
    After(Duration),
}

impl Default for Retry {
    /// Four attempts within about two seconds: enough for a restart behind a
    /// load balancer; for anything longer the kubelet asks again.
    fn default() -> Self {
        Self {
            attempts: 4,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(4),
        }
    }
}

impl Retry {
    /// The same without further attempts: whoever tries whether Phase answers again.
    #[must_use]
    pub const fn once(self) -> Self {
        Self {
            attempts: 1,
            ..self
        }
    }

    /// The pause before the next attempt, or none if there should be no next.
    ///
    /// `failed` attempts were made, `left` is the time until the deadline, and
    /// `random` is in `0.0..1.0`. A pause that does not end before the
    /// deadline is not begun.
    #[must_use]
    pub fn pause(
        &self,
        failed: u32,
        advice: Advice,
        left: Duration,
        random: f64,
    ) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        let pause = match advice {
            Advice::Never => return None,
            Advice::BackOff => self.ceiling(failed).mul_f64(random),
            // Jitter on top: everyone who was told the same second would come in it.
            Advice::After(wait) => wait.saturating_add(self.base.mul_f64(random)),
        };
        (pause < left).then_some(pause)
    }

    /// Runs `attempt` until it succeeds, its failure is final, or no further
    /// attempt fits before the deadline; the last failure is the answer.
    ///
    /// # Errors
    /// The failure of the last attempt.
    pub async fn run<T, E, F>(
        &self,
        deadline: Deadline,
        advice: impl Fn(&E) -> Advice,
        mut attempt: impl FnMut(u32) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut made = 0;
        loop {
            made += 1;
            let error = match attempt(made).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match self.pause(made, advice(&error), deadline.left(), fastrand::f64()) {
                Some(pause) => sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    fn ceiling(&self, failed: u32) -> Duration {
        let factor = 1u32.checked_shl(failed - 1).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const RETRY: Retry = Retry {
        attempts: 4,
        base: Duration::from_millis(100),
        cap: Duration::from_millis(300),
    };

    fn deadline() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_cap_and_the_pause_is_anything_below() {
        let most = |failed| RETRY.pause(failed, Advice::BackOff, LONG, 1.0);
        assert_eq!(most(1), Some(Duration::from_millis(100)));
        assert_eq!(most(2), Some(Duration::from_millis(200)));
        assert_eq!(most(3), Some(Duration::from_millis(300)));
        assert_eq!(
            RETRY.pause(2, Advice::BackOff, LONG, 0.5),
            Some(Duration::from_millis(100))
        );
        assert_eq!(
            RETRY.pause(2, Advice::BackOff, LONG, 0.0),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn thousands_of_failures_do_not_overflow() {
        let patient = Retry {
            attempts: u32::MAX,
            ..RETRY
        };
        assert_eq!(
            patient.pause(4000, Advice::BackOff, LONG, 1.0),
            Some(RETRY.cap)
        );
        assert_eq!(
            patient.pause(1, Advice::After(Duration::MAX), LONG, 1.0),
            None
        );
    }

    #[test]
    fn the_last_attempt_has_no_pause_after_it() {
        assert_eq!(RETRY.pause(4, Advice::BackOff, LONG, 0.5), None);
        assert_eq!(
            RETRY.pause(4, Advice::After(Duration::ZERO), LONG, 0.5),
            None
        );
    }

    #[test]
    fn the_servers_wait_is_the_least() {
        let wait = Duration::from_secs(7);
        assert_eq!(RETRY.pause(1, Advice::After(wait), LONG, 0.0), Some(wait));
        assert_eq!(
            RETRY.pause(1, Advice::After(wait), LONG, 1.0),
            Some(wait + Duration::from_millis(100))
        );
    }

    #[test]
    fn a_pause_that_does_not_fit_is_not_begun() {
        let left = Duration::from_millis(150);
        assert_eq!(RETRY.pause(2, Advice::BackOff, left, 0.9), None);
        assert_eq!(RETRY.pause(1, Advice::After(left), left, 0.0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_tried_again_until_it_works() {
        let outcome = RETRY
            .run(
                deadline(),
                |_: &&str| Advice::BackOff,
                async |made| if made < 3 { Err("down") } else { Ok(made) },
            )
            .await;
        assert_eq!(outcome, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_failure_is_tried_once() {
        let made = Cell::new(0);
        let outcome: Result<(), &str> = RETRY
            .run(
                deadline(),
                |_| Advice::Never,
                async |_| {
                    made.set(made.get() + 1);
                    Err("no")
                },
            )
            .await;
        assert_eq!((outcome, made.get()), (Err("no"), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_failure_is_the_answer_of_the_last_attempt() {
        let outcome: Result<(), u32> = RETRY
            .run(deadline(), |_| Advice::BackOff, async |made| Err(made))
            .await;
        assert_eq!(outcome, Err(4));
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_wait_is_waited_out() {
        let start = Instant::now();
        let wait = Duration::from_secs(7);
        let outcome = RETRY
            .run(
                deadline(),
                |_: &&str| Advice::After(wait),
                async |made| if made == 1 { Err("throttled") } else { Ok(()) },
            )
            .await;
        assert_eq!(outcome, Ok(()));
        let waited = start.elapsed();
        assert!(
            (wait..=wait + RETRY.base * 2).contains(&waited),
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_deadline_fails_at_once() {
        let start = Instant::now();
        let outcome: Result<(), &str> = RETRY
            .run(
                deadline(),
                |_| Advice::After(LONG),
                async |_| Err("throttled"),
            )
            .await;
        assert_eq!(
            (outcome, start.elapsed()),
            (Err("throttled"), Duration::ZERO)
        );
    }
}
