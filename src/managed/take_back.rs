//! Secrets that nothing names any more: gone, if they are still ours alone.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, Preconditions};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::apply::{CONTENT, FIELD_MANAGER, LABEL, WITHIN, as_ours};
use super::owner::Owner;
use super::plan::SecretName;
use super::reconcile::{Context, Outcome};
use super::status::{Reason, Trouble};

/// How long to wait for the second of so many tries, and twice as long for each further.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const MOST_TRIES: usize = 8;

/// Why a Secret that nothing names any more is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeBackError {
    /// No right.
    #[error(
        "the controller may not delete Secret {0}, which nothing names any more: give its ServiceAccount a Role with get, patch and delete on secrets in that namespace"
    )]
    Forbidden(SecretName),
    /// No answer, or a refusal that passes.
    #[error("Secret {0}, which nothing names any more, could not be deleted: it is tried again")]
    Failed(SecretName),
}

/// What became of a Secret.
enum Fate {
    /// Somebody has taken it over meanwhile, or it is gone.
    None,
    Deleted,
    /// Others have put something in it.
    Left(Vec<String>),
}

/// Takes back what an owner, `namespace/name`, had written and does not want any more.
pub(super) async fn take_back<U, K: Owner>(
    context: &Context<U, K>,
    owner: &str,
    wanted: &[SecretName],
    outcome: &mut Outcome,
) {
    let namespace = owner.split_once('/').map_or("", |(namespace, _)| namespace);
    let of_owner = |live: &PartialObjectMeta<Secret>| {
        let name = SecretName {
            namespace: live.namespace()?,
            name: live.name_any(),
        };
        let is_ours = live.annotations().get(K::ANNOTATION)? == owner;
        (is_ours && name.namespace == namespace && !wanted.contains(&name)).then_some(name)
    };
    let live = context.ledger.all_live();
    for secret in live.filter_map(|live| of_owner(&live)) {
        let fate = one::<K>(&context.client, &secret, owner).await;
        let (reason, text) = match fate {
            Ok(Fate::None) => continue,
            Ok(Fate::Deleted) => (
                "Deleted",
                format!("Secret {secret}: nothing names it any more"),
            ),
            Ok(Fate::Left(managers)) => (
                "Left",
                format!(
                    "Secret {secret} is not deleted: {} has put something in it, and it is theirs now",
                    managers.join(", ")
                ),
            ),
            Err(error) => {
                let reason = match &error {
                    TakeBackError::Forbidden(_) => Reason::WriteForbidden,
                    TakeBackError::Failed(_) => Reason::ApiUnavailable,
                };
                outcome.troubles.push(Trouble::new(reason, error));
                continue;
            }
        };
        info!(object = owner, %secret, reason, "no longer kept");
        outcome.note(reason, text);
    }
}

/// Takes back the Secrets of resources that have gone.
pub(super) async fn bury<U, K: Owner>(
    context: &Context<U, K>,
    mut gone: Receiver<ObjectRef<DynamicObject>>,
) {
    while let Some(object) = gone.recv().await {
        let namespace = object.namespace.unwrap_or_default();
        let owner = format!("{namespace}/{}", object.name);
        let mut wait = FIRST_WAIT;
        for _ in 0..MOST_TRIES {
            let mut outcome = Outcome::default();
            match has_gone::<K>(&context.client, &namespace, &object.name).await {
                Some(false) => break,
                Some(true) => take_back(context, &owner, &[], &mut outcome).await,
                None => {}
            }
            if outcome.troubles.is_empty() {
                break;
            }
            for trouble in outcome.troubles {
                warn!(object = owner, "{}", trouble.message);
            }
            sleep(wait).await;
            wait *= 2;
        }
    }
}

/// Whether a resource has gone, by the API server itself: what is watched may be behind.
/// Where nothing of its kind is defined any more, that says nothing of it.
async fn has_gone<K: Owner>(client: &kube::Client, namespace: &str, name: &str) -> Option<bool> {
    let resources = Api::<K>::namespaced(client.clone(), namespace);
    match timeout(WITHIN, resources.get_metadata(name)).await {
        Ok(Ok(_)) => Some(false),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            let named = status.details.as_ref().map(|details| &details.name);
            Some(named.is_some_and(|named| named == name))
        }
        _ => None,
    }
}

async fn one<K: Owner>(
    client: &kube::Client,
    secret: &SecretName,
    owner: &str,
) -> Result<Fate, TakeBackError> {
    let secrets = Api::<Secret>::namespaced(client.clone(), &secret.namespace);
    let found = asked(secret, secrets.get_metadata(&secret.name)).await?;
    let Some(found) = found.filter(|found| is_still(&found.metadata, K::ANNOTATION, owner)) else {
        return Ok(Fate::None);
    };
    let version = found.metadata.resource_version.clone();
    let managers = others(&found.metadata);
    if managers.is_empty() {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: version,
                uid: found.metadata.uid.clone(),
            }),
            ..DeleteParams::default()
        };
        let deleted = asked(secret, secrets.delete(&secret.name, &parameters)).await?;
        return Ok(deleted.map_or(Fate::None, |_| Fate::Deleted));
    }
    let mut annotations = json!({(K::ANNOTATION): null, (CONTENT): null});
    if let Some(followed) = K::FOLLOWED {
        annotations[followed] = json!(null);
    }
    let patch = json!({"metadata": {
        "resourceVersion": version, "labels": {(LABEL.0): null}, "annotations": annotations,
    }});
    let parameters = as_ours();
    let patch = Patch::Merge(patch);
    let patched = secrets.patch_metadata(&secret.name, &parameters, &patch);
    let patched = asked(secret, patched).await?;
    Ok(patched.map_or(Fate::None, |_| Fate::Left(managers)))
}

/// An answer of the API server; none where the Secret is not there.
async fn asked<T>(
    secret: &SecretName,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<Option<T>, TakeBackError> {
    match timeout(WITHIN, asked).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            Err(TakeBackError::Forbidden(secret.clone()))
        }
        _ => Err(TakeBackError::Failed(secret.clone())),
    }
}

/// Whether a Secret still says that it belongs to this owner.
fn is_still(metadata: &ObjectMeta, annotation: &str, owner: &str) -> bool {
    let annotations = metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(annotation))
        .map(String::as_str)
        == Some(owner)
}

/// Other field managers that have put data into a Secret.
fn others(metadata: &ObjectMeta) -> Vec<String> {
    let entries = metadata.managed_fields.iter().flatten();
    let with_data = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        // An apply of stringData is remembered as that.
        let data = ["f:data", "f:stringData"].into_iter().filter_map(|part| {
            let part = fields?.0.get(part)?;
            part.as_object()
        });
        data.flat_map(|part| part.keys())
            .any(|key| key.starts_with("f:"))
    });
    let managers = with_data.filter_map(|entry| entry.manager.clone());
    let mut managers: Vec<_> = managers
        .filter(|manager| manager != FIELD_MANAGER)
        .collect();
    managers.sort_unstable();
    managers.dedup();
    managers
}
