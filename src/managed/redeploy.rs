//! Restarts the workloads that use a changed Secret: once for each content.
//!
//! A restart is an annotation of the pod template with the digest of the content, so
//! that whoever tries again, or another replica, changes nothing.

use std::fmt::Debug;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::apply::{WITHIN, as_ours};
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

/// What was done for one change.
#[derive(Debug, Default)]
pub struct Restarts {
    /// How many workloads were restarted.
    pub restarted: usize,
    /// Jobs and `CronJob`s that wish to be restarted, by kind and name.
    pub left_alone: Vec<String>,
}

/// What has a pod template.
pub(super) trait Workload:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Debug
    + Send
    + Sync
    + 'static
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
workload!(Job, "Job");

impl Workload for CronJob {
    const KIND: &'static str = "CronJob";

    fn template(&self) -> Option<&PodTemplateSpec> {
        let job = self.spec.as_ref()?.job_template.spec.as_ref()?;
        Some(&job.template)
    }
}

/// Restarts the annotated workloads of a Secret's namespace that use it.
///
/// # Errors
/// [`RedeployError`]; trying again restarts only those that were not.
pub async fn redeploy(
    client: &kube::Client,
    secret: &SecretName,
    content: &str,
    selector: Option<&str>,
) -> Result<Restarts, RedeployError> {
    let change = Change {
        client,
        secret,
        content,
        selector,
    };
    let restarted = change.of::<Deployment>().await?
        + change.of::<StatefulSet>().await?
        + change.of::<DaemonSet>().await?;
    let mut left_alone = change.left_alone::<Job>().await;
    left_alone.extend(change.left_alone::<CronJob>().await);
    Ok(Restarts {
        restarted,
        left_alone,
    })
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
        let started_with = annotation(STARTED_WITH, name);
        let behind = self.wishing(&workloads).await?.filter(|workload| {
            let template = workload.template().and_then(|of| of.metadata.as_ref());
            let annotations = template.and_then(|of| of.annotations.as_ref());
            let known = annotations.and_then(|all| all.get(&started_with));
            known.is_none_or(|known| known != self.content)
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
            let parameters = as_ours();
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

    /// Workloads of a kind that wish to be restarted and use the Secret.
    async fn wishing<W: Workload>(
        &self,
        workloads: &Api<W>,
    ) -> Result<impl Iterator<Item = W>, RedeployError> {
        let wanted = ListParams {
            label_selector: self.selector.map(str::to_owned),
            ..ListParams::default()
        };
        let listed = self.asked::<W, _>(workloads.list(&wanted)).await?;
        let all = listed.map(|listed| listed.items).unwrap_or_default();
        let name = self.secret.name.as_str();
        let is_meant = move |workload: &W| {
            let spec = workload.template().and_then(|of| of.spec.as_ref());
            wishes(workload.meta()) && spec.is_some_and(|spec| uses(spec, name))
        };
        Ok(all.into_iter().filter(is_meant))
    }

    /// What cannot be restarted though it wishes to be. Saying so is all that is done
    /// with it, so nothing fails for it.
    async fn left_alone<W: Workload>(&self) -> Vec<String> {
        let workloads = Api::<W>::namespaced(self.client.clone(), &self.secret.namespace);
        match self.wishing(&workloads).await {
            Ok(found) => found
                .map(|one| format!("{} {}", W::KIND, one.meta().name.as_deref().unwrap_or("?")))
                .collect(),
            Err(error) => {
                debug!(kind = W::KIND, %error, "not looked for");
                Vec::new()
            }
        }
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
pub(super) fn wishes(workload: &ObjectMeta) -> bool {
    let annotations = workload.annotations.as_ref();
    let wish = annotations.and_then(|all| all.get(WISH));
    wish.is_some_and(|wish| !wish.eq_ignore_ascii_case("false"))
}

/// The annotation for a Secret or class of this name: the part behind the slash has 63 letters at
/// most.
pub(super) fn annotation(prefix: &str, name: &str) -> String {
    const LONGEST: usize = 63;
    if name.len() <= LONGEST {
        return format!("{prefix}/{name}");
    }
    let digest = digest(&SHA256, name.as_bytes());
    let short = base16ct::lower::encode_string(&digest.as_ref()[..8]);
    let kept = name[..LONGEST - short.len() - 1].trim_end_matches(['.', '-']);
    format!("{prefix}/{kept}-{short}")
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
