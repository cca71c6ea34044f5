//! One piece of work that many wait for.

use futures_util::future::{BoxFuture, FutureExt, Shared};
use tokio::task::AbortHandle;
use tokio::time::timeout_at;

use super::refusal::Refusal;
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
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Begins at once; a panic in the work is an error for all who wait.
    pub(super) fn begin(work: impl Future<Output = Landed<T>> + Send + 'static) -> Self {
        let work = tokio::spawn(request_id::carried(work));
        let task = work.abort_handle();
        let landed = async move {
            let landed = work.await;
            landed.unwrap_or_else(|_| Err(Refusal::defect()))
        };
        Self {
            landed: landed.boxed().shared(),
            task,
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

    /// What it brings, however long it takes: for work that has its own limit.
    pub(super) async fn landed(&self) -> Landed<T> {
        self.landed.clone().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::cause::Cause;

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
