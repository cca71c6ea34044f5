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
    // One line for each file that is in the way, whatever lies below it. In this order
    // what lies below a file comes right after it, so that nothing is searched for.
    let mut in_order: Vec<_> = by_path.iter().collect();
    in_order.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    let mut blocking = BTreeMap::new();
    let mut above: Vec<&str> = Vec::new();
    for (path, below) in in_order {
        while let Some(file) = above.last() {
            if is_below(file, path) {
                blocking.entry(*file).or_insert(below);
                break;
            }
            above.pop();
        }
        above.push(path);
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

fn is_below(file: &str, path: &str) -> bool {
    let rest = path.strip_prefix(file);
    rest.is_some_and(|rest| rest.starts_with('/'))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_above_others_is_found_whatever_lies_between() {
        let source = |label: &str| Source::object(Some(label.to_owned()));
        let found = |paths: &[&str]| {
            let files: Vec<_> = paths
                .iter()
                .map(|path| ((*path).to_owned(), source(path)))
                .collect();
            let mistakes = collisions(files.iter().map(|(path, source)| (path, source)));
            let told = mistakes.iter().map(ToString::to_string);
            told.collect::<Vec<_>>()
        };
        assert!(found(&["a", "ab", "a-b/c", "a.b"]).is_empty());
        // Byte by byte "a-b" stands between "a" and what lies below it.
        assert_eq!(
            found(&["a/c/d", "a-b", "a", "a/c", "a/b", "x/y", "x/y/z"]),
            [
                "file \"a\" of a would also be a folder, for a/b: rename one of them",
                "file \"a/c\" of a/c would also be a folder, for a/c/d: rename one of them",
                "file \"x/y\" of x/y would also be a folder, for x/y/z: rename one of them",
            ]
        );
    }
}
