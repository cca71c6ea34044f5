//! Rows that open, and the folders, digests and tags that choose them.

use std::sync::Arc;
use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::environment::{Environment, Filter, Place, Tag};
use phase_csi_provider::phase::folder::Folder;
use phase_csi_provider::phase::keyring::EnvironmentKeys;
use phase_csi_provider::phase::keys::Keys;
use phase_csi_provider::phase::opener::{self, Sealed};
use phase_csi_provider::quota::{Allowance, Pool, Tenant};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Caller, only_label, token};
use crate::support::replay::{Recording, Replay, header};
use crate::support::text;

pub(super) fn keys_of(environment: &Value) -> EnvironmentKeys {
    let private = SecretString::from(text(environment, "private_key"));
    let salt = SecretString::from(text(environment, "salt"));
    EnvironmentKeys::from_hex(&private, &salt).unwrap()
}

fn place_of(environment: &Value) -> Place {
    Place {
        app_id: text(environment, "app_id").to_owned(),
        app: text(environment, "app").to_owned(),
        environment_id: text(environment, "environment_id").to_owned(),
        environment: text(environment, "environment").to_owned(),
    }
}

/// The environment of a recording, fetched through the socket.
async fn environment(recording: &Recording) -> Environment {
    environment_at(recording, 0).await
}

async fn environment_at(recording: &Recording, exchange: usize) -> Environment {
    let exchange = recording.exchanges()[exchange].clone();
    let replay = Replay::in_order(&[exchange]).await;
    let token = token(recording, &only_label(recording));
    let expected = &recording.expected()["environment"];
    let rows = Caller::to(&replay)
        .rows(&token, text(expected, "environment_id"))
        .await;
    Environment::new(place_of(expected), keys_of(expected), Arc::new(rows.into()))
}

fn everything() -> Filter {
    Filter {
        folder: Folder::root(),
        recursive: true,
        tags: Vec::new(),
        keys: Keys::All,
    }
}

/// `(key, folder, value)` of the selected rows, sorted.
fn opened(environment: &Environment, filter: &Filter) -> Vec<(String, String, String)> {
    let rows = environment.select(filter).unwrap().into_iter();
    let mut opened: Vec<_> = rows
        .map(|row| {
            let secret = environment.open(row).unwrap();
            let value = secret.value.expose_secret().to_owned();
            (secret.key, secret.folder.to_string(), value)
        })
        .collect();
    opened.sort();
    opened
}

fn expected_rows(rows: &Value) -> Vec<(String, String, String)> {
    let rows = rows.as_array().unwrap().iter();
    let stored = rows.filter(|row| row["type"] != "dynamic");
    let mut expected: Vec<_> = stored
        .map(|row| {
            (
                text(row, "key").to_owned(),
                text(row, "path").to_owned(),
                value_of(row),
            )
        })
        .collect();
    expected.sort();
    expected
}

fn value_of(row: &Value) -> String {
    if row["override"]["is_active"] == true {
        return text(&row["override"], "value").to_owned();
    }
    match row["value_length"].as_u64() {
        Some(length) => "0123456789abcdef".repeat(usize::try_from(length).unwrap() / 16),
        None => text(row, "value").to_owned(),
    }
}

pub(super) async fn rows_open(recording: &Recording) {
    let environment = environment(recording).await;
    let expected = expected_rows(&recording.expected()["secrets"]);
    assert!(!expected.is_empty());
    assert_eq!(opened(&environment, &everything()), expected);
    for (key, folder, _) in &expected {
        let row = environment.find(&Folder::parse(folder), key).unwrap();
        assert_eq!(&environment.open(row).unwrap().key, key);
    }
}

pub(super) async fn dynamic_rows_are_left_out(recording: &Recording) {
    let lists = recording.expected()["secrets"].as_array().unwrap();
    assert_eq!(lists.len(), recording.exchanges().len());
    for (exchange, list) in lists.iter().enumerate() {
        let environment = environment_at(recording, exchange).await;
        assert_eq!(opened(&environment, &everything()), expected_rows(list));
        dynamic_keys_are_known(&environment, list);
    }
}

/// They are not served, and yet nobody is told that there is no such key.
fn dynamic_keys_are_known(environment: &Environment, list: &Value) {
    let all = list.as_array().unwrap().iter();
    let expected: Vec<_> = all.filter(|row| row["type"] == "dynamic").collect();
    let found: Vec<_> = environment.dynamic(&everything()).collect();
    assert_eq!(found.len(), expected.len());
    for row in expected {
        let (folder, name) = (Folder::parse(text(row, "path")), text(row, "name"));
        assert!(found.contains(&(&folder, name)), "{row}");
        for key in row["keys"].as_array().unwrap() {
            let key = key.as_str().unwrap();
            assert!(environment.is_dynamic(&folder, key), "{key}");
            assert!(!environment.is_dynamic(&Folder::parse("/elsewhere"), key));
            assert_eq!(environment.find(&folder, key), None, "it has no value");
            let filter = Filter {
                keys: Keys::One(key.to_owned()),
                ..everything()
            };
            assert_eq!(environment.dynamic(&filter).count(), 1, "{key}");
        }
        assert!(!environment.is_dynamic(&folder, "SHOP_KEY"));
    }
}

/// What the server gives for a folder is what we choose from the whole environment.
pub(super) async fn folders_select_as_on_the_server(recording: &Recording) {
    let whole = environment(&Recording::read("secrets-all-paths")).await;
    let cases = recording.expected()["by_path"].as_array().unwrap();
    assert_eq!(cases.len(), recording.exchanges().len());
    for (exchange, case) in cases.iter().enumerate() {
        let path = text(case, "path");
        let expected = expected_rows(&case["secrets"]);
        let replayed = environment_at(recording, exchange).await;
        assert_eq!(opened(&replayed, &everything()), expected, "{path}");
        // An empty header is no filter on the server; for a class it is the top folder.
        let filter = Filter {
            folder: Folder::parse(path),
            recursive: path.is_empty(),
            tags: Vec::new(),
            keys: Keys::All,
        };
        assert_eq!(opened(&whole, &filter), expected, "{path}");
    }
}

pub(super) async fn digests_find_as_on_the_server(recording: &Recording) {
    let whole = environment(&Recording::read("secrets-all-paths")).await;
    let keys = keys_of(&recording.expected()["environment"]);
    let cases = recording.expected()["by_key"].as_array().unwrap();
    for (exchange, case) in recording.exchanges().iter().zip(cases) {
        let key = text(case, "key");
        assert_eq!(keys.key_digest(key), text(case, "digest"));
        assert_eq!(header(exchange, "keydigest"), case["digest"].as_str());
        for row in case["secrets"].as_array().unwrap() {
            let row_found = whole.find(&Folder::parse(text(row, "path")), key).unwrap();
            let secret = whole.open(row_found).unwrap();
            assert_eq!(secret.value.expose_secret(), text(row, "value"));
        }
        if case["secrets"].as_array().unwrap().is_empty() {
            assert_eq!(whole.find(&Folder::root(), key), None, "{key}");
        }
    }
}

/// The server compares tags to the letter, the official client by parts in any
/// case; we compare them whole: to the letter, else in any case, `_` as a space.
pub(super) async fn tags_select_what_the_server_selects_and_what_people_mean(
    recording: &Recording,
) {
    let whole = environment(&Recording::read("secrets-all-paths")).await;
    let by_tags = &recording.expected()["by_tags"];
    let rows = if by_tags.is_array() {
        by_tags
    } else {
        &recording.expected()["rows"]
    };
    for case in rows.as_array().unwrap() {
        let tags = case["tags"]
            .as_str()
            .or_else(|| case["tag"].as_str())
            .unwrap();
        let tags: Vec<_> = tags
            .split(',')
            .filter(|tag| !tag.is_empty())
            .map(Tag::parse)
            .collect();
        let filter = Filter {
            tags,
            ..everything()
        };
        let selected: Vec<_> = opened(&whole, &filter)
            .into_iter()
            .map(|(key, folder, _)| format!("{key}@{folder}"))
            .collect();
        let expected = selected_by_whole_tags(case);
        assert_eq!(selected, expected, "{case}");
    }
}

/// The recorded keys, but for the cases in which matching differs on purpose.
fn selected_by_whole_tags(case: &Value) -> Vec<String> {
    let certs = ["API_KEY@/", "TLS_CERT@/"];
    let creds = ["DATABASE_URL@/", "DB_PASSWORD@/", "DB_PASS@/backend/db"];
    let mut keys: Vec<String> = match (case["tags"].as_str(), case["tag"].as_str()) {
        (Some("Certs"), _) => certs.map(str::to_owned).to_vec(),
        (Some("db_creds"), _) => creds.map(str::to_owned).to_vec(),
        // Parts of a tag select nothing.
        (_, Some("db" | "prod" | "cert")) => Vec::new(),
        // No tag selects all.
        (_, Some("")) => return all_keys(),
        _ => {
            let keys = case["keys"].as_array().unwrap().iter();
            keys.map(|key| key.as_str().unwrap().to_owned()).collect()
        }
    };
    sort_as_opened(&mut keys);
    // The server gives a secret twice that has two of the tags.
    keys.dedup();
    keys
}

fn all_keys() -> Vec<String> {
    let rows = expected_rows(&Recording::read("secrets-all-paths").expected()["secrets"]);
    let keys = rows
        .into_iter()
        .map(|(key, folder, _)| format!("{key}@{folder}"));
    keys.collect()
}

fn sort_as_opened(keys: &mut [String]) {
    keys.sort_by_key(|key| {
        let (key, folder) = key.split_once('@').unwrap();
        (key.to_owned(), folder.to_owned())
    });
}

/// A value that its writer stored without sealing it, since there was nothing to seal.
const BARE_EMPTY: &str = "EMPTY_UNENCRYPTED";

pub(super) async fn undecryptable_rows_are_errors_that_name_the_key(recording: &Recording) {
    let environment = environment_at(recording, 2).await;
    let rows = recording.expected()["rows"].as_array().unwrap();
    assert_eq!(environment.select(&everything()).unwrap().len(), rows.len());
    for expected in rows {
        let key = text(expected, "key");
        let row = environment.find(&Folder::root(), key).unwrap();
        let opened = environment.open(row);
        match expected["value"].as_str() {
            // The official client drops it; nothing else than nothing can be meant.
            None if key == BARE_EMPTY => assert_eq!(opened.unwrap().value.expose_secret(), ""),
            Some(value) => assert_eq!(opened.unwrap().value.expose_secret(), value),
            None => {
                let error = opened.map(|_| ()).expect_err(key);
                assert_eq!(error.cause(), Cause::Undecryptable);
                assert_eq!(
                    error.to_string(),
                    format!(
                        "secret \"{key}\" does not decrypt: folder \"/\" of environment \"Development\" in app \"payments\": write it again in Phase, or delete it"
                    )
                );
            }
        }
    }
}

fn sealed(environment: &Arc<Environment>, times: usize) -> Vec<Sealed> {
    let rows = environment.select(&everything()).unwrap();
    let rows = (0..times).flat_map(|_| rows.clone());
    rows.map(|row| Sealed::new(Arc::clone(environment), row))
        .collect()
}

/// Work on so many cores.
fn on_cores(cores: usize) -> Allowance {
    let pool = Pool::new(cores, Duration::from_secs(3_600));
    Allowance {
        job: pool.job(&Tenant::new("shop")),
        ..Allowance::alone()
    }
}

#[tokio::test]
async fn many_rows_open_in_the_order_given_on_any_number_of_cores() {
    let environment = Arc::new(environment(&Recording::read("secrets-all-paths")).await);
    let rows = sealed(&environment, 20);
    let one_by_one: Vec<_> = rows
        .iter()
        .map(|sealed| sealed.environment.open(sealed.row).unwrap().key)
        .collect();
    for cores in [1, 2, 5] {
        let opened = opener::open(&on_cores(cores), rows.clone()).await.unwrap();
        let keys: Vec<_> = opened
            .into_iter()
            .flatten()
            .map(|opened| opened.secret.key)
            .collect();
        assert_eq!(keys, one_by_one, "{cores} cores");
    }
}

#[tokio::test]
async fn of_many_rows_that_do_not_open_the_first_is_named() {
    let recording = Recording::read("secrets-undecryptable");
    let environment = Arc::new(environment_at(&recording, 2).await);
    let rows = sealed(&environment, 50);
    let first = rows
        .iter()
        .find_map(|sealed| sealed.environment.open(sealed.row).err())
        .unwrap();
    for _ in 0..20 {
        let opened = opener::open(&on_cores(3), rows.clone()).await;
        assert_eq!(opened.map(drop).unwrap_err(), first.clone().into());
    }
}

#[tokio::test]
async fn a_small_mount_overtakes_large_ones() {
    let environment = Arc::new(environment(&Recording::read("secrets-all-paths")).await);
    let work = on_cores(2);
    let larges: Vec<_> = (0..4)
        .map(|_| {
            let (work, rows) = (work.clone(), sealed(&environment, 60));
            tokio::spawn(async move { opener::open(&work, rows).await.map(drop) })
        })
        .collect();
    tokio::task::yield_now().await;
    opener::open(&work, sealed(&environment, 1)).await.unwrap();
    assert!(
        larges.iter().all(|large| !large.is_finished()),
        "it waited for all of them"
    );
    for large in larges {
        large.await.unwrap().unwrap();
    }
}
