//! Whether what is remembered may still be read.
//!
//! The tokens answer does not tell when a role loses its right or a network policy begins
//! to hold. So each environment in use is asked now and then with a key digest that
//! matches nothing: an empty list comes, and Phase writes nothing into its audit log. No
//! new volume gets what was not proven lately in this way, or by a fetch.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::de::IgnoredAny;

use super::Shared;
use super::asking::{self, told};
use super::credential::Credential;
use super::denied;
use super::entry::Good;
use super::flight::Flight;
use super::gate::Pass;
use super::upstream::{Lost, Upstream};
use super::view::{Rows, View};
use crate::phase::Error;
use crate::phase::client::{Asked, parsed};

/// How old a proof may be under which a new volume is answered.
const RECENT: Duration = Duration::from_secs(5 * 60);

/// Whether all that an answer was made of was proven lately.
pub(super) fn is_recent(view: &View, good: &Good) -> bool {
    let mut basis = good.basis.iter();
    basis.all(|(id, _)| {
        view.rows_of(id)
            .is_some_and(|rows| rows.proven().is_recent(RECENT))
    })
}

/// How long ago Phase let all of it be read; nothing if that cannot be known. What a view
/// has not any more says nothing.
pub(super) fn age(view: Option<&Arc<View>>, good: &Good) -> Option<Duration> {
    let rows = |(id, serial): &(String, u64)| {
        let rows = view?.rows_of(id)?;
        (rows.serial == *serial).then_some(rows)
    };
    let rows = good.basis.iter().filter_map(rows);
    let ages: Option<Vec<_>> = rows.map(|rows| rows.proven().age()).collect();
    Some(ages?.into_iter().max().unwrap_or_default())
}

/// Proves what of these environments was not proven lately.
pub(super) async fn prove_old<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    view: &View,
    environments: &[String],
) -> Result<(), Error> {
    let rows = environments
        .iter()
        .filter_map(|id| Some((id, view.rows_of(id)?)));
    let proofs = rows.map(|(id, rows)| prove_if_old(shared, credential, id, rows));
    try_join_all(proofs).await.map(drop)
}

/// Proves rows that were not proven lately.
pub(super) async fn prove_if_old<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    id: &str,
    rows: &Arc<Rows>,
) -> Result<(), Error> {
    if rows.proven().is_recent(RECENT) {
        return Ok(());
    }
    let flight = {
        let mut state = credential.state();
        if let Some(late) = state.late.get(id)
            && !state.proving.contains_key(id)
            && late.holds()
        {
            return Err(told(late.refusal.clone()));
        }
        let begin = || proving(shared, credential, id, None);
        Flight::join(state.proving.entry(id.to_owned()).or_default(), begin)
    };
    flight.landed().await.map_err(told)
}

/// Asks whether an environment may be read, unless that is under way.
pub(super) fn prove<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    id: &str,
    pass: Pass,
) -> Flight<()> {
    let mut state = credential.state();
    let begin = || proving(shared, credential, id, Some(pass));
    Flight::join(state.proving.entry(id.to_owned()).or_default(), begin)
}

/// The environments in use that are to be proven with this poll, so that no new volume
/// must wait for it before the next one.
pub(super) fn due<U>(shared: &Shared<U>, credential: &Credential) -> Vec<String> {
    let polled = credential.state().polled();
    let in_use = shared.memory.in_use(&credential.id, polled);
    let state = credential.state();
    let Some(view) = &state.view else {
        return Vec::new();
    };
    let within = RECENT.saturating_sub(state.interval * 3 / 2);
    let is_due = |id: &String| {
        view.rows_of(id)
            .is_some_and(|rows| rows.proven().is_due(within))
    };
    in_use.into_iter().filter(is_due).collect()
}

fn proving<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    id: &str,
    pass: Option<Pass>,
) -> Flight<()> {
    let flights = &shared.flights;
    let (shared, credential) = (Arc::clone(shared), Arc::clone(credential));
    let id = id.to_owned();
    flights.begin(async move {
        let proven = match probe(&shared, &credential, &id, pass).await {
            Ok(()) => Ok(()),
            Err(lost) => Err(denied::failed(&shared, &credential, &id, lost).await),
        };
        credential.state().proving.remove(&id);
        proven
    })
}

async fn probe<U: Upstream>(
    shared: &Shared<U>,
    credential: &Credential,
    id: &str,
    pass: Option<Pass>,
) -> Result<(), Lost> {
    let asked = Asked {
        is_probe: true,
        ..credential.asked(Some(id))
    };
    let (body, at, _) = asking::ask(shared, credential, asked, pass).await?;
    // Any list will do: none would be sent to whom it is forbidden.
    let _: Vec<IgnoredAny> = parsed(body, asked.target()).await?;
    let mut state = credential.state();
    state.late.remove(id);
    for view in [&state.view, &state.fallback].into_iter().flatten() {
        if let Some(rows) = view.rows_of(id) {
            rows.proven_again(at);
        }
    }
    Ok(())
}
