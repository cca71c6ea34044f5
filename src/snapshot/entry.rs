//! What is remembered of one class for one credential.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretSlice;
use tokio::time::Instant;

use super::credential::Credential;
use super::flight::Flight;
use super::lock;
use super::refusal::Refusal;
use super::trouble::Trouble;
use super::vault::Sealed;
use super::view::{Confirmed, View};
use crate::phase::{Answer, Query};
use crate::quota::{Allowance, Meter};

/// Names what a mount asks for: a digest of the credential and of every parameter.
pub(super) type EntryId = [u8; 32];

/// What a class is made of: which secrets, and what bytes become of them.
pub struct Recipe {
    /// Which secrets of Phase.
    pub query: Query,
    /// How old an answer may be for a new volume, where the class says so.
    pub max_stale: Option<Duration>,
    /// How often Phase is asked for change while this is in use; by default as the
    /// settings say. Of all recipes of a credential the shortest counts.
    pub poll_interval: Option<Duration>,
    /// Bytes that it holds itself, such as compiled templates.
    pub bytes: usize,
    /// Makes the answer's bytes of opened secrets.
    pub make: Make,
}

/// Makes an answer's bytes of opened secrets, equal bytes of equal secrets, with no more
/// than what is allowed.
pub type Make =
    Box<dyn Fn(Answer, Allowance) -> BoxFuture<'static, Result<Made, Refusal>> + Send + Sync>;

/// An answer's bytes, before they are sealed.
pub struct Made {
    /// What is answered.
    pub bytes: SecretSlice<u8>,
    /// What may be said of it.
    pub about: About,
}

/// What may be said of an answer: names that a log may hold, no key and no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The app, as Phase spells it.
    pub app: String,
    /// The environments that the class reads.
    pub environments: String,
    /// The folders that the class names.
    pub folders: String,
    /// How many files there are.
    pub files: usize,
    /// Changes exactly when the bytes change, and reveals nothing of them.
    pub version: String,
}

/// One class for one credential.
pub(super) struct Entry {
    pub(super) recipe: Recipe,
    pub(super) credential: Arc<Credential>,
    state: Mutex<State>,
    /// What its recipe costs its tenant.
    _memory: Meter,
}

pub(super) struct State {
    /// The last answer that could be made.
    pub(super) good: Option<Arc<Good>>,
    /// Why none can be made now.
    pub(super) failure: Option<Failure>,
    /// An answer in the making.
    pub(super) making: Option<Flight<Arc<Good>>>,
    /// An answer in the making out of what is remembered alone.
    pub(super) recalling: Option<Flight<Arc<Good>>>,
    pub(super) used: Instant,
    /// Whether the last answer was one that Phase did not confirm.
    pub(super) is_stale: bool,
}

/// Why no answer can be made of a generation, and for how long that is believed.
pub(super) struct Failure {
    pub(super) generation: u64,
    pub(super) trouble: Trouble,
}

/// An answer that was made, sealed.
pub(super) struct Good {
    pub(super) sealed: Arc<Sealed>,
    pub(super) about: Arc<About>,
    /// The view that it was last found to hold for.
    pub(super) generation: u64,
    /// Of which names and keys.
    pub(super) frame: [u8; 32],
    /// Of which rows: environment and serial.
    pub(super) basis: Arc<[(String, u64)]>,
    /// When Phase last said that these are how things are.
    pub(super) confirmed: Arc<Confirmed>,
    /// Whether its rows were read from disk.
    pub(super) from_disk: bool,
    /// What the sealed bytes cost their tenant.
    pub(super) memory: Meter,
}

impl Entry {
    /// An entry without an answer; `memory` has paid for the recipe.
    pub(super) fn new(recipe: Recipe, credential: Arc<Credential>, memory: Meter) -> Self {
        Self {
            recipe,
            credential,
            _memory: memory,
            state: Mutex::new(State {
                good: None,
                failure: None,
                making: None,
                recalling: None,
                used: Instant::now(),
                is_stale: false,
            }),
        }
    }

    /// What is known right now; held for moments only.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether an answer is being made.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.making.is_some() || state.recalling.is_some()
    }

    /// Forgets every answer.
    pub(super) fn drop_answers(&self) {
        let mut state = self.state();
        state.good = None;
        state.failure = None;
    }

    /// The environments of the last good answer if it holds for `view` too.
    pub(super) fn basis_in(&self, view: &View) -> Option<Vec<String>> {
        let state = self.state();
        let good = state.good.as_ref().filter(|good| good.holds_for(view))?;
        Some(good.basis.iter().map(|(id, _)| id.clone()).collect())
    }

    /// The last good answer if it holds for `view` too.
    pub(super) fn renewed(&self, view: &View) -> Option<Arc<Good>> {
        let mut state = self.state();
        let good = state.good.as_ref().filter(|good| good.holds_for(view))?;
        let renewed = Arc::new(Good {
            generation: view.generation,
            confirmed: Arc::clone(&view.confirmed),
            sealed: Arc::clone(&good.sealed),
            about: Arc::clone(&good.about),
            basis: Arc::clone(&good.basis),
            memory: good.memory.clone(),
            ..**good
        });
        state.good = Some(Arc::clone(&renewed));
        state.failure = None;
        Some(renewed)
    }
}

impl Good {
    /// Whether it would be made of this view again.
    fn holds_for(&self, view: &View) -> bool {
        let is_there = |(id, serial): &(String, u64)| {
            view.rows_of(id).is_some_and(|rows| rows.serial == *serial)
        };
        self.frame == *view.listing.frame() && self.basis.iter().all(is_there)
    }

    /// Whether it was made of an environment.
    pub(super) fn is_of(&self, environment: &str) -> bool {
        self.basis.iter().any(|(id, _)| id == environment)
    }
}
