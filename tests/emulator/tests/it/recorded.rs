//! The recorded organisation, rebuilt as a seed from what the recordings say of it.

use crate::open::Environment as Keys;
use phase_emulator::Seed;
use phase_emulator::seed::{
    Access, Account, AccountKind, App, Encryption, Environment, Override, Secret, Token,
    TokenStatus,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Environments whose rows are recorded whole: the file and the exchange.
const WHOLE: [(&str, usize); 5] = [
    ("secrets-all-paths", 0),
    ("secrets-caching-headers", 0),
    ("secrets-large-100k", 0),
    ("secrets-undecryptable", 2),
    ("secrets-user-overrides", 0),
];

/// A recording: requests, answers and what a client makes of them.
pub(crate) fn read(name: &str) -> Value {
    let path = format!("{}/{name}.json", folder());
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
        .unwrap()
}

/// The names of all recordings.
pub(crate) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.into_string().unwrap());
    let mut names: Vec<String> = names
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The whole organisation.
pub(crate) fn seed() -> Seed {
    let owner = read("tokens-user-owner");
    let body = &owner["exchanges"][0]["response"]["body_json"];
    let mut seed = Seed::new(
        list(&body["apps"])
            .iter()
            .map(|app| app_of(app, &owner["expected"]))
            .collect(),
    );
    seed.organisation = text(&body["organisation"]["name"]);
    seed.organisation_id = Some(text(&body["organisation"]["id"]));
    seed.created_at = Some("2026-11-23T19:39:35.000001Z".to_owned());
    seed.accounts = accounts();
    seed
}

/// The keys of a recorded environment.
pub(crate) fn keys(id: &str) -> Keys {
    let owner = read("tokens-user-owner");
    let known = list(&owner["expected"]["environments"])
        .iter()
        .find(|known| known["environment_id"] == id)
        .unwrap();
    Keys::from_seed(
        known["seed"].as_str().unwrap(),
        known["salt"].as_str().unwrap(),
    )
}

fn folder() -> String {
    format!("{}/../wire", env!("CARGO_MANIFEST_DIR"))
}

fn app_of(app: &Value, expected: &Value) -> App {
    let environments = list(&app["environment_keys"])
        .iter()
        .map(|entry| environment_of(entry, expected));
    App {
        id: Some(text(&app["id"])),
        encryption: if app["encryption"] == "SSE" {
            Encryption::ServerSide
        } else {
            Encryption::EndToEnd
        },
        ..App::new(app["name"].as_str().unwrap(), environments.collect())
    }
}

fn environment_of(entry: &Value, expected: &Value) -> Environment {
    let recorded = &entry["environment"];
    let known = list(&expected["environments"])
        .iter()
        .find(|known| known["environment_id"] == recorded["id"])
        .unwrap();
    Environment {
        id: Some(text(&recorded["id"])),
        env_type: Some(serde_json::from_value(recorded["env_type"].clone()).unwrap()),
        index: Some(u32::try_from(recorded["index"].as_u64().unwrap()).unwrap()),
        created_at: Some(text(&recorded["created_at"])),
        updated_at: Some(text(&recorded["updated_at"])),
        seed: Some(text(&known["seed"])),
        salt: Some(text(&known["salt"])),
        ..Environment::new(
            recorded["name"].as_str().unwrap(),
            secrets_of(recorded["id"].as_str().unwrap()),
        )
    }
}

fn secrets_of(environment: &str) -> Vec<Secret> {
    let mut secrets: BTreeMap<String, Secret> = BTreeMap::new();
    let mut order = Vec::new();
    for (name, exchange) in WHOLE {
        let recording = read(name);
        let rows = list(&recording["exchanges"][exchange]["response"]["body_json"]);
        for row in rows.iter().filter(|row| row["environment"] == environment) {
            let secret = secret_of(row, &keys(environment));
            order.push(text(&row["id"]));
            secrets
                .entry(text(&row["id"]))
                .or_insert(secret)
                .overrides
                .extend(override_of(row, &keys(environment)));
        }
    }
    order
        .into_iter()
        .filter_map(|id| secrets.remove(&id))
        .collect()
}

fn secret_of(row: &Value, keys: &Keys) -> Secret {
    let (value, comment) = (keys.text(&row["value"]), keys.text(&row["comment"]));
    let [path, key] = [text(&row["path"]), keys.text(&row["key"]).unwrap()];
    let mut secret = Secret::new(&path, &key, &value.clone().unwrap_or_default());
    // An upper-case writer key opens, too, but the emulator never writes one of itself.
    let writer = row["value"]
        .as_str()
        .unwrap()
        .split(':')
        .nth(2)
        .unwrap_or_default();
    let unusual = value.is_none() || writer.contains(|letter: char| letter.is_ascii_uppercase());
    secret.stored_value = unusual.then(|| text(&row["value"]));
    secret.stored_comment =
        (row["comment"] != "" && comment.is_none()).then(|| text(&row["comment"]));
    secret.comment = comment.unwrap_or_default();
    secret.tags = serde_json::from_value(row["tags"].clone()).unwrap();
    secret.kind = serde_json::from_value(row["type"].clone()).unwrap();
    secret.lifecycle = serde_json::from_value(row["lifecycle"].clone()).unwrap();
    secret.id = Some(text(&row["id"]));
    secret.version = row["version"].as_u64();
    secret.created_at = Some(text(&row["created_at"]));
    secret.updated_at = Some(text(&row["updated_at"]));
    secret
}

fn override_of(row: &Value, keys: &Keys) -> Option<(String, Override)> {
    let personal = row["override"].as_object()?;
    let value = keys.text(&personal["value"]).unwrap();
    Some((
        "owner-user".to_owned(),
        Override {
            value,
            active: personal["is_active"] == true,
        },
    ))
}

/// One account for each holder: those whose tokens answer is recorded, then those known by a dead token only.
fn accounts() -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    let mut holders: Vec<String> = Vec::new();
    let dead = read("tokens-errors-expired-or-deleted");
    let answered = names()
        .into_iter()
        .filter(|name| name.starts_with("tokens-") && !name.contains("errors"));
    let recordings: Vec<Value> = answered.map(|name| read(&name)).collect();
    for recording in recordings.iter().chain([&dead]) {
        for (label, token) in recording["credentials"].as_object().unwrap() {
            let token = text(token);
            let holder = token.split(':').nth(3).unwrap().to_owned();
            let alive = recording["expected"]["private_key"].is_string();
            let status = if alive {
                TokenStatus::Active
            } else {
                TokenStatus::Expired
            };
            let entry = Token {
                name: label.clone(),
                token: Some(token.clone()),
                status,
            };
            match holders.iter().position(|known| *known == holder) {
                Some(place) => accounts[place].tokens.push(entry),
                None => {
                    holders.push(holder);
                    accounts.push(account(label, &token, entry, recording));
                }
            }
        }
    }
    accounts
}

fn account(label: &str, token: &str, entry: Token, recording: &Value) -> Account {
    let body = &recording["exchanges"][0]["response"]["body_json"];
    let access = list(&body["apps"]).iter().map(|app| Access {
        app: text(&app["id"]),
        environments: list(&app["environment_keys"])
            .iter()
            .map(|entry| text(&entry["environment"]["id"]))
            .collect(),
    });
    let mut access: Vec<Access> = access.collect();
    let kind = match token.split_at(token.find(":v").unwrap() + 3).0 {
        "pss_service:v1" => AccountKind::Legacy,
        "pss_service:v2" => AccountKind::Service,
        _ => AccountKind::User,
    };
    if kind == AccountKind::Legacy && access.is_empty() {
        // A dead legacy token: its app is not recorded, and does not show.
        access.push(Access {
            app: "payments-api".to_owned(),
            environments: Vec::new(),
        });
    }
    let id = [&body["account_id"], &body["user_id"]]
        .into_iter()
        .find(|id| id.is_string());
    Account {
        kind,
        id: id.map(text),
        private_key: recording["expected"]["private_key"]
            .as_str()
            .map(str::to_owned),
        access: Some(access),
        may_read_secrets: label != "norole",
        allowed_addresses: (label == "ip")
            .then(|| vec!["203.0.113.9".to_owned(), "198.51.100.7".to_owned()]),
        tokens: vec![entry],
        ..Account::service(label)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is text"))
        .to_owned()
}
