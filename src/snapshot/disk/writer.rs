//! The one task that writes: a job after the other, in the order in which keys
//! were first heard of, removals before all others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use super::queue::Job;
use super::shelf::Shelf;
use super::store::Desk;

/// How often the time is noted and failed jobs are tried again.
const PAUSE: Duration = Duration::from_secs(60);

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
                () = self.desk.changed.notified(), if !self.failing => {}
            }
            let closed = self.desk.queue().is_closed();
            self.work(due).await;
            if closed {
                return;
            }
        }
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
        while let Some(job) = self.take(until) {
            outcome.add(self.try_job(job).await.map(|()| true));
            self.worked.send_replace(());
        }
        self.tell(outcome);
        self.desk.queue().finish(until);
        self.worked.send_replace(());
    }

    /// Apart, so that the lock is let go at once.
    fn take(&self, until: u64) -> Option<Job> {
        self.desk.queue().take(until)
    }

    async fn try_job(&self, mut job: Job) -> io::Result<()> {
        let shelf = Arc::clone(&self.shelf);
        let tried = spawn_blocking(move || {
            let done = shelf.work(&mut job);
            (job, done)
        })
        .await;
        let mut queue = self.desk.queue();
        match tried {
            Ok((_, Ok(()))) => queue.done(),
            Ok((job, Err(error))) => {
                queue.put_back(job);
                return Err(error);
            }
            // Trying again would only panic again.
            Err(_) => queue.done(),
        }
        Ok(())
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
