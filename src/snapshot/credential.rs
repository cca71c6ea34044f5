//! What is remembered for one credential at one host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Settings;
use super::answering::Answering;
use super::disk::DiskKey;
use super::doubt::Doubts;
use super::flight::Flight;
use super::gate::{Asker, Gate, Lane, Priority};
use super::lock;
use super::pins::Pins;
use super::refusal::{Loss, Meaning, Refusal, length};
use super::trouble::{LONGEST_HOLD, Trouble};
use super::upstream::Lost;
use super::view::{Listing, Rows, View};
use crate::phase::client::{Asked, Authorization, ClientError, UnusableBearer};
use crate::phase::host::Host;
use crate::phase::token::Token;
use crate::quota::{Meter, Tenant};

/// Names a credential at a host: a digest, never the text.
pub(super) type CredentialId = [u8; 32];

/// One credential at one host, and all that it opened.
///
/// Nothing that is reached from here is ever answered to another credential: two
/// tokens are two of these, also where they belong to one account.
pub(super) struct Credential {
    pub(super) id: CredentialId,
    /// Who used it first: what it costs is counted there.
    pub(super) tenant: Tenant,
    pub(super) token: Token,
    pub(super) authorization: Authorization,
    pub(super) host: Host,
    pub(super) disk: DiskKey,
    pub(super) answering: Arc<Answering>,
    pub(super) address: Lane,
    pub(super) account: Lane,
    pub(super) loaded: OnceCell<()>,
    /// Told when it is to be asked for change more often.
    pub(super) sooner: Arc<Notify>,
    state: Mutex<State>,
    /// What it costs its tenant itself.
    _memory: Meter,
}

/// What is known right now.
pub(super) struct State {
    /// The newest moment.
    pub(super) view: Option<Arc<View>>,
    /// An older moment that was whole, while the newest lacks something.
    pub(super) fallback: Option<Arc<View>>,
    /// Why the tokens answer is late, if it is.
    pub(super) trouble: Option<Trouble>,
    /// The question for the tokens answer that is under way.
    pub(super) asking: Option<Flight<Arc<View>>>,
    /// The questions for environments that are under way, by id.
    pub(super) fetching: HashMap<String, Option<Flight<Arc<Rows>>>>,
    /// The questions whether environments may still be read that are under way, by id.
    pub(super) proving: HashMap<String, Option<Flight<()>>>,
    /// Why environments are late, by id.
    pub(super) late: HashMap<String, Trouble>,
    /// When somebody last mounted with it.
    pub(super) used: Instant,
    /// Who mounts with it, the last first.
    tenants: Vec<Tenant>,
    /// Whether Phase answered it, and has not refused it since.
    pub(super) has_worked: bool,
    /// How often it is asked for change.
    pub(super) interval: Duration,
    /// The longest age that any of its classes accepts.
    pub(super) longest_stale: Duration,
    /// Whether it is asked now and then.
    pub(super) is_polled: bool,
    /// Refusals that may be a firewall's.
    pub(super) doubts: Doubts,
    /// The environments' keys.
    pub(super) pins: Pins,
    /// What lies on disk.
    pub(super) saved: Option<Saved>,
    /// How often Phase took something away.
    pub(super) losses: u64,
    /// The generation of the newest view there ever was.
    generation: u64,
}

/// What lies on disk: which image, and of what.
pub(super) struct Saved {
    pub(super) image: [u8; 16],
    pub(super) listing: Arc<Listing>,
    pub(super) rows: HashMap<String, u64>,
}

/// How a credential stands at this instant.
pub(super) struct Standing {
    pub(super) view: Option<Arc<View>>,
    /// Whether the view may be taken for what Phase has now.
    pub(super) is_fresh: bool,
    pub(super) trouble: Option<Trouble>,
}

impl Credential {
    pub(super) fn new(
        id: CredentialId,
        tenant: &Tenant,
        token: Token,
        host: Host,
        answering: Arc<Answering>,
        interval: Duration,
        memory: Meter,
    ) -> Result<Self, UnusableBearer> {
        let secret = token.derive(DISK_PURPOSE);
        Ok(Self {
            id,
            authorization: token.authorization()?,
            disk: DiskKey::derive(&secret, host.as_str()).of(tenant),
            answering,
            address: Lane::Address(host.clone()),
            account: Lane::Account(host.clone(), *token.account()),
            loaded: OnceCell::new(),
            sooner: Arc::default(),
            state: Mutex::new(State {
                view: None,
                fallback: None,
                trouble: None,
                asking: None,
                fetching: HashMap::new(),
                proving: HashMap::new(),
                late: HashMap::new(),
                used: Instant::now(),
                tenants: Vec::new(),
                has_worked: false,
                interval,
                longest_stale: Duration::ZERO,
                is_polled: false,
                doubts: Doubts::default(),
                pins: Pins::default(),
                saved: None,
                losses: 0,
                generation: 0,
            }),
            tenant: tenant.clone(),
            _memory: memory,
            token,
            host,
        })
    }

    /// One question of this credential: for an environment, or for the tokens answer.
    pub(super) fn asked<'a>(&'a self, environment: Option<&'a str>) -> Asked<'a> {
        Asked {
            host: &self.host,
            authorization: &self.authorization,
            environment,
            memory: None,
            is_probe: false,
        }
    }

    /// Whether Phase is being asked something for it.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.asking.is_some() || !state.fetching.is_empty()
    }

    /// What is known right now; held for moments only.
    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.state();
        let age = state.view.as_ref().and_then(|view| view.confirmed.age());
        Standing {
            is_fresh: age.is_some_and(|age| age <= state.fresh()),
            view: state.view.clone(),
            trouble: state.trouble.clone(),
        }
    }

    /// Somebody wishes it to be asked for change so often; whether that is more often
    /// than before.
    pub(super) fn hurries(&self, wish: Duration) -> bool {
        let mut state = self.state();
        let is_sooner = wish < state.interval;
        state.interval = state.interval.min(wish);
        is_sooner
    }

    /// Somebody of a tenant mounts with it.
    pub(super) fn is_of(&self, tenant: Tenant) {
        let tenants = &mut self.state().tenants;
        match tenants.iter().position(|known| *known == tenant) {
            Some(place) => tenants[..=place].rotate_right(1),
            None => {
                tenants.truncate(MOST_TENANTS - 1);
                tenants.insert(0, tenant);
            }
        }
    }

    /// Who asks when a mount needs something of a lane: of all who use it, the one who
    /// had least.
    pub(super) fn asker(&self, gate: &Gate, lane: &Lane) -> (Asker, Priority) {
        let (tenants, has_worked) = {
            let state = self.state();
            (state.tenants.clone(), state.has_worked)
        };
        let priority = match has_worked {
            true => Priority::Mount,
            false => Priority::Stranger,
        };
        let tenant = gate.lightest(lane, &tenants, priority).cloned();
        let mut credential = [0; 16];
        credential.copy_from_slice(&self.id[..16]);
        let asker = Asker {
            tenant: tenant.unwrap_or_else(|| self.tenant.clone()),
            credential,
        };
        (asker, priority)
    }

    /// Somebody mounts with it; whether it must be polled from now on.
    pub(super) fn is_used(&self, max_stale: Duration) -> bool {
        let mut state = self.state();
        state.used = Instant::now();
        state.longest_stale = state.longest_stale.max(max_stale);
        !std::mem::replace(&mut state.is_polled, true)
    }

    /// The tokens answer did not come: from here on until it comes, this is why.
    pub(super) fn failed(&self, refusal: &Refusal, settings: &Settings) {
        let mut state = self.state();
        state.asking = None;
        if refusal.meaning() == Meaning::Final {
            state.has_worked = false;
        }
        let before = state.trouble.take();
        if before
            .as_ref()
            .is_none_or(|before| before.refusal.meaning() != refusal.meaning())
        {
            self.tell(refusal);
        }
        let trouble = match refusal.meaning() {
            Meaning::Final => Trouble::refused(before, refusal.clone(), settings.hold),
            _ => Trouble::after(before, refusal.clone(), settings.hold, LONGEST_HOLD)
                .until_answered(&self.answering),
        };
        state.trouble = Some(trouble);
    }

    /// What a refusal means once it is known whether it came before: of the tokens
    /// answer, or of an environment.
    pub(super) fn believed(&self, lost: Lost, environment: Option<&str>) -> Lost {
        let Loss::Doubtful(status) = lost.loss else {
            return lost;
        };
        let target = self.asked(environment).target();
        match self.state().doubts.repeated(environment) {
            Some(after) => Lost::from(ClientError::RefusedRepeatedly {
                target,
                status,
                after,
            }),
            None => lost,
        }
    }

    fn tell(&self, refusal: &Refusal) {
        let host = self.host.as_str();
        match refusal.meaning() {
            Meaning::Unreachable => warn!(
                host, error = %refusal,
                "Phase gives no answer: volumes keep their files, new ones get what is remembered"
            ),
            Meaning::Broken => warn!(
                host, error = %refusal,
                "Phase's answer cannot be used: volumes keep their files, new ones fail"
            ),
            Meaning::Final => warn!(
                host, error = %refusal,
                "Phase refuses a credential: all that it opened is forgotten"
            ),
        }
    }

    /// The tokens answer came.
    pub(super) fn recovered(&self, state: &mut State) {
        state.has_worked = true;
        if let Some(trouble) = state.trouble.take() {
            let after = length(trouble.since.elapsed());
            info!(host = self.host.as_str(), after, "Phase answers again");
        }
    }

    /// Forgets all that it opened.
    pub(super) fn drop_views(&self) {
        let mut state = self.state();
        state.losses += 1;
        state.view = None;
        state.fallback = None;
        state.saved = None;
    }
}

/// What keys of the disk are derived for.
const DISK_PURPOSE: &str = "phase-csi-provider state directory v1";

/// Of so many tenants that share a credential is remembered who they are.
const MOST_TENANTS: usize = 8;

impl State {
    /// How old a view may be and still count for how things are.
    pub(super) fn fresh(&self) -> Duration {
        Settings::fresh(self.interval)
    }

    /// How long it is polled though nobody uses it.
    pub(super) fn polled(&self) -> Duration {
        Settings::polled(self.interval)
    }

    /// The next generation's number.
    pub(super) fn next(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// Puts a view in the place of the newest.
    pub(super) fn replace(&mut self, view: View) -> Arc<View> {
        self.generation = self.generation.max(view.generation);
        let view = Arc::new(view);
        self.view = Some(Arc::clone(&view));
        view
    }

    /// Drops the older moment once the newest has all that is in use.
    pub(super) fn settle(&mut self, in_use: &[String]) {
        let Some(view) = &self.view else { return };
        let is_there = |id: &String| view.rows_of(id).is_some() || view.listing.stamp(id).is_none();
        if in_use.iter().all(is_there) {
            self.fallback = None;
        }
    }
}
