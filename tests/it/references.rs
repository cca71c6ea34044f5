//! References, mounted through the socket from an emulator that holds the
//! recorded organisation: each row of the recorded tables, one mount a row.

use std::collections::BTreeMap;

use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::daemon::{Daemon, texts};
use crate::support::replay::Recording;
use crate::support::text;

/// Rows in which we differ from the official client on purpose, and what we give.
/// The first is never a part of a name, the second never a reference.
const OURS: &[(&str, &str)] = &[
    ("REF_CROSS_ENV_PARTIAL", "${stag.API_URL}"),
    ("DOUBLE_BRACE", "${{RAILWAY.VAR}}"),
];

struct Organisation {
    _emulator: Emulator,
    daemon: Daemon,
    token: String,
}

impl Organisation {
    async fn of(token: &str) -> Self {
        let seed = Seed::from_yaml(&organisation().to_string()).unwrap();
        let emulator = Emulator::start(Options::new(seed)).await.unwrap();
        let daemon = Daemon::start(&["--phase-host", &emulator.url()]).await;
        let token = emulator.control().token(token).unwrap();
        Self {
            _emulator: emulator,
            daemon,
            token,
        }
    }

    /// The value that a mount of one row gives.
    async fn row(&self, app: &str, row: &Value, mode: &str) -> Result<String, Status> {
        let parameters = json!({
            "phaseApp": app,
            "phaseAppEnv": "Production",
            "recursive": "true",
            "phaseAppEnvTag": tag(text(row, "path"), text(row, "key")),
            "onSecretReferenceError": mode,
        });
        let answer = self.daemon.mount(&self.token, &parameters).await?;
        let files = texts(&answer);
        assert_eq!(files.len(), 1, "{row}");
        Ok(files[0].1.clone())
    }
}

/// A tag for one secret alone, so that it can be mounted alone.
fn tag(path: &str, key: &str) -> String {
    format!("only {path} {key}").replace(',', " ")
}

fn secret(path: &str, key: &str, value: &str) -> Value {
    json!({"path": path, "key": key, "value": value, "tags": [tag(path, key)]})
}

/// The recorded organisation's plaintext, as far as references lead.
fn organisation() -> Value {
    let recording = Recording::read("secrets-all-paths");
    let production = recording.expected()["secrets"].as_array().unwrap().iter();
    let production =
        production.map(|row| secret(text(row, "path"), text(row, "key"), text(row, "value")));
    let sse = Recording::read("references-sse");
    let shop = sse.expected()["rows"].as_array().unwrap().iter();
    let mut shop: Vec<_> = shop
        .map(|row| secret(text(row, "path"), text(row, "key"), text(row, "raw")))
        .collect();
    shop.extend([
        secret("/", "SHOP_KEY", "shop-123"),
        secret("/", "HOST", "shop.example.test"),
        secret("/backend", "TOKEN", "tok-in-backend"),
    ]);
    let environment = |name: &str, secrets: Vec<Value>| json!({"name": name, "secrets": secrets});
    json!({
        "apps": [
            {"name": "payments-api", "environments": [
                environment("Staging", vec![
                    secret("/", "API_URL", "https://staging.example.test"),
                    secret("/backend/db", "DB_HOST", "stg-db.internal"),
                ]),
                environment("Preprod", vec![secret("/", "API_KEY", "ak_PREPROD")]),
                environment("Production", production.collect()),
            ]},
            {"name": "payments", "environments": [environment("Production", vec![])]},
            {"name": "web-shop", "encryption": "SSE", "environments": [
                environment("Staging", vec![secret("/", "SHOP_KEY", "shop-stg")]),
                environment("Production", shop),
            ]},
            {"name": "shared-config", "environments": [
                environment("Production", vec![secret("/", "REGION", "eu-central-1")]),
            ]},
            {"name": "locked-app", "environments": [
                environment("Production", vec![secret("/", "SECRET", "no one may see")]),
            ]},
        ],
        "accounts": [
            {"name": "main", "access": [
                {"app": "payments-api"}, {"app": "payments"}, {"app": "web-shop"}, {"app": "shared-config"},
            ]},
            {"name": "limited", "access": [{"app": "payments-api", "environments": ["Production"]}]},
        ],
    })
}

async fn rows_agree(file: &str) {
    let recording = Recording::read(file);
    let expected = recording.expected();
    let app = text(expected, "app");
    let organisation = Organisation::of(text(expected, "token")).await;
    let ours: BTreeMap<_, _> = OURS.iter().copied().collect();
    for row in expected["rows"].as_array().unwrap() {
        let key = text(row, "key");
        let kept = organisation.row(app, row, "Warn").await.unwrap();
        let theirs = text(row, "go_sdk");
        assert_eq!(kept, *ours.get(key).unwrap_or(&theirs), "{key} with Warn");
        let strict = organisation.row(app, row, "Fail").await;
        match row["go_sdk_strict"]["value"].as_str() {
            _ if key == "DOUBLE_BRACE" => assert_eq!(strict.unwrap(), ours[key]),
            Some(value) if !ours.contains_key(key) => assert_eq!(strict.unwrap(), value, "{key}"),
            _ => {
                let status = strict.expect_err(key);
                assert_ne!(status.code(), Code::Internal, "{status}");
                assert!(
                    status.message().contains(&format!("secret \"{key}\"")),
                    "{status}"
                );
                assert!(status.message().contains("cannot be resolved"), "{status}");
            }
        }
    }
}

#[tokio::test]
async fn an_account_that_may_read_all() {
    rows_agree("references").await;
}

#[tokio::test]
async fn an_account_that_may_read_one_environment() {
    rows_agree("references-limited-token").await;
}

#[tokio::test]
async fn an_app_whose_server_could_resolve_too() {
    rows_agree("references-sse").await;
}

/// A service of one app with these secrets, mounted whole.
async fn mounted(secrets: Value, others: Value) -> Result<BTreeMap<String, String>, Status> {
    let mut apps =
        vec![json!({"name": "a", "environments": [{"name": "production", "secrets": secrets}]})];
    apps.extend(others.as_array().unwrap().iter().cloned());
    let seed = json!({"apps": apps, "accounts": [{"name": "ci"}]});
    let emulator = Emulator::start(Options::new(Seed::from_yaml(&seed.to_string()).unwrap()));
    let emulator = emulator.await.unwrap();
    let daemon = Daemon::start(&["--phase-host", &emulator.url()]).await;
    let token = emulator.control().token("ci").unwrap();
    let answer = daemon.mount(&token, &json!({"phaseApp": "a"})).await?;
    Ok(texts(&answer).into_iter().collect())
}

fn chain(length: usize) -> Value {
    let link = |n: usize| secret("/", &format!("K{n}"), &format!("${{K{}}}", n + 1));
    let mut secrets: Vec<_> = (0..length).map(link).collect();
    secrets.push(secret("/", &format!("K{length}"), "end"));
    Value::from(secrets)
}

#[tokio::test]
async fn twenty_five_references_in_a_row_resolve_and_one_more_does_not() {
    let files = mounted(chain(25), json!([])).await.unwrap();
    assert!(files.values().all(|value| value == "end"));
    let status = mounted(chain(26), json!([])).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status
            .message()
            .contains("more than 25 references follow one another"),
        "{status}"
    );
}

#[tokio::test]
async fn a_value_that_explodes_is_refused() {
    let double = |n: usize| secret("/", &format!("K{n}"), &format!("${{K{0}}}${{K{0}}}", n + 1));
    let mut secrets: Vec<_> = (0..20).map(double).collect();
    secrets.push(secret("/", "K20", "0123456789"));
    let status = mounted(Value::from(secrets), json!([])).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(
        status
            .message()
            .contains("is larger than 4194304 bytes once its references"),
        "{status}"
    );
}

/// Small values that refer to a large one so often that no memory would do: what they
/// would become is counted before any of them is made.
#[tokio::test]
async fn the_sum_of_all_values_is_bounded_before_it_is_made() {
    let many = |number: usize| secret("/", &format!("B{number}"), &"${A}".repeat(10));
    let mut secrets: Vec<_> = (0..120).map(many).collect();
    secrets.push(secret("/", "A", &"0123456789".repeat(30_000)));
    let status = mounted(Value::from(secrets), json!([])).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(
        status.message().contains(
            "references make 360000000 bytes of the values of one class, and at most 16777216 are made: refer to large values less often, or make two classes"
        ),
        "{status}"
    );
}

#[tokio::test]
async fn references_are_counted() {
    let one = |count: usize| {
        json!([
            secret("/", "A", "a"),
            secret("/", "B", &"${A}".repeat(count))
        ])
    };
    let files = mounted(one(4_096), json!([])).await.unwrap();
    assert_eq!(files["B"], "a".repeat(4_096));
    let status = mounted(one(4_097), json!([])).await.unwrap_err();
    assert!(
        status
            .message()
            .contains("one value may hold at most 4096 references, and there are more: use fewer"),
        "{status}"
    );
    let all = (0..21).map(|number| secret("/", &format!("B{number}"), &"${A}".repeat(1_000)));
    let all: Vec<_> = all.chain([secret("/", "A", "a")]).collect();
    let status = mounted(Value::from(all), json!([])).await.unwrap_err();
    assert!(
        status.message().contains(
            "the values of one class may hold at most 20000 references, and there are more: use fewer"
        ),
        "{status}"
    );
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_up_to_a_few() {
    let secrets = |count: usize| {
        let bad =
            |number: usize| secret("/", &format!("B{number:02}"), &format!("${{N{number:02}}}"));
        Value::from((0..count).map(bad).collect::<Vec<_>>())
    };
    let head = |count: usize| {
        format!(
            "{count} references cannot be resolved (mend them, or keep their text with onSecretReferenceError: Warn): ${{N0"
        )
    };
    let status = mounted(secrets(2), json!([])).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let text = status.message();
    assert!(text.starts_with(&head(2)), "{text}");
    for number in [0, 1] {
        let one = format!(
            "${{N0{number}}} in secret \"B0{number}\" of folder \"/\": there is no \"N0{number}\" in folder \"/\" of environment \"production\" in app \"a\""
        );
        assert!(text.contains(&one), "{text}");
    }
    let status = mounted(secrets(30), json!([])).await.unwrap_err();
    assert!(status.message().starts_with(&head(30)), "{status}");
}

#[tokio::test]
async fn a_reference_means_the_name_as_it_is_written() {
    let app = |name: &str| {
        let environment =
            |name: &str, value: &str| json!({"name": name, "secrets": [secret("/", "WHO", value)]});
        let environments = [
            environment("Prod", &format!("{name} Prod")),
            environment("PROD", &format!("{name} PROD")),
        ];
        json!({"name": name, "environments": environments})
    };
    let others = json!([app("Shop"), app("shop")]);
    let secrets = json!([
        secret("/", "ONE", "${shop::PROD.WHO}"),
        secret("/", "TWO", "${Shop::Prod.WHO}"),
    ]);
    let files = mounted(secrets, others.clone()).await.unwrap();
    assert_eq!(files["ONE"], "shop PROD");
    assert_eq!(files["TWO"], "Shop Prod");
    for (reference, problem) in [
        ("${SHOP::Prod.WHO}", "2 apps are named \"SHOP\""),
        (
            "${shop::prod.WHO}",
            "2 environments of app \"shop\" are named \"prod\"",
        ),
    ] {
        let secrets = json!([secret("/", "X", reference)]);
        let status = mounted(secrets, others.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(problem), "{status}");
    }
}

#[tokio::test]
async fn nested_references_are_read_where_they_stand() {
    let secrets = json!([
        secret("/", "HOST", "not this one"),
        secret("/", "URL", "${shop::production./x/URL}"),
    ]);
    let shop = json!([{"name": "Shop", "environments": [{"name": "production", "secrets": [
        secret("/x", "URL", "https://${HOST}/"),
        secret("/x", "HOST", "nor this one"),
        secret("/", "HOST", "shop.example.test"),
    ]}]}]);
    let files = mounted(secrets, shop).await.unwrap();
    assert_eq!(files["URL"], "https://shop.example.test/");
}

#[tokio::test]
async fn a_reference_to_one_of_two_apps_lists_both() {
    let twin = || json!({"name": "twin", "environments": [{"name": "production", "secrets": []}]});
    let (mut one, mut two) = (twin(), twin());
    one["id"] = json!("00000000-0000-4000-8000-000000000001");
    two["id"] = json!("00000000-0000-4000-8000-000000000002");
    let secrets = json!([secret("/", "X", "${twin::production.WHO}")]);
    let status = mounted(secrets, json!([one, two])).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("2 apps are named \"twin\""),
        "{status}"
    );
}

#[tokio::test]
async fn the_text_of_each_problem() {
    for (value, expected) in [
        (
            "${NOPE}",
            "${NOPE} in secret \"X\" of folder \"/\" cannot be resolved: there is no \"NOPE\" in folder \"/\" of environment \"production\" in app \"a\": mend it, or keep its text with onSecretReferenceError: Warn",
        ),
        (
            "${X}",
            "${X} in secret \"X\" of folder \"/\" cannot be resolved: it leads back to itself: mend it, or keep its text with onSecretReferenceError: Warn",
        ),
        (
            "${qa.Y}",
            "${qa.Y} in secret \"X\" of folder \"/\" cannot be resolved: environment \"qa\" not found in app \"a\": it has production (names match whole, any case): mend it, or keep its text with onSecretReferenceError: Warn",
        ),
        (
            "${ghost::production.Y}",
            "${ghost::production.Y} in secret \"X\" of folder \"/\" cannot be resolved: app \"ghost\" not found: the token can read a (names match whole, any case): mend it, or keep its text with onSecretReferenceError: Warn",
        ),
        (
            "pa$${canary!}",
            "a malformed reference ${…} in secret \"X\" of folder \"/\" cannot be resolved: it names nothing that the token can read: mend it",
        ),
        (
            "${app::KEY}",
            "a malformed reference ${…} in secret \"X\" of folder \"/\" cannot be resolved: it has no known form: use ${KEY}, ${env.KEY} or ${app::env./folder/KEY}: mend it, or keep its text with onSecretReferenceError: Warn",
        ),
    ] {
        let status = mounted(json!([secret("/", "X", value)]), json!([]))
            .await
            .unwrap_err();
        assert!(
            status.message().starts_with(expected),
            "{}",
            status.message()
        );
        assert!(!status.message().contains("canary"));
    }
}
