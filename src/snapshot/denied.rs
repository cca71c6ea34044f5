//! What follows when a question about an environment fails.

use std::sync::Arc;

use super::Shared;
use super::asking::{self, Need};
use super::credential::Credential;
use super::refusal::{Loss, Refusal};
use super::trouble::{LONGEST_HOLD, Trouble};
use super::upstream::{Lost, Upstream};

/// As many environments as one mount may read.
const MOST_LATE: usize = 64;

/// A question about an environment failed: what Phase takes away by it, and for how long
/// it is not asked again.
pub(super) async fn failed<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    id: &str,
    lost: Lost,
) -> Refusal {
    let lost = credential.believed(lost, Some(id));
    denied(shared, credential, id, lost.loss).await;
    let mut state = credential.state();
    let before = state.late.remove(id);
    if state.late.len() >= MOST_LATE {
        state.late.clear();
    }
    let hold = shared.settings.hold;
    let late = Trouble::after(before, lost.refusal.clone(), hold, LONGEST_HOLD)
        .until_answered(&credential.answering);
    state.late.insert(id.to_owned(), late);
    lost.refusal
}

/// What follows when Phase denies an environment.
async fn denied<U: Upstream>(
    shared: &Arc<Shared<U>>,
    credential: &Arc<Credential>,
    id: &str,
    loss: Loss,
) {
    match loss {
        Loss::Nothing | Loss::Doubtful(_) => {}
        Loss::Credential => shared.drop_credential(credential).await,
        Loss::Environment => {
            // It may have been deleted, or taken away, since it was listed.
            drop(asking::view(shared, credential, Need::Recent).await);
            let lost = [id.to_owned()];
            shared.drop_environments(credential, &lost).await;
        }
    }
}
