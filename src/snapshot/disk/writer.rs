//! The one task that writes: what came within a moment together, in the order in which
//! keys were first heard of, removals before all others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tracing::{info, warn};

use super::queue::Job;
use super::shelf::Shelf;
use super::store::Desk;

/// How often the time is noted and failed jobs are tried again.
const PAUSE: Duration = Duration::from_secs(60);

/// How long the first job waits for others, so that what many mounts at once leave is
/// written after them and not between them.
const GATHER: Duration = Duration::from_millis(500);
/// Jobs that are written together, and bytes after which no other joins them.
const TOGETHER: (usize, u64) = (32, 8 << 20);

pub(super) struct Writer {
    shelf: Arc<Shelf>,
    desk: Arc<Desk>,
    /// Told after each job.
    worked: watch::Sender<()>,
    shown: String,
    /// Whether the directory could not be written last.
    failing: bool,
}

/// What came of some work.
#[derive(Default)]
struct Outcome {
    worked: bool,
    trouble: Option<io::Error>,
}

impl Outcome {
    fn add(&mut self, result: io::Result<bool>) {
        match result {
            Ok(worked) => self.worked |= worked,
            Err(error) => self.trouble = Some(self.trouble.take().unwrap_or(error)),
        }
    }
}

impl Writer {
    pub(super) const fn new(
        shelf: Arc<Shelf>,
        desk: Arc<Desk>,
        worked: watch::Sender<()>,
        shown: String,
    ) -> Self {
        Self {
            shelf,
            desk,
            worked,
            shown,
            failing: false,
        }
    }

    /// Writes until the store is dropped, and then what is left. `noted` came of
    /// noting the time first.
    pub(super) async fn run(mut self, noted: io::Result<bool>) {
        let mut outcome = Outcome::default();
        outcome.add(noted);
        self.tell(outcome);
        let mut minute = interval_at(Instant::now() + PAUSE, PAUSE);
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut due = false;
            select! {
                _ = minute.tick() => due = true,
                () = self.desk.urgent.notified() => {}
                // While the disk is full, new jobs wait with the others.
                () = self.desk.changed.notified(), if !self.failing => self.gather().await,
            }
            let closed = self.desk.queue().is_closed();
            self.work(due).await;
            if closed {
                return;
            }
        }
    }

    /// Lets others join, unless somebody waits.
    async fn gather(&self) {
        let _ = timeout(GATHER, self.desk.urgent.notified()).await;
    }

    /// Tries each job that waits, once.
    async fn work(&mut self, due: bool) {
        let mut outcome = Outcome::default();
        if due {
            let shelf = Arc::clone(&self.shelf);
            let noted = spawn_blocking(move || shelf.note_time()).await;
            outcome.add(noted.unwrap_or(Ok(false)));
        }
        let until = self.desk.queue().ticket();
        loop {
            let jobs = self.take(until);
            if jobs.is_empty() {
                break;
            }
            outcome.add(self.try_jobs(jobs).await.map(|()| true));
            self.worked.send_replace(());
        }
        self.tell(outcome);
        self.desk.queue().finish(until);
        self.worked.send_replace(());
    }

    /// Apart, so that the lock is let go at once.
    fn take(&self, until: u64) -> Vec<Job> {
        let (jobs, bytes) = TOGETHER;
        self.desk.queue().take(until, jobs, bytes)
    }

    /// # Errors
    /// The first one; what is left is put back.
    async fn try_jobs(&self, jobs: Vec<Job>) -> io::Result<()> {
        let shelf = Arc::clone(&self.shelf);
        let tried = spawn_blocking(move || shelf.work(jobs)).await;
        let mut queue = self.desk.queue();
        // Trying again what has panicked would only panic again.
        let (left, done) = tried.unwrap_or_else(|_| (Vec::new(), Ok(())));
        for rest in left {
            queue.put_back(rest);
        }
        queue.done();
        done
    }

    /// One line when trouble begins, one when it ends.
    fn tell(&mut self, outcome: Outcome) {
        let shown = &self.shown;
        match outcome.trouble {
            Some(error) if !self.failing => {
                warn!(
                    "--state-dir {shown}: cannot be written: {error}: mounts go on from memory, and what changes is not kept across restarts; free space or make it writable: it is tried again each minute"
                );
                self.failing = true;
            }
            None if self.failing && outcome.worked => {
                info!("--state-dir {shown}: can be written again");
                self.failing = false;
            }
            _ => {}
        }
    }
}
