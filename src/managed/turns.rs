//! Whose turn it is: namespaces take turns, so that one with many resources delays no
//! other by more than a few of them. Secrets are waited for, so what is told of them comes
//! afterwards.

mod queue;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::snapshot::lock;
use queue::{Given, Queue};

/// What is to be told waits no longer than this for Secrets.
const LATEST: Duration = Duration::from_secs(5);

/// Whoever has had his turn for so long lets others have theirs, and is not waited for.
const SLICE: Duration = Duration::from_secs(1);

/// The turns of all resources together.
pub(super) struct Turns {
    queue: Arc<Mutex<Queue<Turn>>>,
    /// How many write a Secret, or wait for their turn to do it.
    writers: watch::Sender<usize>,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    queue: Arc<Mutex<Queue<Self>>>,
    namespace: Arc<str>,
}

/// A turn to write, until it is dropped.
pub(super) struct Writing<'a> {
    turns: &'a Turns,
    namespace: Arc<str>,
    turn: Option<Turn>,
    since: Instant,
    writer: Option<Writer<'a>>,
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

impl Drop for Turn {
    fn drop(&mut self) {
        let given = lock(&self.queue).ended(&self.namespace);
        give(&self.queue, given);
    }
}

/// Gives turns to those who wait for them; one that nobody takes any more ends at once.
fn give(queue: &Arc<Mutex<Queue<Turn>>>, given: Vec<Given<Turn>>) {
    for (namespace, taker) in given {
        let queue = Arc::clone(queue);
        drop(taker.send(Turn { queue, namespace }));
    }
}

impl Turns {
    /// So many at once; of one namespace no more than are left for all others.
    pub(super) fn new(at_once: u16) -> Self {
        Self {
            queue: Arc::new(Mutex::new(Queue::new(at_once.into()))),
            writers: watch::Sender::default(),
        }
    }

    /// A turn to write Secrets for a resource of a namespace.
    pub(super) async fn write(&self, namespace: &str) -> Writing<'_> {
        let writer = Some(Writer::new(&self.writers));
        let namespace = Arc::from(namespace);
        let turn = Some(self.turn(Arc::clone(&namespace)).await);
        Writing {
            turns: self,
            namespace,
            turn,
            since: Instant::now(),
            writer,
        }
    }

    /// A turn to tell what became of Secrets: when nobody writes any, or after [`LATEST`].
    pub(super) async fn tell(&self, namespace: &str) -> Turn {
        let mut writers = self.writers.subscribe();
        let idle = timeout(LATEST, writers.wait_for(|writers| *writers == 0));
        drop(idle.await);
        self.turn(Arc::from(namespace)).await
    }

    async fn turn(&self, namespace: Arc<str>) -> Turn {
        loop {
            let (taker, taken) = oneshot::channel();
            let given = lock(&self.queue).waits(&namespace, taker);
            give(&self.queue, given);
            if let Ok(turn) = taken.await {
                return turn;
            }
        }
    }
}

impl Writing<'_> {
    /// Lets others have their turn, once this one has lasted long.
    pub(super) async fn pause(&mut self) {
        if self.since.elapsed() < SLICE {
            return;
        }
        self.writer = None;
        self.turn = None;
        let namespace = Arc::clone(&self.namespace);
        self.turn = Some(self.turns.turn(namespace).await);
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use futures_util::FutureExt;
    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    fn is_ready(work: impl Future) -> bool {
        work.now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_comes_after_all_that_is_written() {
        let turns = Arc::new(Turns::new(2));
        let (first, second) = (turns.write("a").await, turns.write("b").await);
        assert!(!is_ready(turns.write("c")), "no more than two");
        let third = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move {
                let _turn = turns.write("c").await;
                yield_now().await;
            }
        });
        yield_now().await;
        drop(first);
        assert!(!is_ready(turns.tell("a")), "two write or want to");
        drop(second);
        assert!(!is_ready(turns.tell("a")), "one is left");
        let begun = Instant::now();
        let _told = turns.tell("a").await;
        assert!(third.is_finished());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // Whoever tells does not hold up other tellers.
        assert!(is_ready(turns.tell("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_hangs_holds_up_what_is_told_for_five_seconds() {
        let turns = Turns::new(2);
        let _hangs = turns.write("a").await;
        let begun = Instant::now();
        drop(turns.tell("b").await);
        assert_eq!(begun.elapsed(), LATEST);
    }

    #[tokio::test(start_paused = true)]
    async fn who_no_longer_waits_for_a_turn_does_not_count() {
        let turns = Turns::new(1);
        let first = turns.write("a").await;
        assert!(!is_ready(turns.write("a")), "given up at once");
        drop(first);
        assert!(is_ready(turns.tell("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_long_lets_others_go_first_and_is_not_waited_for() {
        let turns = Arc::new(Turns::new(1));
        let mut long = turns.write("a").await;
        advance(SLICE / 2).await;
        assert!(is_ready(long.pause()), "it has only begun");
        let other = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { drop(turns.write("b").await) }
        });
        yield_now().await;
        advance(SLICE).await;
        long.pause().await;
        assert!(other.is_finished());
        // Somebody may tell before it has ended.
        assert_eq!(*turns.writers.borrow(), 0);
        let begun = Instant::now();
        drop(long);
        drop(turns.tell("b").await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
