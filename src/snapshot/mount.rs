//! One mount on its way to an answer: from memory, made now, or remembered.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::credential::{Credential, Standing};
use super::entry::{Entry, Good};
use super::flight::{Limit, Waited};
use super::memory::VolumeId;
use super::refusal::{self, Meaning, Refusal};
use super::shared::Shared;
use super::upstream::Upstream;
use super::{Reply, Source, Stale, digest, late, making, proof};
use crate::awaited::Awaited;
use crate::deadline::Deadline;
use crate::quota::Meter;

/// How long a mount that could be answered with what is remembered waits for Phase to
/// send something newer; what this node does with it takes as long as it takes.
const PATIENCE: Duration = Duration::from_secs(4);
/// The same while Phase is known to give no answer, and for a volume that exists.
const LITTLE_PATIENCE: Duration = Duration::from_secs(1);

/// One mount on its way to an answer.
pub(super) struct Mount<'a, U> {
    shared: &'a Arc<Shared<U>>,
    entry: Arc<Entry>,
    volume: Option<VolumeId>,
    class: &'a str,
    arrived: Instant,
    deadline: Deadline,
}

/// What can be said at once.
enum AtOnce {
    Answer(Arc<Good>, Source),
    Refuse(Refusal),
    /// Nothing: it takes work, and so much patience where something is remembered.
    Work(Duration),
}

impl<'a, U: Upstream> Mount<'a, U> {
    pub(super) fn new(
        shared: &'a Arc<Shared<U>>,
        entry: Arc<Entry>,
        volume: Option<VolumeId>,
        class: &'a str,
        deadline: Deadline,
    ) -> Self {
        Self {
            shared,
            volume: volume.map(|volume| own_volume(&entry.credential, volume)),
            class,
            arrived: Instant::now(),
            deadline,
            entry,
        }
    }

    pub(super) async fn answer(&self) -> Result<Reply, Refusal> {
        self.shared.load(&self.entry.credential).await;
        let exists = self
            .volume
            .is_some_and(|volume| self.shared.memory.knows(&volume));
        self.shared.is_used(&self.entry);
        let (good, source) = match self.at_once(exists) {
            AtOnce::Answer(good, source) => (good, source),
            AtOnce::Refuse(refusal) => return Err(refusal),
            AtOnce::Work(patience) => self.work(patience, exists).await?,
        };
        let memory = self.shared.budget.meter(&self.entry.credential.tenant);
        // Opened here, and once more as it is sent.
        memory.take(2 * good.memory.used())?;
        Ok(self.reply(&good, source, memory))
    }

    fn at_once(&self, exists: bool) -> AtOnce {
        let Standing {
            view,
            is_fresh,
            trouble,
        } = self.entry.credential.standing();
        let state = self.entry.state();
        let good = state.good.clone();
        let failure = state.failure.as_ref().filter(|failure| {
            let now = view.as_ref().map(|view| view.generation);
            Some(failure.generation) == now && failure.trouble.holds()
        });
        let failure = failure.map(|failure| &failure.trouble.refusal);
        if let Some(trouble) = trouble {
            return match (trouble.refusal.meaning(), good) {
                (Meaning::Final, _) if trouble.holds() => AtOnce::Refuse(trouble.told()),
                (Meaning::Broken | Meaning::Unreachable, Some(good)) if exists => {
                    AtOnce::Answer(good, Source::Stale)
                }
                (Meaning::Unreachable, _) => AtOnce::Work(LITTLE_PATIENCE),
                _ => AtOnce::Work(PATIENCE),
            };
        }
        match (good, failure, view) {
            (good, Some(failure), _) => match good {
                Some(good) if exists && failure.meaning() == Meaning::Broken => {
                    AtOnce::Answer(good, Source::Stale)
                }
                _ => AtOnce::Refuse(failure.clone()),
            },
            (Some(good), None, Some(view))
                if is_fresh
                    && good.generation == view.generation
                    && (exists || proof::is_recent(&view, &good)) =>
            {
                AtOnce::Answer(good, Source::Memory)
            }
            // It has its files, and comes again soon.
            (Some(_), None, _) if exists => AtOnce::Work(LITTLE_PATIENCE),
            _ => AtOnce::Work(PATIENCE),
        }
    }

    /// Waits for an answer in the making; for what is remembered if that takes long
    /// or fails.
    async fn work(&self, patience: Duration, exists: bool) -> Result<(Arc<Good>, Source), Refusal> {
        let flight = making::making(self.shared, &self.entry);
        let mut waited = Waited::default();
        let limit = Limit::Patience(patience);
        let mut landed = flight.wait_within(self.deadline, &mut waited, limit).await;
        if landed.as_ref().is_err_and(|awaited| !is_ours(*awaited)) {
            if let Some(Ok(good)) = self.remembered(exists, true).await {
                return Ok((good, Source::Stale));
            }
            let limit = Limit::Silence(self.shared.settings.silence);
            landed = flight.wait_within(self.deadline, &mut waited, limit).await;
        }
        // What this node had no time for is not begun once more.
        let may_work = !landed.as_ref().is_err_and(|awaited| is_ours(*awaited));
        let refusal = match landed.unwrap_or_else(|awaited| Err(self.late(awaited, &waited))) {
            Ok(good) if good.from_disk => return Ok((good, Source::Disk)),
            Ok(good) => return Ok((good, Source::Backend)),
            Err(refusal) => refusal,
        };
        match refusal.meaning() {
            Meaning::Final => Err(refusal),
            Meaning::Broken => match self.entry.state().good.clone() {
                Some(good) if exists => Ok((good, Source::Stale)),
                _ => Err(refusal),
            },
            Meaning::Unreachable => match self.remembered(exists, may_work).await {
                Some(Ok(good)) => Ok((good, Source::Stale)),
                Some(Err(age)) => Err(refusal.too_old(age, self.max_stale())),
                None => Err(refusal),
            },
        }
    }

    /// What is remembered, if it is not too old for this volume; else its age. Where it
    /// must be made first, that takes work.
    async fn remembered(
        &self,
        exists: bool,
        may_work: bool,
    ) -> Option<Result<Arc<Good>, Option<Duration>>> {
        let waited = self.arrived.elapsed();
        let is_in_time = |age: Duration| age.saturating_sub(waited) <= self.max_stale();
        let may = |age: Option<Duration>| exists || age.is_some_and(is_in_time);
        let good = self.entry.state().good.clone();
        if let Some(good) = good {
            let age = self.age_of(&good);
            return Some(if may(age) { Ok(good) } else { Err(age) });
        }
        let views = {
            let state = self.entry.credential.state();
            [state.view.clone(), state.fallback.clone()].map(|view| view.filter(|_| may_work))
        };
        let mut too_old = None;
        for view in views.into_iter().flatten() {
            let age = view.confirmed.age();
            if !may(age) {
                too_old = Some(Err(age));
                continue;
            }
            let flight = making::recalling(self.shared, &self.entry, view);
            if let Some(Ok(good)) = flight.wait(self.deadline).await {
                let age = self.age_of(&good);
                return Some(if may(age) { Ok(good) } else { Err(age) });
            }
        }
        too_old
    }

    /// How long ago Phase last said that an answer is how things are, and let it be read.
    fn age_of(&self, good: &Good) -> Option<Duration> {
        let confirmed = good.confirmed.age()?;
        let state = self.entry.credential.state();
        let proven = proof::age(state.view.as_ref(), good)?;
        Some(confirmed.max(proven))
    }

    fn max_stale(&self) -> Duration {
        let own = self.entry.recipe.max_stale;
        own.unwrap_or(self.shared.settings.max_stale)
    }

    /// Nothing has come, and nobody waits any longer.
    fn late(&self, awaited: Awaited, waited: &Waited) -> Refusal {
        let is_over = self.deadline.left().is_zero();
        let credential = &self.entry.credential;
        late::refusal(credential, &self.shared.gate, awaited, waited, is_over)
    }

    fn reply(&self, good: &Good, source: Source, paid: Meter) -> Reply {
        self.shared.tally.count(source);
        self.tell(good, source);
        let credential = &self.entry.credential;
        let version = &good.about.version;
        let memory = &self.shared.memory;
        let before = self
            .volume
            .map(|volume| memory.answered(volume, credential.id, version));
        if before == Some(None) {
            self.shared.mark(credential);
        }
        Reply {
            bytes: self.shared.vault.open(&good.sealed),
            memory: paid,
            about: Arc::clone(&good.about),
            source,
            is_old: before.as_ref().is_some_and(Option::is_some),
            is_news: before.flatten().is_none_or(|before| before != *version),
            stale: (source == Source::Stale)
                .then(|| self.why_stale(good))
                .flatten(),
        }
    }

    /// Why what is remembered is answered, and how old it is; nothing where Phase is
    /// only slow.
    fn why_stale(&self, good: &Good) -> Option<Stale> {
        let credential = &self.entry.credential;
        let trouble = credential.state().trouble.clone();
        let trouble =
            trouble.or_else(|| Some(self.entry.state().failure.as_ref()?.trouble.clone()));
        let trouble = trouble.or_else(|| credential.state().late.values().next().cloned());
        let age = good.confirmed.age().map(refusal::length);
        let age = age.as_deref().unwrap_or("unknown");
        let why = trouble?.refusal;
        Some(Stale {
            text: format!("the files stay as they are (age {age}): {why}"),
            why,
        })
    }

    /// One line when answers become stale, and one when they are not any more.
    fn tell(&self, good: &Good, source: Source) {
        let is_stale = source == Source::Stale;
        let before = std::mem::replace(&mut self.entry.state().is_stale, is_stale);
        let class = self.class;
        match (before, is_stale) {
            (false, true) => {
                let age = good.confirmed.age().map(refusal::length);
                let age = age.as_deref().unwrap_or("unknown");
                warn!(class, age, "answered with what is remembered");
            }
            (true, false) => info!(class, "answered with what Phase has again"),
            _ => debug!(class, source = source.as_str(), "answered"),
        }
    }
}

/// Whether it is this node that has not done its part.
const fn is_ours(awaited: Awaited) -> bool {
    matches!(awaited, Awaited::Turn | Awaited::Work)
}

/// A volume of another credential is another volume.
fn own_volume(credential: &Credential, volume: VolumeId) -> VolumeId {
    let mut context = Context::new(&SHA256);
    context.update(&credential.id);
    context.update(&volume);
    let mut own = VolumeId::default();
    own.copy_from_slice(&digest(context)[..16]);
    own
}
