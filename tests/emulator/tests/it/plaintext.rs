//! What the recorded tokens and secrets open to, opened from the emulator's answers.

use crate::open::{Account, Environment, Secret};
use crate::recorded;
use crate::replay::{compared, replay, start};
use serde_json::Value;

#[tokio::test]
async fn recorded_tokens_open_the_recorded_keys() {
    let (emulator, control) = start().await;
    let answered = recorded::names()
        .into_iter()
        .filter(|name| name.starts_with("tokens-") && !name.contains("errors"));
    for name in answered {
        let recording = recorded::read(&name);
        let expected = &recording["expected"];
        let label = recording["credentials"]
            .as_object()
            .unwrap()
            .keys()
            .next()
            .unwrap();
        let ours = replay(&emulator, &recording["exchanges"][0]["request"]).await;
        let body: Value = serde_json::from_slice(&ours.body).unwrap();
        let account = Account::open(&control.token(label).unwrap(), &body);
        assert_eq!(
            base16ct::lower::encode_string(&account.private),
            expected["private_key"].as_str().unwrap()
        );
        let entries: Vec<&Value> = body["apps"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|app| app["environment_keys"].as_array().unwrap())
            .collect();
        assert_eq!(
            entries.len(),
            expected["environments"].as_array().unwrap().len(),
            "{name}"
        );
        for known in expected["environments"].as_array().unwrap() {
            let entry = entries
                .iter()
                .find(|entry| entry["environment"]["id"] == known["environment_id"])
                .unwrap();
            assert_eq!(
                account.environment(entry).salt,
                known["salt"].as_str().unwrap(),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn recorded_secrets_have_the_recorded_plaintext() {
    let (emulator, _) = start().await;
    let names = recorded::names()
        .into_iter()
        .filter(|name| name.starts_with("secrets-"));
    let mut opened = 0;
    for recording in names
        .map(|name| recorded::read(&name))
        .filter(|recording| recording["expected"]["secrets"].is_array())
    {
        let ours = replay(&emulator, &recording["exchanges"][0]["request"]).await;
        let rows: Vec<Value> = serde_json::from_slice(&ours.body).unwrap();
        let keys = recorded::keys(
            recording["expected"]["environment"]["environment_id"]
                .as_str()
                .unwrap(),
        );
        for expected in recording["expected"]["secrets"].as_array().unwrap() {
            let row = rows.iter().find(|row| row["id"] == expected["id"]).unwrap();
            let secret = keys.secret(row).unwrap();
            assert_eq!(
                [&secret.key, &secret.path, &secret.comment],
                ["key", "path", "comment"].map(|field| expected[field].as_str().unwrap())
            );
            check_value(&secret, expected);
            check_override(&keys, row, &expected["override"]);
            opened += 1;
        }
    }
    assert!(opened > 90, "{opened} secrets only");
}

/// A long value is recorded by its hash.
fn check_value(secret: &Secret, expected: &Value) {
    match expected["value_sha256"].as_str() {
        Some(recorded) => {
            let hash =
                aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.value.as_bytes());
            assert_eq!(
                base16ct::lower::encode_string(hash.as_ref()),
                recorded,
                "{}",
                secret.key
            );
        }
        None => assert_eq!(
            Some(secret.value.as_str()),
            expected["value"].as_str(),
            "{}",
            secret.key
        ),
    }
}

fn check_override(keys: &Environment, row: &Value, expected: &Value) {
    assert_eq!(row["override"].is_null(), expected.is_null());
    if !expected.is_null() {
        assert_eq!(
            keys.text(&row["override"]["value"]).as_deref(),
            expected["value"].as_str()
        );
        assert_eq!(row["override"]["is_active"], expected["is_active"]);
    }
}

#[tokio::test]
async fn rows_that_no_client_can_open_are_sent_as_they_are() {
    let (emulator, _) = start().await;
    let recording = recorded::read("secrets-undecryptable");
    let exchange = &recording["exchanges"][2];
    let ours = replay(&emulator, &exchange["request"]).await;
    assert_eq!(compared(&exchange["response"], &ours), Vec::<String>::new());
    let keys = recorded::keys(
        recording["expected"]["environment"]["environment_id"]
            .as_str()
            .unwrap(),
    );
    let rows: Vec<Value> = serde_json::from_slice(&ours.body).unwrap();
    for expected in recording["expected"]["rows"].as_array().unwrap() {
        let row = rows
            .iter()
            .find(|row| keys.text(&row["key"]).as_deref() == expected["key"].as_str())
            .unwrap();
        assert_eq!(
            keys.text(&row["value"]).as_deref(),
            expected["value"].as_str(),
            "{}",
            expected["key"]
        );
    }
}
