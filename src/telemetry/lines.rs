//! How many log lines one namespace may cause.
//!
//! What the author of a pod or a resource does wrong is said, and said again with each
//! retry; how many of them retry is up to him. So each namespace has so many lines a minute, and then one that
//! counts those left out. Audit lines, and those below `info`, are not counted: the ones
//! are what somebody else's log needs, the others were asked for.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Event, Level, Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::logs::AUDIT;
use super::request_id;

/// Leaves out lines of a namespace that has written too many.
pub(super) struct Bounded;

/// Something that is to be said once in a while.
#[derive(Default)]
pub struct Rare {
    last: Option<Instant>,
}

/// What each namespace has written, and what was left out of it.
#[derive(Default)]
struct Ledger {
    namespaces: HashMap<Box<str>, Minute>,
}

/// One minute of one namespace.
struct Minute {
    since: Instant,
    written: u32,
    left_out: u64,
}

static LEDGER: LazyLock<Mutex<Ledger>> = LazyLock::new(Mutex::default);

impl<S: Subscriber> Layer<S> for Bounded {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == AUDIT {
            return true;
        }
        let admitted = |namespace: &str| ledger().admits(namespace, Instant::now());
        // What belongs to no call is nobody's doing.
        request_id::with_namespace(admitted).unwrap_or(true)
    }
}

/// Work for a namespace that nobody has called for, such as for a resource of it: its lines
/// are counted as those of a call, and so are those that were left out before.
pub fn bounded<F: Future>(namespace: &str, work: F) -> impl Future<Output = F::Output> + use<F> {
    let work = request_id::for_namespace(namespace, work);
    async {
        let done = work.await;
        count();
        done
    }
}

/// Counts what was left out, where a minute is over: one line a namespace.
pub fn count() {
    let counts = ledger().over(Instant::now());
    say(counts);
}

/// Counts what was left out, also where the minute is not over: the process ends.
pub fn count_rest() {
    let counts = ledger().over(Instant::now() + MINUTE);
    say(counts);
}

fn say(counts: Vec<(Box<str>, u64)>) {
    for (namespace, left_out) in counts {
        warn!(
            %namespace,
            left_out,
            "lines of one namespace were left out: it wrote more than {LINES} in a minute"
        );
    }
}

impl Rare {
    /// Whether it is time to say it again.
    pub fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.last.is_none_or(|last| now >= last + MINUTE);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

impl Ledger {
    /// Whether a namespace may write one more line.
    fn admits(&mut self, namespace: &str, now: Instant) -> bool {
        if let Some(minute) = self.namespaces.get_mut(namespace) {
            // What was left out is still to be counted, so it is not forgotten here.
            if minute.is_over(now) && minute.left_out == 0 {
                *minute = Minute::new(now);
            }
            return minute.admits();
        }
        self.make_room(now);
        let mut minute = Minute::new(now);
        let admitted = minute.admits();
        self.namespaces.insert(namespace.into(), minute);
        admitted
    }

    /// Takes out the minutes that are over; what was left out in them.
    fn over(&mut self, now: Instant) -> Vec<(Box<str>, u64)> {
        let over = self.namespaces.extract_if(|_, minute| minute.is_over(now));
        let counts = over.map(|(namespace, minute)| (namespace, minute.left_out));
        counts.filter(|(_, left_out)| *left_out > 0).collect()
    }

    fn make_room(&mut self, now: Instant) {
        if self.namespaces.len() < MOST_NAMESPACES {
            return;
        }
        self.namespaces.retain(|_, minute| !minute.is_over(now));
        while self.namespaces.len() >= MOST_NAMESPACES {
            let oldest = self
                .namespaces
                .iter()
                .min_by_key(|(_, minute)| minute.since);
            let Some(oldest) = oldest.map(|(namespace, _)| namespace.clone()) else {
                return;
            };
            self.namespaces.remove(&oldest);
        }
    }
}

impl Minute {
    const fn new(now: Instant) -> Self {
        Self {
            since: now,
            written: 0,
            left_out: 0,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.since + MINUTE
    }

    fn admits(&mut self) -> bool {
        let admitted = self.written < LINES;
        match admitted {
            true => self.written += 1,
            false => self.left_out += 1,
        }
        admitted
    }
}

fn ledger() -> MutexGuard<'static, Ledger> {
    LEDGER.lock().unwrap_or_else(PoisonError::into_inner)
}

const MINUTE: Duration = Duration::from_secs(60);
/// Lines of one namespace in a minute.
const LINES: u32 = 60;
/// Far more than a node has.
const MOST_NAMESPACES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_writes_so_many_lines_a_minute_and_is_then_counted() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let admitted = (0..100).filter(|_| ledger.admits("loud", start)).count();
        assert_eq!(admitted, 60);
        assert!(ledger.admits("quiet", start), "another is not concerned");
        assert!(ledger.over(start + MINUTE / 2).is_empty());
        let next = start + MINUTE;
        assert!(
            !ledger.admits("loud", next),
            "before what was left out is counted"
        );
        assert_eq!(ledger.over(next), [("loud".into(), 41)]);
        assert!(ledger.over(next).is_empty());
        assert!(ledger.admits("loud", next));
    }

    #[test]
    fn it_remembers_so_many_namespaces_and_no_more() {
        let (mut ledger, mut now) = (Ledger::default(), Instant::now());
        for number in 0..3 * MOST_NAMESPACES {
            ledger.admits(&number.to_string(), now);
            now += Duration::from_nanos(1);
        }
        assert_eq!(ledger.namespaces.len(), MOST_NAMESPACES);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_rare_is_due_once_a_minute() {
        let mut rare = Rare::default();
        let mut due = 0;
        for _ in 0..=180 {
            due += u32::from(rare.is_due());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(due, 4);
    }
}
