//! Whose turn it is: Secrets are waited for, so what is told of them comes afterwards.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;

/// What is to be told waits no longer than this for Secrets.
const LATEST: Duration = Duration::from_secs(5);

/// The turns of all resources together, in the order in which they have come.
pub(super) struct Turns {
    permits: Semaphore,
    /// How many write a Secret, or wait for their turn to do it.
    writers: watch::Sender<usize>,
}

/// A turn, until it is dropped; none once the turns have ended.
type Turn<'a> = Option<SemaphorePermit<'a>>;

/// A turn to write, until it is dropped.
pub(super) struct Writing<'a> {
    _turn: Turn<'a>,
    _writer: Writer<'a>,
}

struct Writer<'a>(&'a watch::Sender<usize>);

impl<'a> Writer<'a> {
    fn new(writers: &'a watch::Sender<usize>) -> Self {
        writers.send_if_modified(|writers| {
            *writers += 1;
            false
        });
        Self(writers)
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        // Nobody needs to know but of the last one.
        self.0.send_if_modified(|writers| {
            *writers -= 1;
            *writers == 0
        });
    }
}

impl Turns {
    /// So many at once.
    pub(super) fn new(at_once: u16) -> Self {
        Self {
            permits: Semaphore::new(at_once.into()),
            writers: watch::Sender::default(),
        }
    }

    /// A turn to write Secrets.
    pub(super) async fn write(&self) -> Writing<'_> {
        let writer = Writer::new(&self.writers);
        Writing {
            _turn: self.permits.acquire().await.ok(),
            _writer: writer,
        }
    }

    /// A turn to tell what became of Secrets: when nobody writes any, or after [`LATEST`].
    pub(super) async fn tell(&self) -> Turn<'_> {
        let mut writers = self.writers.subscribe();
        let idle = timeout(LATEST, writers.wait_for(|writers| *writers == 0));
        drop(idle.await);
        self.permits.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::Arc;

    use futures_util::FutureExt;
    use tokio::task::yield_now;
    use tokio::time::Instant;

    use super::*;

    fn is_ready(work: impl Future) -> bool {
        work.now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_comes_after_all_that_is_written() {
        let turns = Arc::new(Turns::new(2));
        let (first, second) = (turns.write().await, turns.write().await);
        assert!(!is_ready(turns.write()), "no more than two");
        let third = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move {
                let _turn = turns.write().await;
                yield_now().await;
            }
        });
        yield_now().await;
        drop(first);
        assert!(!is_ready(turns.tell()), "two write or want to");
        drop(second);
        assert!(!is_ready(turns.tell()), "one is left");
        let begun = Instant::now();
        let told = turns.tell().await;
        assert!(told.is_some() && third.is_finished());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // Whoever tells does not hold up other tellers.
        assert!(is_ready(turns.tell()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_hangs_holds_up_what_is_told_for_five_seconds() {
        let turns = Turns::new(2);
        let _hangs = turns.write().await;
        let begun = Instant::now();
        let told = turns.tell().await;
        assert!(told.is_some());
        assert_eq!(begun.elapsed(), LATEST);
    }

    #[tokio::test(start_paused = true)]
    async fn who_no_longer_waits_for_a_turn_does_not_count() {
        let turns = Turns::new(1);
        let first = turns.write().await;
        assert!(!is_ready(turns.write()), "given up at once");
        drop(first);
        assert!(is_ready(turns.tell()));
    }
}
