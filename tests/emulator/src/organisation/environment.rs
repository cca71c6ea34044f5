//! An environment, its key pair and its rows.

use super::names::{Names, uuid};
use super::{LookupError, folder};
use crate::clock;
use crate::seal::{self, Key, KeyPair};
use crate::seed::{self, EnvironmentType, Lifecycle, Override, Secret, SecretType, SeedError};
use crate::wire::SecretRow;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A running environment.
pub(crate) struct Environment {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) env_type: EnvironmentType,
    pub(crate) index: usize,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) seed: Key,
    pub(crate) salt: String,
    pub(crate) public: Key,
    rows: Vec<Row>,
    dynamic: Vec<seed::Dynamic>,
}

/// A secret and, once it was asked for, its sealed form.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) secret: Secret,
    sealed: OnceLock<Sealed>,
    /// Sealed overrides by user; no more than the secret has.
    overrides: Mutex<HashMap<String, String>>,
}

/// The sealed form of a row, made once for each change.
struct Sealed {
    key: String,
    value: String,
    comment: String,
    digest: String,
    /// The JSON of the row for everyone who has no override.
    json: String,
}

/// A change of a secret; what is `None` stays as it is.
#[derive(Clone, Default)]
pub struct SecretChange {
    /// The value.
    pub value: Option<String>,
    /// The comment.
    pub comment: Option<String>,
    /// The names of all its tags.
    pub tags: Option<Vec<String>>,
    /// What the console makes of it.
    pub kind: Option<SecretType>,
    /// Who replaces its value.
    pub lifecycle: Option<Lifecycle>,
    /// The folder to which it moves.
    pub move_to: Option<String>,
    /// The server replaced the value on its schedule: the version grows, the secret's own time stays.
    pub rotation: bool,
}

impl Environment {
    pub(super) fn open(
        file: &mut seed::Environment,
        index: usize,
        app: &str,
        names: &Names,
        key: &Key,
        created_at: &str,
    ) -> Result<Self, SeedError> {
        let id = file
            .id
            .clone()
            .unwrap_or_else(|| names.environment(app, &file.name));
        let created_at = file
            .created_at
            .clone()
            .unwrap_or_else(|| created_at.to_owned());
        let given = |text: &Option<String>, label: &str| match text {
            Some(text) => seal::unhex(text)
                .ok_or_else(|| SeedError::Key(format!("{label} of {:?}", file.name))),
            None => Ok(seal::derive(key, &[label, &id])),
        };
        let seed = given(&file.seed, "environment seed")?;
        let mut environment = Self {
            name: file.name.clone(),
            env_type: file.env_type.unwrap_or_else(|| type_of(&file.name)),
            index: file.index.map_or(index, |index| index as usize),
            updated_at: file
                .updated_at
                .clone()
                .unwrap_or_else(|| created_at.clone()),
            salt: seal::hex(&given(&file.salt, "environment salt")?),
            public: KeyPair::from_seed(&seed).public,
            rows: Vec::new(),
            dynamic: file.dynamic.clone(),
            created_at,
            seed,
            id,
        };
        environment.fill(std::mem::take(&mut file.secrets))?;
        Ok(environment)
    }

    /// Writes what changes while we run into `file`.
    pub(super) fn store(&self, file: &mut seed::Environment) {
        file.updated_at = (self.updated_at != self.created_at).then(|| self.updated_at.clone());
        file.secrets = self.rows.iter().map(|row| row.secret.clone()).collect();
    }

    /// Whether `wanted` is the id, or the name in any case.
    pub(crate) fn is_named(&self, wanted: &str) -> bool {
        self.id == wanted || self.name.to_lowercase() == wanted.to_lowercase()
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Dynamic secrets of a folder, or of all, as JSON; nobody has a lease of them.
    pub(crate) fn dynamic(&self, path: Option<&str>) -> Vec<String> {
        let all = self.dynamic.iter();
        let kept = all.filter(|it| path.is_none_or(|path| folder(&it.path) == path));
        kept.map(|it| self.dynamic_json(it)).collect()
    }

    fn dynamic_json(&self, it: &seed::Dynamic) -> String {
        let path = folder(&it.path);
        let keys = it.keys.iter().map(|key| {
            json!({
                "id": key.to_lowercase(),
                "masked": false,
                "key_name": seal::envelope(&self.public, key),
                "key_digest": seal::key_digest(&self.salt, key),
            })
        });
        let json = json!({
            "id": uuid(&["dynamic", &self.id, &path, &it.name]),
            "name": it.name,
            "type": "dynamic",
            "description": "",
            "environment": self.id,
            "folder": self.folder_id(&path),
            "path": path,
            "default_ttl": "01:00:00",
            "max_ttl": "1 00:00:00",
            "provider": "aws",
            "key_map": keys.collect::<Vec<_>>(),
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "deleted_at": null,
            "lease": null,
        });
        json.to_string()
    }

    /// The id of a folder; the root has none.
    pub(crate) fn folder_id(&self, path: &str) -> Option<String> {
        (path != "/").then(|| uuid(&["folder", &self.id, path]))
    }

    /// Creates or changes a secret and answers its version; a changed row moves to the end.
    pub(crate) fn put(&mut self, path: &str, key: &str, change: SecretChange) -> u64 {
        let path = folder(path);
        let now = clock::other_than(&self.updated_at);
        let secret = match self.position(&path, key) {
            Some(place) => changed(self.rows.remove(place).identified(), change, &now),
            None => created(Secret::new(&path, key, ""), change, &now),
        };
        let version = secret.version.unwrap_or(1);
        self.rows.push(self.row(secret));
        self.updated_at = now;
        version
    }

    /// Sets a user's own value of a secret, or removes it; the version stays.
    pub(crate) fn set_override(
        &mut self,
        path: &str,
        key: &str,
        user: &str,
        personal: Option<Override>,
    ) -> Result<(), LookupError> {
        let path = folder(path);
        let place = self.position(&path, key);
        let place = place.ok_or_else(|| LookupError::UnknownSecret {
            key: key.to_owned(),
            path,
        })?;
        let mut secret = self.rows.remove(place).secret;
        match personal {
            Some(personal) => drop(secret.overrides.insert(user.to_owned(), personal)),
            None => drop(secret.overrides.remove(user)),
        }
        self.rows.insert(place, self.row(secret));
        self.updated_at = clock::other_than(&self.updated_at);
        Ok(())
    }

    /// Removes a secret.
    pub(crate) fn delete(&mut self, path: &str, key: &str) -> Result<(), LookupError> {
        let path = folder(path);
        let place = self.position(&path, key);
        let place = place.ok_or_else(|| LookupError::UnknownSecret {
            key: key.to_owned(),
            path,
        })?;
        self.rows.remove(place);
        self.updated_at = clock::other_than(&self.updated_at);
        Ok(())
    }

    fn position(&self, path: &str, key: &str) -> Option<usize> {
        self.rows
            .iter()
            .position(|row| row.secret.path == path && row.secret.key == key)
    }

    fn fill(&mut self, secrets: Vec<Secret>) -> Result<(), SeedError> {
        let mut seen = HashSet::new();
        for mut secret in secrets {
            secret.path = folder(&secret.path);
            if !seen.insert((secret.path.clone(), secret.key.clone())) {
                let (environment, key, path) = (self.name.clone(), secret.key, secret.path);
                return Err(SeedError::DuplicateSecret {
                    environment,
                    key,
                    path,
                });
            }
            self.rows.push(self.row(secret));
        }
        Ok(())
    }

    fn row(&self, secret: Secret) -> Row {
        let birth = secret.created_at.as_deref().unwrap_or_default();
        let id = secret
            .id
            .clone()
            .unwrap_or_else(|| uuid(&[&self.id, &secret.path, &secret.key, birth]));
        Row {
            id,
            secret,
            sealed: OnceLock::new(),
            overrides: Mutex::default(),
        }
    }
}

impl Row {
    /// The digest of the row's key.
    pub(crate) fn digest(&self, environment: &Environment) -> &str {
        &self.sealed(environment).digest
    }

    /// The row as JSON, for an account that has no override of it.
    pub(crate) fn json(&self, environment: &Environment) -> &str {
        &self.sealed(environment).json
    }

    /// The row as JSON for the user named `user`.
    pub(crate) fn json_for(&self, environment: &Environment, user: &str) -> String {
        let sealed = self.sealed(environment);
        SecretRow::new(
            self,
            environment,
            [&sealed.key, &sealed.value, &sealed.comment],
            &sealed.digest,
        )
        .with_override_of(self, environment, user)
        .to_json()
    }

    /// The id of a user's override of this row.
    pub(crate) fn override_id(&self, user: &str) -> String {
        uuid(&["override", &self.id, user])
    }

    /// The sealed value of a user's override, the same until the row changes.
    pub(crate) fn override_value(
        &self,
        environment: &Environment,
        user: &str,
        value: &str,
    ) -> String {
        let mut sealed = self
            .overrides
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let envelope = sealed
            .entry(user.to_owned())
            .or_insert_with(|| seal::envelope(&environment.public, value));
        envelope.clone()
    }

    /// The row as JSON, sealed for someone else: nobody who asks for it can open it.
    pub(crate) fn json_for_a_stranger(&self, environment: &Environment) -> String {
        self.seal(environment, &KeyPair::random().public).json
    }

    /// The secret with the id it has, which a move must not change.
    fn identified(self) -> Secret {
        Secret {
            id: Some(self.id),
            ..self.secret
        }
    }

    fn sealed(&self, environment: &Environment) -> &Sealed {
        self.sealed
            .get_or_init(|| self.seal(environment, &environment.public))
    }

    fn seal(&self, environment: &Environment, reader: &Key) -> Sealed {
        let secret = &self.secret;
        let seal = |text: &str| seal::envelope(reader, text);
        let key = seal(&secret.key);
        let value = secret
            .stored_value
            .clone()
            .unwrap_or_else(|| seal(&secret.value));
        // The server keeps an empty comment as it is.
        let comment = if secret.comment.is_empty() {
            String::new()
        } else {
            seal(&secret.comment)
        };
        let comment = secret.stored_comment.clone().unwrap_or(comment);
        let digest = seal::key_digest(&environment.salt, &secret.key);
        let json = SecretRow::new(self, environment, [&key, &value, &comment], &digest).to_json();
        Sealed {
            key,
            value,
            comment,
            digest,
            json,
        }
    }
}

fn created(secret: Secret, change: SecretChange, now: &str) -> Secret {
    let mut secret = edited(secret, change);
    secret.created_at = Some(now.to_owned());
    secret
}

fn changed(secret: Secret, change: SecretChange, now: &str) -> Secret {
    let moves = !change.rotation;
    let mut secret = edited(secret, change);
    secret.version = Some(secret.version.unwrap_or(1) + 1);
    if moves {
        secret.updated_at = Some(now.to_owned());
    }
    secret
}

fn edited(mut secret: Secret, change: SecretChange) -> Secret {
    if let Some(value) = change.value {
        secret.value = value;
        secret.stored_value = None;
    }
    if let Some(comment) = change.comment {
        secret.comment = comment;
        secret.stored_comment = None;
    }
    secret.tags = change.tags.unwrap_or(secret.tags);
    secret.path = change.move_to.map_or(secret.path, |path| folder(&path));
    secret.kind = change.kind.unwrap_or(secret.kind);
    secret.lifecycle = change.lifecycle.unwrap_or(secret.lifecycle);
    secret
}

fn type_of(name: &str) -> EnvironmentType {
    match name.to_lowercase().as_str() {
        "development" => EnvironmentType::Dev,
        "production" => EnvironmentType::Prod,
        "staging" => EnvironmentType::Staging,
        _ => EnvironmentType::Custom,
    }
}
