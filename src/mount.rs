//! The way of a mount: request, class, credential, memory or Phase, files, answer.

mod classes;

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::FutureExt;
use prost::Message;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout_at;
use tracing::{info, warn};

use crate::cause::Cause;
use crate::class::{Attributes, AttributesError, Class};
use crate::credential::{self, CredentialError, NodeToken};
use crate::deadline::Deadline;
use crate::digest;
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::Client;
use crate::phase::token::Token;
use crate::phase::{self, Answer};
use crate::provider::{Failure, File, MountAnswer, MountRequest, MountResponse, ObjectVersion};
use crate::quota::{self, Allowance, Budget, Exceeded, Tenant, Unit};
use crate::render::{self, Bounds, Layout, RenderError};
use crate::snapshot::{
    About, Ask, Figures, Made, Recipe, Refusal, Reply, Snapshot, Upstream, VolumeId,
};
use crate::telemetry::events::{PodEvents, Went};
use crate::telemetry::logs::{self, AUDIT};
use crate::telemetry::request_id;
use classes::Classes;

/// Answers mounts: every collaborator that the way needs.
pub struct Mounter<U = Client> {
    snapshot: Snapshot<U>,
    classes: Classes,
    pod_events: Option<PodEvents>,
    node_token: Option<NodeToken>,
    sendable: usize,
    mounts: Budget,
}

/// How many mounts there may be at once: as many as the socket takes.
const MOUNTS: quota::Limits = quota::Limits {
    what: "mounts at once",
    unit: Unit::Count,
    each: 1,
    tenant: 256,
    total: 512,
};

impl<U: Upstream> Mounter<U> {
    /// Over this memory, for classes that name one of these hosts.
    #[must_use]
    pub fn new(snapshot: Snapshot<U>, hosts: AllowedHosts) -> Self {
        Self {
            snapshot,
            classes: Classes::new(hosts),
            pod_events: None,
            node_token: None,
            sendable: render::MAX_BYTES,
            mounts: Budget::new(MOUNTS),
        }
    }

    /// Lends the node's own token to pods that name none, where it may.
    #[must_use]
    pub fn lending(self, node_token: Option<NodeToken>) -> Self {
        Self { node_token, ..self }
    }

    /// For a driver that takes so many bytes: what is far larger is not made.
    #[must_use]
    pub fn sending(self, sendable: usize) -> Self {
        Self { sendable, ..self }
    }

    /// Tells pods when their volumes cannot be brought up to date.
    #[must_use]
    pub fn telling(self, pod_events: Option<PodEvents>) -> Self {
        Self { pod_events, ..self }
    }

    /// All files of one volume, or one clear reason why not.
    ///
    /// # Errors
    /// A [`Failure`] with its cause, from whichever room refused.
    pub async fn mount(
        &self,
        request: MountRequest,
        deadline: Deadline,
    ) -> Result<MountAnswer, Failure> {
        let secrets = SecretString::from(Box::<str>::from(request.secrets.as_str()));
        let attributes = Arc::new(Attributes::parse(&request.attributes)?);
        request_id::is_for(&attributes.pod().namespace);
        let place = self.mounts.meter(&Tenant::new(&attributes.pod().namespace));
        place.take(1)?;
        let volume = volume(&attributes, &request.target_path);
        let answer = self.answer(&secrets, &attributes, volume, deadline).await;
        if let (Some(pod_events), Some(volume)) = (&self.pod_events, volume) {
            pod_events.tell(attributes.pod(), volume, &went(&answer));
        }
        let reply = answer?;
        Ok(MountAnswer {
            bytes: reply.bytes,
            files: reply.about.files,
            held: vec![place, reply.memory],
        })
    }

    async fn answer(
        &self,
        secrets: &SecretString,
        attributes: &Arc<Attributes>,
        volume: Option<VolumeId>,
        deadline: Deadline,
    ) -> Result<Reply, Failure> {
        let begun = Instant::now();
        let tenant = Tenant::new(&attributes.pod().namespace);
        let read = || self.read(&tenant, attributes, deadline);
        let token = match self.token(secrets, attributes) {
            Ok(token) => token,
            // Whoever made mistakes in both is told of those in the class.
            Err(error) => return Err(read().await.err().unwrap_or_else(|| error.into())),
        };
        let ask = Ask {
            tenant: tenant.clone(),
            token,
            inputs: inputs(attributes),
            volume,
            class: attributes.class_name(),
            deadline: deadline.with_margin(),
        };
        let class = match self.snapshot.knows(&ask) {
            true => None,
            false => Some(read().await?),
        };
        let recipe = || match class {
            Some(class) => Ok(recipe(class, attributes.class_name(), self.sendable)),
            None => Err(Failure::new(Cause::Busy, FORGOTTEN).into()),
        };
        let reply = self.snapshot.answer(ask, recipe).await?;
        if reply.is_news {
            audit(attributes, &reply, begun);
        }
        Ok(reply)
    }

    /// What is remembered, in numbers.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.snapshot.figures()
    }

    /// Waits until what is to be on disk is there; a few seconds at most.
    pub async fn flush(&self) {
        self.snapshot.flush().await;
    }

    /// The class of a mount, if it can be read in time.
    async fn read(
        &self,
        tenant: &Tenant,
        attributes: &Arc<Attributes>,
        deadline: Deadline,
    ) -> Result<Class, Failure> {
        let allowance = self.snapshot.allowance(tenant);
        let read = self.classes.read(tenant, attributes, &allowance);
        match timeout_at(deadline.with_margin().instant(), read).await {
            Ok(read) => read,
            Err(_) => Err(Failure::new(Cause::Deadline, UNREAD)),
        }
    }

    fn token(
        &self,
        secrets: &SecretString,
        attributes: &Attributes,
    ) -> Result<Token, CredentialError> {
        let namespace = &attributes.pod().namespace;
        match credential::token(secrets, namespace) {
            Err(absent @ CredentialError::Absent { .. }) => self.lent(namespace, absent),
            found => found,
        }
    }

    /// The node's own token, for a pod that has none.
    fn lent(&self, namespace: &str, absent: CredentialError) -> Result<Token, CredentialError> {
        let token = self.node_token.as_ref();
        let token = token.map_or(Ok(None), |token| token.of(namespace))?;
        token.ok_or(absent)
    }
}

/// There were too many other classes to read.
const UNREAD: &str = "the class waited for its turn to be read until the time of this mount ran out: the mount is retried automatically; if this stays, look at the load of this node";
/// Others needed the memory between two steps of one mount.
const FORGOTTEN: &str = "what this node remembers of the class was forgotten just now: the mount is retried automatically";

/// Everything that decides the files of a class but the token: its parameters.
fn inputs(attributes: &Attributes) -> [u8; 32] {
    let texts = attributes.parameters();
    let texts = texts.flat_map(|(name, value)| [name, value]);
    digest::of_parts(texts.map(str::as_bytes))
}

/// The volume of a pod, where the path is one that kubelet makes: it has the pod's
/// UID in it, and the volume's name. Other clients give every pod the same path.
fn volume(attributes: &Attributes, target_path: &str) -> Option<VolumeId> {
    let uid = &attributes.pod().uid;
    if uid.is_empty() || !target_path.contains(&format!("/pods/{uid}/volumes/")) {
        return None;
    }
    let mut context = Context::new(&SHA256);
    context.update(target_path.as_bytes());
    let mut id = VolumeId::default();
    id.copy_from_slice(&context.finish().as_ref()[..16]);
    Some(id)
}

/// How the memory gets the bytes of a class, of which a driver takes so many.
fn recipe(class: Class, name: String, sendable: usize) -> Recipe {
    let held = class.bytes() + name.len();
    let Class {
        query,
        layout,
        max_stale,
        // The controller's.
        mirrors: _,
    } = class;
    Recipe {
        query,
        max_stale,
        poll_interval: None,
        bytes: 2 * size_of::<Layout>() + held,
        make: Box::new(move |answer, allowance| {
            make(answer, layout.clone(), name.clone(), sendable, allowance).boxed()
        }),
    }
}

async fn make(
    answer: Answer,
    layout: Layout,
    class: String,
    sendable: usize,
    allowance: Allowance,
) -> Result<Made, Refusal> {
    for warning in answer.first_warnings() {
        warn!(class, "{warning}");
    }
    let Allowance { job, memory } = allowance;
    let made = job.run(move |turn| {
        let bounds = Bounds {
            // What is a little more is refused with both sizes, when it is to be sent.
            bytes: sendable.saturating_mul(2),
            memory: Some(&memory),
            turn: Some(turn),
        };
        made(&answer, &layout, &bounds)
    });
    made.await?
}

fn made(answer: &Answer, layout: &Layout, bounds: &Bounds<'_>) -> Result<Made, Refusal> {
    let files = render::files_within(answer, layout, bounds).map_err(Failure::from)?;
    let about = About {
        app: answer.app.clone(),
        environments: answer.environments(),
        folders: folders(layout),
        files: files.len(),
        version: render::version(&files),
    };
    let contents = files.iter().map(|file| file.contents.expose_secret().len());
    if let Some(memory) = bounds.memory {
        // Once in the message, and once as it is sent.
        memory.take(2 * contents.sum::<usize>() as u64)?;
    }
    // As long as it will be from the start: growing would leave copies behind.
    let bytes = answered(files).encode_to_vec().into();
    Ok(Made { bytes, about })
}

/// What the pod may have to be told of an answer.
fn went(answer: &Result<Reply, Failure>) -> Went<'_> {
    match answer {
        Ok(reply) => match &reply.stale {
            Some(stale) => Went::Stale {
                why: &stale.text,
                is_old: reply.is_old,
            },
            None => Went::Well,
        },
        Err(failure) => Went::Failed(&failure.message),
    }
}

/// One line for each mount that brought something new to a pod.
fn audit(attributes: &Attributes, reply: &Reply, begun: Instant) {
    let (pod, about) = (attributes.pod(), &reply.about);
    info!(
        target: AUDIT,
        namespace = pod.namespace,
        pod = pod.name,
        service_account = pod.service_account,
        class = attributes.class_name(),
        app = about.app,
        environments = about.environments,
        folders = about.folders,
        files = about.files,
        version = about.version,
        source = reply.source.as_str(),
        milliseconds = logs::millis(begun.elapsed()),
        "mounted"
    );
}

/// The folders that a class names, for the log.
fn folders(layout: &Layout) -> String {
    let objects = layout.objects.iter();
    phase::listed(objects.map(|object| object.folder.as_str()))
}

fn answered(files: Vec<render::File>) -> MountResponse {
    let versions = files.iter().map(|file| ObjectVersion {
        id: file.path.clone(),
        version: file.version.clone(),
    });
    MountResponse {
        object_version: versions.collect(),
        error: None,
        files: files.into_iter().map(message).collect(),
    }
}

/// The one place where plaintext leaves its wiped type: into the answer.
fn message(file: render::File) -> File {
    File {
        path: file.path,
        mode: i32::try_from(file.mode).expect("permission bits are at most 0777"),
        contents: file.contents.expose_secret().to_vec(),
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.cause, refusal.text)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            cause: failure.cause,
            text: failure.message,
        }
    }
}

/// Every room's error keeps its own text and names its own cause.
macro_rules! fails_with {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.cause(), error.to_string())
            }
        }
    )+};
}

fails_with!(
    AttributesError,
    CredentialError,
    Exceeded,
    RenderError,
    phase::Error
);
