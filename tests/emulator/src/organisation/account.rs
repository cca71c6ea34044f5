//! An account, its key pair, its tokens and what it may read.

use super::names::Names;
use super::{App, Environment, LookupError, Organisation, Place, find_app};
use crate::address::Block;
use crate::seal::{self, Key, KeyPair};
use crate::seed::{self, AccountKind, SeedError, TokenStatus};

/// A running account.
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: AccountKind,
    pub(crate) may_read_secrets: bool,
    pub(crate) allowed: Option<Vec<Block>>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) grants: Vec<Grant>,
    public: Key,
    /// Whether access was given or taken while we run.
    access_changed: bool,
}

/// A token of an account.
pub(crate) struct Token {
    pub(crate) name: String,
    /// The whole string that a client gets.
    pub(crate) text: String,
    pub(crate) bearer: String,
    pub(crate) wrapped_key_share: String,
    pub(crate) status: TokenStatus,
}

/// An environment's keys, wrapped for one account.
pub(crate) struct Grant {
    pub(crate) id: String,
    pub(crate) place: Place,
    pub(crate) wrapped_seed: String,
    pub(crate) wrapped_salt: String,
    pub(crate) created_at: String,
}

/// The parts of a token's text.
struct Parts {
    bearer: String,
    public: Key,
    share: Key,
    wrap: Key,
}

impl Account {
    pub(super) fn open(
        file: &mut seed::Account,
        apps: &[App],
        names: &Names,
        key: &Key,
        created_at: &str,
    ) -> Result<Self, SeedError> {
        if file.tokens.is_empty() {
            file.tokens.push(seed::Token::named(&file.name));
        }
        let pair = pair_of(file, key)?;
        let tokens = file.tokens.iter_mut();
        let tokens = tokens
            .map(|token| Token::open(token, file.kind, &pair, key))
            .collect::<Result<_, _>>()?;
        let mut account = Self {
            id: file.id.clone().unwrap_or_else(|| names.account(&file.name)),
            name: file.name.clone(),
            kind: file.kind,
            may_read_secrets: file.may_read_secrets,
            allowed: allowed(file)?,
            tokens,
            grants: Vec::new(),
            public: pair.public,
            access_changed: false,
        };
        for place in places(file, apps)? {
            let environment = &apps[place.0].environments[place.1];
            let id = names.grant(&account.id, &environment.id);
            account.grants.push(Grant::new(
                id,
                place,
                environment,
                &account.public,
                created_at,
            ));
        }
        Ok(account)
    }

    /// Writes what changes while we run into `file`.
    pub(super) fn store(&self, file: &mut seed::Account, apps: &[App]) {
        if self.access_changed {
            file.access = Some(self.grants.iter().map(|grant| grant.access(apps)).collect());
        }
        file.may_read_secrets = self.may_read_secrets;
        match &self.allowed {
            None => file.allowed_addresses = None,
            Some(blocks) if blocks.is_empty() => file.allowed_addresses = Some(Vec::new()),
            Some(_) => {}
        }
        for (token, live) in file.tokens.iter_mut().zip(&self.tokens) {
            token.status = live.status;
        }
    }

    /// Whether the account may read the environment at `place`.
    pub(crate) fn reads(&self, place: Place) -> bool {
        self.grants.iter().any(|grant| grant.place == place)
    }
}

impl Token {
    fn open(
        file: &mut seed::Token,
        kind: AccountKind,
        pair: &KeyPair,
        key: &Key,
    ) -> Result<Self, SeedError> {
        let text = file
            .token
            .get_or_insert_with(|| make(&file.name, kind, pair, key))
            .clone();
        let parts =
            Parts::read(&text, kind).ok_or_else(|| SeedError::TokenForm(file.name.clone()))?;
        // A dead token opens nothing, so it may come from any key pair.
        if parts.public != pair.public && file.status == TokenStatus::Active {
            return Err(SeedError::TokenKey(file.name.clone()));
        }
        let share = seal::other_share(&pair.private, &parts.share);
        Ok(Self {
            name: file.name.clone(),
            wrapped_key_share: seal::wrapped_share(&parts.wrap, &seal::random(), &share),
            bearer: parts.bearer,
            status: file.status,
            text,
        })
    }
}

impl Grant {
    fn new(
        id: String,
        place: Place,
        environment: &Environment,
        reader: &Key,
        created_at: &str,
    ) -> Self {
        Self {
            id,
            place,
            wrapped_seed: seal::envelope(reader, &seal::hex(&environment.seed)),
            wrapped_salt: seal::envelope(reader, &environment.salt),
            created_at: created_at.to_owned(),
        }
    }

    fn access(&self, apps: &[App]) -> seed::Access {
        let app = &apps[self.place.0];
        let environments = vec![app.environments[self.place.1].id.clone()];
        seed::Access {
            app: app.id.clone(),
            environments,
        }
    }
}

impl Parts {
    fn read(text: &str, kind: AccountKind) -> Option<Self> {
        let fields = text.strip_prefix(prefix(kind))?;
        let fields: Vec<&str> = fields.split(':').collect();
        let [bearer, public, share, wrap] = fields[..] else {
            return None;
        };
        seal::unhex(bearer)?;
        Some(Self {
            bearer: bearer.to_owned(),
            public: seal::unhex(public)?,
            share: seal::unhex(share)?,
            wrap: seal::unhex(wrap)?,
        })
    }
}

impl Organisation {
    /// Lets the account named `account` read an environment, or no longer.
    pub(crate) fn set_access(
        &mut self,
        account: &str,
        place: Place,
        may_read: bool,
    ) -> Result<(), LookupError> {
        let names = Names::new(&self.name);
        let (environment_id, created_at) =
            (self.environment(place).id.clone(), crate::clock::now());
        let holder = self.account_mut(account)?;
        holder.grants.retain(|grant| grant.place != place);
        holder.access_changed = true;
        if may_read {
            let (id, reader) = (names.grant(&holder.id, &environment_id), holder.public);
            let grant = Grant::new(id, place, self.environment(place), &reader, &created_at);
            self.account_mut(account)?.grants.push(grant);
        }
        Ok(())
    }
}

fn prefix(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Legacy => "pss_service:v1:",
        AccountKind::Service => "pss_service:v2:",
        AccountKind::User => "pss_user:v1:",
    }
}

fn pair_of(file: &seed::Account, key: &Key) -> Result<KeyPair, SeedError> {
    let Some(text) = &file.private_key else {
        return Ok(KeyPair::from_private(seal::derive(
            key,
            &["account", &file.name],
        )));
    };
    let private = seal::unhex(text)
        .ok_or_else(|| SeedError::Key(format!("private_key of account {:?}", file.name)))?;
    Ok(KeyPair::from_private(private))
}

fn make(name: &str, kind: AccountKind, pair: &KeyPair, key: &Key) -> String {
    let part = |label| seal::hex(&seal::derive(key, &["token", label, name]));
    let public = seal::hex(&pair.public);
    format!(
        "{}{}:{public}:{}:{}",
        prefix(kind),
        part("bearer"),
        part("share"),
        part("wrap")
    )
}

fn allowed(file: &seed::Account) -> Result<Option<Vec<Block>>, SeedError> {
    let Some(addresses) = &file.allowed_addresses else {
        return Ok(None);
    };
    let read = |address: &String| {
        let refuse = || SeedError::Address {
            account: file.name.clone(),
            address: address.clone(),
        };
        Block::read(address).ok_or_else(refuse)
    };
    addresses
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn places(file: &seed::Account, apps: &[App]) -> Result<Vec<Place>, SeedError> {
    let one_app = file.access.as_ref().is_some_and(|access| access.len() == 1);
    if file.kind == AccountKind::Legacy && !one_app {
        return Err(SeedError::LegacyApps(file.name.clone()));
    }
    let Some(access) = &file.access else {
        let all = apps.iter().enumerate();
        return Ok(all
            .flat_map(|(app, known)| (0..known.environments.len()).map(move |place| (app, place)))
            .collect());
    };
    let mut places = Vec::new();
    for entry in access {
        places.extend(entry_places(file, entry, apps)?);
    }
    Ok(places)
}

fn entry_places(
    file: &seed::Account,
    entry: &seed::Access,
    apps: &[App],
) -> Result<Vec<Place>, SeedError> {
    let (account, app) = (file.name.clone(), entry.app.clone());
    let place = find_app(apps, &entry.app).map_err(|error| match error {
        LookupError::AmbiguousApp(_) => SeedError::AmbiguousApp { account, app },
        _ => SeedError::UnknownApp { account, app },
    })?;
    let known = &apps[place].environments;
    if entry.environments.is_empty() {
        return Ok((0..known.len()).map(|turn| (place, turn)).collect());
    }
    let find = |name: &String| {
        let turn = known
            .iter()
            .position(|environment| environment.is_named(name));
        let (account, environment) = (file.name.clone(), name.clone());
        let turn = turn.ok_or(SeedError::UnknownEnvironment {
            account,
            environment,
        })?;
        Ok((place, turn))
    };
    entry.environments.iter().map(find).collect()
}
