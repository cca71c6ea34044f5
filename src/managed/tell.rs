//! What is told of a resource: its status where it is another than before, and an event
//! for each change of state.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::Patch;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::apply::{FIELD_MANAGER, WITHIN, as_ours};
use super::owner::Owner;
use super::plan::SecretName;
use super::reconcile::{Context, Note, Outcome, name};
use super::resource::{PhaseSecret, PhaseSecretStatus, SecretStatus};
use super::status::{Reason, State, conditions};

/// The condition that says whether all is as it should be.
const SYNCED: &str = "Synced";

/// The pod's name, as a container knows it.
pub(super) fn replica() -> Option<String> {
    std::env::var("HOSTNAME").ok()
}

/// Events come from here.
pub(super) fn recorder(client: &kube::Client) -> Recorder {
    let reporter = Reporter {
        controller: FIELD_MANAGER.to_owned(),
        instance: replica(),
    };
    Recorder::new(client.clone(), reporter)
}

impl<U, K: Owner> Context<U, K> {
    /// An event for each note.
    pub(super) async fn notes(&self, object: &K, notes: &[Note]) {
        for note in notes {
            let kind = match note.is_warning {
                false => EventType::Normal,
                true => EventType::Warning,
            };
            self.event(object, kind, note.reason, &note.text).await;
        }
    }

    /// One event on a resource; without it nothing else is worse.
    pub(super) async fn event(&self, object: &K, kind: EventType, reason: &str, note: &str) {
        // A recorder counts up what has the reason of a text before, and keeps that text.
        // Only of `Synced` there is one text alone.
        let anew = (reason != SYNCED).then(|| recorder(&self.client));
        let recorder = anew.as_ref().unwrap_or(&self.recorder);
        publish(recorder, object, (kind, "Sync"), reason, note).await;
    }
}

/// One event on an object of what is done there.
pub(super) async fn publish<K>(
    recorder: &Recorder,
    object: &K,
    (kind, action): (EventType, &str),
    reason: &str,
    note: &str,
) where
    K: Resource<DynamicType = ()>,
{
    const LONGEST: usize = 1_000;
    let event = Event {
        type_: kind,
        reason: reason.to_owned(),
        note: Some(note.chars().take(LONGEST).collect()),
        action: action.to_owned(),
        secondary: None,
    };
    let about = object.object_ref(&());
    let published = timeout(WITHIN, recorder.publish(&event, &about)).await;
    if !matches!(published, Ok(Ok(()))) {
        debug!(object = name(object), reason, "its event was not created");
    }
}

/// The status of a resource, if it is other than what was told.
pub(super) async fn status<U>(
    object: &PhaseSecret,
    context: &Context<U, PhaseSecret>,
    outcome: Outcome,
) -> Result<(), kube::Error> {
    let before = object.status.clone().unwrap_or_default();
    let now = Timestamp::now();
    let mut status = PhaseSecretStatus {
        observed_generation: object.meta().generation,
        conditions: conditions(
            &before.conditions,
            states(object, &before, &outcome),
            object.meta().generation,
            now,
        ),
        ..before.clone()
    };
    if let Some(about) = &outcome.about {
        status.app = Some(about.app.clone());
        status.environment = Some(about.environments.clone());
        status.keys = u32::try_from(about.files).ok();
        status.secrets = outcome.secrets;
    }
    if outcome.has_written {
        status.last_sync_time = Some(Time(now));
    }
    if status == before && outcome.notes.is_empty() {
        return Ok(());
    }
    for trouble in &outcome.troubles {
        warn!(
            object = name(object),
            reason = trouble.reason.as_str(),
            "{}",
            trouble.message
        );
    }
    let namespace = object.namespace().unwrap_or_default();
    let api = Api::<PhaseSecret>::namespaced(context.client.clone(), &namespace);
    let patch = Patch::Merge(json!({"status": status}));
    let parameters = as_ours();
    let name = object.name_any();
    match timeout(WITHIN, api.patch_status(&name, &parameters, &patch)).await {
        Ok(Ok(_)) => {}
        // It has gone: nobody is left to tell.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(()),
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(kube::Error::Service("no answer in time".into())),
    }
    // After it: a status that cannot be written is tried again, an event is not.
    let synced = |of: &[Condition]| of.iter().find(|one| one.type_ == SYNCED).cloned();
    let (was, is) = (synced(&before.conditions), synced(&status.conditions));
    let has_turned = was.map(|was| was.reason) != is.as_ref().map(|is| is.reason.clone());
    if let Some(is) = is.filter(|_| has_turned) {
        let kind = match is.status.as_str() {
            "True" => EventType::Normal,
            _ => EventType::Warning,
        };
        context.event(object, kind, &is.reason, &is.message).await;
    }
    context.notes(object, &outcome.notes).await;
    Ok(())
}

impl Outcome {
    /// What [`SYNCED`] says of it.
    pub(super) fn reason(&self) -> Reason {
        let first = self.troubles.first().map(|trouble| trouble.reason);
        first.unwrap_or(match self.is_stale {
            true => Reason::Unreachable,
            false => Reason::Synced,
        })
    }
}

fn states(object: &PhaseSecret, before: &PhaseSecretStatus, outcome: &Outcome) -> [State; 3] {
    let first = outcome.troubles.first();
    let (reason, message) = outcome.summary();
    let wanted = object.spec.managed_secret_references.len();
    let there = match &outcome.about {
        Some(_) => outcome.secrets.len(),
        None => before.secrets.len(),
    };
    let is_ready = wanted > 0 && there >= wanted;
    let is_unreachable = first
        .is_some_and(|first| matches!(first.reason, Reason::Unreachable | Reason::RateLimited));
    let is_stale = outcome.is_stale || is_unreachable;
    [
        State {
            name: "Ready",
            holds: is_ready,
            reason: if is_ready { "Written" } else { reason.as_str() },
            message: match is_ready {
                true => format!("{there} of {wanted} Secrets can be used"),
                false => message.clone(),
            },
        },
        State {
            name: SYNCED,
            holds: first.is_none(),
            reason: outcome.reason().as_str(),
            message,
        },
        State {
            name: "Stale",
            holds: is_stale,
            reason: match (is_stale, &outcome.about) {
                (true, _) => "Unreachable",
                (false, Some(_)) => "Confirmed",
                (false, None) => "Unknown",
            },
            message: match (is_stale, &outcome.about) {
                (true, _) => "Phase cannot be asked: the Secrets keep what they have",
                (false, Some(_)) => "Phase was asked",
                (false, None) => "Phase was not asked, or refused: see Synced",
            }
            .to_owned(),
        },
    ]
}

/// What a status says of a Secret.
pub(super) fn entry<'a>(
    status: &'a PhaseSecretStatus,
    secret: &SecretName,
) -> Option<&'a SecretStatus> {
    let is_it = |of: &&SecretStatus| of.namespace == secret.namespace && of.name == secret.name;
    status.secrets.iter().find(is_it)
}
