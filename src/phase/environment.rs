//! One environment as it was fetched: its rows, still sealed, and their keys.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::envelope;
use super::folder::Folder;
use super::keyring::EnvironmentKeys;
use super::keys::Keys;
use super::primitives::{DoesNotOpen, SecretKey};
use super::selection::{SelectionError, clipped};
pub use super::tags::Tag;
use super::tags::Tags;
use super::wire::{Dynamic, Sealed, SecretRow};
use crate::cause::Cause;
use serde::Deserialize;

/// One environment as it was fetched: its rows, still sealed, and their keys.
pub struct Environment {
    place: Place,
    keys: EnvironmentKeys,
    table: Arc<Table>,
}

/// The rows of one environment, still sealed: read once for all who select from them.
///
/// Of dynamic secrets only their names and keys are known: they have no values.
#[derive(Debug, Deserialize)]
#[serde(from = "Vec<SecretRow>")]
pub struct Table {
    rows: Vec<Row>,
    by_digest: HashMap<(Folder, String), usize>,
    dynamic: Vec<(Folder, Dynamic)>,
    tags: Tags,
}

/// Which environment of which app, by name: for errors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The app's id.
    pub app_id: String,
    /// The app's name.
    pub app: String,
    /// The environment's id.
    pub environment_id: String,
    /// The environment's name.
    pub environment: String,
}

/// One opened secret, before its references are resolved.
pub struct Secret {
    /// Its key.
    pub key: String,
    /// The folder it lies in.
    pub folder: Folder,
    /// Its value; the personal override where the token is a person's.
    pub value: SecretString,
    /// How many references were replaced in its value.
    pub references: usize,
}

/// A row that does not open, or not to what it was found as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// It was found by the digest of another key than is sealed in it.
    #[error(
        "secret \"{key}\" is another one than Phase lists it as: folder \"{folder}\" of environment \"{environment}\" in app \"{app}\": write it again in Phase; if that does not help, ask who runs Phase whether its data was changed"
    )]
    Another {
        /// The key that was asked for.
        key: String,
        /// Its folder.
        folder: Folder,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
    },
    /// It does not open.
    #[error(
        "{secret} does not decrypt: folder \"{folder}\" of environment \"{environment}\" in app \"{app}\": write it again in Phase, or delete it"
    )]
    Sealed {
        /// The secret: by its key, or by its id where that does not open.
        secret: String,
        /// Its folder.
        folder: Folder,
        /// The environment's name.
        environment: String,
        /// The app's name.
        app: String,
    },
}

impl RowError {
    /// Always something that does not decrypt.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        Cause::Undecryptable
    }
}

/// Which rows of an environment a class asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The folder.
    pub folder: Folder,
    /// Also the folders below it.
    pub recursive: bool,
    /// Any of these tags; empty means all secrets.
    pub tags: Vec<Tag>,
    /// Which keys.
    pub keys: Keys,
}

#[derive(Debug)]
struct Row {
    id: String,
    folder: Folder,
    /// By their numbers.
    tags: Box<[u32]>,
    sealed: Sealed,
}

impl From<Vec<SecretRow>> for Table {
    fn from(all: Vec<SecretRow>) -> Self {
        let tags = Tags::new(all.iter().flat_map(|row| &row.tags).map(String::as_str));
        let (mut rows, mut dynamic) = (Vec::new(), Vec::new());
        for row in all {
            let folder = Folder::parse(&row.path);
            if let Some(sealed) = row.sealed {
                rows.push(Row {
                    folder,
                    tags: row.tags.iter().filter_map(|tag| tags.number(tag)).collect(),
                    id: row.id,
                    sealed,
                });
            } else if let Some(it) = row.dynamic {
                dynamic.push((folder, it));
            }
        }
        let address = |row: &Row| (row.folder.clone(), row.sealed.key_digest.clone());
        let by_digest = rows.iter().map(address).zip(0..).collect();
        Self {
            rows,
            by_digest,
            dynamic,
            tags,
        }
    }
}

impl Environment {
    /// The rows of a place, and the keys that open them.
    #[must_use]
    pub const fn new(place: Place, keys: EnvironmentKeys, table: Arc<Table>) -> Self {
        Self { place, keys, table }
    }

    /// Where this is.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// 32 bytes for one purpose: see [`EnvironmentKeys::derive`].
    #[must_use]
    pub fn derive(&self, purpose: &str) -> SecretKey {
        self.keys.derive(purpose)
    }

    /// The rows that a filter may let through: keys are left to whoever opens them,
    /// but that one key is found by its digest.
    ///
    /// # Errors
    /// [`SelectionError::AmbiguousTag`].
    pub fn select(&self, filter: &Filter) -> Result<Vec<usize>, SelectionError> {
        let Some(tags) = self.numbers(&filter.tags)? else {
            return Ok(Vec::new());
        };
        let has_tag = |row: usize| {
            let mut its = self.table.rows[row].tags.iter();
            tags.is_empty() || its.any(|tag| tags.contains(tag))
        };
        let digest = match &filter.keys {
            Keys::One(key) if !filter.recursive => {
                let row = self.find(&filter.folder, key).into_iter();
                return Ok(row.filter(|&row| has_tag(row)).collect());
            }
            Keys::One(key) => Some(self.keys.key_digest(key)),
            Keys::All | Keys::Matching(_) => None,
        };
        let fits = |row: &Row| {
            let is_it = digest
                .as_ref()
                .is_none_or(|it| *it == row.sealed.key_digest);
            is_it && filter.reaches(&row.folder)
        };
        let indices = 0..self.table.rows.len();
        let fits = indices.filter(|&index| fits(&self.table.rows[index]));
        Ok(fits.filter(|&row| has_tag(row)).collect())
    }

    /// The numbers of the tags that a class names; nothing where it names some and
    /// no secret has any of them.
    fn numbers(&self, wanted: &[Tag]) -> Result<Option<HashSet<u32>>, SelectionError> {
        let find = |tag| self.table.tags.find(tag, &self.place.environment);
        let numbers = wanted.iter().filter_map(|tag| find(tag).transpose());
        let numbers: HashSet<_> = numbers.collect::<Result<_, _>>()?;
        let is_none = numbers.is_empty() && !wanted.is_empty();
        Ok((!is_none).then_some(numbers))
    }

    /// The names of the dynamic secrets that a filter reaches and whose keys it may
    /// take, each with its folder. Tags do not count: dynamic secrets have none.
    pub fn dynamic(&self, filter: &Filter) -> impl Iterator<Item = (&Folder, &str)> {
        let digest = match &filter.keys {
            Keys::One(key) => Some(self.keys.key_digest(key)),
            Keys::All | Keys::Matching(_) => None,
        };
        let all = self.table.dynamic.iter();
        let found = all.filter(move |(folder, dynamic)| {
            let has = |digest| dynamic.key_digests.contains(digest);
            filter.reaches(folder) && digest.as_ref().is_none_or(has)
        });
        found.map(|(folder, dynamic)| (folder, dynamic.name.as_str()))
    }

    /// Whether a key is one of a dynamic secret.
    #[must_use]
    pub fn is_dynamic(&self, folder: &Folder, key: &str) -> bool {
        let digest = self.keys.key_digest(key);
        let mut all = self.table.dynamic.iter();
        all.any(|(its, dynamic)| its == folder && dynamic.key_digests.contains(&digest))
    }

    /// An upper bound of the bytes of a row's key and value.
    #[must_use]
    pub fn size(&self, index: usize) -> usize {
        let Sealed { key, value, .. } = &self.table.rows[index].sealed;
        envelope::most_bytes(key) + envelope::most_bytes(value)
    }

    /// The row of one key, found by its digest: nothing else is opened for it.
    #[must_use]
    pub fn find(&self, folder: &Folder, key: &str) -> Option<usize> {
        let address = (folder.clone(), self.keys.key_digest(key));
        self.table.by_digest.get(&address).copied()
    }

    /// Opens one row.
    ///
    /// # Errors
    /// When its key or value does not open: names the key where that is readable.
    pub fn open(&self, index: usize) -> Result<Secret, RowError> {
        let key = self.open_key(index)?;
        self.open_value(index, key)
    }

    /// Opens the key of one row, and its value only if the key is wanted.
    ///
    /// # Errors
    /// As [`Environment::open`], and what `wanted` says.
    pub fn open_if<E: From<RowError>>(
        &self,
        index: usize,
        wanted: impl FnOnce(&str) -> Result<bool, E>,
    ) -> Result<Option<Secret>, E> {
        let key = self.open_key(index)?;
        match wanted(&key)? {
            true => Ok(Some(self.open_value(index, key)?)),
            false => Ok(None),
        }
    }

    /// The key that a row was found as is not the one that is sealed in it.
    pub(super) fn is_another(&self, index: usize, key: &str) -> RowError {
        RowError::Another {
            key: clipped(key),
            folder: self.table.rows[index].folder.clone(),
            environment: clipped(&self.place.environment),
            app: clipped(&self.place.app),
        }
    }

    fn open_key(&self, index: usize) -> Result<String, RowError> {
        let Row { id, sealed, .. } = &self.table.rows[index];
        let key = self.keys.open(&sealed.key).map_err(|DoesNotOpen| {
            let secret = format!("the name of the secret with id {}", clipped(id));
            self.row_error(index, secret)
        })?;
        Ok(key.expose_secret().to_owned())
    }

    fn open_value(&self, index: usize, key: String) -> Result<Secret, RowError> {
        let Row { folder, sealed, .. } = &self.table.rows[index];
        let value = match sealed.value.as_str() {
            // Stored without a seal by whoever wrote it: there is nothing to keep.
            "" => SecretString::default(),
            value => self.keys.open(value).map_err(|DoesNotOpen| {
                let secret = format!("secret \"{}\"", clipped(&key));
                self.row_error(index, secret)
            })?,
        };
        Ok(Secret {
            key,
            folder: folder.clone(),
            value,
            references: 0,
        })
    }

    fn row_error(&self, index: usize, secret: String) -> RowError {
        RowError::Sealed {
            secret,
            folder: self.table.rows[index].folder.clone(),
            environment: clipped(&self.place.environment),
            app: clipped(&self.place.app),
        }
    }
}

impl Filter {
    /// Whether it looks into a folder.
    fn reaches(&self, folder: &Folder) -> bool {
        let below = self.folder.below(folder);
        below.is_some_and(|below| self.recursive || below.is_empty())
    }
}
