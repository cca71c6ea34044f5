//! Writes one Secret by server-side apply, in place. Nothing of it is ever read back:
//! the API server answers with its metadata alone.

mod error;
mod part;
mod recreate;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PatchParams;
use kube::client::Body;
use kube::core::Status;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout;
use zeroize::Zeroizing;

pub use error::ApplyError;
use error::{fields, is_about_type, managers};
pub use part::Without;

use super::adopt::Predecessors;
use super::plan::{Output, SecretName};

/// Who writes, for the API server and whoever reads `managedFields`.
pub const FIELD_MANAGER: &str = "phase-csi-provider";
/// As whom everything else is changed.
pub(super) fn as_ours() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// The label of every Secret that was written: by it they are watched.
pub const LABEL: (&str, &str) = ("secrets.phase.dev/managed", "true");
/// What all our annotations of Secrets begin with.
pub(super) const OURS: &str = "secrets.phase.dev/";
/// The annotation with the digest of the content.
pub const CONTENT: &str = "secrets.phase.dev/content-hash";
/// For one request to the API server, connection and all.
pub(super) const WITHIN: Duration = Duration::from_secs(20);
/// So often others may be quicker while a Secret is taken over.
const HAND_OVERS: usize = 3;

/// Writes Secrets.
#[derive(Clone)]
pub struct Applier {
    client: kube::Client,
}

/// What is written of a Secret beside its data.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(rename = "type")]
    secret_type: &'a str,
    metadata: Metadata<'a>,
    data: part::DataPart<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owner_references: Vec<&'a OwnerReference>,
}

/// One Secret to write.
#[derive(Clone)]
pub struct Write<'a> {
    /// Which, and how.
    pub output: &'a Output,
    /// Its data: a JSON object of keys and base64.
    pub data: &'a RawValue,
    /// The digest of the content.
    pub hash: &'a str,
    /// What we say of it: the resource that it belongs to, and the like.
    pub annotations: BTreeMap<&'static str, &'a str>,
    /// The resource, where the Secret goes with it.
    pub owner: Option<&'a OwnerReference>,
    /// Who gives way.
    pub predecessors: Predecessors,
    /// Whether the Secret says already that it belongs to the resource.
    pub is_kept: bool,
    /// What others have set to something else, and keep.
    pub without: Without,
}

/// A Secret that was written.
#[derive(Debug)]
pub struct Applied {
    /// Its metadata after it.
    pub metadata: ObjectMeta,
    /// Whether it was Phase's own operator's until now.
    pub is_adopted: bool,
    /// What of it was not written, since others have set it to something else.
    pub conflict: Option<Contested>,
}

/// What others have set to something else in a Secret of ours.
#[derive(Debug)]
pub struct Contested {
    /// Which fields, and whose.
    pub error: ApplyError,
    /// The digest of what was written.
    pub hash: String,
}

impl Applier {
    /// Over this client.
    #[must_use]
    pub const fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// Writes one Secret, and takes it over where Phase's own operator has written it. Of
    /// one that is ours already, what others have set to something else stays as it is.
    ///
    /// # Errors
    /// [`ApplyError`]; the Secret is as it was.
    pub async fn write(&self, write: &Write<'_>) -> Result<Applied, ApplyError> {
        match self.whole(write).await {
            Err(Unapplied::Contested { without, error }) => {
                let hash = without.hash(write.hash);
                let part = Write {
                    hash: &hash,
                    without,
                    ..write.clone()
                };
                let metadata = self.patch(&part, false).await;
                let metadata = metadata.map_err(|failed| why(write.output, failed))?;
                Ok(Applied {
                    metadata,
                    is_adopted: false,
                    conflict: Some(Contested { error, hash }),
                })
            }
            Err(Unapplied::Whole(error)) => Err(error),
            Ok(applied) => Ok(applied),
        }
    }

    async fn whole(&self, write: &Write<'_>) -> Result<Applied, Unapplied> {
        let applied = |metadata, is_adopted| Applied {
            metadata,
            is_adopted,
            conflict: None,
        };
        let mut metadata = self.apply(write).await?;
        for _ in 0..HAND_OVERS {
            let Some(patch) = write.predecessors.hand_over(&metadata) else {
                return Ok(applied(metadata, false));
            };
            let is_adopted = match self.change(&write.output.secret, &patch).await {
                Ok(_) => true,
                Err(Failed::Status(status)) if status.code == 409 => false,
                Err(failed) => return Err(why(write.output, failed).into()),
            };
            // What the operator had set, and is not wished any more, goes by this.
            metadata = self.apply(write).await?;
            if is_adopted {
                return Ok(applied(metadata, is_adopted));
            }
        }
        // As if it had been changed since, so that it is looked at again.
        metadata.resource_version = None;
        Ok(applied(metadata, false))
    }

    async fn apply(&self, write: &Write<'_>) -> Result<ObjectMeta, Unapplied> {
        let first = self.patch(write, write.output.takes).await;
        let status = match first {
            Ok(metadata) => return Ok(metadata),
            Err(Failed::Status(status)) => status,
            Err(failed) => return Err(why(write.output, failed).into()),
        };
        let gives_way = |manager: &&str| write.predecessors.gives_way(manager);
        let managers = managers(&status);
        let are_gone = !managers.is_empty() && managers.iter().all(gives_way);
        if status.code == 409 && are_gone {
            // Ours by right: the same resource named it to Phase's own operator.
            let again = self.patch(write, true).await;
            return Ok(again.map_err(|failed| why(write.output, failed))?);
        }
        if is_about_type(&status) && write.output.recreates {
            return Ok(self.recreate(write).await?);
        }
        let error = refused(write.output, &status);
        Err(match Without::of(write, &status) {
            Some(without) => Unapplied::Contested { without, error },
            None => error.into(),
        })
    }

    /// Changes a Secret's metadata.
    async fn change(&self, secret: &SecretName, patch: &Value) -> Result<ObjectMeta, Failed> {
        let SecretName { namespace, name } = secret;
        let uri =
            format!("/api/v1/namespaces/{namespace}/secrets/{name}?fieldManager={FIELD_MANAGER}");
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/merge-patch+json");
        let patch = patch.to_string().into_bytes();
        self.send(request, Body::from(patch)).await
    }

    async fn patch(&self, write: &Write<'_>, force: bool) -> Result<ObjectMeta, Failed> {
        self.patch_as(write, &write.output.secret.name, force, "")
            .await
    }

    /// Applies under a name of its own, with further parameters of the query.
    async fn patch_as(
        &self,
        write: &Write<'_>,
        name: &str,
        force: bool,
        query: &str,
    ) -> Result<ObjectMeta, Failed> {
        let namespace = &write.output.secret.namespace;
        // A program that writes from types has no fields to be warned of, and to look for them
        // the API server reads the text once more: a tenth of what a Secret costs it.
        let uri = format!(
            "/api/v1/namespaces/{namespace}/secrets/{name}?fieldManager={FIELD_MANAGER}&force={force}&fieldValidation=Ignore{query}"
        );
        let body = Bytes::from_owner(body(write, name));
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/apply-patch+yaml");
        self.send(request, Body::from(body)).await
    }

    pub(super) async fn send(
        &self,
        request: http::request::Builder,
        body: Body,
    ) -> Result<ObjectMeta, Failed> {
        let metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let request = request.header(header::ACCEPT, metadata).body(body);
        let request = request.map_err(|_| Failed::Unanswered)?;
        let asked = async {
            let answer = self
                .client
                .send(request)
                .await
                .map_err(|_| Failed::Unanswered)?;
            let is_success = answer.status().is_success();
            let code = answer.status().as_u16();
            let text = answer.into_body().collect_bytes().await;
            let text = text.map_err(|_| Failed::Unanswered)?;
            if is_success {
                let answer: kube::core::PartialObjectMeta =
                    serde_json::from_slice(&text).map_err(|_| Failed::Unanswered)?;
                return Ok(answer.metadata);
            }
            let status = serde_json::from_slice::<Status>(&text);
            let status = status.unwrap_or_else(|_| Status::failure("no status in its answer", ""));
            Err(Failed::Status(status.with_code(code).boxed()))
        };
        timeout(WITHIN, asked)
            .await
            .unwrap_or(Err(Failed::Unanswered))
    }
}

/// Why a Secret was not applied whole.
enum Unapplied {
    /// All but this can be.
    Contested { without: Without, error: ApplyError },
    /// It cannot be.
    Whole(ApplyError),
}

impl From<ApplyError> for Unapplied {
    fn from(error: ApplyError) -> Self {
        Self::Whole(error)
    }
}

pub(super) enum Failed {
    Status(Box<Status>),
    Unanswered,
}

/// As long as it will be from the start: growing would leave copies behind.
fn body(write: &Write<'_>, name: &str) -> Zeroizing<Vec<u8>> {
    let output = write.output;
    let mut labels = borrowed(&output.labels);
    let mut annotations = borrowed(&output.annotations);
    labels.extend([LABEL]);
    annotations.extend(&write.annotations);
    annotations.insert(CONTENT, write.hash);
    write.without.labels(&mut labels);
    write.without.annotations(&mut annotations);
    let head = Head {
        api_version: "v1",
        kind: "Secret",
        secret_type: &output.form.kind,
        metadata: Metadata {
            name,
            namespace: &output.secret.namespace,
            labels,
            annotations,
            owner_references: write.owner.into_iter().collect(),
        },
        data: write.without.data(write.data),
    };
    let mut counted = Counted(0);
    let sized = serde_json::to_writer(&mut counted, &head);
    let mut text = Zeroizing::new(Vec::with_capacity(counted.0));
    let written = sized.and_then(|()| serde_json::to_writer(&mut *text, &head));
    written.expect("maps of texts are JSON");
    text
}

fn borrowed(texts: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let texts = texts.iter();
    texts
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// Counts what is written.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn why(output: &Output, failed: Failed) -> ApplyError {
    match failed {
        Failed::Status(status) => refused(output, &status),
        Failed::Unanswered => ApplyError::Unanswered {
            secret: output.secret.clone(),
        },
    }
}

fn refused(output: &Output, status: &Status) -> ApplyError {
    let secret = output.secret.clone();
    let namespace_is_missing = || {
        let of = status.details.as_ref();
        of.is_some_and(|details| details.kind == "namespaces")
    };
    match status.code {
        // Quotas, webhooks and namespaces that go away say 403 in other words.
        403 if status.message.contains(" cannot ") => ApplyError::Forbidden { secret },
        404 if namespace_is_missing() => ApplyError::NoNamespace {
            namespace: secret.namespace,
        },
        409 if !managers(status).is_empty() => ApplyError::Conflict {
            fields: fields(status),
            managers: managers(status).join(", "),
            secret,
        },
        422 if is_about_type(status) => ApplyError::Type {
            secret,
            kind: output.form.kind.clone(),
        },
        code => ApplyError::Refused {
            secret,
            status: code,
            message: status.message.chars().take(300).collect(),
        },
    }
}
