//! Answers in the making: out of what Phase says now, or of what is remembered.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::Shared;
use super::asking::{self, Need, Which};
use super::entry::{Entry, Failure, Good, Made};
use super::flight::{Flight, Landed};
use super::footprint::footprint;
use super::proof;
use super::refusal::{Meaning, Refusal};
use super::trouble::Trouble;
use super::upstream::Upstream;
use super::view::{Rows, View, amount};
use super::{lock, pins};
use crate::phase::wire::EnvironmentKey;
use crate::phase::{self, Answer, EnvironmentRows, Error, Source};
use crate::quota::{Allowance, Exceeded, Meter, Stopped};

/// How often an answer is begun anew because Phase changed while it was made; the
/// last attempt takes things as they come.
const ROUNDS: usize = 4;

/// The answer in the making, begun if it is not.
pub(super) fn making<U: Upstream>(
    shared: &Arc<Shared<U>>,
    entry: &Arc<Entry>,
) -> Flight<Arc<Good>> {
    let mut state = entry.state();
    let begin = || {
        let flights = &shared.flights;
        let (shared, entry) = (Arc::clone(shared), Arc::clone(entry));
        flights.begin(async move {
            let made = make(&shared, &entry).await;
            entry.state().making = None;
            made
        })
    };
    Flight::join(&mut state.making, begin)
}

/// The answer in the making out of one moment that is remembered.
pub(super) fn recalling<U: Upstream>(
    shared: &Arc<Shared<U>>,
    entry: &Arc<Entry>,
    view: Arc<View>,
) -> Flight<Arc<Good>> {
    let mut state = entry.state();
    let losses = entry.credential.state().losses;
    let begin = || {
        let flights = &shared.flights;
        let (shared, entry) = (Arc::clone(shared), Arc::clone(entry));
        flights.begin(async move {
            let recalled = recall(&shared, &entry, &view, losses).await;
            entry.state().recalling = None;
            recalled
        })
    };
    Flight::join(&mut state.recalling, begin)
}

async fn make<U: Upstream>(shared: &Arc<Shared<U>>, entry: &Arc<Entry>) -> Landed<Arc<Good>> {
    let credential = &entry.credential;
    let (mut need, mut newer_than) = demands(shared, entry);
    let begun = Instant::now();
    // Why nothing could be made of what Phase said a while ago.
    let mut missed: Option<(Arc<View>, Refusal)> = None;
    for round in 1..=ROUNDS {
        let losses = credential.state().losses;
        let allowance = shared.allowance(&credential.tenant);
        let view = match (asking::view(shared, credential, need).await, missed.take()) {
            (Err(refusal), Some((view, why))) if refusal.meaning() == Meaning::Unreachable => {
                return Err(settled(shared, entry, &view, why));
            }
            (view, _) => view?,
        };
        if let Some(basis) = entry.basis_in(&view) {
            let proven = proof::prove_old(shared, credential, &view, &basis).await;
            proven.map_err(|error| failed(shared, entry, &view, error))?;
            if let Some(good) = entry.renewed(&view) {
                shared.persist(credential);
                return Ok(good);
            }
        }
        let source = Fetched {
            shared,
            entry,
            view: &view,
            which: Which {
                is_strict: round < ROUNDS && !is_slow(&view, begun),
                newer_than,
            },
            memory: allowance.memory.clone(),
            used: Mutex::default(),
        };
        let answer = match open(entry, &view, &source, &allowance).await {
            Ok(answer) => answer,
            Err(Error::Moved) if round < ROUNDS => {
                need = Need::Recent;
                continue;
            }
            // A lie, maybe, that somebody else was told a while ago.
            Err(Error::Row(_)) if newer_than == Duration::MAX && round < ROUNDS => {
                (need, newer_than) = (Need::Recent, shared.settings.hold / 4);
                continue;
            }
            Err(error) => {
                if may_pass(&error) || !may_be_there_now(need, &view, begun) {
                    return Err(failed(shared, entry, &view, error));
                }
                (need, missed) = (Need::Since(begun), Some((view, error.into())));
                continue;
            }
        };
        let used = source.used.into_inner().unwrap_or_default();
        let made = match (entry.recipe.make)(answer, allowance).await {
            Ok(made) => made,
            Err(refusal) => {
                if !may_be_there_now(need, &view, begun) {
                    return Err(settled(shared, entry, &view, refusal));
                }
                (need, missed) = (Need::Since(begun), Some((view, refusal)));
                continue;
            }
        };
        let Some(good) = keep(shared, entry, &view, &used, &made, losses)? else {
            need = Need::Recent;
            continue;
        };
        shared.persist(credential);
        return Ok(good);
    }
    Err(Error::Moved.into())
}

/// Whether a class that asks for what is not there may ask for what came since: a
/// secret and the pod that mounts it are often made together.
fn may_be_there_now(need: Need, view: &View, begun: Instant) -> bool {
    let age = view.confirmed.age();
    need == Need::Fresh && age.is_none_or(|age| age > begun.elapsed())
}

/// Whether the tokens answer itself was so long on its way that another one would be no
/// newer when it came.
fn is_slow(view: &View, begun: Instant) -> bool {
    let age = view.confirmed.age();
    age.is_some_and(|age| age > asking::RECENT && age <= begun.elapsed())
}

/// How new everything must be: whoever tries again after a failure wants to know
/// whether it was mended since, and rows that do not open may have been a lie.
fn demands<U>(shared: &Shared<U>, entry: &Entry) -> (Need, Duration) {
    let state = entry.state();
    match &state.failure {
        None => (Need::Fresh, Duration::MAX),
        Some(failure) => match failure.trouble.refusal.meaning() {
            Meaning::Broken => (Need::Recent, shared.settings.hold / 4),
            _ => (Need::Recent, Duration::MAX),
        },
    }
}

async fn recall<U: Upstream>(
    shared: &Shared<U>,
    entry: &Entry,
    view: &Arc<View>,
    losses: u64,
) -> Landed<Arc<Good>> {
    if let Some(good) = entry.renewed(view) {
        return Ok(good);
    }
    let allowance = shared.allowance(&entry.credential.tenant);
    let source = Remembered {
        shared,
        entry,
        view,
        memory: allowance.memory.clone(),
        used: Mutex::default(),
    };
    let answer = open(entry, view, &source, &allowance).await?;
    let used = source.used.into_inner().unwrap_or_default();
    let made = (entry.recipe.make)(answer, allowance).await?;
    keep(shared, entry, view, &used, &made, losses)?.ok_or_else(|| Error::Moved.into())
}

async fn open(
    entry: &Entry,
    view: &View,
    source: &dyn Source,
    allowance: &Allowance,
) -> Result<Answer, Error> {
    let token = &entry.credential.token;
    let directory = &view.listing.directory;
    phase::open(allowance, token, directory, &entry.recipe.query, source).await
}

/// Seals an answer and remembers what it was made of; nothing if Phase took something
/// away while it was made, since there were so many losses.
fn keep<U>(
    shared: &Shared<U>,
    entry: &Entry,
    view: &View,
    used: &[(String, Arc<Rows>)],
    made: &Made,
    losses: u64,
) -> Result<Option<Arc<Good>>, Exceeded> {
    use secrecy::ExposeSecret;
    let memory = shared.budget.meter(&entry.credential.tenant);
    memory.take(amount(made.bytes.expose_secret()))?;
    let basis = used.iter().map(|(id, rows)| (id.clone(), rows.serial));
    let newest = {
        let state = entry.credential.state();
        let newest = state.view.as_ref();
        let newest = newest.filter(|newest| Arc::ptr_eq(&newest.listing, &view.listing));
        newest.map_or(view.generation, |newest| newest.generation)
    };
    let good = Arc::new(Good {
        sealed: Arc::new(shared.vault.seal(made.bytes.expose_secret())),
        about: Arc::new(made.about.clone()),
        generation: newest,
        frame: *view.listing.frame(),
        basis: basis.collect(),
        confirmed: Arc::clone(&view.confirmed),
        from_disk: used.iter().all(|(_, rows)| rows.from_disk),
        memory,
    });
    let mut state = entry.state();
    // Whoever takes away counts first and then looks into the entries.
    if entry.credential.state().losses != losses {
        return Ok(None);
    }
    state.good = Some(Arc::clone(&good));
    state.failure = None;
    Ok(Some(good))
}

/// What a failure to open leaves behind: one of Phase's answers may pass, one of
/// what it says stays as long as that.
fn failed<U>(shared: &Shared<U>, entry: &Entry, view: &View, error: Error) -> Refusal {
    let may_pass = may_pass(&error);
    let refusal = Refusal::from(error);
    if may_pass {
        if refusal.meaning() == Meaning::Final {
            entry.drop_answers();
        }
        return refusal;
    }
    settled(shared, entry, view, refusal)
}

/// Whether it is a failure of one answer, rather than of what Phase says.
const fn may_pass(error: &Error) -> bool {
    matches!(
        error,
        Error::Client(_)
            | Error::Exceeded(_)
            | Error::Moved
            | Error::Stopped(Stopped::Crowded | Stopped::Ended)
            | Error::Told { .. }
    )
}

/// Nothing can be made of this view: it is not tried again at once.
fn settled<U>(shared: &Shared<U>, entry: &Entry, view: &View, refusal: Refusal) -> Refusal {
    let generation = {
        let state = entry.credential.state();
        let newest = state.view.as_ref();
        let newest = newest.filter(|newest| Arc::ptr_eq(&newest.listing, &view.listing));
        newest.map_or(view.generation, |newest| newest.generation)
    };
    let mut state = entry.state();
    if refusal.meaning() == Meaning::Final {
        state.good = None;
    }
    let before = state.failure.take().map(|failure| failure.trouble);
    let (hold, most) = (shared.settings.hold, shared.settings.poll_interval);
    let trouble = Trouble::after(before, refusal.clone(), hold, most);
    state.failure = Some(Failure {
        generation,
        trouble,
    });
    refusal
}

/// The rows that an answer was made of.
type Used = Mutex<Vec<(String, Arc<Rows>)>>;

/// Environments of one moment, fetched where they are not there.
struct Fetched<'a, U> {
    shared: &'a Arc<Shared<U>>,
    entry: &'a Entry,
    view: &'a View,
    which: Which,
    memory: Meter,
    used: Used,
}

impl<U: Upstream> Source for Fetched<'_, U> {
    fn rows<'a>(
        &'a self,
        key: &'a EnvironmentKey,
    ) -> BoxFuture<'a, Result<EnvironmentRows, Error>> {
        async move {
            let id = &key.environment.id;
            let credential = &self.entry.credential;
            pins::check(self.shared, credential, key)?;
            let rows = asking::rows(self.shared, credential, self.view, id, self.which);
            let rows = rows.await?;
            read(self.shared, self.entry, &self.memory, &self.used, id, rows).await
        }
        .boxed()
    }
}

/// Environments of one moment that is remembered, as far as they are.
struct Remembered<'a, U> {
    shared: &'a Shared<U>,
    entry: &'a Entry,
    view: &'a View,
    memory: Meter,
    used: Used,
}

impl<U: Upstream> Source for Remembered<'_, U> {
    fn rows<'a>(
        &'a self,
        key: &'a EnvironmentKey,
    ) -> BoxFuture<'a, Result<EnvironmentRows, Error>> {
        async move {
            let id = &key.environment.id;
            pins::check(self.shared, &self.entry.credential, key)?;
            let rows = self.view.rows_of(id).cloned().ok_or(Error::Moved)?;
            read(self.shared, self.entry, &self.memory, &self.used, id, rows).await
        }
        .boxed()
    }
}

async fn read<U>(
    shared: &Shared<U>,
    entry: &Entry,
    memory: &Meter,
    used: &Used,
    id: &str,
    rows: Arc<Rows>,
) -> Result<EnvironmentRows, Error> {
    let wanted = footprint(&rows.body);
    memory.take(wanted)?;
    rows.charge_agreed()?;
    let target = entry.credential.asked(Some(id)).target();
    let table = rows.table(shared, target).await?;
    shared.tables.keep(&table, wanted);
    let agreed = Arc::clone(&rows.agreed);
    lock(used).push((id.to_owned(), rows));
    Ok(EnvironmentRows { table, agreed })
}
