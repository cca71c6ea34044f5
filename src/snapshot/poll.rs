//! Asking for change: each credential in use once per poll interval.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::Shared;
use super::asking;
use super::credential::Credential;
use super::gate::{Lane, Pass, Priority};
use super::proof;
use super::refusal::Meaning;
use super::upstream::Upstream;
use crate::deadline::Deadline;

/// How often order is kept.
const SWEEP: Duration = Duration::from_secs(30);

/// Asks for change until nobody mounts with the credential any more.
pub(super) async fn poll<U: Upstream>(shared: Weak<Shared<U>>, credential: Weak<Credential>) {
    let Some((interval, sooner)) = credential.upgrade().map(|credential| {
        let sooner = Arc::clone(&credential.sooner);
        (credential.state().interval, sooner)
    }) else {
        return;
    };
    // The nodes of a cluster that start together do not ask together.
    let mut pause = interval.mul_f64(0.5 + 0.5 * fastrand::f64());
    loop {
        // Nothing is kept alive meanwhile.
        tokio::select! {
            () = sleep(pause) => {}
            () = sooner.notified() => {}
        }
        let (Some(shared), Some(credential)) = (shared.upgrade(), credential.upgrade()) else {
            return;
        };
        if is_idle(&credential) {
            return;
        }
        let interval = adjusted(&shared, &credential);
        pause = match soon(&credential) {
            Some(left) => left,
            None => match told(&shared, &credential).await {
                true => interval.mul_f64(1.0 + 0.1 * fastrand::f64()),
                // Whoever comes again at the same time of each minute finds the limit
                // used up by the same others each time.
                false => interval.mul_f64(0.5 + fastrand::f64()),
            },
        };
    }
}

/// How often the credential is asked from now on: as often as one of those wishes that
/// are in use.
fn adjusted<U>(shared: &Shared<U>, credential: &Credential) -> Duration {
    let polled = credential.state().polled();
    let wishes = shared.memory.poll_intervals(&credential.id, polled);
    let interval = wishes.into_iter().min();
    let interval = interval.unwrap_or(shared.settings.poll_interval);
    credential.state().interval = interval;
    interval
}

/// [`once`], and word of what it has changed.
async fn told<U: Upstream>(shared: &Arc<Shared<U>>, credential: &Arc<Credential>) -> bool {
    let before = outlook(credential);
    let is_answered = once(shared, credential).await;
    if outlook(credential) != before {
        // Nobody may want to know.
        drop(shared.news.send(*credential.token.name()));
    }
    is_answered
}

/// What somebody would see of it: which moment, and whether Phase answers.
fn outlook(credential: &Credential) -> (Option<u64>, Option<Meaning>) {
    let state = credential.state();
    let trouble = state.trouble.as_ref();
    (
        state.view.as_ref().map(|view| view.generation),
        trouble.map(|trouble| trouble.refusal.meaning()),
    )
}

/// Whether nobody mounted with it for long; then it is not asked any more.
fn is_idle(credential: &Credential) -> bool {
    let mut state = credential.state();
    let is_idle = state.used.elapsed() > state.polled();
    state.is_polled = !is_idle;
    is_idle
}

/// How long to wait because a mount asked a moment ago, or because only a mount may
/// ask again: Phase refuses the credential.
fn soon(credential: &Credential) -> Option<Duration> {
    let state = credential.state();
    let interval = state.interval;
    if let Some(trouble) = &state.trouble {
        return (trouble.refusal.meaning() == Meaning::Final).then_some(interval);
    }
    let view = state.view.as_ref()?;
    let age = view.confirmed.age()?;
    (age < interval * 2 / 5).then(|| interval.saturating_sub(age))
}

/// One question for change, and what changed of that which is in use; whether the
/// question was answered.
async fn once<U: Upstream>(shared: &Arc<Shared<U>>, credential: &Arc<Credential>) -> bool {
    let Some(pass) = place(shared, credential, &credential.address).await else {
        return false;
    };
    if asking::poll(shared, credential, pass)
        .landed()
        .await
        .is_err()
    {
        return false;
    }
    for id in due(shared, credential) {
        let Some(pass) = place(shared, credential, &credential.account).await else {
            return true;
        };
        drop(asking::fetch(shared, credential, &id, pass).landed().await);
    }
    // What was fetched just now is proven, too.
    for id in proof::due(shared, credential) {
        let Some(pass) = place(shared, credential, &credential.account).await else {
            return true;
        };
        // A mount may have proven it while this waited for its turn.
        if !proof::due(shared, credential).contains(&id) {
            continue;
        }
        drop(proof::prove(shared, credential, &id, pass).landed().await);
        if credential.state().view.is_none() {
            return true;
        }
    }
    shared.mark(credential);
    true
}

/// A place in the budget that mounts do not need.
async fn place<U>(shared: &Shared<U>, credential: &Credential, lane: &Lane) -> Option<Pass> {
    let interval = credential.state().interval;
    let deadline = Deadline::after(interval.max(Duration::from_secs(5)));
    let (asker, priority) = credential.asker(&shared.gate, lane);
    // What has not worked yet has no part in what is kept for polls.
    let priority = match priority {
        Priority::Mount => Priority::Poll,
        other => other,
    };
    let admitted = shared.gate.admit(lane, &asker, priority, deadline);
    admitted.await.ok()
}

/// The environments in use that changed, and those that were not fetched for so long that
/// they are read whole: for what the time of change misses (renamed tags, clocks that
/// stand still).
fn due<U>(shared: &Shared<U>, credential: &Credential) -> Vec<String> {
    let polled = credential.state().polled();
    let in_use = shared.memory.in_use(&credential.id, polled);
    let state = credential.state();
    let Some(view) = &state.view else {
        return Vec::new();
    };
    let whole = shared.settings.full_read;
    let is_listed = |id: &String| view.listing.stamp(id).is_some();
    let is_due = |id: &String| {
        view.rows_of(id)
            .is_none_or(|rows| rows.fetched().is_due(whole))
    };
    let due = in_use.into_iter().filter(is_listed).filter(is_due);
    due.collect()
}

/// Keeps order until the memory itself is gone.
pub(super) async fn sweep<U: Upstream>(shared: Weak<Shared<U>>) {
    loop {
        sleep(SWEEP).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.sweep();
    }
}
