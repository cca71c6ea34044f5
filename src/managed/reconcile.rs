//! The way of one resource: what is wanted, what Phase has, what is written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use tracing::{info, warn};

use super::apply::{Applier, ApplyError, Write};
use super::contents::{self, Part};
use super::news::Readers;
use super::owner::{Owner, Owners};
use super::plan::{Output, Plan, SecretName};
use super::redeploy::redeploy;
use super::resource::SecretStatus;
use super::status::{Reason, Trouble};
use super::take_back::take_back;
use super::token;
use crate::deadline::Deadline;
use crate::digest;
use crate::phase::allowed::AllowedHosts;
use crate::snapshot::{About, Ask, News, Snapshot, Upstream, VolumeId, lock};

/// How long a resource that failed waits at first, and at most, before it is tried again.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How long one question to the memory may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// All that the way needs, for one kind of resource.
pub(super) struct Context<U, K: Owner> {
    /// The API server.
    pub(super) client: kube::Client,
    /// Where events go.
    pub(super) recorder: Recorder,
    /// What is remembered of Phase.
    pub(super) snapshot: Arc<Snapshot<U>>,
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
    /// Which consoles a resource may name.
    pub(super) hosts: AllowedHosts,
    /// The metadata of Secrets that were written, as the API server has them now: of each
    /// namespace that is looked after, or of all.
    pub(super) live: Arc<[Store<PartialObjectMeta<Secret>>]>,
    /// What was written last, by Secret; little more than there are in `live`.
    pub(super) written: Mutex<HashMap<SecretName, Written>>,
    /// How often each resource has failed in a row: no more than there are resources.
    pub(super) failures: Mutex<HashMap<ObjectRef<K>, u32>>,
    /// What was told of each resource that has no status: no more than there are.
    pub(super) told: Mutex<HashMap<ObjectRef<K>, Reason>>,
}

/// What was written of a Secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Everything that was said of it.
    wish: [u8; 32],
    /// What the API server made of it.
    resource_version: Option<String>,
    /// For which content its users have been restarted.
    followed: String,
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
    /// What else is worth an event.
    pub(super) notes: Vec<Note>,
    /// The tokens that were read with.
    tokens: Vec<News>,
    /// The Secrets that it wants.
    wanted: Vec<SecretName>,
}

/// Something worth an event.
pub(super) struct Note {
    pub(super) reason: &'static str,
    pub(super) text: String,
}

impl Outcome {
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
    let mut outcome = Outcome::default();
    match object.plans(&context.hosts) {
        Ok(plans) => {
            for plan in plans {
                if let Err(trouble) = attempt(&*object, &context, plan, &mut outcome).await {
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
    let is_failed = outcome
        .troubles
        .iter()
        .any(|trouble| trouble.reason.is_passing());
    let is_idle = outcome.troubles.is_empty() && outcome.interval.is_none();
    let interval = outcome.interval.unwrap_or(LONGEST_WAIT);
    let told = object.tell(&context, outcome).await;
    if let Err(error) = &told {
        warn!(
            object = name(&*object),
            "its status cannot be written: {error}"
        );
    }
    let wait = context.wait(&object, is_failed || told.is_err(), interval);
    if is_idle {
        return Ok(Action::await_change());
    }
    // A tenth sooner or later, so that equal intervals do not meet.
    Ok(Action::requeue(wait.mul_f64(0.9 + 0.2 * fastrand::f64())))
}

impl<U, K: Owner> Context<U, K> {
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

    /// How long a resource is left alone now.
    fn wait(&self, object: &K, is_failed: bool, interval: Duration) -> Duration {
        let mut failures = lock(&self.failures);
        let object = ObjectRef::from_obj(object);
        if !is_failed {
            failures.remove(&object);
            return interval;
        }
        failures.retain(|object, _| self.resources.get(object).is_some());
        let times = failures.entry(object).or_insert(0);
        *times = times.saturating_add(1);
        let wait = FIRST_WAIT * 2_u32.saturating_pow(times.saturating_sub(1).min(16));
        wait.min(LONGEST_WAIT).min(interval.max(FIRST_WAIT))
    }
}

async fn attempt<U: Upstream, K: Owner>(
    object: &K,
    context: &Context<U, K>,
    plan: Plan,
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
    let token = token::read(&context.client, &plan.token).await?;
    outcome.tokens.push(*token.name());
    let ask = Ask {
        token,
        inputs: inputs(object, &plan.token),
        volume: Some(volume(object, &plan.token)),
        class: name(object),
        deadline: Deadline::after(ANSWER_WITHIN),
    };
    let recipe = || Ok(contents::recipe(&plan, name(object).into()));
    let reply = context.snapshot.answer(ask, recipe).await;
    let reply = reply.map_err(|refusal| Trouble::new(refusal.cause.into(), refusal))?;
    outcome.about = Some(Arc::clone(&reply.about));
    outcome.is_stale |= reply.stale.is_some();
    let parts = contents::parts(&reply.bytes).map_err(|_| {
        Trouble::new(
            Reason::Internal,
            "what is remembered cannot be read: this is a defect, please report it",
        )
    })?;
    let resource = name(object);
    let owner = object.controller_owner_ref(&());
    for (output, part) in plan.outputs.iter().zip(parts) {
        let followed = context.followed(object, &output.secret);
        let (hash, data) = match part {
            Part::Data { hash, json } => (hash, json),
            Part::Wrong(text) => {
                let message = format!("Secret {}: {text}", output.secret);
                outcome
                    .troubles
                    .push(Trouble::new(Reason::InvalidData, message));
                outcome
                    .secrets
                    .extend(followed.map(|hash| entry(&output.secret, hash)));
                continue;
            }
        };
        let write = Write {
            output,
            data,
            hash: &hash,
            annotations: [(K::ANNOTATION, resource.as_str())].into(),
            owner: owner.as_ref().filter(|_| output.is_owned),
        };
        match one(context, &plan, write, followed.as_deref()).await {
            Ok(done) => {
                outcome.has_written |= done.has_written;
                outcome.restarted += done.restarted;
                outcome.secrets.push(entry(&output.secret, hash));
            }
            Err(trouble) => {
                outcome.troubles.push(trouble);
                outcome
                    .secrets
                    .extend(followed.map(|hash| entry(&output.secret, hash)));
            }
        }
    }
    if outcome.restarted > 0 {
        let text = format!(
            "{} workloads that use a changed Secret are restarted",
            outcome.restarted
        );
        let reason = "Redeployed";
        outcome.notes.push(Note { reason, text });
        outcome.restarted = 0;
    }
    Ok(())
}

/// What was done for one Secret.
struct Done {
    has_written: bool,
    restarted: usize,
}

/// Writes one Secret if it is not as it should be, and restarts who uses it.
async fn one<U, K: Owner>(
    context: &Context<U, K>,
    plan: &Plan,
    mut write: Write<'_>,
    followed: Option<&str>,
) -> Result<Done, Trouble> {
    let output = write.output;
    let own = (
        K::ANNOTATION,
        write.annotations.get(K::ANNOTATION).copied().unwrap_or(""),
    );
    let live = context.live(&output.secret);
    if let Some(rival) = live.and_then(|live| context.owners.rival(&live, own)) {
        let secret = output.secret.clone();
        let error = ApplyError::Rival { secret, rival };
        return Err(Trouble::new((&error).into(), error));
    }
    // Without anything before, nobody has started with anything else.
    let before = followed.unwrap_or(write.hash);
    if let Some(annotation) = K::FOLLOWED {
        write.annotations.insert(annotation, before);
    }
    let has_written = context.write(&write, before).await?;
    if before == write.hash {
        return Ok(Done {
            has_written,
            restarted: 0,
        });
    }
    let selector = plan.redeploy.as_deref();
    let restarted = redeploy(&context.client, &output.secret, write.hash, selector).await;
    let restarted = restarted.map_err(|error| Trouble::new((&error).into(), error))?;
    if let Some(annotation) = K::FOLLOWED {
        write.annotations.insert(annotation, write.hash);
        context.write(&write, write.hash).await?;
    }
    Ok(Done {
        has_written,
        restarted,
    })
}

impl<U, K: Owner> Context<U, K> {
    /// Writes a Secret if it is not there as it should be; whether it was another.
    async fn write(&self, write: &Write<'_>, followed: &str) -> Result<bool, Trouble> {
        let secret = &write.output.secret;
        let live = self.live(secret);
        let live = live.and_then(|live| live.resource_version());
        let wish = wish(write);
        let known = lock(&self.written).get(secret).cloned();
        if known.is_some_and(|known| {
            known.wish == wish && live.is_some() && known.resource_version == live
        }) {
            return Ok(false);
        }
        let applied = Applier::new(self.client.clone()).write(write).await;
        let metadata = applied.map_err(|error| Trouble::new((&error).into(), error))?;
        let has_written = metadata.resource_version != live;
        if has_written {
            info!(
                object = write.annotations.get(K::ANNOTATION).copied(),
                %secret,
                content = write.hash,
                "written"
            );
        }
        let written = Written {
            wish,
            resource_version: metadata.resource_version,
            followed: followed.to_owned(),
        };
        self.remember(secret.clone(), written);
        Ok(has_written)
    }

    /// For which content the users of a Secret have been restarted; nothing where it was
    /// never written.
    fn followed(&self, object: &K, secret: &SecretName) -> Option<String> {
        let Some(annotation) = K::FOLLOWED else {
            return object.followed(secret).map(str::to_owned);
        };
        let live = self.live(secret)?;
        // What was written is known at once, and watched a moment later.
        let known = lock(&self.written).get(secret).cloned();
        known
            .map(|known| known.followed)
            .or_else(|| live.annotations().get(annotation).cloned())
    }
}

fn entry(secret: &SecretName, content_hash: String) -> SecretStatus {
    SecretStatus {
        namespace: secret.namespace.clone(),
        name: secret.name.clone(),
        content_hash,
    }
}

impl SecretName {
    fn object_ref(&self) -> ObjectRef<PartialObjectMeta<Secret>> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

pub(super) fn name<K: Owner>(object: &K) -> String {
    format!(
        "{}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

/// Everything that decides the contents but the token; by which Secret it came, since one
/// token may lie in two.
fn inputs<K: Owner>(object: &K, token: &SecretName) -> [u8; 32] {
    let parts = [&object.inputs()[..], token.to_string().as_bytes()].map(<[u8]>::to_vec);
    digest::of_parts(parts.iter().map(Vec::as_slice))
}

/// The resource as what is answered for ever: no other will have its UID.
fn volume<K: Owner>(object: &K, token: &SecretName) -> VolumeId {
    let uid = object.uid().unwrap_or_default();
    let token = token.to_string();
    let mut id = VolumeId::default();
    let digest = digest::of_parts([K::KIND, &uid, &token].map(str::as_bytes));
    id.copy_from_slice(&digest[..16]);
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
    let head = serde_json::to_vec(&(kind, labels, annotations, write.owner, &write.annotations));
    let head = head.unwrap_or_default();
    digest::of_parts([head.as_slice(), write.hash.as_bytes()])
}
