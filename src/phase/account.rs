//! What one token opens, for the time of one mount.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Error;
use super::agreed::Agreed;
use super::choose::Home;
use super::directory::{Directory, Key};
use super::environment::{Environment, Place, Table};
use super::keyring::Keyring;
use super::wire::EnvironmentKey;

/// Where the rows of an environment come from: Phase itself, or what is
/// remembered of it.
pub trait Source: Sync {
    /// Every row of the environment that a tokens answer listed under `key`.
    ///
    /// # Errors
    /// [`Error`], which fails the whole query unless only a reference leads there.
    fn rows<'a>(&'a self, key: &'a EnvironmentKey)
    -> BoxFuture<'a, Result<EnvironmentRows, Error>>;
}

/// Every row of one environment.
pub struct EnvironmentRows {
    /// The rows.
    pub table: Arc<Table>,
    /// The keys of their fields, as far as they have been needed.
    pub agreed: Arc<Agreed>,
}

/// What one token opens, for the time of one mount.
pub(super) struct Account<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) keyring: &'a Keyring,
    pub(super) directory: &'a Arc<Directory>,
}

impl Account<'_> {
    /// One environment whole.
    ///
    /// Not by folder: a local reference means the top folder, and a folder whose
    /// name is beyond Latin-1 cannot be asked for at all.
    pub(super) async fn fetch(&self, at: Key) -> Result<Home, Error> {
        let (app, key) = (self.directory.app(at.app), self.directory.key(at));
        let keys = self.keyring.environment(&app.name, key)?;
        let EnvironmentRows { table, agreed } = self.source.rows(key).await?;
        let place = Place {
            app_id: app.id.clone(),
            app: app.name.clone(),
            environment_id: key.environment.id.clone(),
            environment: key.environment.name.clone(),
        };
        let environment = Environment::new(place, keys.with(agreed), table);
        Ok(Home {
            key: at,
            environment: Arc::new(environment),
        })
    }
}
