//! Names and values, by mounts of what is printed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};

use super::{migrated, parameters};
use crate::support::daemon::{Daemon, texts};
use crate::support::{cases, text};

const TRANSFORMERS: [&str; 8] = [
    "camel",
    "upper-camel",
    "lower-snake",
    "tf-var",
    "lower-kebab",
    "upper_snake",
    "(empty)",
    "nonexistent",
];

/// Keys that files may be named after, whatever the transformer.
fn keys() -> Vec<Value> {
    let is_name = |name: &str| !name.is_empty() && name != "." && name.is_ascii();
    let mut keys = cases("name-transform.json");
    keys.retain(|case| {
        is_name(text(case, "key")) && TRANSFORMERS.iter().all(|name| is_name(text(case, name)))
    });
    assert!(keys.len() > 10);
    keys
}

struct Shop {
    _emulator: Emulator,
    daemon: Daemon,
    token: String,
}

impl Shop {
    async fn with(secrets: Value) -> Self {
        let organisation = json!({
            "apps": [{"name": "payments", "environments": [{"name": "Production", "secrets": secrets}]}],
            "accounts": [{"name": "a", "tokens": [{"name": "a"}]}],
        });
        let seed = Seed::from_yaml(&organisation.to_string()).unwrap();
        let emulator = Emulator::start(Options::new(seed)).await.unwrap();
        Self {
            daemon: Daemon::start(&["--phase-host", &emulator.url()]).await,
            token: emulator.control().token("a").unwrap(),
            _emulator: emulator,
        }
    }

    async fn mount(&self, parameters: &Value) -> BTreeMap<String, String> {
        let answer = self.daemon.mount(&self.token, parameters).await;
        texts(&answer.unwrap()).into_iter().collect()
    }
}

#[tokio::test]
async fn files_have_the_names_that_the_operator_gives_to_keys() {
    let keys = keys();
    for transformer in TRANSFORMERS {
        // Two keys of one name cannot both be mounted: the operator loses one of them.
        let mut expected = BTreeMap::new();
        let mut secrets = Vec::new();
        for case in &keys {
            let name = text(case, transformer).to_owned();
            if let Entry::Vacant(free) = expected.entry(name) {
                let key = text(case, "key");
                secrets.push(json!({"key": key, "value": key}));
                free.insert(key.to_owned());
            }
        }
        let shop = Shop::with(json!(secrets)).await;
        let named = if transformer == "(empty)" {
            ""
        } else {
            transformer
        };
        let (printed, _) = migrated(&format!(
            "apiVersion: secrets.phase.dev/v1alpha1\nkind: PhaseSecret\nmetadata: {{name: web}}\nspec:\n  phaseApp: payments\n  managedSecretReferences:\n    - {{secretName: web, nameTransformer: {named:?}}}\n"
        ));
        let parameters = parameters(&printed);
        assert_eq!(
            shop.mount(&parameters["web"]).await,
            expected,
            "{transformer}"
        );
    }
}

#[tokio::test]
async fn processors_give_the_operators_names_and_values() {
    let shop = Shop::with(json!([
        {"key": "DB_HOST", "value": "h"},
        {"key": "DB_PASSWORD", "value": "cGFzcw=="},
        {"key": "API_KEY", "value": "k"},
        {"key": "LEFT_ALONE", "value": "l"},
        {"key": "ODD_TYPE", "value": "bw=="},
        {"key": "EMPTY_NAME", "value": "e"},
    ]))
    .await;
    let (printed, notes) = migrated(
        r"
apiVersion: secrets.phase.dev/v1alpha1
kind: PhaseSecret
metadata: {name: web, namespace: shop}
spec:
  phaseApp: payments
  managedSecretReferences:
    - secretName: web
      nameTransformer: lower-kebab
      processors:
        DB_PASSWORD: {type: base64, asName: password.txt}
        API_KEY: {nameTransformer: upper-camel}
        LEFT_ALONE: {nameTransformer: nonexistent}
        ODD_TYPE: {type: hex}
        EMPTY_NAME: {asName: ''}
        NOT_IN_PHASE: {asName: x}
",
    );
    let files = shop.mount(&parameters(&printed)["web"]).await;
    let expected = [
        ("ApiKey", "k"),
        ("LEFT_ALONE", "l"),
        ("db-host", "h"),
        ("empty-name", "e"),
        ("odd-type", "bw=="),
        ("password.txt", "pass"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(files, BTreeMap::from(expected));
    for note in [
        "nameTransformer \"nonexistent\" is unknown to the operator, which leaves keys unchanged: so does the class",
        "type \"hex\" is unknown to the operator, which takes it as plain: so does the class",
        "two keys that get one name are an error here: with the operator one of them wins",
    ] {
        assert!(
            notes.contains(&format!("note: PhaseSecret shop/web: {note}\n")),
            "{notes}"
        );
    }
}
