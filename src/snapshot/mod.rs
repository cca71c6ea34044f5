//! What the node remembers: the one door between a mount and Phase.
//!
//! A mount is answered from memory while nothing changed (`mount`, `memory`, `entry`): its
//! bytes lie sealed under a key of this process (`vault`). What is not there is
//! made (`making`) of a *view* (`view`): the tokens answer of one credential and
//! the environments fetched under it, all of one moment. Each question to Phase is
//! asked once for all who want to know (`asking`, `flight`), within the node's
//! budget (`gate`, `upstream`). Every credential in use is asked for change once per
//! poll interval (`poll`), and whether it may still read what it uses (`proof`); `disk` keeps what Phase sent, sealed, for the next
//! life of the process.
//!
//! ## Whose answer it is
//!
//! The first part of every key is the digest of the whole token, so one credential
//! never sees what another opened, also where both belong to one account.
//!
//! ## When Phase is away
//!
//! An existing volume is answered with what it has, for ever; a new one with what
//! is remembered up to `maxStale`. Nothing in a mount request says which it is: the
//! driver calls in the same way for both, and since 1.6 without versions. So a
//! volume exists for us once we have answered it: its target path, which kubelet
//! makes of the pod's UID and the volume's name, was answered with this credential.
//! This is safe both ways:
//!
//! - *Taken for existing though it is new*: the driver failed after our answer, and
//!   kubelet asks again for the same pod. It gets what it was given before. Paths
//!   without the pod's UID in them (other clients than kubelet) never count as
//!   existing, and a UID is never used twice.
//! - *Taken for new though it exists*: at worst its republish fails, and drivers
//!   keep the files of a volume whose republish fails.
//!
//! Over a restart the names of the volumes lie on disk beside the set they were
//! answered from; after a reboot they do not count, since volumes are memory.

mod agreements;
mod answering;
mod asking;
mod credential;
mod denied;
pub mod disk;
mod doubt;
mod entry;
mod flight;
mod footprint;
pub mod gate;
mod late;
mod making;
mod memory;
mod mount;
mod pins;
mod poll;
mod proof;
mod refusal;
mod shared;
mod tables;
mod times;
mod trouble;
mod upstream;
mod vault;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

pub use entry::{About, Made, Make, Recipe};
pub use memory::{Limits, VolumeId};
pub use refusal::Refusal;
pub use upstream::Upstream;

use self::entry::EntryId;
use self::mount::Mount;
use self::shared::Shared;
use crate::deadline::Deadline;
use crate::phase::retry::Retry;
use crate::phase::token::Token;
use crate::quota::{Allowance, Meter, Tenant};

/// How the node remembers.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often each credential in use is asked for change.
    pub poll_interval: Duration,
    /// How old an answer may be for a new volume of a class that does not say.
    pub max_stale: Duration,
    /// How long rows are remembered that nothing has changed, before they are fetched again.
    pub full_read: Duration,
    /// Requests a minute, for each account and for each address.
    pub request_budget: u32,
    /// How long one question to Phase may take with all its attempts.
    pub flight: Duration,
    /// How often and how soon a request is tried again.
    pub retry: Retry,
    /// How long a mount waits for Phase's answers that nothing else can answer; the
    /// question goes on without it.
    pub silence: Duration,
    /// For how long a failed question is not asked again, the first time; it doubles.
    pub hold: Duration,
    /// How much is remembered at most.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(60),
            max_stale: Duration::from_secs(3_600),
            full_read: Duration::from_secs(24 * 3_600),
            request_budget: 60,
            flight: Duration::from_secs(90),
            retry: Retry::default(),
            silence: Duration::from_secs(12),
            hold: Duration::from_millis(500),
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// How old an answer may be and still count for how things are, where Phase is asked
    /// so often: a poll may be a half late, and its answer on its way.
    #[must_use]
    pub fn fresh(interval: Duration) -> Duration {
        interval + interval / 2 + interval.min(Duration::from_secs(5))
    }

    /// How long a credential that nobody uses is polled, which is asked for change so
    /// often: some republish periods, which are 60 to 90 s, or some intervals.
    fn polled(interval: Duration) -> Duration {
        Duration::from_secs(6 * 60).max(interval * 3)
    }
}

/// What a mount asks for.
pub struct Ask {
    /// Whose it is.
    pub tenant: Tenant,
    /// Who asks.
    pub token: Token,
    /// Everything that decides the answer but the token, and nothing that does not.
    pub inputs: [u8; 32],
    /// The volume, where it can be told from others.
    pub volume: Option<VolumeId>,
    /// How a log names the class.
    pub class: String,
    /// By when there must be an answer.
    pub deadline: Deadline,
}

/// An answer.
pub struct Reply {
    /// The bytes that the recipe made.
    pub bytes: Zeroizing<Vec<u8>>,
    /// What pays for them, and for as many that are sent; to be kept until then.
    pub memory: Meter,
    /// What may be said of them.
    pub about: Arc<About>,
    /// Where they come from.
    pub source: Source,
    /// Whether the volume had other bytes before, or none.
    pub is_news: bool,
    /// Whether the volume was answered before.
    pub is_old: bool,
    /// Why Phase did not confirm it, where that is known.
    pub stale: Option<Stale>,
}

/// Why an answer is what was remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// In one line, with how old it is.
    pub text: String,
    /// What Phase did in the place of confirming it.
    pub why: Refusal,
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Made of what Phase sent just now.
    Backend,
    /// Made of what lay on disk, which Phase confirmed.
    Disk,
    /// Made before, and nothing changed since.
    Memory,
    /// Remembered, and not confirmed by Phase.
    Stale,
}

impl Source {
    /// Its name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Stale => "stale",
        }
    }
}

/// What is remembered, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Answers made of what Phase sent just now.
    pub from_backend: u64,
    /// Answers made of what lay on disk.
    pub from_disk: u64,
    /// Answers that were there.
    pub from_memory: u64,
    /// Answers that Phase did not confirm.
    pub stale: u64,
    /// Classes with a credential.
    pub entries: usize,
    /// Volumes.
    pub volumes: usize,
    /// Bytes of answers and of what Phase sent, remembered or on their way.
    pub bytes: usize,
    /// Questions to Phase and answers in the making, whoever still waits for them.
    pub flights: usize,
    /// How long ago Phase confirmed what waits longest for it, of what is in use.
    pub oldest: Option<Duration>,
    /// Requests left in the lane that has least.
    pub budget: u32,
    /// Requests that were not made, by the [reason](gate::Throttled::REASONS).
    pub turned_away: [u64; gate::Throttled::REASONS.len()],
    /// How often an environment came with other keys than before.
    pub key_changes: u64,
}

/// Counts of answers by where they come from.
#[derive(Default)]
struct Tally {
    answers: [AtomicU64; 4],
    key_changes: AtomicU64,
}

/// A credential whose secrets may be others than before, or which Phase has begun or
/// ceased to refuse: by its [`name`](Token::name).
pub type News = [u8; 32];

/// The node's memory.
pub struct Snapshot<U>(Arc<Shared<U>>);

impl<U: Upstream> Snapshot<U> {
    /// An empty one. Without a store nothing outlives the process.
    ///
    /// Must be called within a runtime: it keeps itself in order from time to time.
    pub fn new(upstream: U, settings: Settings, store: Option<disk::Store>) -> Self {
        let shared = Arc::new(Shared::new(upstream, settings, store));
        let reclaimed = Arc::downgrade(&shared);
        shared.budget.reclaim_by(move |whose| {
            let shared = reclaimed.upgrade();
            shared.is_some_and(|shared| shared.memory.reclaim(&shared.budget, whose))
        });
        tokio::spawn(poll::sweep(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// The answer to a mount; `recipe` is asked for only where the class is new.
    ///
    /// # Errors
    /// [`Refusal`]: what the recipe says, or why there is nothing to answer.
    pub async fn answer(
        &self,
        ask: Ask,
        recipe: impl FnOnce() -> Result<Recipe, Refusal>,
    ) -> Result<Reply, Refusal> {
        let id = entry_id(&ask);
        let entry = match self.0.memory.entry(&id) {
            Some(entry) => entry,
            None => self.0.add_entry(id, &ask.tenant, ask.token, recipe()?)?,
        };
        entry.credential.is_of(ask.tenant);
        let mount = Mount::new(&self.0, entry, ask.volume, &ask.class, ask.deadline);
        mount.answer().await
    }

    /// Whether what is asked for was asked for before, so that nobody needs its recipe.
    #[must_use]
    pub fn knows(&self, ask: &Ask) -> bool {
        self.0.memory.entry(&entry_id(ask)).is_some()
    }

    /// What one piece of work of a tenant may use, such as reading its class.
    #[must_use]
    pub fn allowance(&self, tenant: &Tenant) -> Allowance {
        self.0.allowance(tenant)
    }

    /// What polls find from now on. Whoever reads too slowly is told that something was
    /// missed.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.0.news.subscribe()
    }

    /// What is remembered, in numbers.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.0.figures()
    }

    /// Waits until what is to be on disk is there; a few seconds at most.
    pub async fn flush(&self) {
        if let Some(store) = &self.0.store {
            store.flush().await;
        }
    }
}

impl Tally {
    fn key_changed(&self) {
        self.key_changes.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, source: Source) {
        self.answers[source as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, source: Source) -> u64 {
        self.answers[source as usize].load(Ordering::Relaxed)
    }
}

/// A mount with other parameters or another token is another entry.
fn entry_id(ask: &Ask) -> EntryId {
    let mut context = Context::new(&SHA256);
    context.update(&*ask.token.name());
    context.update(&ask.inputs);
    digest(context)
}

fn digest(context: Context) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// What is behind a lock is always whole: a panic while it is held changes nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
