//! The store as mounts see it: nothing here blocks for long, and nothing fails.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

use super::folder::Unusable;
use super::format::{Image, Mark};
use super::moment::{Clock, Moment};
use super::notices::Incident;
use super::queue::{Job, Queue};
use super::seal::{DiskKey, OVERHEAD};
use super::shelf::Shelf;
use super::writer::Writer;
use super::{Limits, Loaded};

/// Longest that anybody waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sets that are read at a time; a disk that hangs holds no more threads.
const READERS: usize = 4;

/// What the node keeps across restarts; a clone is the same store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    clock: Clock,
    /// Nothing when the directory cannot be used.
    open: Option<Open>,
}

struct Open {
    shelf: Arc<Shelf>,
    desk: Arc<Desk>,
    limits: Limits,
    readers: Arc<Semaphore>,
    worked: watch::Receiver<()>,
}

/// Where jobs are laid down for the writer.
pub(super) struct Desk {
    pub(super) queue: Mutex<Queue>,
    /// There is work.
    pub(super) changed: Notify,
    /// Somebody waits, or nobody adds any more: a failed job is tried at once.
    pub(super) urgent: Notify,
}

impl Desk {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Opens the directory, made if absent, for nobody else to read, tidied up
    /// and within its limits; and starts to write. One that cannot be used gives
    /// a store that remembers nothing, and a warning.
    pub async fn open(directory: PathBuf, limits: Limits, clock: Clock) -> Self {
        let open = Open::new(directory, limits, clock.clone()).await;
        Self(Arc::new(Inner { clock, open }))
    }

    /// What is kept under a key, if it is whole; within 5 seconds.
    pub async fn load(&self, key: &DiskKey) -> Option<Loaded> {
        let open = self.0.open.as_ref()?;
        if open.desk.queue().forgets(key.name()) {
            return None;
        }
        let read = async {
            let permit = Arc::clone(&open.readers).acquire_owned().await.ok()?;
            let (shelf, key) = (Arc::clone(&open.shelf), key.clone());
            let loaded = spawn_blocking(move || {
                let _permit = permit;
                shelf.load(&key)
            });
            loaded.await.ok()?
        };
        match timeout(PATIENCE, read).await {
            Ok(loaded) => loaded,
            Err(_) => {
                let text =
                    "cannot be read within 5 seconds: Phase is asked again; look at the disk";
                open.shelf.notices().tell(Incident::Unreadable, text);
                None
            }
        }
    }

    /// Keeps an image and what is known about it in place of what was kept. It
    /// is written later; until then, and if that fails, what was there stays.
    pub fn save(&self, key: &DiskKey, image: Image, confirmed: Moment, volumes: Vec<[u8; 16]>) {
        let Some(open) = &self.0.open else { return };
        let most = open.limits.image_bytes.min(open.limits.bytes);
        if image.length().saturating_add(OVERHEAD as u64) > most {
            let text = format_args!("a set of more than {most} bytes is not kept across restarts");
            open.shelf.notices().tell(Incident::NotKept, text);
            return;
        }
        let mark = Mark {
            image: image.id,
            confirmed,
            volumes,
        };
        open.push(Job {
            image: Some((image, confirmed)),
            mark: Some((mark, self.now())),
            ..Job::new(key.clone())
        });
    }

    /// Keeps what was learned since about a key's image; written later.
    pub fn mark(&self, key: &DiskKey, mark: Mark) {
        if let Some(open) = &self.0.open {
            open.push(Job {
                mark: Some((mark, self.now())),
                ..Job::new(key.clone())
            });
        }
    }

    /// Removes what is kept under a key, and what was to be written; within 5
    /// seconds, or later if the disk does not answer. Until it is removed,
    /// [`load`](Self::load) does not give it.
    pub async fn forget(&self, key: &DiskKey) {
        if let Some(open) = &self.0.open {
            let ticket = open.push(Job {
                forget: true,
                ..Job::new(key.clone())
            });
            let name = key.name();
            open.wait(|queue| queue.settled(ticket, name)).await;
        }
    }

    /// Waits until everything that was laid down is written, or was tried to
    /// be; at most 5 seconds.
    pub async fn flush(&self) {
        if let Some(open) = &self.0.open {
            let ticket = open.desk.queue().fence();
            open.wait(|queue| queue.finished(ticket)).await;
        }
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// Files and bytes that are kept, without the file `clock` and what is set aside.
    #[must_use]
    pub fn usage(&self) -> (usize, u64) {
        let open = self.0.open.as_ref();
        open.map_or((0, 0), |open| open.shelf.usage())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store(…)")
    }
}

impl Open {
    async fn new(directory: PathBuf, limits: Limits, clock: Clock) -> Option<Self> {
        let shown = directory.display().to_string();
        let opened = spawn_blocking(move || {
            let shelf = Shelf::open(directory, limits, clock)?;
            let noted = shelf.note_time();
            Ok::<_, Unusable>((Arc::new(shelf), noted))
        });
        let reason = match timeout(PATIENCE, opened).await {
            Ok(Ok(Ok((shelf, noted)))) => return Some(Self::start(shelf, limits, shown, noted)),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "cannot be opened: report this as a bug".to_owned(),
            Err(_) => "does not answer within 5 seconds: look at the disk".to_owned(),
        };
        warn!(
            "--state-dir {shown}: {reason}: nothing is kept across restarts until the next start"
        );
        None
    }

    fn start(shelf: Arc<Shelf>, limits: Limits, shown: String, noted: io::Result<bool>) -> Self {
        let desk = Arc::new(Desk {
            queue: Mutex::default(),
            changed: Notify::new(),
            urgent: Notify::new(),
        });
        let (tell, worked) = watch::channel(());
        let writer = Writer::new(Arc::clone(&shelf), Arc::clone(&desk), tell, shown);
        tokio::spawn(writer.run(noted));
        Self {
            shelf,
            desk,
            limits,
            readers: Arc::new(Semaphore::new(READERS)),
            worked,
        }
    }

    /// Lays a job down; says up to which ticket to wait for it.
    fn push(&self, job: Job) -> u64 {
        let Limits { files, bytes, .. } = self.limits;
        let mut queue = self.desk.queue();
        let pushed = queue.push(job, files, bytes);
        let ticket = queue.ticket();
        drop(queue);
        if pushed.is_err() {
            let text = "too much waits to be written: a set is not kept across restarts";
            self.shelf.notices().tell(Incident::NotKept, text);
        }
        self.desk.changed.notify_one();
        ticket
    }

    /// Waits until the queue is as wanted, but not for long; the jobs stay there.
    async fn wait(&self, wanted: impl Fn(&Queue) -> bool) {
        self.desk.urgent.notify_one();
        let mut worked = self.worked.clone();
        let wait = worked.wait_for(|()| wanted(&self.desk.queue()));
        let _ = timeout(PATIENCE, wait).await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.desk.queue().close();
        self.desk.urgent.notify_one();
    }
}
