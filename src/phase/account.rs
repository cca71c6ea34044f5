//! What one token opens, for the time of one mount.

use std::sync::Arc;

use super::Error;
use super::client::{Authorization, Client};
use super::environment::{Environment, Place};
use super::host::Host;
use super::keyring::Keyring;
use super::wire::{App, EnvironmentKey};
use crate::deadline::Deadline;

/// What one token opens, for the time of one mount.
pub(super) struct Account<'a> {
    pub(super) client: &'a Client,
    pub(super) host: &'a Host,
    pub(super) authorization: &'a Authorization,
    pub(super) keyring: &'a Keyring,
    pub(super) apps: &'a [App],
    pub(super) deadline: Deadline,
}

impl Account<'_> {
    /// Fetches one environment whole, in one request.
    ///
    /// Not by folder: a local reference means the top folder, and a folder whose
    /// name is not ASCII cannot be asked for at all.
    pub(super) async fn fetch(
        &self,
        app: &App,
        key: &EnvironmentKey,
    ) -> Result<Arc<Environment>, Error> {
        let keys = self.keyring.environment(&app.name, key)?;
        let id = &key.environment.id;
        let rows = self
            .client
            .secrets(self.host, self.authorization, id, self.deadline)
            .await?;
        let place = Place {
            app_id: app.id.clone(),
            app: app.name.clone(),
            environment_id: id.clone(),
            environment: key.environment.name.clone(),
        };
        Ok(Arc::new(Environment::new(place, keys, rows)))
    }
}
