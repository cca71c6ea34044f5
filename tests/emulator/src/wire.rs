//! The JSON of the answers, field by field and in the order in which the real server writes them.

use crate::organisation::{Account, App, Environment, Grant, Organisation, Row, Token};
use crate::seal;
use crate::seed::{AccountKind, Encryption, EnvironmentType, Lifecycle, SecretType};
use serde::Serialize;
use serde_json::Value;

/// The answer of the tokens endpoint.
#[derive(Serialize)]
pub(crate) struct TokensBody<'a> {
    wrapped_key_share: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offline_enabled: Option<bool>,
    organisation: OrganisationBody<'a>,
    apps: Vec<AppBody<'a>>,
}

#[derive(Serialize)]
struct OrganisationBody<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct AppBody<'a> {
    id: &'a str,
    name: &'a str,
    encryption: Encryption,
    environment_keys: Vec<KeyBody<'a>>,
}

#[derive(Serialize)]
struct KeyBody<'a> {
    id: &'a str,
    environment: EnvironmentBody<'a>,
    paths: Option<()>,
    identity_key: String,
    wrapped_seed: String,
    wrapped_salt: String,
    created_at: &'a str,
    updated_at: &'a str,
    deleted_at: Option<()>,
    user: Option<&'a str>,
    service_account: Option<&'a str>,
}

#[derive(Serialize)]
struct EnvironmentBody<'a> {
    id: &'a str,
    name: &'a str,
    env_type: EnvironmentType,
    index: usize,
    created_at: &'a str,
    updated_at: &'a str,
}

/// One row of the secrets endpoint's answer.
#[derive(Serialize)]
pub(crate) struct SecretRow<'a> {
    id: &'a str,
    key: &'a str,
    value: &'a str,
    comment: &'a str,
    tags: &'a [String],
    #[serde(rename = "override")]
    personal: Option<OverrideBody<'a>>,
    #[serde(rename = "type")]
    kind: SecretType,
    lifecycle: Lifecycle,
    path: &'a str,
    key_digest: &'a str,
    version: u64,
    created_at: &'a str,
    updated_at: &'a str,
    environment: &'a str,
    folder: Option<String>,
}

#[derive(Serialize)]
struct OverrideBody<'a> {
    id: String,
    value: String,
    is_active: bool,
    created_at: &'a str,
    updated_at: &'a str,
}

impl<'a> TokensBody<'a> {
    /// What `token` of `account` may open.
    pub(crate) fn new(
        organisation: &'a Organisation,
        account: &'a Account,
        token: &'a Token,
    ) -> Self {
        let id = |kind| (account.kind == kind).then_some(account.id.as_str());
        Self {
            wrapped_key_share: &token.wrapped_key_share,
            account_id: id(AccountKind::Service),
            user_id: id(AccountKind::User),
            offline_enabled: (account.kind != AccountKind::Legacy).then_some(false),
            organisation: OrganisationBody {
                id: &organisation.id,
                name: &organisation.name,
            },
            apps: app_bodies(organisation, account),
        }
    }

    /// The same with every wrapped seed and salt sealed for someone else.
    pub(crate) fn for_a_stranger(mut self) -> Self {
        let stranger = seal::KeyPair::random().public;
        for key in self
            .apps
            .iter_mut()
            .flat_map(|app| &mut app.environment_keys)
        {
            key.wrapped_seed = seal::envelope(&stranger, &seal::hex(&seal::random::<32>()));
            key.wrapped_salt = seal::envelope(&stranger, &seal::hex(&seal::random::<32>()));
        }
        self
    }
}

impl<'a> KeyBody<'a> {
    fn new(environment: &'a Environment, account: &'a Account, grant: &'a Grant) -> Self {
        let id = |kind| (account.kind == kind).then_some(account.id.as_str());
        Self {
            id: &grant.id,
            environment: EnvironmentBody {
                id: &environment.id,
                name: &environment.name,
                env_type: environment.env_type,
                index: environment.index,
                created_at: &environment.created_at,
                updated_at: &environment.updated_at,
            },
            paths: None,
            identity_key: seal::hex(&environment.public),
            wrapped_seed: grant.wrapped_seed.clone(),
            wrapped_salt: grant.wrapped_salt.clone(),
            created_at: &grant.created_at,
            updated_at: &grant.created_at,
            deleted_at: None,
            user: id(AccountKind::User),
            service_account: id(AccountKind::Service),
        }
    }
}

impl<'a> SecretRow<'a> {
    /// The row with its sealed key, value and comment, and nobody's override.
    pub(crate) fn new(
        row: &'a Row,
        environment: &'a Environment,
        sealed: [&'a str; 3],
        digest: &'a str,
    ) -> Self {
        let secret = &row.secret;
        let created_at = secret
            .created_at
            .as_deref()
            .unwrap_or(&environment.created_at);
        Self {
            id: &row.id,
            key: sealed[0],
            value: sealed[1],
            comment: sealed[2],
            tags: &secret.tags,
            personal: None,
            kind: secret.kind,
            lifecycle: secret.lifecycle,
            path: &secret.path,
            key_digest: digest,
            version: secret.version.unwrap_or(1),
            created_at,
            updated_at: secret.updated_at.as_deref().unwrap_or(created_at),
            environment: &environment.id,
            folder: environment.folder_id(&secret.path),
        }
    }

    /// The same with the personal value of the user named `user`, if there is one.
    pub(crate) fn with_override_of(
        mut self,
        row: &'a Row,
        environment: &Environment,
        user: &str,
    ) -> Self {
        self.personal = row.secret.overrides.get(user).map(|personal| OverrideBody {
            id: row.override_id(user),
            value: row.override_value(environment, user, &personal.value),
            is_active: personal.active,
            created_at: self.created_at,
            updated_at: self.updated_at,
        });
        self
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain structs of text have a JSON form")
    }
}

fn app_bodies<'a>(organisation: &'a Organisation, account: &'a Account) -> Vec<AppBody<'a>> {
    let apps = organisation.apps.iter().enumerate();
    let bodies = apps.map(|(place, app)| app_body(organisation, account, place, app));
    bodies
        .filter(|app| !app.environment_keys.is_empty())
        .collect()
}

fn app_body<'a>(
    organisation: &'a Organisation,
    account: &'a Account,
    place: usize,
    app: &'a App,
) -> AppBody<'a> {
    let grants = account.grants.iter().filter(|grant| grant.place.0 == place);
    // A legacy token is told end-to-end encryption, whatever the app is.
    let legacy = account.kind == AccountKind::Legacy;
    AppBody {
        id: &app.id,
        name: &app.name,
        encryption: if legacy {
            Encryption::EndToEnd
        } else {
            app.encryption
        },
        environment_keys: grants
            .map(|grant| KeyBody::new(organisation.environment(grant.place), account, grant))
            .collect(),
    }
}

/// `snake_case` names as `camelCase`, in every object of `value`.
pub(crate) fn camel_case(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(camel_case).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (camel_name(&name), camel_case(field)))
            .collect(),
        other => other,
    }
}

fn camel_name(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &initial.into_iter().chain(letters).collect::<String>()
    })
}
