//! Everything that a test may do to a running emulator.

use crate::fault::Fault;
use crate::file::FileError;
use crate::organisation::{LookupError, Organisation, Place, SecretChange};
use crate::seed::{Override, Seed, TokenStatus};
use crate::state::{Counters, State};
use crate::throttle::Rate;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The same powers as the control endpoint, within the process; cheap to clone.
///
/// Apps and environments are named by name in any case, or by id. Every change is in the seed's file,
/// if there is one, when the call returns.
#[derive(Clone)]
pub struct Control {
    state: Arc<State>,
    ca_pem: Option<Arc<str>>,
}

/// Why a change was not made, or not kept.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The change was made, but the file does not hold it.
    #[error("{0}: the change lasts until the emulator stops")]
    File(#[from] FileError),
    /// A name leads nowhere.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl Control {
    pub(crate) fn new(state: Arc<State>, ca_pem: Option<Arc<str>>) -> Self {
        Self { state, ca_pem }
    }

    /// The whole token string named `name`, such as `pss_service:v2:…`.
    pub fn token(&self, name: &str) -> Option<String> {
        self.state
            .organisation()
            .token(name)
            .ok()
            .map(|token| token.text.clone())
    }

    /// All tokens: name and whole string, in the order of the seed.
    pub fn tokens(&self) -> Vec<(String, String)> {
        let organisation = self.state.organisation();
        let tokens = organisation
            .accounts
            .iter()
            .flat_map(|account| &account.tokens);
        tokens
            .map(|token| (token.name.clone(), token.text.clone()))
            .collect()
    }

    /// The id of an app.
    ///
    /// # Errors
    /// The app is unknown, or two have the name.
    pub fn app_id(&self, app: &str) -> Result<String, ControlError> {
        let organisation = self.state.organisation();
        let place = crate::organisation::find_app(&organisation.apps, app)?;
        Ok(organisation.apps[place].id.clone())
    }

    /// The id of an environment.
    ///
    /// # Errors
    /// The app or environment is unknown.
    pub fn environment_id(&self, app: &str, environment: &str) -> Result<String, ControlError> {
        let organisation = self.state.organisation();
        let place = organisation.place(app, environment)?;
        Ok(organisation.environment(place).id.clone())
    }

    /// Creates a secret or changes its value, and answers its version. Version, the secret's time and
    /// the environment's time move, and the row moves to the end of the list.
    ///
    /// # Errors
    /// The app or environment is unknown, or the file cannot be written.
    pub fn put_secret(
        &self,
        app: &str,
        environment: &str,
        path: &str,
        key: &str,
        value: &str,
    ) -> Result<u64, ControlError> {
        let change = SecretChange {
            value: Some(value.to_owned()),
            ..SecretChange::default()
        };
        self.change_secret(app, environment, path, key, change)
    }

    /// As [`Control::put_secret`], for any field of the secret.
    ///
    /// # Errors
    /// The app or environment is unknown, or the file cannot be written.
    pub fn change_secret(
        &self,
        app: &str,
        environment: &str,
        path: &str,
        key: &str,
        change: SecretChange,
    ) -> Result<u64, ControlError> {
        self.change(app, environment, |organisation, place| {
            Ok(organisation.environment_mut(place).put(path, key, change))
        })
    }

    /// Replaces a value as the server's own rotation does: the version and the environment's time
    /// move, the secret's time does not.
    ///
    /// # Errors
    /// The app or environment is unknown, or the file cannot be written.
    pub fn rotate_secret(
        &self,
        app: &str,
        environment: &str,
        path: &str,
        key: &str,
        value: &str,
    ) -> Result<u64, ControlError> {
        let value = Some(value.to_owned());
        let change = SecretChange {
            value,
            rotation: true,
            ..SecretChange::default()
        };
        self.change_secret(app, environment, path, key, change)
    }

    /// Sets a user's own value of a secret, or removes it with `None`; only the environment's time moves.
    ///
    /// # Errors
    /// The app, environment or secret is unknown, or the file cannot be written.
    pub fn set_override(
        &self,
        app: &str,
        environment: &str,
        path: &str,
        key: &str,
        user: &str,
        personal: Option<Override>,
    ) -> Result<(), ControlError> {
        self.change(app, environment, |organisation, place| {
            organisation
                .environment_mut(place)
                .set_override(path, key, user, personal)
        })
    }

    /// Deletes a secret; the environment's time moves.
    ///
    /// # Errors
    /// The app, environment or secret is unknown, or the file cannot be written.
    pub fn delete_secret(
        &self,
        app: &str,
        environment: &str,
        path: &str,
        key: &str,
    ) -> Result<(), ControlError> {
        self.change(app, environment, |organisation, place| {
            organisation.environment_mut(place).delete(path, key)
        })
    }

    /// Lets an account read an environment, or no longer; no timestamp moves.
    ///
    /// # Errors
    /// The account, app or environment is unknown, or the file cannot be written.
    pub fn set_access(
        &self,
        account: &str,
        app: &str,
        environment: &str,
        may_read: bool,
    ) -> Result<(), ControlError> {
        self.change(app, environment, |organisation, place| {
            organisation.set_access(account, place, may_read)
        })
    }

    /// Lets an account's role read secrets, or no longer; nothing in its tokens answer tells.
    ///
    /// # Errors
    /// The account is unknown, or the file cannot be written.
    pub fn set_role(&self, account: &str, may_read_secrets: bool) -> Result<(), ControlError> {
        let mut organisation = self.state.organisation_mut();
        organisation.account_mut(account)?.may_read_secrets = may_read_secrets;
        drop(organisation);
        self.save()
    }

    /// Gives an account a network access policy that excludes everybody, or none; nothing in
    /// its tokens answer tells.
    ///
    /// # Errors
    /// The account is unknown, or the file cannot be written.
    pub fn set_excluded(&self, account: &str, excluded: bool) -> Result<(), ControlError> {
        let mut organisation = self.state.organisation_mut();
        organisation.account_mut(account)?.allowed = excluded.then(Vec::new);
        drop(organisation);
        self.save()
    }

    /// Revokes a token: from now on 403 on the tokens endpoint and 401 on the secrets endpoint.
    ///
    /// # Errors
    /// No token has the name, or the file cannot be written.
    pub fn revoke_token(&self, name: &str) -> Result<(), ControlError> {
        self.state.organisation_mut().token_mut(name)?.status = TokenStatus::Revoked;
        self.save()
    }

    /// Lets a revoked token work again.
    ///
    /// # Errors
    /// No token has the name, or the file cannot be written.
    pub fn restore_token(&self, name: &str) -> Result<(), ControlError> {
        self.state.organisation_mut().token_mut(name)?.status = TokenStatus::Active;
        self.save()
    }

    /// Lets a fault strike from now on; of more than 64 the oldest is forgotten.
    pub fn set_fault(&self, fault: Fault) {
        let of_connection = fault.kind.is_of_connection();
        self.state.faults().add(fault);
        if of_connection {
            self.end_connections();
        }
    }

    /// Ends every fault.
    pub fn clear_faults(&self) {
        self.state.faults().clear();
        self.end_connections();
    }

    /// Delays every answer from now on, beside any fault.
    pub fn set_latency(&self, latency: Duration) {
        let millis = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.state.latency_ms.store(millis, Ordering::Relaxed);
    }

    /// Changes the rate limit, or lifts it, and forgets all requests so far.
    pub fn set_rate_limit(&self, rate: Option<Rate>) {
        self.state.throttle().set_rate(rate);
    }

    /// How many requests came, by endpoint.
    pub fn requests(&self) -> Counters {
        self.state.counters.read()
    }

    /// Sets all counts to zero.
    pub fn reset_counters(&self) {
        self.state.counters.reset();
    }

    /// The certificate authority that clients have to trust; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Seals every secret now, so that no first request pays for it.
    pub fn warm_up(&self) {
        let organisation = self.state.organisation();
        for place in organisation.places() {
            let environment = organisation.environment(place);
            for row in environment.rows() {
                row.json(environment);
            }
        }
    }

    /// The seed that leads to the present state.
    pub fn seed(&self) -> Seed {
        self.state.organisation().seed()
    }

    fn change<T>(
        &self,
        app: &str,
        environment: &str,
        change: impl FnOnce(&mut Organisation, Place) -> Result<T, LookupError>,
    ) -> Result<T, ControlError> {
        let changed = {
            let mut organisation = self.state.organisation_mut();
            let place = organisation.place(app, environment)?;
            change(&mut organisation, place)?
        };
        self.save().map(|()| changed)
    }

    /// Writes the file, if there is one.
    pub(crate) fn save(&self) -> Result<(), ControlError> {
        match &self.state.file {
            Some(file) => Ok(file.write(|| self.seed())?),
            None => Ok(()),
        }
    }

    fn end_connections(&self) {
        self.state.reconnect.send_modify(|turn| *turn += 1);
    }
}
