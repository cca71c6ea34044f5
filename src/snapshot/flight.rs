//! One piece of work that many wait for.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::refusal::Refusal;
use crate::awaited::{self, Awaited, Counts};
use crate::deadline::Deadline;
use crate::telemetry::request_id;

/// What a flight brings.
pub(super) type Landed<T> = Result<T, Refusal>;

/// One piece of work that many wait for: it runs in a task of its own, so it goes
/// on when whoever asked first goes away. What it logs and asks belongs to the call
/// that began it.
#[derive(Clone)]
pub(super) struct Flight<T: Clone> {
    landed: Shared<BoxFuture<'static, Landed<T>>>,
    task: AbortHandle,
    awaited: watch::Receiver<Counts>,
}

/// The flights that are under way, whoever still waits for them.
#[derive(Default)]
pub(super) struct Flights(Arc<AtomicUsize>);

/// More than a node has pods, classes and tokens.
const MOST_FLIGHTS: usize = 4_096;

/// One of the flights that are counted.
struct Counted(Arc<AtomicUsize>);

/// How long somebody has waited for others than this node, so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waited {
    /// For Phase's answers.
    pub(super) phase: Duration,
    /// For the request budget.
    pub(super) budget: Duration,
}

/// How long somebody waits who has something else to say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// For Phase or the budget no longer than this; for work of this node as long as it takes.
    Patience(Duration),
    /// For Phase no longer than this.
    Silence(Duration),
}

impl Flights {
    /// Begins at once, unless there are too many.
    pub(super) fn begin<T: Clone + Send + Sync + 'static>(
        &self,
        work: impl Future<Output = Landed<T>> + Send + 'static,
    ) -> Flight<T> {
        let counted = Counted(Arc::clone(&self.0));
        if self.0.fetch_add(1, Ordering::Relaxed) >= MOST_FLIGHTS {
            drop(counted);
            return Flight::begin(async { Err(Refusal::crowd(MOST_FLIGHTS)) });
        }
        Flight::begin(async move {
            let _counted = counted;
            work.await
        })
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Waited {
    fn add(&mut self, awaited: Awaited, time: Duration) {
        match awaited {
            Awaited::Phase(_) => self.phase += time,
            Awaited::Budget(_) => self.budget += time,
            Awaited::Turn | Awaited::Work => {}
        }
    }
}

impl Limit {
    /// How much longer something may be waited for; nothing if that is not limited.
    fn left(self, waited: &Waited, awaited: Awaited) -> Option<Duration> {
        match (self, awaited) {
            (Self::Patience(most), Awaited::Phase(_) | Awaited::Budget(_)) => {
                Some(most.saturating_sub(waited.phase + waited.budget))
            }
            (Self::Silence(most), Awaited::Phase(_)) => Some(most.saturating_sub(waited.phase)),
            _ => None,
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Begins at once; a panic in the work is an error for all who wait.
    pub(super) fn begin(work: impl Future<Output = Landed<T>> + Send + 'static) -> Self {
        let (work, awaited) = awaited::watched(request_id::carried(work));
        let work = tokio::spawn(work);
        let task = work.abort_handle();
        let landed = async move {
            let landed = work.await;
            landed.unwrap_or_else(|_| Err(Refusal::defect()))
        };
        Self {
            landed: landed.boxed().shared(),
            task,
            awaited,
        }
    }

    /// The flight in a slot, or the one that is begun now. Work takes itself out of
    /// its slot when it is done; what still lies there after its end has panicked.
    pub(super) fn join(slot: &mut Option<Self>, begin: impl FnOnce() -> Self) -> Self {
        match slot {
            Some(flight) if !flight.task.is_finished() => flight.clone(),
            _ => slot.insert(begin()).clone(),
        }
    }

    /// What it brings, or nothing if that takes longer than until `deadline`.
    pub(super) async fn wait(&self, deadline: Deadline) -> Option<Landed<T>> {
        timeout_at(deadline.instant(), self.landed.clone())
            .await
            .ok()
    }

    /// What it brings; else what it still waits for at `deadline`, or when that has been
    /// waited for longer than `limit` allows.
    pub(super) async fn wait_within(
        &self,
        deadline: Deadline,
        waited: &mut Waited,
        limit: Limit,
    ) -> Result<Landed<T>, Awaited> {
        let (mut counts, mut landed) = (self.awaited.clone(), pin!(self.landed.clone()));
        loop {
            let (awaited, begun) = (counts.borrow_and_update().awaited(), Instant::now());
            let left = limit.left(waited, awaited).map(Deadline::after);
            let until = left.map_or(deadline, |left| left.min(deadline));
            let ended = tokio::select! {
                biased;
                landed = &mut landed => Some(Ok(landed)),
                Ok(()) = counts.changed() => None,
                () = sleep_until(until.instant()) => Some(Err(awaited)),
            };
            waited.add(awaited, begun.elapsed());
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// What it brings, however long it takes: for work that has its own limit. Whoever
    /// waits in a flight of its own waits for the same as this one.
    pub(super) async fn landed(&self) -> Landed<T> {
        let (mut counts, mut landed) = (self.awaited.clone(), pin!(self.landed.clone()));
        loop {
            let _waiting = awaited::waiting(counts.borrow_and_update().awaited());
            tokio::select! {
                biased;
                landed = &mut landed => return landed,
                Ok(()) = counts.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::time::sleep;

    use super::*;
    use crate::awaited::waiting;
    use crate::cause::Cause;
    use crate::phase::client::Endpoint;

    const SECOND: Duration = Duration::from_secs(1);
    const PHASE: Awaited = Awaited::Phase(Endpoint::Secrets);

    /// Each thing is waited for so many seconds, one after the other.
    async fn waits(stages: &'static [(Awaited, u32)]) -> Landed<()> {
        for (awaited, seconds) in stages {
            let _waiting = waiting(*awaited);
            sleep(SECOND * *seconds).await;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn only_phase_and_the_budget_use_up_patience() {
        let stages = &[
            (Awaited::Work, 30),
            (Awaited::Budget(Endpoint::Tokens), 1),
            (Awaited::Turn, 20),
            (PHASE, 2),
            (Awaited::Work, 20),
            (PHASE, 2),
        ];
        let begun = Instant::now();
        let (flight, mut waited) = (Flight::begin(waits(stages)), Waited::default());
        let far = Deadline::after(SECOND * 1000);
        let patience = Limit::Patience(SECOND * 4);
        let landed = flight.wait_within(far, &mut waited, patience).await;
        assert_eq!(landed.unwrap_err(), PHASE);
        assert_eq!(begun.elapsed(), SECOND * 74, "the last second is too much");
        assert_eq!((waited.phase, waited.budget), (SECOND * 3, SECOND));
        // Whoever has nothing else to say waits on, and what it waited counts.
        let silence = Limit::Silence(SECOND * 5);
        let landed = flight.wait_within(far, &mut waited, silence).await;
        assert_eq!(landed.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_late_is_told_what_was_awaited_also_by_a_flight_in_between() {
        for awaited in [
            Awaited::Work,
            Awaited::Turn,
            Awaited::Budget(Endpoint::Tokens),
            PHASE,
        ] {
            let inner = Flight::begin(async move {
                let _waiting = waiting(awaited);
                sleep(SECOND * 9).await;
                Ok(())
            });
            let outer = Flight::begin(async move { inner.landed().await });
            let (soon, mut waited) = (Deadline::after(SECOND * 3), Waited::default());
            let limit = Limit::Silence(SECOND * 60);
            let late = outer.wait_within(soon, &mut waited, limit).await;
            assert_eq!(late.unwrap_err(), awaited);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn flights_are_counted_and_there_are_never_too_many() {
        let flights = Flights::default();
        let aloft: Vec<_> = (0..MOST_FLIGHTS)
            .map(|_| flights.begin(waits(&[(PHASE, 9)])))
            .collect();
        assert_eq!(flights.count(), MOST_FLIGHTS);
        let refusal = flights.begin(waits(&[])).landed().await.unwrap_err();
        assert_eq!(refusal.cause, Cause::RateLimited);
        assert_eq!(
            refusal.text,
            "this node works at 4096 questions and answers already: the mount is retried automatically; if this stays, look at the load of Phase and of this node"
        );
        // Nobody waits for most of them any more.
        let last = aloft.last().unwrap().clone();
        drop(aloft);
        assert_eq!(last.landed().await, Ok(()));
        tokio::task::yield_now().await;
        assert_eq!(flights.count(), 0);
        assert_eq!(flights.begin(waits(&[])).landed().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_survives_the_first_asker_and_runs_once() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let flight = Flight::begin(async move {
            counted.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(3)).await;
            Ok(7)
        });
        let first = flight.clone();
        let hasty = first.wait(Deadline::after(Duration::from_secs(1))).await;
        assert!(hasty.is_none());
        drop(first);
        let second = flight.wait(Deadline::after(Duration::from_secs(5))).await;
        assert_eq!(second.unwrap().unwrap(), 7);
        assert_eq!(flight.landed().await.unwrap(), 7);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_for_all_who_wait() {
        let flight: Flight<()> = Flight::begin(async { panic!("a defect of ours") });
        for _ in 0..2 {
            assert_eq!(flight.landed().await.unwrap_err().cause, Cause::Internal);
        }
        let mut slot = Some(flight);
        let next = Flight::join(&mut slot, || Flight::begin(async { Ok(()) }));
        assert_eq!(next.landed().await, Ok(()), "it does not stay for ever");
    }
}
