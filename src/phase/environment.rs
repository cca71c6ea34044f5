//! One environment as it was fetched: its rows, still sealed, and their keys.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::folder::Folder;
use super::keyring::EnvironmentKeys;
use super::keys::Keys;
use super::primitives::DoesNotOpen;
use super::wire::{Sealed, SecretRow};
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
/// Rows of other kinds than stored secrets (dynamic ones) are left out.
#[derive(Debug, Deserialize)]
#[serde(from = "Vec<SecretRow>")]
pub struct Table {
    rows: Vec<Row>,
    by_digest: HashMap<(Folder, String), usize>,
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

/// A row that does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{secret} does not decrypt: folder \"{folder}\" of environment \"{environment}\" in app \"{app}\": write it again in Phase, or delete it"
)]
pub struct RowError {
    secret: String,
    folder: Folder,
    environment: String,
    app: String,
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
    /// Any of these tags, as [`Tag::parse`] made them; empty means all secrets.
    pub tags: Vec<Tag>,
    /// Which keys.
    pub keys: Keys,
}

/// A tag in the form in which tags are compared: lower case, `_` as a space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tag(String);

#[derive(Debug)]
struct Row {
    id: String,
    folder: Folder,
    tags: Vec<Tag>,
    sealed: Sealed,
}

impl From<Vec<SecretRow>> for Table {
    fn from(rows: Vec<SecretRow>) -> Self {
        let stored = rows.into_iter().filter_map(|row| {
            Some(Row {
                folder: Folder::parse(&row.path),
                tags: row.tags.iter().map(|tag| Tag::parse(tag)).collect(),
                id: row.id,
                sealed: row.sealed?,
            })
        });
        let rows: Vec<_> = stored.collect();
        let address = |row: &Row| (row.folder.clone(), row.sealed.key_digest.clone());
        let by_digest = rows.iter().map(address).zip(0..).collect();
        Self { rows, by_digest }
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

    /// The rows that a filter may let through: globs are left to whoever opens
    /// the keys, one key is found by its digest.
    #[must_use]
    pub fn select(&self, filter: &Filter) -> Vec<usize> {
        if let (Keys::One(key), false) = (&filter.keys, filter.recursive) {
            let row = self.find(&filter.folder, key).into_iter();
            return row.filter(|&row| self.has_tag(row, filter)).collect();
        }
        let fits = |row: &Row| {
            let below = filter.folder.below(&row.folder);
            below.is_some_and(|below| filter.recursive || below.is_empty())
        };
        let indices = 0..self.table.rows.len();
        let fits = indices.filter(|&index| fits(&self.table.rows[index]));
        fits.filter(|&row| self.has_tag(row, filter)).collect()
    }

    fn has_tag(&self, row: usize, filter: &Filter) -> bool {
        filter.has_tag(&self.table.rows[row].tags)
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
    /// As [`Environment::open`].
    pub fn open_if(
        &self,
        index: usize,
        wanted: impl FnOnce(&str) -> bool,
    ) -> Result<Option<Secret>, RowError> {
        let key = self.open_key(index)?;
        if wanted(&key) {
            self.open_value(index, key).map(Some)
        } else {
            Ok(None)
        }
    }

    fn open_key(&self, index: usize) -> Result<String, RowError> {
        let Row { id, sealed, .. } = &self.table.rows[index];
        let key = self.keys.open(&sealed.key).map_err(|DoesNotOpen| {
            self.row_error(index, format!("the name of the secret with id {id}"))
        })?;
        Ok(key.expose_secret().to_owned())
    }

    fn open_value(&self, index: usize, key: String) -> Result<Secret, RowError> {
        let Row { folder, sealed, .. } = &self.table.rows[index];
        let value = self
            .keys
            .open(&sealed.value)
            .map_err(|DoesNotOpen| self.row_error(index, format!("secret \"{key}\"")))?;
        Ok(Secret {
            key,
            folder: folder.clone(),
            value,
            references: 0,
        })
    }

    fn row_error(&self, index: usize, secret: String) -> RowError {
        RowError {
            secret,
            folder: self.table.rows[index].folder.clone(),
            environment: self.place.environment.clone(),
            app: self.place.app.clone(),
        }
    }
}

impl Secret {
    pub(super) fn resolved(self, value: SecretString, references: usize) -> Self {
        Self {
            value,
            references,
            ..self
        }
    }
}

impl Filter {
    fn has_tag(&self, tags: &[Tag]) -> bool {
        self.tags.is_empty() || tags.iter().any(|tag| self.tags.contains(tag))
    }
}

impl Tag {
    /// Tags are equal in any case, and `_` equals a space.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.trim().to_lowercase().replace('_', " "))
    }
}
