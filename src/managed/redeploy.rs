//! Restarts the workloads that use a changed Secret: once for each content.
//!
//! A restart is an annotation of the pod template with the digest of the content, so
//! that whoever tries again, or another replica, changes nothing. Each workload is for
//! itself: what hinders one holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch};
use kube::core::Status;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::apply::{WITHIN, as_ours};
use super::candidates::Candidates;
use super::plan::SecretName;

/// The annotation by which a workload wishes to be restarted; `"false"` takes it back.
pub const WISH: &str = "secrets.phase.dev/redeploy";
/// The annotation of a pod template with the content that its pods have started with:
/// this, a slash, and the Secret's name.
const STARTED_WITH: &str = "content.secrets.phase.dev";
/// So many workloads are restarted at once; each further one a moment later.
const AT_ONCE: usize = 5;
/// So many letters of what the API server says are told.
const LONGEST: usize = 300;

/// Why one or several workloads were not restarted; all others are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// No right.
    #[error(
        "the controller may not {verb} {what}: give its ServiceAccount a Role with list and patch on {kind}s in that namespace"
    )]
    Forbidden {
        /// What it may not do.
        verb: &'static str,
        /// With what: one workload, or all of a kind.
        what: String,
        /// The kind.
        kind: &'static str,
    },
    /// The API server, or a policy of the cluster, refuses it.
    #[error(
        "{what} uses a changed Secret and was not restarted: the API server refuses it (status {status}): {message}"
    )]
    Refused {
        /// One workload, or all of a kind.
        what: String,
        /// The status code.
        status: u16,
        /// In its words.
        message: String,
    },
    /// No answer in time, or none at all.
    #[error(
        "{what} uses a changed Secret and was not restarted: the API server did not answer: it is tried again"
    )]
    Unanswered {
        /// One workload, or all of a kind.
        what: String,
    },
}

impl RestartError {
    /// Whether trying again may help without anything else changing.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Forbidden { .. } => false,
            Self::Refused { status, .. } => matches!(status, 409 | 429 | 500..),
            Self::Unanswered { .. } => true,
        }
    }
}

/// A Secret with another content than its users have started with.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Which.
    pub secret: &'a SecretName,
    /// The digest of its content.
    pub content: &'a str,
}

/// What was done for some changes.
#[derive(Debug, Default)]
pub struct Restarts {
    /// How many workloads were restarted.
    pub restarted: usize,
    /// Jobs and `CronJob`s that wish to be restarted, by kind and name.
    pub left_alone: Vec<String>,
    /// What was not restarted, though it should have been.
    pub failed: Vec<RestartError>,
    /// The Secrets that these use.
    pub behind: BTreeSet<SecretName>,
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

/// Restarts the annotated workloads that use Secrets which have changed, in the
/// Secrets' namespaces: once each, however many of the Secrets it uses. Trying again
/// restarts only those that were not.
pub async fn redeploy(
    (client, candidates): (&kube::Client, &Candidates),
    changes: &[Change<'_>],
    selector: Option<&str>,
) -> Restarts {
    let mut by_namespace = BTreeMap::<&str, Vec<Change<'_>>>::new();
    for change in changes {
        let namespace = change.secret.namespace.as_str();
        by_namespace.entry(namespace).or_default().push(*change);
    }
    let mut done = Restarts::default();
    for (namespace, changes) in by_namespace {
        let mut round = Round {
            client,
            candidates,
            namespace,
            changes,
            selector,
            done: &mut done,
        };
        round.of::<Deployment>().await;
        round.of::<StatefulSet>().await;
        round.of::<DaemonSet>().await;
        round.leave_alone::<Job>().await;
        round.leave_alone::<CronJob>().await;
    }
    done
}

/// The workloads of one namespace.
struct Round<'a, 'b> {
    client: &'a kube::Client,
    candidates: &'a Candidates,
    namespace: &'a str,
    changes: Vec<Change<'a>>,
    selector: Option<&'a str>,
    done: &'b mut Restarts,
}

impl<'a> Round<'a, '_> {
    async fn of<W: Workload>(&mut self) {
        let workloads = Api::<W>::namespaced(self.client.clone(), self.namespace);
        let found = match self.wishing(&workloads).await {
            Ok(found) => found,
            Err(failed) => {
                let what = format!("{}s in namespace {}", W::KIND, self.namespace);
                let all = self.changes.clone();
                return self.failed::<W>("list", what, failed, &all);
            }
        };
        let mut restarted = 0;
        for (workload, changes) in found {
            let template = workload.template().and_then(|of| of.metadata.as_ref());
            let annotations = template.and_then(|of| of.annotations.as_ref());
            let started = |key: &String| annotations.and_then(|all| all.get(key));
            let due = changes.iter().map(|change| {
                let key = annotation(STARTED_WITH, &change.secret.name);
                (key, change.content)
            });
            let due = due.filter(|(key, content)| started(key).is_none_or(|old| old != content));
            let due: BTreeMap<_, _> = due.collect();
            if due.is_empty() {
                continue;
            }
            if restarted >= AT_ONCE {
                sleep(Duration::from_millis(fastrand::u64(200..1_000))).await;
            }
            let name = workload.meta().name.clone().unwrap_or_default();
            let patch = json!({"spec": {"template": {"metadata": {"annotations": due}}}});
            let parameters = as_ours();
            let patch = Patch::Merge(patch);
            match asked(workloads.patch(&name, &parameters, &patch)).await {
                Ok(None) => {} // it has gone meanwhile
                Ok(Some(_)) => {
                    let namespace = self.namespace;
                    info!(kind = W::KIND, namespace, workload = name, "restarted");
                    restarted += 1;
                }
                Err(failed) => {
                    let what = format!("{} {}/{name}", W::KIND, self.namespace);
                    let is_away = failed.is_none();
                    self.failed::<W>("restart", what, failed, &changes);
                    if is_away {
                        // Nor will it answer for the next one.
                        break;
                    }
                }
            }
        }
        self.done.restarted += restarted;
    }

    /// Workloads of a kind that wish to be restarted, with the Secrets that they use.
    async fn wishing<W: Workload>(
        &self,
        workloads: &Api<W>,
    ) -> Result<Vec<(W, Vec<Change<'a>>)>, Failure> {
        if !self.candidates.may_be::<W>(self.namespace) {
            return Ok(Vec::new());
        }
        let wanted = ListParams {
            label_selector: self.selector.map(str::to_owned),
            ..ListParams::default()
        };
        let listed = asked(workloads.list(&wanted)).await?;
        let all = listed.map(|listed| listed.items).unwrap_or_default();
        let used = |workload: W| {
            let spec = workload.template()?.spec.as_ref()?;
            let changes = self.changes.iter().copied();
            let changes = changes.filter(|change| uses(spec, &change.secret.name));
            let changes: Vec<_> = changes.collect();
            (wishes(workload.meta()) && !changes.is_empty()).then_some((workload, changes))
        };
        Ok(all.into_iter().filter_map(used).collect())
    }

    /// What cannot be restarted though it wishes to be. Saying so is all that is done
    /// with it, so nothing fails for it.
    async fn leave_alone<W: Workload>(&mut self) {
        let workloads = Api::<W>::namespaced(self.client.clone(), self.namespace);
        match self.wishing(&workloads).await {
            Ok(found) => {
                let names = found.iter().map(|(one, _)| one.meta().name.as_deref());
                let names = names.map(|name| format!("{} {}", W::KIND, name.unwrap_or("?")));
                self.done.left_alone.extend(names);
            }
            Err(_) => debug!(kind = W::KIND, "not looked for"),
        }
    }

    fn failed<W: Workload>(
        &mut self,
        verb: &'static str,
        what: String,
        failed: Failure,
        changes: &[Change<'a>],
    ) {
        let error = match failed {
            // Quotas and webhooks say 403 in other words.
            Some(status) if status.code == 403 && status.message.contains(" cannot ") => {
                let kind = W::KIND;
                RestartError::Forbidden { verb, what, kind }
            }
            Some(status) => RestartError::Refused {
                what,
                status: status.code,
                message: status.message.chars().take(LONGEST).collect(),
            },
            None => RestartError::Unanswered { what },
        };
        self.done.failed.push(error);
        let secrets = changes.iter().map(|change| change.secret.clone());
        self.done.behind.extend(secrets);
    }
}

/// What the API server has said; nothing where it did not answer.
type Failure = Option<Box<Status>>;

/// An answer of the API server; none where the object is not there.
async fn asked<T>(asked: impl Future<Output = kube::Result<T>>) -> Result<Option<T>, Failure> {
    match timeout(WITHIN, asked).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
        Ok(Err(kube::Error::Api(status))) => Err(Some(status)),
        Ok(Err(_)) | Err(_) => Err(None),
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
