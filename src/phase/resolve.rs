//! Replaces references by what they name, across environments and apps.
//!
//! First everything reachable is gathered, wave by wave: each environment is
//! fetched once, each row opened once. Then values are filled in, targets
//! before those who refer to them, so nothing is ever expanded twice and no
//! recursion can run deep. What is left over refers to itself in a circle.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::account::Account;
use super::choose::Home;
use super::environment::Secret;
use super::expand::{DEEPEST, Resolved, fill_in};
use super::folder::Folder;
use super::gather::{Gathering, Step, fetch};
use super::opener::{self, Opened};
use super::primitives::{SecretKey, derive};
use super::reference;
use super::selection::{SelectionError, clipped};
use super::{Error, OnReferenceError, VERSION_PURPOSE, run};
use crate::cause::Cause;
use crate::quota::Allowance;

/// Why a reference cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It leads back to itself.
    #[error("it leads back to itself")]
    Circle,
    /// More than 25 references one behind the other.
    #[error("more than {DEEPEST} references follow one another")]
    Deep,
    /// It is one of a dynamic secret.
    #[error(
        "\"{key}\" in folder \"{folder}\" of environment \"{environment}\" in app \"{app}\" is a key of a dynamic secret, which is not served yet"
    )]
    Dynamic {
        /// The key.
        key: String,
        /// The folder.
        folder: String,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
    },
    /// The token may not read that environment.
    #[error("the token may not read environment \"{environment}\" of app \"{app}\"")]
    Forbidden {
        /// The app's name.
        app: String,
        /// The environment's name.
        environment: String,
    },
    /// Not of any known form.
    #[error("it has no known form: use ${{KEY}}, ${{env.KEY}} or ${{app::env./folder/KEY}}")]
    Malformed,
    /// No such key.
    #[error(
        "there is no \"{key}\" in folder \"{folder}\" of environment \"{environment}\" in app \"{app}\""
    )]
    Missing {
        /// The key.
        key: String,
        /// The folder.
        folder: String,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
    },
    /// No such app or environment.
    #[error("{0}")]
    Place(SelectionError),
    /// It names nothing that exists, and may not be quoted.
    #[error("it names nothing that the token can read")]
    Unnamed,
}

impl Problem {
    /// The same without any word of the reference.
    fn unquoted(self) -> Self {
        match self {
            Self::Dynamic { .. }
            | Self::Forbidden { .. }
            | Self::Missing { .. }
            | Self::Place(_) => Self::Unnamed,
            Self::Circle | Self::Deep | Self::Malformed | Self::Unnamed => self,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Circle | Self::Deep | Self::Malformed => Cause::InvalidClass,
            Self::Forbidden { .. } => Cause::Forbidden,
            Self::Dynamic { .. } | Self::Missing { .. } | Self::Unnamed => Cause::NotFound,
            Self::Place(error) => error.cause(),
        }
    }
}

/// A reference that cannot be resolved, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadReference {
    /// The reference; nothing of it where it may be a part of a secret.
    pub reference: String,
    /// The key whose value holds it.
    pub key: String,
    /// That key's folder.
    pub folder: Folder,
    /// Why.
    pub problem: Problem,
}

impl BadReference {
    /// The text of a value that looks like a reference, and is none that leads anywhere.
    pub(super) fn new(text: &str, secret: &Secret, problem: Problem) -> Self {
        let (reference, problem) = if reference::is_quotable(text) {
            (text.to_owned(), problem)
        } else {
            ("a malformed reference ${…}".to_owned(), problem.unquoted())
        };
        Self {
            reference,
            key: clipped(&secret.key),
            folder: secret.folder.clone(),
            problem,
        }
    }
}

impl BadReference {
    /// All there is to say of it.
    fn line(&self) -> String {
        let Self {
            reference,
            key,
            folder,
            problem,
        } = self;
        format!(
            "{reference} in secret \"{key}\" of folder \"{folder}\" cannot be resolved: {problem}: mend it, or keep its text with onSecretReferenceError: Warn"
        )
    }
}

/// References that cannot be resolved: some of them, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadReferences {
    /// The first of them, by secret and place; at most [`BadReferences::SHOWN`].
    pub first: Vec<BadReference>,
    /// How many there are in all.
    pub count: usize,
}

impl BadReferences {
    /// How many are shown of very many.
    pub const SHOWN: usize = 8;

    /// One line each, and one more for those that are not shown.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.lines_of(Self::SHOWN)
    }

    /// The same of the first so many.
    pub fn lines_of(&self, shown: usize) -> impl Iterator<Item = String> {
        let more = match self.count.saturating_sub(self.first.len().min(shown)) {
            0 => None,
            1 => Some("1 more reference cannot be resolved".to_owned()),
            more => Some(format!("{more} more references cannot be resolved")),
        };
        let lines = self.first.iter().take(shown).map(BadReference::line);
        lines.chain(more)
    }

    fn more(&self) -> usize {
        self.count.saturating_sub(self.first.len())
    }
}

/// All in one line.
impl fmt::Display for BadReferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), 1) = (self.lines().next(), self.count) {
            return f.write_str(&line);
        }
        // What can be done comes first: the driver may be told the beginning alone.
        let count = self.count;
        write!(
            f,
            "{count} references cannot be resolved (mend them, or keep their text with onSecretReferenceError: Warn): "
        )?;
        for (number, bad) in self.first.iter().enumerate() {
            let between = if number > 0 { "; " } else { "" };
            let BadReference {
                reference,
                key,
                folder,
                problem,
            } = bad;
            write!(
                f,
                "{between}{reference} in secret \"{key}\" of folder \"{folder}\": {problem}"
            )?;
        }
        match self.more() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What became of the references of a query.
pub(super) struct Outcome {
    pub(super) resolved: Resolved,
    /// How many environments were fetched in all.
    pub(super) fetched: usize,
    /// See [`version_key`].
    pub(super) version_key: SecretKey,
}

/// A key for [`VERSION_PURPOSE`] that takes the right to read all of these environments.
fn version_key(homes: &[Home]) -> SecretKey {
    let derived = homes
        .iter()
        .map(|home| home.environment.derive(VERSION_PURPOSE));
    let mut keys: Vec<_> = derived.collect();
    // Whatever their order is.
    keys.sort_unstable_by_key(|key| **key);
    let mut context = Context::new(&SHA256);
    for key in &keys {
        context.update(&**key);
    }
    let mut joined = SecretKey::default();
    joined.copy_from_slice(context.finish().as_ref());
    derive(&joined, VERSION_PURPOSE)
}

/// Resolves all references of `secrets`, which were opened from `homes`.
///
/// # Errors
/// With [`OnReferenceError::Fail`] the references that cannot be resolved.
/// A backend that cannot be reached, a row that does not decrypt and a limit
/// that is passed fail in either mode: the literal text would be a lie.
pub(super) async fn resolve(
    account: &Account<'_>,
    allowance: &Allowance,
    homes: Vec<Home>,
    secrets: Vec<((u32, u32), Opened)>,
    mode: OnReferenceError,
) -> Result<Outcome, Error> {
    let wanted = secrets.len();
    let mut gathering = Gathering::new(Arc::clone(account.directory), homes, secrets);
    loop {
        let memory = allowance.memory.clone();
        let (back, step) = run(allowance, move |turn| {
            let mut gathering = gathering;
            let step = gathering.advance(&memory, turn)?;
            let step = match step {
                Step::Done => Err(fill_in(gathering.take(), wanted, mode, &memory, turn)?),
                needed => Ok(needed),
            };
            Ok((gathering, step))
        })
        .await?;
        gathering = back;
        match step {
            Ok(Step::Fetch(missing)) => gathering.fetched_now(fetch(account, missing).await?),
            Ok(Step::Open(rows)) => gathering.opened(opener::open(allowance, rows).await?),
            Ok(Step::Done) => {}
            Err(resolved) => {
                return Ok(Outcome {
                    resolved,
                    fetched: gathering.fetched(),
                    version_key: version_key(gathering.homes()),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(number: usize) -> BadReference {
        BadReference {
            reference: format!("${{N{number}}}"),
            key: format!("B{number}"),
            folder: Folder::root(),
            problem: Problem::Circle,
        }
    }

    #[test]
    fn one_line_has_all_that_are_shown_and_how_many_there_are() {
        let all = |shown: usize, count| BadReferences {
            first: (0..shown).map(bad).collect(),
            count,
        };
        let one = "${N0} in secret \"B0\" of folder \"/\" cannot be resolved: it leads back to itself: mend it, or keep its text with onSecretReferenceError: Warn";
        assert_eq!(all(1, 1).to_string(), one);
        assert_eq!(
            all(2, 2).to_string(),
            "2 references cannot be resolved (mend them, or keep their text with onSecretReferenceError: Warn): ${N0} in secret \"B0\" of folder \"/\": it leads back to itself; ${N1} in secret \"B1\" of folder \"/\": it leads back to itself"
        );
        assert!(all(8, 30).to_string().ends_with("; and 22 more"));
        let lines: Vec<_> = all(2, 3).lines().collect();
        assert_eq!(lines[0], one);
        assert_eq!(lines[2], "1 more reference cannot be resolved");
        assert_eq!(
            all(8, 30).lines().last().as_deref(),
            Some("22 more references cannot be resolved")
        );
    }
}
