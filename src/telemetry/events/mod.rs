//! Events on pods: that the files of a running pod cannot be brought up to date, and
//! that they can be again.
//!
//! A volume's first mount has an event of kubelet's own; of a republish that fails
//! nobody tells the pod since version 1.6 of the driver. So this is about volumes that
//! were answered before (`ledger` says which, and when it is time to say something).
//! One task sends (`post`), one event after the other, as the service account that is
//! mounted (`account`); it needs the right to create events and no other. What it
//! cannot send is counted and lost.

mod account;
mod event;
mod ledger;
mod post;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::time::Instant;

use self::account::Account;
pub use self::account::AccountError;
use self::event::Event;
use self::ledger::{Due, Heard, Ledger};
use super::metrics::{Fate, PodEventFigures};
use crate::class::Pod;
use crate::quota::Tenant;
use crate::snapshot::VolumeId;

/// Tells pods; clones tell the same.
#[derive(Clone)]
pub struct PodEvents {
    ledger: Arc<Mutex<Ledger>>,
    queue: mpsc::Sender<Event>,
    figures: Arc<PodEventFigures>,
}

/// How a mount of a volume went.
pub enum Went<'a> {
    /// It got what Phase has.
    Well,
    /// It got what is remembered.
    Stale {
        /// Why.
        why: &'a str,
        /// Whether the volume was answered before, maybe by an earlier life of this process.
        is_old: bool,
    },
    /// It got nothing.
    Failed(&'a str),
}

impl PodEvents {
    /// Where kubelet mounts the service account.
    pub const ACCOUNT: &str = Account::DIRECTORY;

    /// What tells, and the work of telling, which must be run.
    ///
    /// # Errors
    /// [`AccountError`]: there is no service account to tell as.
    pub fn new(
        account: PathBuf,
        figures: Arc<PodEventFigures>,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), AccountError> {
        let account = Account::read(account)?;
        let (queue, waiting) = mpsc::channel(LONGEST_QUEUE);
        let events = Self {
            ledger: Arc::default(),
            queue,
            figures: Arc::clone(&figures),
        };
        Ok((events, post::all(account, waiting, figures)))
    }

    /// A mount of a volume went so.
    pub fn tell(&self, pod: &Pod, volume: VolumeId, went: &Went<'_>) {
        let (heard, why) = match went {
            Went::Well => (Heard::Good, ""),
            Went::Stale { why, is_old } => (Heard::Bad { is_old: *is_old }, *why),
            Went::Failed(why) => (Heard::Bad { is_old: false }, *why),
        };
        if pod.name.is_empty() || pod.uid.is_empty() {
            return;
        }
        let due = {
            let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let tenant = Tenant::new(&pod.namespace);
            ledger.hear(volume, &tenant, &pod.uid, heard, Instant::now())
        };
        let Some(due) = due else { return };
        let event = match due {
            Due::Failure => Event::failed(pod, why, SystemTime::now()),
            Due::Recovery => Event::recovered(pod, SystemTime::now()),
        };
        if self.queue.try_send(event).is_err() {
            self.figures.count(Fate::Dropped);
        }
    }
}

/// More than the ledger lets through at once.
const LONGEST_QUEUE: usize = 32;
