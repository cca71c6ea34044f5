//! The way of one resource: what is wanted, what Phase has, what is written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use tracing::{error, warn};

use super::adopt;
use super::backoff::{self, Backoff};
use super::candidates::Candidates;
use super::contents;
use super::health::States;
use super::ledger::Ledger;
use super::news::Readers;
use super::outputs::outputs;
use super::owner::{Owner, Owners};
use super::plan::{Plan, SecretName};
use super::policy::Policy;
use super::refused::Refused;
use super::resource::SecretStatus;
use super::status::{Reason, Trouble};
use super::take_back::take_back;
use super::token::Tokens;
use super::turns::{Turns, Writing};
use crate::deadline::Deadline;
use crate::digest;
use crate::phase::allowed::AllowedHosts;
use crate::quota::{Allowance, Tenant};
use crate::snapshot::{About, Ask, News, Refusal, Snapshot, Upstream, VolumeId};

/// How long one question to the memory may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// All that the way needs, for one kind of resource.
pub(super) struct Context<U, K: Owner> {
    /// The API server.
    pub(super) client: kube::Client,
    /// Where events go.
    pub(super) recorder: Recorder,
    /// How each resource is, in numbers.
    pub(super) states: States,
    /// What is remembered of Phase.
    pub(super) snapshot: Arc<Snapshot<U>>,
    /// The tokens that were read a moment ago.
    pub(super) tokens: Arc<Tokens>,
    /// Where workloads are that wish to be restarted.
    pub(super) candidates: Arc<Candidates>,
    /// Whose turn it is.
    pub(super) turns: Arc<Turns>,
    /// Who reads with which token.
    pub(super) readers: Arc<Readers<K>>,
    /// How often Phase is asked for resources that do not say it.
    pub(super) poll_interval: Duration,
    /// In place of the resources' own polling interval, in tests.
    pub(super) interval: Option<Duration>,
    /// The resources of this kind that there are here.
    pub(super) resources: Store<K>,
    /// All resources that a Secret may belong to.
    pub(super) owners: Arc<Owners>,
    /// What a resource may ask for.
    pub(super) policy: Policy,
    /// Which consoles a resource may name.
    pub(super) hosts: AllowedHosts,
    /// What was written last, and what there is of it now.
    pub(super) ledger: Arc<Ledger>,
    /// How often each resource has failed in a row.
    pub(super) failures: Backoff<ObjectRef<K>>,
    /// Which resources cannot be read as they are.
    pub(super) refused: Refused<ObjectRef<K>, Option<String>>,
    /// What was told of each resource that has no status: no more than there are.
    pub(super) told: Mutex<HashMap<ObjectRef<K>, Reason>>,
    /// Which resources were taken over.
    pub(super) released: adopt::Released,
}

/// What came of one time.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) about: Option<Arc<About>>,
    pub(super) secrets: Vec<SecretStatus>,
    pub(super) has_written: bool,
    /// Secrets that were Phase's own operator's until now.
    pub(super) adopted: Vec<String>,
    pub(super) is_stale: bool,
    pub(super) troubles: Vec<Trouble>,
    pub(super) interval: Option<Duration>,
    /// What else is worth an event.
    pub(super) notes: Vec<Note>,
    /// The tokens that were read with.
    tokens: Vec<News>,
    /// The Secrets that it wants.
    wanted: Vec<SecretName>,
}

/// Something worth an event.
pub(super) struct Note {
    pub(super) is_warning: bool,
    pub(super) reason: &'static str,
    pub(super) text: String,
}

impl Outcome {
    /// Something worth an event that is as it should be.
    pub(super) fn note(&mut self, reason: &'static str, text: String) {
        self.notes.push(Note {
            is_warning: false,
            reason,
            text,
        });
    }

    /// How it went, in one line.
    pub(super) fn summary(&self) -> (Reason, String) {
        match (self.troubles.first(), self.troubles.len()) {
            (None, _) => (
                Reason::Synced,
                "every Secret holds what Phase has".to_owned(),
            ),
            (Some(first), 1) => (first.reason, first.message.clone()),
            (Some(first), all) => (
                first.reason,
                format!("{}; and {} more", first.message, all - 1),
            ),
        }
    }
}

/// Brings one resource's Secrets up to date, and says how it went.
///
/// # Errors
/// Never: what fails is told and tried again.
pub(super) async fn reconcile<U: Upstream, K: Owner>(
    object: Arc<K>,
    context: Arc<Context<U, K>>,
) -> Result<Action, std::convert::Infallible> {
    context.ledger.listed().await;
    let namespace = object.namespace().unwrap_or_default();
    let mut turn = context.turns.write(&namespace).await;
    // It may have changed while others had their turn.
    let Some(object) = context.resources.get(&ObjectRef::from_obj(&*object)) else {
        return Ok(Action::await_change());
    };
    let running = context.states.figures.begin();
    let mut outcome = Outcome::default();
    match context.plans(&object).await {
        Ok(plans) => {
            for plan in plans {
                if let Err(trouble) =
                    attempt(&*object, &context, plan, &mut turn, &mut outcome).await
                {
                    outcome.troubles.push(trouble);
                }
            }
            let tokens = std::mem::take(&mut outcome.tokens);
            context.readers.reads(ObjectRef::from_obj(&*object), tokens);
            // As long as something wanted is not there, what was is not taken away.
            if K::TAKES_BACK && outcome.troubles.is_empty() {
                let wanted = std::mem::take(&mut outcome.wanted);
                take_back(&context, &name(&*object), &wanted, &mut outcome).await;
            }
        }
        Err(trouble) => outcome.troubles.push(trouble),
    }
    drop(turn);
    let is_failed = outcome
        .troubles
        .iter()
        .any(|trouble| trouble.reason.is_passing());
    let is_idle = outcome.troubles.is_empty() && outcome.interval.is_none();
    let interval = outcome.interval.unwrap_or(backoff::LONGEST);
    let reason = outcome.reason();
    let state = ObjectRef::from_obj(&*object).erase();
    match is_idle {
        true => context.states.gone(&state),
        false => context.states.is(state, reason),
    }
    let turn = context.turns.tell(&namespace).await;
    let told = object.tell(&context, outcome).await;
    drop(turn);
    if let Err(error) = &told {
        warn!(
            object = name(&*object),
            "its status cannot be written: {error}"
        );
    }
    running.ended(reason);
    if is_idle {
        return Ok(Action::await_change());
    }
    let is_there = |object: &ObjectRef<_>| context.resources.get(object).is_some();
    let (key, is_failed) = (ObjectRef::from_obj(&*object), is_failed || told.is_err());
    let wait = context.failures.wait(key, is_failed, interval, is_there);
    Ok(Action::requeue(backoff::spread(wait)))
}

impl<U: Upstream, K: Owner> Context<U, K> {
    /// What a resource wants. What is refused is not read again until it changes.
    async fn plans(&self, object: &Arc<K>) -> Result<Vec<Plan>, Trouble> {
        let (key, version) = (ObjectRef::from_obj(&**object), object.resource_version());
        if let Some(trouble) = self.refused.of(&key, &version) {
            return Err(trouble);
        }
        // A class may be large.
        let (read, hosts) = (Arc::clone(object), self.hosts.clone());
        let own = object.namespace().unwrap_or_default();
        let Allowance { job, memory } = self.snapshot.allowance(&Tenant::new(&own));
        let read = job.run(move |_| {
            memory.take(read.reading_bytes() as u64)?;
            Ok::<_, Refusal>(read.plans(&hosts))
        });
        let passing = |refusal: Refusal| Trouble::new(refusal.cause.into(), refusal);
        let read = read.await.map_err(Refusal::from);
        let plans = read.and_then(|read| read).map_err(passing)?;
        self.refused.read(key, version, &plans);
        let plans = plans?;
        let admits = |plan| self.policy.admits(&own, plan, K::ORIGIN);
        let admitted = plans.iter().try_for_each(admits);
        admitted.map_err(|mistakes| Trouble::new(Reason::InvalidSpec, mistakes))?;
        Ok(plans)
    }
}

/// What comes of a resource whose round has ended by a defect of ours: it is told, and
/// tried again.
///
/// # Errors
/// Never.
pub(super) async fn defect<U: Upstream, K: Owner>(
    object: Arc<K>,
    context: Arc<Context<U, K>>,
) -> Result<Action, std::convert::Infallible> {
    let trouble = Trouble::new(
        Reason::Internal,
        "a defect has ended the work on this resource: please report it, with the controller's log: it is tried again",
    );
    error!(object = name(&*object), "{}", trouble.message);
    let key = ObjectRef::from_obj(&*object);
    context.states.is(key.clone().erase(), trouble.reason);
    let outcome = Outcome {
        troubles: vec![trouble],
        ..Outcome::default()
    };
    let told = object.tell(&context, outcome).await;
    if let Err(error) = told {
        warn!(
            object = name(&*object),
            "its status cannot be written: {error}"
        );
    }
    let is_there = |object: &ObjectRef<_>| context.resources.get(object).is_some();
    let wait = context.failures.wait(key, true, backoff::LONGEST, is_there);
    Ok(Action::requeue(backoff::spread(wait)))
}

async fn attempt<U: Upstream, K: Owner>(
    object: &K,
    context: &Context<U, K>,
    plan: Plan,
    turn: &mut Writing<'_>,
    outcome: &mut Outcome,
) -> Result<(), Trouble> {
    let interval = plan.interval.unwrap_or(context.poll_interval);
    let interval = context.interval.unwrap_or(interval);
    let plan = Plan {
        interval: Some(interval),
        ..plan
    };
    outcome.interval = Some(interval);
    let names = plan.outputs.iter().map(|output| output.secret.clone());
    outcome.wanted.extend(names);
    let token = context.tokens.read(&context.client, &plan.token).await?;
    outcome.tokens.push(*token.name());
    let ask = Ask {
        tenant: Tenant::new(&object.namespace().unwrap_or_default()),
        token,
        inputs: object.inputs(&plan.token),
        volume: Some(volume(object, &plan.token)),
        class: name(object),
        deadline: Deadline::after(ANSWER_WITHIN),
    };
    let recipe = || Ok(contents::recipe(&plan));
    let reply = context.snapshot.answer(ask, recipe).await;
    let reply = reply.map_err(|refusal| context.tokens.trouble(&plan.token, &refusal))?;
    outcome.about = Some(Arc::clone(&reply.about));
    if let Some(stale) = reply.stale {
        outcome.is_stale = true;
        let trouble = Trouble::new(stale.why.cause.into(), stale.why);
        outcome.troubles.push(trouble);
    }
    let contents = contents::read(&reply.bytes).map_err(|_| {
        Trouble::new(
            Reason::Internal,
            "what is remembered cannot be read: this is a defect, please report it",
        )
    })?;
    outputs(object, context, &plan, contents, (turn, outcome)).await;
    Ok(())
}

/// For people: `namespace/name`.
pub(super) fn name<K: ResourceExt>(object: &K) -> String {
    format!(
        "{}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

/// The resource as what is answered for ever: no other will have its UID.
fn volume<K: Owner>(object: &K, token: &SecretName) -> VolumeId {
    let uid = object.uid().unwrap_or_default();
    let token = token.to_string();
    digest::id([K::KIND, &uid, &token].map(str::as_bytes))
}
