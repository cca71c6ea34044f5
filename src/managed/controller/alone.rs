//! Work that is not looked at until it is done, and whose defects are its own.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

/// Work in a task of its own, which ends when nobody waits for it any more. The runner
/// looks at all that it runs whenever one of them goes on: so none does until it is done.
///
/// Where the work panics, `otherwise` says what comes of it, and if that panics too, the
/// last one does: nobody else's work ends for it.
pub(super) fn alone<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
    otherwise: impl Future<Output = T> + Send + 'static,
    last: T,
) -> BoxFuture<'static, T> {
    let work = AbortOnDropHandle::new(tokio::spawn(work));
    let done = async {
        match work.await {
            Ok(done) => done,
            Err(_) => {
                let otherwise = AssertUnwindSafe(otherwise).catch_unwind().await;
                otherwise.unwrap_or(last)
            }
        }
    };
    done.boxed()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;

    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends() {
        let is_held = Arc::new(());
        let held = Arc::clone(&is_held);
        let work = async move {
            pending::<()>().await;
            drop(held);
        };
        let work = alone(work, ready(()), ());
        tokio::task::yield_now().await;
        drop(work);
        let ended = async {
            while Arc::strong_count(&is_held) > 1 {
                tokio::task::yield_now().await;
            }
        };
        let ended = timeout(Duration::from_secs(60), ended).await;
        assert!(ended.is_ok(), "it still runs");
    }

    #[tokio::test]
    async fn a_panic_is_nobody_elses() {
        let defect = || async { panic!("a defect") };
        assert_eq!(alone(ready(1), ready(2), 3).await, 1);
        assert_eq!(alone(defect(), ready(2), 3).await, 2);
        assert_eq!(alone(defect(), defect(), 3).await, 3);
    }
}
