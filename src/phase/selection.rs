//! Which app and environment a name means: whole names, never a part. A name as it is
//! written wins over one that differs in case.

use super::directory::{Directory, Key};
use crate::cause::Cause;

/// How a class names its app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppSelector {
    /// By id; wins over a name.
    Id(String),
    /// By its whole name; in another case where no app has it as it is written.
    Name(String),
}

/// Why an app or environment was not found, with what there is instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// Several apps have the name.
    #[error("{count} apps are named \"{name}\": choose one by phaseAppId: {ids}")]
    AmbiguousApp {
        /// The name asked for.
        name: String,
        /// How many have it.
        count: usize,
        /// Their ids.
        ids: String,
    },
    /// Several environments of the app have the name.
    #[error(
        "{count} environments of app \"{app}\" are named \"{name}\": rename one in Phase: {ids}"
    )]
    AmbiguousEnvironment {
        /// The app's name.
        app: String,
        /// The name asked for.
        name: String,
        /// How many have it.
        count: usize,
        /// Their ids.
        ids: String,
    },
    /// Several tags differ from the one asked for in case alone, or by `_` for a space.
    #[error(
        "{count} tags of environment \"{environment}\" are written like \"{name}\": name one as it is written: {tags}"
    )]
    AmbiguousTag {
        /// The environment's name.
        environment: String,
        /// The tag asked for.
        name: String,
        /// How many are like it.
        count: usize,
        /// How they are written.
        tags: String,
    },
    /// The token's account has access to nothing.
    #[error(
        "app {wanted} not found: the token's account can read no app at all: give it access in Phase"
    )]
    NoApps {
        /// What was asked for, quoted.
        wanted: String,
    },
    /// No app of that name or id.
    #[error("app {wanted} not found: the token can read {known} (names match whole, any case)")]
    UnknownApp {
        /// What was asked for, quoted.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// No environment of that name in the app.
    #[error(
        "environment \"{name}\" not found in app \"{app}\": it has {known} (names match whole, any case)"
    )]
    UnknownEnvironment {
        /// The app's name.
        app: String,
        /// The name asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl SelectionError {
    /// Ambiguity is for the class to mend; the rest was not found.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::AmbiguousApp { .. }
            | Self::AmbiguousEnvironment { .. }
            | Self::AmbiguousTag { .. } => Cause::InvalidClass,
            Self::NoApps { .. } | Self::UnknownApp { .. } | Self::UnknownEnvironment { .. } => {
                Cause::NotFound
            }
        }
    }
}

impl AppSelector {
    /// The one app that is meant: its place in the answer.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn choose(&self, directory: &Directory) -> Result<u32, SelectionError> {
        let found = match self {
            Self::Id(id) => directory.apps_with_id(id),
            Self::Name(name) => directory.apps_named(name),
        };
        match *found {
            [app] => Ok(app),
            [] if directory.answer().apps.is_empty() => Err(SelectionError::NoApps {
                wanted: self.quoted(),
            }),
            [] => Err(SelectionError::UnknownApp {
                wanted: self.quoted(),
                known: listed(directory.apps_by_name(), |&app| &directory.app(app).name),
            }),
            _ => Err(SelectionError::AmbiguousApp {
                name: clipped(self.text()),
                count: found.len(),
                ids: listed(found, |&app| &directory.app(app).id),
            }),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Id(text) | Self::Name(text) => text,
        }
    }

    fn quoted(&self) -> String {
        match self {
            Self::Id(id) => format!("with id \"{}\"", clipped(id)),
            Self::Name(name) => format!("\"{}\"", clipped(name)),
        }
    }
}

/// The one environment of an app with this name.
///
/// # Errors
/// When there is none, or more than one.
pub fn environment(directory: &Directory, app: u32, name: &str) -> Result<Key, SelectionError> {
    let its = || clipped(&directory.app(app).name);
    let of = |key: &Key| &directory.key(*key).environment;
    match *directory.environments_named(app, name) {
        [key] => Ok(key),
        [] => Err(SelectionError::UnknownEnvironment {
            app: its(),
            name: clipped(name),
            known: listed(directory.environments_of(app), |key| &of(key).name),
        }),
        ref found => Err(SelectionError::AmbiguousEnvironment {
            app: its(),
            name: clipped(name),
            count: found.len(),
            ids: listed(found, |key| &of(key).id),
        }),
    }
}

/// The first eight of what is in order already, so that equal mistakes read equal.
pub(super) fn listed<'a, T>(sorted: &'a [T], text: impl Fn(&'a T) -> &'a str) -> String {
    const SHOWN: usize = 8;
    let names: Vec<_> = sorted
        .iter()
        .take(SHOWN)
        .map(|one| clipped(text(one)))
        .collect();
    match (names.is_empty(), sorted.len().saturating_sub(SHOWN)) {
        (true, _) => "none".to_owned(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names.join(", ")),
    }
}

/// A name as an error shows it: names come from elsewhere, and may be of any length.
pub(super) fn clipped(name: &str) -> String {
    const SHOWN: usize = 128;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
