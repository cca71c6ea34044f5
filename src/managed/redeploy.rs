//! Restarts the workloads that use a changed Secret: once for each content.
//!
//! A restart is an annotation of the pod template with the digest of the content, so
//! that whoever tries again, or another replica, changes nothing.

use std::fmt::Debug;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Volume};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::apply::{FIELD_MANAGER, WITHIN};
use super::plan::SecretName;
use crate::class::shortened;

/// The annotation by which a workload wishes to be restarted; `"false"` takes it back.
pub const WISH: &str = "secrets.phase.dev/redeploy";
/// The annotation of a pod template with the content that its pods have started with:
/// this, a slash, and the Secret's name.
const STARTED_WITH: &str = "content.secrets.phase.dev";
/// So many workloads are restarted at once; each further one a moment later.
const AT_ONCE: usize = 5;

/// Why workloads were not restarted; those that were stay so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedeployError {
    /// No right.
    #[error(
        "the controller may not restart {kind}s in namespace {namespace}: give its ServiceAccount a Role with list and patch on them"
    )]
    Forbidden {
        /// What.
        kind: &'static str,
        /// Where.
        namespace: String,
    },
    /// The API server does not understand the selector.
    #[error(
        "spec.redeployLabelSelector {0:?} is no label selector: write for example \"tier=web\""
    )]
    Selector(String),
    /// No answer, or a refusal.
    #[error(
        "{kind}s in namespace {namespace} that use Secret {secret} could not all be restarted: it is tried again"
    )]
    Failed {
        /// What.
        kind: &'static str,
        /// Where.
        namespace: String,
        /// For which Secret.
        secret: String,
    },
}

/// What has a pod template and can be restarted.
trait Workload:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug
{
    const KIND: &'static str;
    fn template(&self) -> Option<&PodTemplateSpec>;
}

macro_rules! workload {
    ($kind:ty, $name:literal) => {
        impl Workload for $kind {
            const KIND: &'static str = $name;

            fn template(&self) -> Option<&PodTemplateSpec> {
                self.spec.as_ref().map(|spec| &spec.template)
            }
        }
    };
}

workload!(Deployment, "Deployment");
workload!(StatefulSet, "StatefulSet");
workload!(DaemonSet, "DaemonSet");

/// Restarts the annotated workloads of a Secret's namespace that use it. How many.
///
/// # Errors
/// [`RedeployError`]; trying again restarts only those that were not.
pub async fn redeploy(
    client: &kube::Client,
    secret: &SecretName,
    content: &str,
    selector: Option<&str>,
) -> Result<usize, RedeployError> {
    let change = Change {
        client,
        secret,
        content,
        selector,
    };
    Ok(change.of::<Deployment>().await?
        + change.of::<StatefulSet>().await?
        + change.of::<DaemonSet>().await?)
}

struct Change<'a> {
    client: &'a kube::Client,
    secret: &'a SecretName,
    content: &'a str,
    selector: Option<&'a str>,
}

impl Change<'_> {
    async fn of<W: Workload>(&self) -> Result<usize, RedeployError> {
        let SecretName { namespace, name } = self.secret;
        let workloads = Api::<W>::namespaced(self.client.clone(), namespace);
        let wanted = ListParams {
            label_selector: self.selector.map(str::to_owned),
            ..ListParams::default()
        };
        let Some(listed) = self.asked::<W, _>(workloads.list(&wanted)).await? else {
            return Ok(0);
        };
        let started_with = annotation(name);
        let behind = listed.items.into_iter().filter(|workload| {
            let Some(template) = workload.template() else {
                return false;
            };
            let annotations = template
                .metadata
                .as_ref()
                .and_then(|of| of.annotations.as_ref());
            let known = annotations.and_then(|all| all.get(&started_with));
            wishes(workload)
                && template.spec.as_ref().is_some_and(|spec| uses(spec, name))
                && known.is_none_or(|known| known != self.content)
        });
        let mut restarted = 0;
        for workload in behind {
            if restarted >= AT_ONCE {
                sleep(Duration::from_millis(fastrand::u64(200..1_000))).await;
            }
            let name = workload.meta().name.clone().unwrap_or_default();
            let patch = json!({"spec": {"template": {"metadata": {"annotations": {
                (started_with.as_str()): self.content,
            }}}}});
            let parameters = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            let patch = Patch::Merge(patch);
            let patched = workloads.patch(&name, &parameters, &patch);
            if self.asked::<W, _>(patched).await?.is_none() {
                continue; // it has gone meanwhile
            }
            info!(kind = W::KIND, namespace, workload = name, secret = %self.secret, "restarted");
            restarted += 1;
        }
        Ok(restarted)
    }

    /// An answer of the API server; none where the object is not there.
    async fn asked<W: Workload, T>(
        &self,
        asked: impl Future<Output = kube::Result<T>>,
    ) -> Result<Option<T>, RedeployError> {
        let namespace = self.secret.namespace.clone();
        let failed = || RedeployError::Failed {
            kind: W::KIND,
            namespace: namespace.clone(),
            secret: self.secret.to_string(),
        };
        match timeout(WITHIN, asked).await.map_err(|_| failed())? {
            Ok(answer) => Ok(Some(answer)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 400 && self.selector.is_some() => {
                let selector = self.selector.unwrap_or_default();
                Err(RedeployError::Selector(shortened(selector)))
            }
            Err(kube::Error::Api(status)) if status.code == 403 => Err(RedeployError::Forbidden {
                kind: W::KIND,
                namespace,
            }),
            Err(_) => Err(failed()),
        }
    }
}

/// Whether it wants to be restarted: by the annotation, whatever it says but no.
fn wishes<W: Workload>(workload: &W) -> bool {
    let annotations = workload.meta().annotations.as_ref();
    let wish = annotations.and_then(|all| all.get(WISH));
    wish.is_some_and(|wish| !wish.eq_ignore_ascii_case("false"))
}

/// The annotation for a Secret of this name: the part behind the slash has 63 letters at
/// most.
fn annotation(secret: &str) -> String {
    const LONGEST: usize = 63;
    if secret.len() <= LONGEST {
        return format!("{STARTED_WITH}/{secret}");
    }
    let digest = digest(&SHA256, secret.as_bytes());
    let short = base16ct::lower::encode_string(&digest.as_ref()[..8]);
    let kept = secret[..LONGEST - short.len() - 1].trim_end_matches(['.', '-']);
    format!("{STARTED_WITH}/{kept}-{short}")
}

/// Whether pods of this kind have something of the Secret.
fn uses(spec: &PodSpec, secret: &str) -> bool {
    let init = spec.init_containers.iter().flatten();
    let mut containers = spec.containers.iter().chain(init);
    containers.any(|container| has_variables(container, secret))
        || spec
            .volumes
            .iter()
            .flatten()
            .any(|volume| mounts(volume, secret))
}

fn has_variables(container: &Container, secret: &str) -> bool {
    let mut sources = container.env_from.iter().flatten();
    let mut variables = container.env.iter().flatten();
    sources.any(|source| {
        source
            .secret_ref
            .as_ref()
            .is_some_and(|of| of.name == secret)
    }) || variables.any(|variable| {
        let key = variable
            .value_from
            .as_ref()
            .and_then(|from| from.secret_key_ref.as_ref());
        key.is_some_and(|of| of.name == secret)
    })
}

fn mounts(volume: &Volume, secret: &str) -> bool {
    let own = volume.secret.as_ref();
    let projected = volume
        .projected
        .iter()
        .flat_map(|of| of.sources.iter().flatten());
    own.is_some_and(|of| of.secret_name.as_deref() == Some(secret))
        || projected
            .filter_map(|source| source.secret.as_ref())
            .any(|of| of.name == secret)
}
