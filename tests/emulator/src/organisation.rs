//! The organisation as it is served: the seed with everything that was missing made up.

mod account;
mod environment;
mod names;

pub(crate) use account::{Account, Grant, Token};
pub use environment::SecretChange;
pub(crate) use environment::{Environment, Row};

use crate::clock;
use crate::seal::{self, Key};
use crate::seed::{self, Encryption, Seed, SeedError, TokenStatus};
use names::{Names, normal_path};
use std::collections::HashMap;

/// Where an environment stands: the place of its app, and its place in the app.
pub(crate) type Place = (usize, usize);

/// A running organisation.
pub(crate) struct Organisation {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) apps: Vec<App>,
    pub(crate) accounts: Vec<Account>,
    /// Bearer to the places of its account and token.
    bearers: HashMap<String, (usize, usize)>,
    /// What the file held, with what was made up, and without what changes while we run.
    seed: Seed,
}

/// An app.
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) encryption: Encryption,
    pub(crate) environments: Vec<Environment>,
}

/// Why a name in a request of the control endpoint leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Two apps have the name.
    #[error("app name is ambiguous: {0:?}: give the id in place of the name")]
    AmbiguousApp(String),
    /// No account has the name.
    #[error("account not found: {0:?}: see the accounts of the seed")]
    UnknownAccount(String),
    /// No app has the name or id.
    #[error("app not found: {0:?}: see the apps of the seed")]
    UnknownApp(String),
    /// The app has no environment of the name or id.
    #[error(
        "environment not found: {environment:?} of app {app:?}: see the environments of the seed"
    )]
    UnknownEnvironment {
        /// The app.
        app: String,
        /// The name or id.
        environment: String,
    },
    /// The environment has no such secret.
    #[error("secret not found: {key:?} at {path:?}: see the secrets of the environment")]
    UnknownSecret {
        /// The key.
        key: String,
        /// The folder.
        path: String,
    },
    /// No token has the name.
    #[error("token not found: {0:?}: see the tokens of the seed")]
    UnknownToken(String),
}

impl Organisation {
    /// Checks `seed` and makes up what it leaves open.
    pub(crate) fn open(mut seed: Seed) -> Result<Self, SeedError> {
        let key = settle_key(&mut seed)?;
        let created_at = seed.created_at.get_or_insert_with(clock::now).clone();
        if seed.accounts.is_empty() {
            seed.accounts.push(seed::Account::service("default"));
        }
        let names = Names::new(&seed.organisation);
        let apps = open_apps(&mut seed, &names, &key, &created_at)?;
        let accounts = seed.accounts.iter_mut();
        let accounts =
            accounts.map(|account| Account::open(account, &apps, &names, &key, &created_at));
        let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            id: seed
                .organisation_id
                .clone()
                .unwrap_or_else(|| names.organisation()),
            name: seed.organisation.clone(),
            bearers: index_bearers(&accounts)?,
            apps,
            accounts,
            seed,
        })
    }

    /// The seed that leads to this state again.
    pub(crate) fn seed(&self) -> Seed {
        let mut seed = self.seed.clone();
        for (app, live) in seed.apps.iter_mut().zip(&self.apps) {
            for (environment, live) in app.environments.iter_mut().zip(&live.environments) {
                live.store(environment);
            }
        }
        for (account, live) in seed.accounts.iter_mut().zip(&self.accounts) {
            live.store(account, &self.apps);
        }
        seed
    }

    /// The account and token of `bearer`, if the token works and is of `kind`.
    pub(crate) fn authenticate(
        &self,
        kind: seed::AccountKind,
        bearer: &str,
    ) -> Option<(&Account, &Token)> {
        let (account, token) = *self.bearers.get(bearer)?;
        let account = &self.accounts[account];
        let token = &account.tokens[token];
        (account.kind == kind && token.status == TokenStatus::Active).then_some((account, token))
    }

    /// The token named `name`.
    pub(crate) fn token(&self, name: &str) -> Result<&Token, LookupError> {
        let mut tokens = self.accounts.iter().flat_map(|account| &account.tokens);
        tokens
            .find(|token| token.name == name)
            .ok_or_else(|| LookupError::UnknownToken(name.to_owned()))
    }

    /// The token named `name`, to change it.
    pub(crate) fn token_mut(&mut self, name: &str) -> Result<&mut Token, LookupError> {
        let mut tokens = self
            .accounts
            .iter_mut()
            .flat_map(|account| &mut account.tokens);
        tokens
            .find(|token| token.name == name)
            .ok_or_else(|| LookupError::UnknownToken(name.to_owned()))
    }

    /// The account named `name`, to change it.
    pub(crate) fn account_mut(&mut self, name: &str) -> Result<&mut Account, LookupError> {
        let mut accounts = self.accounts.iter_mut();
        accounts
            .find(|account| account.name == name)
            .ok_or_else(|| LookupError::UnknownAccount(name.to_owned()))
    }

    /// The place of an environment named, by name in any case or by id, within an app named likewise.
    pub(crate) fn place(&self, app: &str, environment: &str) -> Result<Place, LookupError> {
        let app = find_app(&self.apps, app)?;
        let environments = &self.apps[app].environments;
        let place = environments
            .iter()
            .position(|known| known.is_named(environment));
        let place = place.ok_or_else(|| LookupError::UnknownEnvironment {
            app: self.apps[app].name.clone(),
            environment: environment.to_owned(),
        })?;
        Ok((app, place))
    }

    /// The environment at `place`.
    pub(crate) fn environment(&self, (app, environment): Place) -> &Environment {
        &self.apps[app].environments[environment]
    }

    /// The environment at `place`, to change it.
    pub(crate) fn environment_mut(&mut self, (app, environment): Place) -> &mut Environment {
        &mut self.apps[app].environments[environment]
    }

    /// The place of the environment with this id, which must match in every letter.
    pub(crate) fn place_of_id(&self, id: &str) -> Option<Place> {
        self.places()
            .find(|place| self.environment(*place).id == id)
    }

    /// The places of all environments.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let sizes = self.apps.iter().map(|app| app.environments.len());
        sizes
            .enumerate()
            .flat_map(|(app, size)| (0..size).map(move |place| (app, place)))
    }
}

/// The place of the app with this id, or else with this name in any case.
pub(crate) fn find_app(apps: &[App], wanted: &str) -> Result<usize, LookupError> {
    if let Some(place) = apps.iter().position(|app| app.id == wanted) {
        return Ok(place);
    }
    let same = |app: &App| app.name.to_lowercase() == wanted.to_lowercase();
    let mut named = (0..apps.len()).filter(|place| same(&apps[*place]));
    let first = named
        .next()
        .ok_or_else(|| LookupError::UnknownApp(wanted.to_owned()))?;
    match named.next() {
        Some(_) => Err(LookupError::AmbiguousApp(wanted.to_owned())),
        None => Ok(first),
    }
}

/// Slashes collapsed, one in front, none behind: how the server reads a folder.
pub(crate) fn folder(path: &str) -> String {
    normal_path(path)
}

fn settle_key(seed: &mut Seed) -> Result<Key, SeedError> {
    let text = seed
        .key
        .get_or_insert_with(|| seal::hex(&seal::random::<32>()));
    seal::unhex(text).ok_or_else(|| SeedError::Key("key of the seed".to_owned()))
}

fn open_apps(
    seed: &mut Seed,
    names: &Names,
    key: &Key,
    created_at: &str,
) -> Result<Vec<App>, SeedError> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut apps = Vec::with_capacity(seed.apps.len());
    for app in &mut seed.apps {
        let turn = seen.entry(app.name.clone()).or_default();
        let id = app
            .id
            .clone()
            .unwrap_or_else(|| names.app(&app.name, *turn));
        *turn += 1;
        let environments = app.environments.iter_mut().enumerate();
        let environments = environments
            .map(|(index, file)| Environment::open(file, index, &id, names, key, created_at));
        apps.push(App {
            environments: environments.collect::<Result<_, _>>()?,
            name: app.name.clone(),
            encryption: app.encryption,
            id,
        });
    }
    Ok(apps)
}

fn index_bearers(accounts: &[Account]) -> Result<HashMap<String, (usize, usize)>, SeedError> {
    let mut bearers = HashMap::new();
    let mut names = std::collections::HashSet::new();
    for (place, account) in accounts.iter().enumerate() {
        for (turn, token) in account.tokens.iter().enumerate() {
            let taken = bearers
                .insert(token.bearer.clone(), (place, turn))
                .is_some();
            if taken || !names.insert(&token.name) {
                return Err(SeedError::DuplicateToken(token.name.clone()));
            }
        }
    }
    Ok(bearers)
}
