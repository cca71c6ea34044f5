//! Work that is not looked at until it is done.

use std::panic::resume_unwind;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

/// Work in a task of its own, which ends when nobody waits for it any more. The runner
/// looks at all that it runs whenever one of them goes on: so none does until it is done.
pub(super) fn alone<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> BoxFuture<'static, Result<T, E>>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let work = AbortOnDropHandle::new(tokio::spawn(work));
    work.map(|done| done.unwrap_or_else(|error| resume_unwind(error.into_panic())))
        .boxed()
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends() {
        let is_held = Arc::new(());
        let held = Arc::clone(&is_held);
        let work = alone(async move {
            pending::<()>().await;
            drop(held);
            Ok::<(), ()>(())
        });
        tokio::task::yield_now().await;
        drop(work);
        while Arc::strong_count(&is_held) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    #[should_panic(expected = "a defect")]
    async fn a_panic_is_whose_work_it_was() {
        let work = alone(async { panic!("a defect") as Result<(), ()> });
        let _ = work.await;
    }
}
