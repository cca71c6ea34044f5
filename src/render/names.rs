//! Files that would stand in each other's place, and names that are none.

use std::collections::BTreeMap;
use std::fmt;

use super::path::{PathProblem, check, shown};
use crate::phase::environment::Secret;
use crate::phase::folder::Folder;

/// What makes a file: for errors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The secret, where the file is made of one and named by it.
    pub secret: Option<(Folder, String)>,
    /// The object, where the class has several.
    pub label: Option<String>,
}

/// A name that no file can have, or that two files would have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum NameMistake {
    /// Two secrets of one name in one folder.
    #[error(
        "two secrets named {key:?} in folder \"{folder}\" would be one file: delete one in Phase"
    )]
    Duplicate {
        /// The key.
        key: String,
        /// Its folder.
        folder: Folder,
    },
    /// One file lies where another needs a folder.
    #[error("file {path:?} of {file} would also be a folder, for {below}: rename one of them")]
    FileAndFolder {
        /// The file's path.
        path: String,
        /// What makes it.
        file: Source,
        /// What lies below.
        below: Source,
    },
    /// A name that no file can have.
    #[error("{by} cannot be a file: {problem}: {}", remedy(.by))]
    Path {
        /// What would make it.
        by: Source,
        /// Why not.
        problem: PathProblem,
    },
    /// Two files of one path.
    #[error(
        "{first} and {second} would be one file {path:?}: give one of them another name{}", how(.first, .second)
    )]
    Same {
        /// The path.
        path: String,
        /// The first.
        first: Source,
        /// The second.
        second: Source,
    },
}

impl Source {
    /// A file that an object names itself.
    #[must_use]
    pub const fn object(label: Option<String>) -> Self {
        Self {
            secret: None,
            label,
        }
    }

    /// A file that is named by its secret.
    #[must_use]
    pub fn secret(secret: &Secret, label: Option<String>) -> Self {
        Self {
            secret: Some((secret.folder.clone(), secret.key.clone())),
            label,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.label.as_deref();
        match (&self.secret, label) {
            (None, label) => f.write_str(label.unwrap_or("the class")),
            (Some((folder, key)), None) => {
                write!(f, "secret {:?} in folder \"{folder}\"", shown(key))
            }
            (Some((folder, key)), Some(label)) => {
                write!(
                    f,
                    "secret {:?} in folder \"{folder}\" ({label})",
                    shown(key)
                )
            }
        }
    }
}

fn remedy(source: &Source) -> &'static str {
    if source.secret.is_some() {
        "rename it in Phase, or by asName in processors"
    } else {
        "choose another objectName"
    }
}

fn how(first: &Source, second: &Source) -> &'static str {
    match (&first.secret, &second.secret) {
        (Some(_), Some(_)) => " by asName in processors",
        _ => " by objectName",
    }
}

/// The path of a secret below `root`, named by the class's rules.
pub(super) fn path_of(secret: &Secret, root: &Folder, name: &str) -> Result<String, PathProblem> {
    if name.contains('/') {
        return Err(PathProblem::Slash);
    }
    let below = root.below(&secret.folder).unwrap_or_default();
    let path = if below.is_empty() {
        name.to_owned()
    } else {
        format!("{below}/{name}")
    };
    check(&path).map(|()| path)
}

/// All collisions among files of these paths, sorted.
#[must_use]
pub fn collisions<'a>(
    files: impl IntoIterator<Item = (&'a String, &'a Source)>,
) -> Vec<NameMistake> {
    let mut by_path: BTreeMap<&str, &Source> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (path, source) in files {
        if let Some(first) = by_path.insert(path, source) {
            mistakes.push(same(path, first, source));
        }
    }
    // One line for each file that is in the way, whatever lies below it.
    let mut blocking = BTreeMap::new();
    for (path, below) in &by_path {
        for (at, _) in path.match_indices('/') {
            if by_path.contains_key(&path[..at]) {
                blocking.entry(&path[..at]).or_insert(below);
            }
        }
    }
    mistakes.extend(
        blocking
            .into_iter()
            .map(|(path, below)| NameMistake::FileAndFolder {
                path: path.to_owned(),
                file: by_path[path].clone(),
                below: (*below).clone(),
            }),
    );
    mistakes.sort();
    mistakes
}

fn same(path: &str, first: &Source, second: &Source) -> NameMistake {
    match (&first.secret, &second.secret) {
        (Some((folder, key)), Some(other))
            if (folder, key) == (&other.0, &other.1) && first.label == second.label =>
        {
            NameMistake::Duplicate {
                key: key.clone(),
                folder: folder.clone(),
            }
        }
        _ => NameMistake::Same {
            path: path.to_owned(),
            first: first.clone(),
            second: second.clone(),
        },
    }
}
