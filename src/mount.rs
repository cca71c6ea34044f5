//! The way of a mount: request, class, credential, Phase, files, answer.

use std::collections::BTreeSet;
use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};
use tracing::{info, warn};

use crate::class::{Attributes, AttributesError, Class, ClassError};
use crate::credential::{self, CredentialError};
use crate::deadline::Deadline;
use crate::phase::allowed::AllowedHosts;
use crate::phase::{self, Answer, Phase};
use crate::provider::Failure;
use crate::provider::grpc::{File, MountRequest, MountResponse, ObjectVersion};
use crate::render::{self, RenderError};

/// Answers mounts: every collaborator that the way needs.
pub struct Mounter {
    phase: Phase,
    hosts: AllowedHosts,
}

impl Mounter {
    /// Over this way to Phase, for classes that name one of these hosts.
    #[must_use]
    pub const fn new(phase: Phase, hosts: AllowedHosts) -> Self {
        Self { phase, hosts }
    }

    /// All files of one volume, or one clear reason why not.
    ///
    /// # Errors
    /// A [`Failure`] with its cause, from whichever room refused.
    pub async fn mount(
        &self,
        request: MountRequest,
        deadline: Deadline,
    ) -> Result<MountResponse, Failure> {
        let begun = Instant::now();
        let secrets = SecretString::from(Box::<str>::from(request.secrets.as_str()));
        let attributes = Attributes::parse(&request.attributes)?;
        let class = Class::parse(&attributes, &self.hosts)?;
        let token = credential::token(&secrets, &attributes.pod().namespace)?;
        let deadline = deadline.with_margin();
        let answer = self.phase.read(&token, &class.query, deadline).await?;
        for warning in &answer.warnings {
            warn!(class = attributes.class_name(), "{warning}");
        }
        let (environments, folders) = (environments(&answer), folders(&class));
        let app = answer.app.clone();
        let files = render::files_apart(answer, class.layout).await?;
        let pod = attributes.pod();
        info!(
            namespace = pod.namespace,
            pod = pod.name,
            service_account = pod.service_account,
            class = attributes.class_name(),
            app,
            environments,
            folders,
            files = files.len(),
            milliseconds = begun.elapsed().as_millis(),
            "mounted"
        );
        Ok(response(files))
    }
}

/// The environments that a mount reads, for the log.
fn environments(answer: &Answer) -> String {
    let names = answer
        .selected
        .iter()
        .map(|selected| selected.environment.as_str());
    listed(names)
}

/// The folders that a class names, for the log.
fn folders(class: &Class) -> String {
    let objects = class.layout.objects.iter();
    listed(objects.map(|object| object.folder.as_str()))
}

/// Each name once, sorted; up to eight.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<_> = names.collect();
    names.into_iter().take(8).collect::<Vec<_>>().join(", ")
}

fn response(files: Vec<render::File>) -> MountResponse {
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
    ClassError,
    CredentialError,
    RenderError,
    phase::Error
);
