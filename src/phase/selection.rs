//! Which app and environment a name means: exact names, any case, never a part.

use super::wire::{App, EnvironmentKey};
use crate::cause::Cause;

/// How a class names its app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppSelector {
    /// By id; wins over a name.
    Id(String),
    /// By its whole name, in any case.
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
            Self::AmbiguousApp { .. } | Self::AmbiguousEnvironment { .. } => Cause::InvalidClass,
            Self::NoApps { .. } | Self::UnknownApp { .. } | Self::UnknownEnvironment { .. } => {
                Cause::NotFound
            }
        }
    }
}

impl AppSelector {
    /// The one app that is meant.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn choose<'a>(&self, apps: &'a [App]) -> Result<&'a App, SelectionError> {
        let fits = |app: &&App| match self {
            Self::Id(id) => app.id.eq_ignore_ascii_case(id),
            Self::Name(name) => same_name(&app.name, name),
        };
        let found: Vec<_> = apps.iter().filter(fits).collect();
        match found[..] {
            [app] => Ok(app),
            [] if apps.is_empty() => Err(SelectionError::NoApps {
                wanted: self.quoted(),
            }),
            [] => Err(SelectionError::UnknownApp {
                wanted: self.quoted(),
                known: list(apps.iter().map(|app| app.name.as_str())),
            }),
            _ => Err(SelectionError::AmbiguousApp {
                name: self.text().to_owned(),
                count: found.len(),
                ids: list(found.iter().map(|app| app.id.as_str())),
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
            Self::Id(id) => format!("with id \"{id}\""),
            Self::Name(name) => format!("\"{name}\""),
        }
    }
}

/// The one environment of `app` with this name.
///
/// # Errors
/// When there is none, or more than one.
pub fn environment<'a>(app: &'a App, name: &str) -> Result<&'a EnvironmentKey, SelectionError> {
    let readable = || app.environment_keys.iter().filter(|key| key.is_usable());
    let found: Vec<_> = readable()
        .filter(|key| same_name(&key.environment.name, name))
        .collect();
    match found[..] {
        [key] => Ok(key),
        [] => Err(SelectionError::UnknownEnvironment {
            app: app.name.clone(),
            name: name.to_owned(),
            known: list(readable().map(|key| key.environment.name.as_str())),
        }),
        _ => Err(SelectionError::AmbiguousEnvironment {
            app: app.name.clone(),
            name: name.to_owned(),
            count: found.len(),
            ids: list(found.iter().map(|key| key.environment.id.as_str())),
        }),
    }
}

fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// Up to eight names in a fixed order, so that equal mistakes read equal.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}
