//! Secrets as files: paths, modes, bytes, versions. This room knows bytes and
//! names, no network and no time.

pub mod encoding;
pub mod field;
pub mod format;
mod path;
pub mod template;
pub mod transformer;
mod version;
pub mod wiped;

pub use path::{PathProblem, check};
pub use version::VersionKey;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretSlice};

use crate::cause::Cause;
use crate::mistakes::Mistakes;
use crate::phase::Answer;
use crate::phase::environment::Secret;
use crate::phase::folder::Folder;

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
}

/// How secrets become files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout<'a> {
    /// The folder that is the volume's root.
    pub folder: &'a Folder,
    /// The permission bits of every file.
    pub mode: u32,
    /// Whether no secrets are one marker file instead of an error.
    pub allow_empty: bool,
}

/// The file of a volume without secrets: the driver takes an empty answer as
/// "nothing to do", and would leave old files for ever.
pub const MARKER: &str = ".phase-empty";
const MARKER_TEXT: &[u8] = b"no secrets are selected\n";

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
    /// Names that cannot be files.
    #[error("{0}")]
    Names(Mistakes<NameMistake>),
}

/// A secret whose name cannot be a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum NameMistake {
    /// Two secrets would be one file.
    #[error(
        "two secrets named {key:?} in folder \"{folder}\" would be one file: delete one in Phase"
    )]
    Duplicate {
        /// The key.
        key: String,
        /// Its folder.
        folder: Folder,
    },
    /// A secret has the name of a folder beside it.
    #[error(
        "secret {key:?} in folder \"{folder}\" cannot be a file: a folder of that name is mounted beside it: rename one in Phase"
    )]
    FileAndFolder {
        /// The key.
        key: String,
        /// Its folder.
        folder: Folder,
    },
    /// A name that no file can have.
    #[error(
        "secret {key:?} in folder \"{folder}\" cannot be a file: {problem}: rename it in Phase"
    )]
    Path {
        /// The key.
        key: String,
        /// Its folder.
        folder: Folder,
        /// Why.
        problem: PathProblem,
    },
}

impl RenderError {
    /// What the driver's code follows from.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Empty { .. } => Cause::NotFound,
            Self::Names(_) => Cause::InvalidClass,
        }
    }
}

/// The files of an answer, sorted by path: equal input gives equal files.
///
/// # Errors
/// When a name cannot be a file, all such names at once; when there is nothing
/// to mount and the layout does not allow that.
pub fn files(answer: Answer, layout: &Layout<'_>) -> Result<Vec<File>, RenderError> {
    let versions = VersionKey::new(&answer.version_key);
    let file = |path: String, contents: &[u8]| File {
        version: versions.version(&path, layout.mode, contents),
        path,
        mode: layout.mode,
        contents: contents.to_vec().into(),
    };
    if answer.secrets.is_empty() {
        return if layout.allow_empty {
            Ok(vec![file(MARKER.to_owned(), MARKER_TEXT)])
        } else {
            Err(RenderError::Empty {
                folder: layout.folder.clone(),
                environment: answer.environment,
                app: answer.app,
            })
        };
    }
    let named = name(answer.secrets, layout.folder).map_err(RenderError::Names)?;
    let files = named.into_iter().map(|(path, secret)| {
        let value = secret.value.expose_secret().as_bytes();
        file(path, value)
    });
    Ok(files.collect())
}

/// Gives every secret its path, in order.
fn name(
    secrets: Vec<Secret>,
    root: &Folder,
) -> Result<BTreeMap<String, Secret>, Mistakes<NameMistake>> {
    let mut named = BTreeMap::new();
    let mut mistakes = Vec::new();
    for secret in secrets {
        match path::of(&secret, root) {
            Ok(path) => {
                if let Some(other) = named.insert(path, secret) {
                    let Secret { key, folder, .. } = other;
                    mistakes.push(NameMistake::Duplicate { key, folder });
                }
            }
            Err(problem) => mistakes.push(NameMistake::Path {
                key: path::shown(&secret.key),
                folder: secret.folder,
                problem,
            }),
        }
    }
    mistakes.extend(files_used_as_folders(&named));
    mistakes.sort();
    Mistakes::none_or(mistakes).map(|()| named)
}

fn files_used_as_folders(named: &BTreeMap<String, Secret>) -> Vec<NameMistake> {
    let above = |path: &str| {
        path.match_indices('/')
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    let mut clashes = BTreeMap::new();
    for path in named.keys() {
        for at in above(path) {
            if let Some(secret) = named.get(&path[..at]) {
                clashes.insert(path[..at].to_owned(), secret);
            }
        }
    }
    let mistakes = clashes
        .into_values()
        .map(|secret| NameMistake::FileAndFolder {
            key: secret.key.clone(),
            folder: secret.folder.clone(),
        });
    mistakes.collect()
}
