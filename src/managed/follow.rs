//! Restarts annotated workloads whose pods mount a class that has changed.
//!
//! Files in a volume follow Phase by themselves; a program that reads them at its start
//! alone does not. What a class holds is asked for here as a mount of the workload's
//! pods would ask, with the token that their volume names; nothing but its version is
//! kept. A workload says itself what its pods have started with: in an annotation of the
//! pod template after a restart of ours, before the first one in an annotation of its own.

mod mounted;

pub(super) use mounted::wishing;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::api::Patch;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::apply::{WITHIN, as_ours};
use super::backoff;
use super::mirror::SecretProviderClass;
use super::news::Readers;
use super::plan::SecretName;
use super::reconcile::{ANSWER_WITHIN, name};
use super::redeploy::{Workload, annotation};
use super::refused::Refused;
use super::status::{Reason, Trouble};
use super::tell::{publish, recorder};
use super::token::Tokens;
use crate::deadline::Deadline;
use crate::digest;
use crate::phase::allowed::AllowedHosts;
use crate::quota::Tenant;
use crate::snapshot::{Ask, News, Snapshot, Upstream, lock};
use crate::telemetry::metrics::ManagedFigures;
use mounted::{Mounted, recipe, volume, volumes};

/// The annotation with the version of a class that pods have started with: this, a
/// slash, and the class's name.
const STARTED_WITH: &str = "class.secrets.phase.dev";

/// Why a workload is not looked after.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The pods' token comes from elsewhere.
    #[error(
        "volume {volume} mounts class {class} and names no Secret: to be restarted when the class changes, name the token's Secret in nodePublishSecretRef"
    )]
    NoSecret {
        /// The volume.
        volume: String,
        /// The class.
        class: String,
    },
    /// No such class.
    #[error("class {0} does not exist: create it, or take the volume out")]
    NoClass(String),
    /// No answer, or a refusal.
    #[error("the API server did not answer while {kind} {name} was looked at: it is tried again")]
    Unanswered {
        /// What.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// No right.
    #[error(
        "the controller may not restart {kind} {name}: give its ServiceAccount a Role with get and patch on it"
    )]
    Forbidden {
        /// What.
        kind: &'static str,
        /// Which.
        name: String,
    },
}

impl From<FollowError> for Trouble {
    fn from(error: FollowError) -> Self {
        let reason = match &error {
            FollowError::NoSecret { .. } => Reason::TokenMissing,
            FollowError::NoClass(_) => Reason::NotFound,
            FollowError::Unanswered { .. } => Reason::ApiUnavailable,
            FollowError::Forbidden { .. } => Reason::WriteForbidden,
        };
        Self::new(reason, error)
    }
}

/// What all kinds of workloads share.
pub(super) struct Following<U> {
    pub(super) client: kube::Client,
    pub(super) snapshot: Arc<Snapshot<U>>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) hosts: AllowedHosts,
    pub(super) classes: Store<SecretProviderClass>,
    /// Parameters that cannot be read, by their digest.
    pub(super) refused: Refused<[u8; 32], ()>,
    /// How often Phase is asked.
    pub(super) interval: Duration,
    /// Held for a moment after each restart, so that many do not begin at once.
    pub(super) pace: Arc<tokio::sync::Mutex<()>>,
    pub(super) figures: Arc<ManagedFigures>,
}

/// What is needed for one kind.
pub(super) struct Context<U, W: Workload> {
    pub(super) all: Arc<Following<U>>,
    pub(super) workloads: Store<PartialObjectMeta<W>>,
    pub(super) readers: Arc<Readers<PartialObjectMeta<W>>>,
    /// What is known of workloads that wish to be restarted: of no more than there are.
    pub(super) known: Mutex<HashMap<ObjectRef<PartialObjectMeta<W>>, Known>>,
}

/// What is known of a workload.
#[derive(Clone, Default)]
pub(super) struct Known {
    generation: Option<i64>,
    volumes: Arc<[Mounted]>,
    /// By annotation: with what pods have started, as their template says.
    started: BTreeMap<String, String>,
    /// By annotation: a change, and when every node has it.
    coming: BTreeMap<String, (String, Instant)>,
    /// What was told of it last.
    told: Option<String>,
}

/// What a workload comes to be.
#[derive(Default)]
struct Changes {
    /// By annotation: what its pods have started with, as far as is known.
    first: BTreeMap<String, String>,
    /// By annotation: what they are to start with anew.
    due: BTreeMap<String, String>,
    classes: Vec<String>,
}

/// Looks at one workload.
///
/// # Errors
/// Never: what fails is told and tried again.
pub(super) async fn reconcile<U: Upstream, W: Workload>(
    object: Arc<PartialObjectMeta<W>>,
    context: Arc<Context<U, W>>,
) -> Result<Action, std::convert::Infallible> {
    let key = ObjectRef::from_obj(&*object);
    let mut known = {
        let mut all = lock(&context.known);
        all.retain(|key, _| context.workloads.get(key).is_some());
        all.get(&key).cloned().unwrap_or_default()
    };
    let done = context.look(&object, &mut known).await;
    let message = done.as_ref().err().map(|trouble| trouble.message.clone());
    if known.told != message {
        if let Err(trouble) = &done {
            warn!(
                kind = W::KIND,
                object = name(&*object),
                reason = trouble.reason.as_str(),
                "{}",
                trouble.message
            );
            let kind = EventType::Warning;
            context
                .event(&object, kind, trouble.reason.as_str(), &trouble.message)
                .await;
        }
        known.told = message;
    }
    let is_concerned = done.is_err() || !known.volumes.is_empty();
    let next = known
        .coming
        .values()
        .map(|(_, due)| due.saturating_duration_since(Instant::now()))
        .min();
    lock(&context.known).insert(key, known);
    if !is_concerned {
        return Ok(Action::await_change());
    }
    let interval = backoff::spread(context.all.interval);
    Ok(Action::requeue(
        next.map_or(interval, |next| next.min(interval)),
    ))
}

impl<U: Upstream, W: Workload> Context<U, W> {
    async fn look(&self, object: &PartialObjectMeta<W>, known: &mut Known) -> Result<(), Trouble> {
        if known.generation.is_none() || known.generation != object.meta().generation {
            let Some(workload) = self.workload(object).await? else {
                return Ok(());
            };
            let template = workload.template();
            let annotations = template.and_then(|of| of.metadata.as_ref()?.annotations.clone());
            known.started = annotations.unwrap_or_default();
            known.started.retain(|key, _| key.starts_with(STARTED_WITH));
            known.volumes = template
                .and_then(|of| of.spec.as_ref())
                .map(volumes)
                .unwrap_or_default();
            known.generation = workload.meta().generation;
        }
        let (mut versions, mut tokens) = (BTreeMap::<String, Vec<String>>::new(), Vec::new());
        for mounted in &*known.volumes {
            if let Some(version) = self.version(object, mounted, &mut tokens).await? {
                versions
                    .entry(mounted.class.clone())
                    .or_default()
                    .push(version);
            }
        }
        self.readers.reads(ObjectRef::from_obj(object), tokens);
        let changes = self.changes(object, known, versions);
        self.make(object, changes).await
    }

    async fn workload(&self, object: &PartialObjectMeta<W>) -> Result<Option<W>, Trouble> {
        let asked = self.api(object);
        self.asked(object, asked.get(&object.name_any())).await
    }

    fn api(&self, object: &PartialObjectMeta<W>) -> Api<W> {
        Api::namespaced(
            self.all.client.clone(),
            &object.namespace().unwrap_or_default(),
        )
    }

    /// The version of what a volume holds, as a mount now would have it; none where it is
    /// no class of ours.
    async fn version(
        &self,
        object: &PartialObjectMeta<W>,
        mounted: &Mounted,
        tokens: &mut Vec<News>,
    ) -> Result<Option<String>, Trouble> {
        let namespace = object.namespace().unwrap_or_default();
        let class = format!("{namespace}/{}", mounted.class);
        let found = self
            .all
            .classes
            .get(&ObjectRef::new(&mounted.class).within(&namespace));
        let found = found.ok_or_else(|| FollowError::NoClass(class.clone()))?;
        if !found.is_phase() {
            return Ok(None);
        }
        let secret = mounted
            .token
            .as_ref()
            .ok_or_else(|| FollowError::NoSecret {
                volume: mounted.volume.clone(),
                class: class.clone(),
            })?;
        // As the driver does, the volume's attributes over the class's parameters.
        let mut parameters = found.spec.parameters.clone();
        parameters.extend(mounted.attributes.clone());
        let inputs = digest::of_texts("mounted", &parameters);
        let tenant = Tenant::new(&namespace);
        let read = self.all.read(&tenant, inputs, parameters).await?;
        let secret = SecretName {
            namespace,
            name: secret.clone(),
        };
        let token = self.all.tokens.read(&self.all.client, &secret).await?;
        tokens.push(*token.name());
        let ask = Ask {
            tenant,
            token,
            inputs,
            volume: Some(volume(object, mounted)),
            class,
            deadline: Deadline::after(ANSWER_WITHIN),
        };
        let interval = self.all.interval;
        let reply = self
            .all
            .snapshot
            .answer(ask, || Ok(recipe(read, interval)))
            .await;
        let reply = reply.map_err(|refusal| self.all.tokens.trouble(&secret, &refusal))?;
        Ok(Some(reply.about.version.clone()))
    }

    /// What is to be done, now or later.
    fn changes(
        &self,
        object: &PartialObjectMeta<W>,
        known: &mut Known,
        versions: BTreeMap<String, Vec<String>>,
    ) -> Changes {
        let now = Instant::now();
        let mut changes = Changes::default();
        let mut coming = BTreeMap::new();
        for (class, versions) in versions {
            let key = annotation(STARTED_WITH, &class);
            let version = versions.join(".");
            let own = object.annotations().get(&key);
            match known.started.get(&key).or(own) {
                None => drop(changes.first.insert(key, version)),
                Some(started) if *started == version => {}
                Some(_) => {
                    let settled = || now + self.all.settled();
                    let before = known.coming.remove(&key);
                    let (version, due) = before.unwrap_or_else(|| (version, settled()));
                    if due <= now {
                        changes.due.insert(key, version);
                        changes.classes.push(class);
                    } else {
                        coming.insert(key, (version, due));
                    }
                }
            }
        }
        known.coming = coming;
        changes
    }

    async fn make(&self, object: &PartialObjectMeta<W>, changes: Changes) -> Result<(), Trouble> {
        let Changes {
            first,
            due,
            classes,
        } = changes;
        if !first.is_empty() {
            self.patch(object, json!({"metadata": {"annotations": first}}))
                .await?;
        }
        if due.is_empty() {
            return Ok(());
        }
        let _pace = self.all.pace.lock().await;
        let template = json!({"spec": {"template": {"metadata": {"annotations": due}}}});
        self.patch(object, template).await?;
        self.all.figures.restarted(1);
        let classes = classes.join(", ");
        info!(kind = W::KIND, object = name(object), classes, "restarted");
        let note =
            format!("its pods are restarted, since they mount what has changed: class {classes}");
        self.event(object, EventType::Normal, "Redeployed", &note)
            .await;
        sleep(Duration::from_millis(fastrand::u64(200..1_000))).await;
        Ok(())
    }

    async fn patch(
        &self,
        object: &PartialObjectMeta<W>,
        patch: serde_json::Value,
    ) -> Result<(), Trouble> {
        let parameters = as_ours();
        let (api, of) = (self.api(object), object.name_any());
        let patch = Patch::Merge(patch);
        self.asked(object, api.patch_metadata(&of, &parameters, &patch))
            .await?;
        Ok(())
    }

    /// An answer of the API server; none where the workload is not there any more.
    async fn asked<T>(
        &self,
        object: &PartialObjectMeta<W>,
        asked: impl Future<Output = kube::Result<T>>,
    ) -> Result<Option<T>, Trouble> {
        let (kind, name) = (W::KIND, name(object));
        match timeout(WITHIN, asked).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                Err(FollowError::Forbidden { kind, name }.into())
            }
            _ => Err(FollowError::Unanswered { kind, name }.into()),
        }
    }

    async fn event(
        &self,
        object: &PartialObjectMeta<W>,
        kind: EventType,
        reason: &str,
        note: &str,
    ) {
        // One of its own for each: a recorder would keep the text of the first.
        let recorder = recorder(&self.all.client);
        publish(&recorder, object, (kind, "Restart"), reason, note).await;
    }
}
