//! Questions to Phase: each is asked once for all who want to know.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Shared;
use super::credential::Credential;
use super::denied;
use super::flight::{Flight, Landed};
use super::footprint::footprint;
use super::gate::Pass;
use super::proof;
use super::refusal::{Loss, Meaning, Refusal};
use super::trouble::Trouble;
use super::upstream::{self, Errand, Lost, Upstream};
use super::view::{Confirmed, Listing, Rows, View, amount};
use crate::deadline::Deadline;
use crate::phase::Error;
use crate::phase::client::{Asked, Endpoint, parse};
use crate::phase::directory::Directory;
use crate::phase::environment::Table;
use crate::phase::keyring::Keyring;
use crate::quota::Meter;

/// A tokens answer that is older than this is asked for again before anything is
/// fetched under it: what was fetched before and what is fetched now would
/// otherwise not come from one moment.
pub(super) const RECENT: Duration = Duration::from_secs(10);

/// How new a view must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// As new as the last poll.
    Fresh,
    /// New enough to fetch under it.
    Recent,
    /// No older than this.
    Since(Instant),
}

/// The newest view, asked for if it is not as new as is needed.
pub(super) async fn view<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    need: Need,
) -> Landed<Arc<View>> {
    let mut may_ask = false;
    let flight = loop {
        let held = {
            let mut state = credential.state();
            let most = match need {
                Need::Fresh => state.fresh(),
                Need::Recent => RECENT / 2,
                Need::Since(begun) => begun.elapsed(),
            };
            let view = state.view.as_ref().filter(|_| state.trouble.is_none());
            let age = |view: &&Arc<View>| view.confirmed.age().is_some_and(|age| age <= most);
            if let Some(view) = view.filter(age) {
                return Ok(Arc::clone(view));
            }
            let may_not = state.asking.is_none() && !may_ask;
            let held = state.trouble.as_ref().filter(|_| may_not);
            match held.filter(|trouble| trouble.holds()).cloned() {
                Some(held) => held,
                None => {
                    let begin = || asking(shared, credential, None);
                    break Flight::join(&mut state.asking, begin);
                }
            }
        };
        may_ask = held.may_be_asked(Endpoint::Tokens).await;
        if !may_ask {
            return Err(held.refusal);
        }
    };
    flight.landed().await
}

/// Asks for the tokens answer, unless that is under way; `pass` is a place in the
/// budget that somebody waited for.
pub(super) fn poll<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    pass: Pass,
) -> Flight<Arc<View>> {
    let mut state = credential.state();
    let begin = || asking(shared, credential, Some(pass));
    Flight::join(&mut state.asking, begin)
}

fn asking<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    pass: Option<Pass>,
) -> Flight<Arc<View>> {
    let flights = &shared.flights;
    let (shared, credential) = (Arc::clone(shared), Arc::clone(credential));
    flights.begin(async move {
        match ask_tokens(&shared, &credential, pass).await {
            Ok(view) => Ok(view),
            Err(lost) => {
                let lost = credential.believed(lost, None);
                if lost.loss == Loss::Credential || lost.refusal.meaning() == Meaning::Final {
                    shared.drop_credential(&credential).await;
                }
                credential.failed(&lost.refusal, &shared.settings);
                Err(lost.refusal)
            }
        }
    })
}

async fn ask_tokens<U: Upstream>(
    shared: &Shared<U>,
    credential: &Credential,
    pass: Option<Pass>,
) -> Result<Arc<View>, Lost> {
    let (body, asked, memory) = ask(shared, credential, credential.asked(None), pass).await?;
    memory.take(footprint(&body)).map_err(Error::from)?;
    let (target, bytes) = (credential.asked(None).target(), body.len());
    let read = move || -> Result<Listing, Error> {
        let directory: Directory = parse(&body, &target)?;
        Ok(Listing::new(directory, body, memory))
    };
    let listing = shared.in_turn(&credential.tenant, bytes, read).await;
    let listing = listing.map_err(Error::from)??;
    // A share that does not open must not take the place of one that does.
    let share = &listing.directory.answer().wrapped_key_share;
    Keyring::unlock(&credential.token, share).map_err(|error| Lost {
        refusal: Error::from(error).into(),
        loss: Loss::Nothing,
    })?;
    let confirmed = Confirmed::at(asked, shared.moment());
    let known = shared.known_environments(credential);
    let lost = known.into_iter().filter(|id| listing.stamp(id).is_none());
    let lost: Vec<_> = lost.collect();
    let view = install(shared, credential, listing, confirmed);
    // Taken away, and Phase has just said so: no outage may bring it back.
    shared.drop_environments(credential, &lost).await;
    Ok(view)
}

/// Takes a tokens answer for how things are from now on.
fn install<U>(
    shared: &Shared<U>,
    credential: &Credential,
    listing: Listing,
    confirmed: Confirmed,
) -> Arc<View> {
    let polled = credential.state().polled();
    let in_use = shared.memory.in_use(&credential.id, polled);
    let mut state = credential.state();
    state.asking = None;
    credential.recovered(&mut state);
    let generation = state.next();
    let Some(view) = state.view.clone() else {
        return state.replace(View {
            generation,
            listing: Arc::new(listing),
            rows: Default::default(),
            confirmed: Arc::new(confirmed),
        });
    };
    if view.listing.is_same(&listing) {
        view.confirmed.follow(&confirmed);
        return view;
    }
    let newer = view.followed_by(Arc::new(listing), confirmed);
    // Kept until the newer one is whole: a volume must not get half of each.
    state.fallback.get_or_insert(view);
    let newer = state.replace(newer);
    state.settle(&in_use);
    newer
}

/// Which rows of a moment will do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which {
    /// Not those that would be fetched long after the moment.
    pub(super) is_strict: bool,
    /// Not those that were fetched longer ago.
    pub(super) newer_than: Duration,
}

/// The rows of an environment, of the very moment of `view`: remembered, or fetched.
pub(super) async fn rows<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    view: &View,
    id: &str,
    which: Which,
) -> Result<Arc<Rows>, Error> {
    if let Some(rows) = remembered(credential, view, id, which)? {
        proof::prove_if_old(shared, credential, id, &rows).await?;
        return Ok(rows);
    }
    let mut may_ask = false;
    let flight = loop {
        let held = {
            let mut state = credential.state();
            let may_not = !state.fetching.contains_key(id) && !may_ask;
            let held = state.late.get(id).filter(|_| may_not);
            match held.filter(|late| late.holds()).cloned() {
                Some(held) => held,
                None => {
                    let is_recent = view.confirmed.age().is_some_and(|age| age <= RECENT);
                    if which.is_strict && !is_recent {
                        return Err(Error::Moved);
                    }
                    let begin = || fetching(shared, credential, id, None);
                    let slot = state.fetching.entry(id.to_owned());
                    break Flight::join(slot.or_default(), begin);
                }
            }
        };
        may_ask = held.may_be_asked(Endpoint::Secrets).await;
        if !may_ask {
            return Err(told(held.refusal));
        }
    };
    let rows = flight.landed().await.map_err(told)?;
    // Somebody may have begun to fetch it under an older moment.
    if view.listing.stamp(id) == Some(&rows.stamp) {
        Ok(rows)
    } else {
        Err(Error::Moved)
    }
}

/// The rows that are there, if they will do.
fn remembered(
    credential: &Credential,
    view: &View,
    id: &str,
    which: Which,
) -> Result<Option<Arc<Rows>>, Error> {
    let state = credential.state();
    let same = state.view.as_ref();
    let same = same.filter(|newest| Arc::ptr_eq(&newest.listing, &view.listing));
    let newest = same.ok_or(Error::Moved)?;
    // When rows on disk were fetched is not known to the moment.
    let will_do = |rows: &&Arc<Rows>| {
        which.newer_than == Duration::MAX
            || (!rows.from_disk && rows.fetched().age() <= which.newer_than)
    };
    Ok(newest.rows_of(id).filter(will_do).cloned())
}

/// Fetches an environment, also one whose rows are there, unless that is under way.
pub(super) fn fetch<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    id: &str,
    pass: Pass,
) -> Flight<Arc<Rows>> {
    let mut state = credential.state();
    let begin = || fetching(shared, credential, id, Some(pass));
    Flight::join(state.fetching.entry(id.to_owned()).or_default(), begin)
}

/// In the words of whoever asked first.
pub(super) fn told(Refusal { cause, text }: Refusal) -> Error {
    Error::Told { cause, text }
}

fn fetching<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    id: &str,
    pass: Option<Pass>,
) -> Flight<Arc<Rows>> {
    let flights = &shared.flights;
    let (shared, credential) = (Arc::clone(shared), Arc::clone(credential));
    let id = id.to_owned();
    flights.begin(async move {
        match ask_rows(&shared, &credential, &id, pass).await {
            Ok(rows) => Ok(rows),
            Err(lost) => {
                let refusal = denied::failed(&shared, &credential, &id, lost).await;
                credential.state().fetching.remove(&id);
                Err(refusal)
            }
        }
    })
}

async fn ask_rows<U: Upstream>(
    shared: &Shared<U>,
    credential: &Credential,
    id: &str,
    pass: Option<Pass>,
) -> Result<Arc<Rows>, Lost> {
    let listing = {
        let state = credential.state();
        let listing = state.view.as_ref().map(|view| &view.listing);
        listing.and_then(|listing| Some((*listing.stamp(id)?, Arc::clone(listing))))
    };
    // Nobody asks for what is not listed; what was listed a moment ago is asked for again.
    let (stamp, listing) = listing.ok_or_else(|| Lost {
        refusal: Error::Moved.into(),
        loss: Loss::Nothing,
    })?;
    let asked = credential.asked(Some(id));
    let (body, _, memory) = ask(shared, credential, asked, pass).await?;
    let target = asked.target();
    // Until it is kept, or paid for by whoever makes files of it.
    let reading = memory.sibling();
    reading.take(footprint(&body)).map_err(Error::from)?;
    let agreed = shared.agreed(credential, &listing, id);
    let rows = Rows::new(stamp, body, agreed, memory);
    let table = rows.table(shared, target).await?;
    Ok(keep(shared, credential, id, rows, &table))
}

/// Puts fetched rows into the newest view, if they are of its moment.
fn keep<U>(
    shared: &Shared<U>,
    credential: &Credential,
    id: &str,
    rows: Rows,
    table: &Arc<Table>,
) -> Arc<Rows> {
    let polled = credential.state().polled();
    let in_use = shared.memory.in_use(&credential.id, polled);
    let mut state = credential.state();
    state.fetching.remove(id);
    state.late.remove(id);
    let Some(view) = state.view.clone() else {
        return Arc::new(rows);
    };
    if let Some(known) = view.rows_of(id)
        && known.stamp == rows.stamp
        && known.body == rows.body
    {
        known.fetched_again();
        return Arc::clone(known);
    }
    shared.tables.keep(table, footprint(&rows.body));
    let fallback = state.fallback.as_ref();
    let before = view
        .rows_of(id)
        .or_else(|| fallback.and_then(|view| view.rows_of(id)));
    let rows = Arc::new(match before {
        Some(before) => rows.after(before),
        None => rows,
    });
    if view.listing.stamp(id) == Some(&rows.stamp) {
        state.replace(view.with(id, Arc::clone(&rows)));
        state.settle(&in_use);
    }
    rows
}

/// One answer's body, the instant before the request that brought it, and what paid for
/// the body.
pub(super) async fn ask<U: Upstream>(
    shared: &Shared<U>,
    credential: &Credential,
    asked: Asked<'_>,
    pass: Option<Pass>,
) -> Result<(Bytes, Instant, Meter), Lost> {
    let memory = shared.budget.meter(&credential.tenant);
    let environment = asked.environment;
    let lane = match environment {
        None => &credential.address,
        Some(_) => &credential.account,
    };
    let (asker, priority) = credential.asker(&shared.gate, lane);
    let is_trial = pass.is_none() && {
        let state = credential.state();
        let held = match environment {
            None => state.trouble.as_ref(),
            Some(id) => state.late.get(id),
        };
        held.is_some_and(Trouble::holds)
    };
    let errand = Errand {
        asked: Asked {
            memory: Some(&memory),
            ..asked
        },
        lane,
        asker: &asker,
        priority,
        answering: &credential.answering,
        deadline: Deadline::after(shared.settings.flight),
        // A poll has a place; without a view, pods wait for what it brings.
        can_wait: pass.is_some() && credential.state().view.is_some(),
    };
    let retry = match is_trial {
        true => shared.settings.retry.once(),
        false => shared.settings.retry,
    };
    let asked = upstream::ask(&shared.upstream, &shared.gate, retry, &errand, pass);
    let (body, begun) = asked.await?;
    credential.state().doubts.settle(environment);
    // Other upstreams than the network do not count; and what failed attempts took is free.
    let (paid, owed) = (memory.used(), amount(&body));
    memory.give_back(paid.saturating_sub(owed));
    memory
        .take(owed.saturating_sub(paid))
        .map_err(Error::from)?;
    Ok((body, begun, memory))
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self {
            refusal: error.into(),
            loss: Loss::Nothing,
        }
    }
}
