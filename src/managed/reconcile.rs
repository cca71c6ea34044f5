//! The way of one `PhaseSecret`: what is wanted, what Phase has, what is written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::apply::{Applier, Write};
use super::backoff::{self, Backoff};
use super::contents::{self, Part};
use super::news::Readers;
use super::plan::{Output, Plan, SecretName};
use super::redeploy::redeploy;
use super::resource::{PhaseSecret, PhaseSecretStatus, SecretStatus};
use super::status::{Reason, Trouble};
use super::tell::tell;
use super::token::Tokens;
use crate::cause::Cause;
use crate::deadline::Deadline;
use crate::digest;
use crate::phase::allowed::AllowedHosts;
use crate::snapshot::{About, Ask, Snapshot, Upstream, VolumeId, lock};

/// How long one question to the memory may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// All that the way needs.
pub(super) struct Context<U> {
    /// The API server.
    pub(super) client: kube::Client,
    /// Where events go.
    pub(super) recorder: Recorder,
    /// What is remembered of Phase.
    pub(super) snapshot: Arc<Snapshot<U>>,
    /// The tokens that were read a moment ago.
    pub(super) tokens: Tokens,
    /// Whose turn it is, in the order in which they have come.
    pub(super) turns: Semaphore,
    /// Who reads with which token.
    pub(super) readers: Arc<Readers>,
    /// In place of the resources' own polling interval, in tests.
    pub(super) interval: Option<Duration>,
    /// The resources that there are.
    pub(super) resources: Store<PhaseSecret>,
    /// Which consoles a resource may name.
    pub(super) hosts: AllowedHosts,
    /// The metadata of Secrets that were written, as the API server has them now: of each
    /// namespace that is looked after, or of all.
    pub(super) live: Arc<[Store<PartialObjectMeta<Secret>>]>,
    /// What was written last, by Secret; little more than there are in `live`.
    pub(super) written: Mutex<HashMap<SecretName, Written>>,
    /// How often each resource has failed in a row.
    pub(super) failures: Backoff<ObjectRef<PhaseSecret>>,
}

/// What was written of a Secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Everything that was said of it.
    wish: [u8; 32],
    /// What the API server made of it.
    resource_version: Option<String>,
}

/// What came of one time.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) about: Option<Arc<About>>,
    pub(super) secrets: Vec<SecretStatus>,
    pub(super) has_written: bool,
    pub(super) restarted: usize,
    pub(super) is_stale: bool,
    pub(super) troubles: Vec<Trouble>,
    pub(super) interval: Option<Duration>,
}

/// Brings one resource's Secrets up to date, and says how it went in its status.
///
/// # Errors
/// Never: what fails is told and tried again.
pub(super) async fn reconcile<U: Upstream>(
    object: Arc<PhaseSecret>,
    context: Arc<Context<U>>,
) -> Result<Action, std::convert::Infallible> {
    let mut outcome = Outcome::default();
    let turn = context.turns.acquire().await;
    // It may have changed while others had their turn.
    let Some(object) = context.resources.get(&ObjectRef::from_obj(&*object)) else {
        return Ok(Action::await_change());
    };
    if let Err(trouble) = attempt(&object, &context, &mut outcome).await {
        outcome.troubles.push(trouble);
    }
    drop(turn);
    let is_failed = outcome
        .troubles
        .iter()
        .any(|trouble| trouble.reason.is_passing());
    let interval = outcome.interval.unwrap_or(backoff::LONGEST);
    // Secrets are waited for: what wants to be written already comes first.
    let turn = context.turns.acquire().await;
    let told = tell(&object, &context, outcome).await;
    drop(turn);
    if let Err(error) = &told {
        warn!(
            object = name(&object),
            "its status cannot be written: {error}"
        );
    }
    let is_there = |object: &ObjectRef<_>| context.resources.get(object).is_some();
    let (key, is_failed) = (ObjectRef::from_obj(&*object), is_failed || told.is_err());
    let wait = context.failures.wait(key, is_failed, interval, is_there);
    Ok(Action::requeue(backoff::spread(wait)))
}

impl<U> Context<U> {
    /// What is remembered of Secrets that have gone is forgotten.
    fn remember(&self, secret: SecretName, now: Written) {
        const MORE: usize = 64;
        let mut written = lock(&self.written);
        written.insert(secret, now);
        if written.len() > 2 * self.live.iter().map(Store::len).sum::<usize>() + MORE {
            written.retain(|secret, _| self.live(secret).is_some());
        }
    }

    /// What the API server has of a Secret now, where that is watched.
    fn live(&self, secret: &SecretName) -> Option<Arc<PartialObjectMeta<Secret>>> {
        let key = secret.object_ref();
        self.live.iter().find_map(|live| live.get(&key))
    }
}

async fn attempt<U: Upstream>(
    object: &PhaseSecret,
    context: &Context<U>,
    outcome: &mut Outcome,
) -> Result<(), Trouble> {
    let namespace = object.namespace().unwrap_or_default();
    let mut plan = Plan::of(&namespace, &object.spec, &context.hosts)
        .map_err(|mistakes| Trouble::new(Reason::InvalidSpec, mistakes))?;
    plan.interval = context.interval.unwrap_or(plan.interval);
    outcome.interval = Some(plan.interval);
    let token = context.tokens.read(&context.client, &plan.token).await?;
    let object_ref = ObjectRef::from_obj(object);
    context.readers.reads(object_ref, *token.name());
    let ask = Ask {
        token,
        inputs: inputs(object),
        volume: Some(volume(object)),
        class: name(object),
        deadline: Deadline::after(ANSWER_WITHIN),
    };
    let recipe = || Ok(contents::recipe(&plan, name(object).into()));
    let reply = context.snapshot.answer(ask, recipe).await;
    let reply = reply.map_err(|refusal| {
        if refusal.cause == Cause::RefusedCredential {
            context.tokens.forget(&plan.token);
        }
        Trouble::new(refusal.cause.into(), refusal)
    })?;
    outcome.about = Some(Arc::clone(&reply.about));
    outcome.is_stale = reply.stale.is_some();
    let parts = contents::parts(&reply.bytes).map_err(|_| {
        Trouble::new(
            Reason::Internal,
            "what is remembered cannot be read: this is a defect, please report it",
        )
    })?;
    let resource = name(object);
    let owner = object.controller_owner_ref(&());
    for (output, part) in plan.outputs.iter().zip(parts) {
        let before = object
            .status
            .as_ref()
            .and_then(|status| entry(status, &output.secret));
        let (hash, data) = match part {
            Part::Data { hash, json } => (hash, json),
            Part::Wrong(text) => {
                let message = format!("Secret {}: {text}", output.secret);
                outcome
                    .troubles
                    .push(Trouble::new(Reason::InvalidData, message));
                outcome.secrets.extend(before.cloned());
                continue;
            }
        };
        let write = Write {
            output,
            data,
            hash: &hash,
            resource: &resource,
            owner: owner.as_ref().filter(|_| output.is_owned),
        };
        let done = one(context, &plan, &write, before).await;
        match done {
            Ok(Done {
                has_written,
                restarted,
            }) => {
                outcome.has_written |= has_written;
                outcome.restarted += restarted;
                outcome.secrets.push(SecretStatus {
                    namespace: output.secret.namespace.clone(),
                    name: output.secret.name.clone(),
                    content_hash: hash,
                });
            }
            Err(trouble) => {
                outcome.troubles.push(trouble);
                outcome.secrets.extend(before.cloned());
            }
        }
    }
    Ok(())
}

/// What was done for one Secret.
struct Done {
    has_written: bool,
    restarted: usize,
}

/// Writes one Secret if it is not as it should be, and restarts who uses it.
async fn one<U>(
    context: &Context<U>,
    plan: &Plan,
    write: &Write<'_>,
    before: Option<&SecretStatus>,
) -> Result<Done, Trouble> {
    let output = write.output;
    let live = context.live(&output.secret);
    let live = live.and_then(|live| live.resource_version());
    let wish = wish(write);
    let (mut has_written, mut restarted) = (false, 0);
    let known = lock(&context.written).get(&output.secret).cloned();
    let is_there = known.as_ref().is_some_and(|known| {
        known.wish == wish && live.is_some() && known.resource_version == live
    });
    if !is_there {
        let applied = Applier::new(context.client.clone()).write(write).await;
        let metadata = applied.map_err(|error| Trouble::new((&error).into(), error))?;
        // What is watched may come late.
        let known = known.and_then(|known| known.resource_version);
        has_written = ![live, known].contains(&metadata.resource_version);
        if has_written {
            info!(object = write.resource, secret = %output.secret, content = write.hash, "written");
        }
        let written = Written {
            wish,
            resource_version: metadata.resource_version,
        };
        context.remember(output.secret.clone(), written);
    }
    if before.is_some_and(|before| before.content_hash != write.hash) {
        let selector = plan.redeploy.as_deref();
        let done = redeploy(&context.client, &output.secret, write.hash, selector).await;
        restarted = done.map_err(|error| Trouble::new((&error).into(), error))?;
    }
    Ok(Done {
        has_written,
        restarted,
    })
}

fn entry<'a>(status: &'a PhaseSecretStatus, secret: &SecretName) -> Option<&'a SecretStatus> {
    let is_it = |of: &&SecretStatus| of.namespace == secret.namespace && of.name == secret.name;
    status.secrets.iter().find(is_it)
}

impl SecretName {
    fn object_ref(&self) -> ObjectRef<PartialObjectMeta<Secret>> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

pub(super) fn name(object: &PhaseSecret) -> String {
    format!(
        "{}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

/// Everything that decides the contents but the token.
fn inputs(object: &PhaseSecret) -> [u8; 32] {
    let spec = serde_json::to_vec(&object.spec).unwrap_or_default();
    digest::of_parts([b"PhaseSecret".as_slice(), &spec])
}

/// The resource as what is answered for ever: no other will have its UID.
fn volume(object: &PhaseSecret) -> VolumeId {
    let uid = object.uid().unwrap_or_default();
    let mut id = VolumeId::default();
    id.copy_from_slice(&digest::of_parts([b"PhaseSecret".as_slice(), uid.as_bytes()])[..16]);
    id
}

/// Everything that is written of a Secret.
fn wish(write: &Write<'_>) -> [u8; 32] {
    let Output {
        kind,
        labels,
        annotations,
        ..
    } = write.output;
    let head = serde_json::to_vec(&(kind, labels, annotations, write.owner, write.resource));
    let head = head.unwrap_or_default();
    digest::of_parts([head.as_slice(), write.hash.as_bytes()])
}
