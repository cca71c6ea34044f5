//! Secrets as files: paths, modes, bytes, versions. This room knows bytes and
//! names, no network and no time.
//!
//! [`files`] makes every object's files (`object`), finds those that would stand
//! in each other's place (`names`) and gives each its version.

pub mod encoding;
pub mod field;
pub mod format;
mod layout;
mod mistake;
mod names;
mod object;
mod path;
pub mod template;
pub mod transformer;
mod version;
pub mod wiped;

pub use layout::{Layout, NameRules, Object, Processor, Shape};
pub use mistake::{ObjectMistake, ObjectProblem};
pub use names::{NameMistake, Source, collisions};

pub use path::{PathProblem, check};
pub use version::VersionKey;

use aws_lc_rs::digest::{Context, SHA256};
use secrecy::{ExposeSecret, SecretSlice};

use crate::cause::Cause;
use crate::mistakes::Mistakes;
use crate::phase::folder::Folder;
use crate::phase::{Answer, Selected};
use crate::quota::{Allowance, Exceeded, Meter, Stopped, Turn};
use object::{Draft, Drafts, Place};

/// One file of a volume.
pub struct File {
    /// Its path in the volume.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// Its bytes.
    pub contents: SecretSlice<u8>,
    /// Changes exactly when path, mode or bytes change, and reveals nothing.
    pub version: String,
    /// What it was made of; nothing for the marker file.
    pub origin: Option<Origin>,
}

/// What a file was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The environment's name, as Phase spells it.
    pub environment: String,
    /// The secrets, by folder and key, in the file's order.
    pub secrets: Vec<(Folder, String)>,
    /// How many references were replaced in their values.
    pub references: usize,
}

/// The file of a volume without secrets: the driver takes an empty answer as
/// "nothing to do", and would leave old files for ever.
pub const MARKER: &str = ".phase-empty";
const MARKER_TEXT: &[u8] = b"no secrets are selected\n";
/// How many bytes one class may make where no driver sets a limit.
pub const MAX_BYTES: usize = 64 << 20;

/// Why secrets cannot be files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// Nothing is selected.
    #[error(
        "no secrets selected: folder \"{folder}\" of environment \"{environment}\" in app \"{app}\" has none that match: check phaseAppEnvPath and phaseAppEnvTag, or set allowEmpty: \"true\""
    )]
    Empty {
        /// The folder.
        folder: Folder,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
    },
    /// There is no room for them.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// More than the driver takes.
    #[error(
        "the files of this class have more than {most} bytes together: select fewer secrets, or make two classes"
    )]
    Large {
        /// The limit in bytes.
        most: usize,
    },
    /// Every object is optional, and none of their secrets exist.
    #[error(
        "no secrets selected: none of the keys that the class names exist in app \"{app}\": create one, or set allowEmpty: \"true\""
    )]
    Nothing {
        /// The app's name.
        app: String,
    },
    /// They would take too long, or nobody waits for them.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Secrets that are missing, that cannot be what an object makes of them, or
    /// whose names cannot be files.
    #[error("{0}")]
    Objects(Mistakes<ObjectMistake>),
}

impl RenderError {
    /// What the driver's code follows from.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Empty { .. } | Self::Nothing { .. } => Cause::NotFound,
            Self::Exceeded(error) => error.cause(),
            Self::Large { .. } => Cause::TooLarge,
            Self::Stopped(stopped) => stopped.cause(),
            Self::Objects(mistakes) => mistakes
                .iter()
                .next()
                .map_or(Cause::Internal, ObjectMistake::cause),
        }
    }
}

/// The files of an answer, sorted by path: equal input gives equal files.
///
/// # Errors
/// When a name cannot be a file or a secret cannot be what an object makes of
/// it, all such mistakes at once; when there is nothing to mount and the layout
/// does not allow that.
pub fn files(answer: &Answer, layout: &Layout) -> Result<Vec<File>, RenderError> {
    files_within(answer, layout, &Bounds::default())
}

/// What making files may use.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// Bytes of all files together.
    pub bytes: usize,
    /// What pays for each file before the next is made.
    pub memory: Option<&'a Meter>,
    /// Where others are let in between two files.
    pub turn: Option<&'a Turn>,
}

/// No more than [`MAX_BYTES`], and nothing is counted.
impl Default for Bounds<'_> {
    fn default() -> Self {
        Self {
            bytes: MAX_BYTES,
            memory: None,
            turn: None,
        }
    }
}

impl Bounds<'_> {
    /// Between two files, the last of which has so many bytes; all have `bytes`.
    fn check(&self, last: usize, bytes: usize) -> Result<(), RenderError> {
        if bytes > self.bytes {
            return Err(RenderError::Large { most: self.bytes });
        }
        if let Some(memory) = self.memory {
            memory.take(last as u64)?;
        }
        if let Some(turn) = self.turn {
            turn.checkpoint()?;
        }
        Ok(())
    }
}

/// [`files`], with no more than what is allowed.
///
/// # Errors
/// As [`files`], and when a bound is met.
pub fn files_within(
    answer: &Answer,
    layout: &Layout,
    bounds: &Bounds<'_>,
) -> Result<Vec<File>, RenderError> {
    let mut drafts = Drafts::default();
    for (object, selected) in layout.objects.iter().zip(&answer.selected) {
        let is_missing = selected.secrets.is_empty() && !layout.allow_empty;
        if is_missing && object.label.is_none() {
            return Err(empty(object, selected, &answer.app));
        }
        let place = Place {
            object,
            selected,
            app: &answer.app,
            allow_empty: layout.allow_empty,
        };
        drafts.add(&place, bounds)?;
    }
    let Drafts {
        files,
        mut names,
        mut mistakes,
        ..
    } = drafts;
    names.extend(collisions(
        files.iter().map(|file| (&file.path, &file.source)),
    ));
    mistakes.extend(names.into_iter().map(ObjectMistake::name));
    Mistakes::none_or(mistakes).map_err(RenderError::Objects)?;
    if files.is_empty() && !layout.allow_empty {
        let app = answer.app.clone();
        return Err(RenderError::Nothing { app });
    }
    Ok(finished(
        files,
        layout,
        &VersionKey::new(&answer.version_key),
    ))
}

/// [`files`] on a thread where work may take long, with no more than what is allowed.
///
/// # Errors
/// As [`files`], and when a bound is met.
pub async fn files_apart(
    answer: Answer,
    layout: Layout,
    allowance: Allowance,
) -> Result<Vec<File>, RenderError> {
    let Allowance { job, memory } = allowance;
    let made = job.run(move |turn| {
        let bounds = Bounds {
            memory: Some(&memory),
            turn: Some(turn),
            ..Bounds::default()
        };
        files_within(&answer, &layout, &bounds)
    });
    made.await?
}

/// Of all files together: changes exactly when one of them does.
#[must_use]
pub fn version(files: &[File]) -> String {
    let mut context = Context::new(&SHA256);
    for file in files {
        context.update(file.version.as_bytes());
    }
    base16ct::lower::encode_string(&context.finish().as_ref()[..8])
}

/// The drafts with their versions, sorted by path; the marker where there are none.
fn finished(drafts: Vec<Draft>, layout: &Layout, versions: &VersionKey) -> Vec<File> {
    let file = |path: String, mode: u32, contents: SecretSlice<u8>, origin| File {
        version: versions.version(&path, mode, contents.expose_secret()),
        path,
        mode,
        contents,
        origin,
    };
    if drafts.is_empty() {
        let mode = layout.objects.first().map_or(0o644, |object| object.mode);
        return vec![file(
            MARKER.to_owned(),
            mode,
            MARKER_TEXT.to_vec().into(),
            None,
        )];
    }
    let files = drafts.into_iter().map(|draft| {
        let Draft {
            path,
            mode,
            contents,
            origin,
            ..
        } = draft;
        file(path, mode, contents, Some(origin))
    });
    let mut files: Vec<_> = files.collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn empty(object: &Object, selected: &Selected, app: &str) -> RenderError {
    RenderError::Empty {
        folder: object.folder.clone(),
        environment: selected.environment.clone(),
        app: app.to_owned(),
    }
}
