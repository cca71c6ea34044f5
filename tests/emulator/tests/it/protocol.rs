//! The straight path: tokens, environment keys, secrets in plaintext.

use crate::open::{Account, Secret};
use phase_emulator::{Control, Emulator, Options, SecretChange, Seed};
use serde_json::Value;

/// A client of one token.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    authorization: String,
    token: String,
}

impl Client {
    pub(crate) fn new(emulator: &Emulator, token: &str) -> Self {
        let token = emulator.control().token(token).unwrap();
        let bearer = token.split(':').nth(2).unwrap();
        let kind = match token.split_at(token.find(":v").unwrap() + 3).0 {
            "pss_service:v2" => "ServiceAccount",
            "pss_service:v1" => "Service",
            _ => "User",
        };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            http,
            base: emulator.url(),
            authorization: format!("Bearer {kind} {bearer}"),
            token,
        }
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .get(format!("{}{path}", self.base))
            .header("authorization", &self.authorization)
    }

    pub(crate) async fn tokens(&self) -> Value {
        let answer = self.get("/service/secrets/tokens/").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    pub(crate) async fn rows(&self, environment: &str) -> Vec<Value> {
        let answer = self
            .get("/service/secrets/")
            .header("environment", environment)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Every secret of an environment in plaintext, found by app and name.
    pub(crate) async fn secrets(&self, app: &str, environment: &str) -> Vec<Secret> {
        let tokens = self.tokens().await;
        let account = Account::open(&self.token, &tokens);
        let entry = entry(&tokens, app, environment);
        let keys = account.environment(entry);
        let rows = self
            .rows(entry["environment"]["id"].as_str().unwrap())
            .await;
        rows.iter().map(|row| keys.secret(row).unwrap()).collect()
    }
}

pub(crate) fn entry<'a>(tokens: &'a Value, app: &str, environment: &str) -> &'a Value {
    let app = tokens["apps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["name"] == app)
        .unwrap();
    let entries = app["environment_keys"].as_array().unwrap();
    entries
        .iter()
        .find(|entry| entry["environment"]["name"] == environment)
        .unwrap()
}

/// The demo, its control and a client of its token.
pub(crate) async fn demo() -> (Emulator, Control, Client) {
    let emulator = Emulator::start(Options::new(Seed::demo())).await.unwrap();
    let control = emulator.control();
    let client = Client::new(&emulator, "demo");
    (emulator, control, client)
}

fn value<'a>(secrets: &'a [Secret], path: &str, key: &str) -> &'a str {
    let found = secrets
        .iter()
        .find(|secret| secret.path == path && secret.key == key);
    &found
        .unwrap_or_else(|| panic!("{key} at {path} is there"))
        .value
}

#[tokio::test]
async fn a_token_opens_every_secret_of_the_demo() {
    let (_emulator, _, client) = demo().await;
    let secrets = client.secrets("keyspace.cloud", "Production").await;
    assert_eq!(secrets.len(), 11);
    assert_eq!(value(&secrets, "/", "API_KEY"), "ak_live_0123456789");
    assert_eq!(value(&secrets, "/backend/db", "POOL_SIZE"), "20");
    assert!(value(&secrets, "/", "TLS_CERT").starts_with("-----BEGIN CERTIFICATE-----\n"));
    let other = client.secrets("shared-config", "Production").await;
    assert_eq!(value(&other, "/", "REGION"), "eu-central-1");
}

#[tokio::test]
async fn an_unchanged_secret_keeps_its_ciphertext() {
    let (_emulator, control, client) = demo().await;
    let id = control
        .environment_id("keyspace.cloud", "production")
        .unwrap();
    let (first, tokens) = (client.rows(&id).await, client.tokens().await);
    assert_eq!(client.rows(&id).await, first);
    assert_eq!(client.tokens().await, tokens);

    control
        .put_secret("keyspace.cloud", "Production", "/", "API_KEY", "changed")
        .unwrap();
    let second = client.rows(&id).await;
    assert_eq!(second.len(), first.len());
    assert_eq!(
        second[..first.len() - 1],
        first[1..],
        "the others stay, and the changed one comes last"
    );
    assert_ne!(second.last().unwrap()["value"], first[0]["value"]);
}

#[tokio::test]
async fn a_change_moves_version_and_times_and_a_read_does_not() {
    let (_emulator, control, client) = demo().await;
    let id = control
        .environment_id("keyspace.cloud", "Production")
        .unwrap();
    let row = async |key: &str| {
        let digest_of = client.secrets("keyspace.cloud", "Production").await;
        let place = digest_of.iter().position(|secret| secret.key == key)?;
        Some(client.rows(&id).await.swap_remove(place))
    };
    let updated = async || {
        let tokens = client.tokens().await;
        entry(&tokens, "keyspace.cloud", "Production")["environment"]["updated_at"].clone()
    };
    let (before, start) = (row("DB_HOST").await.unwrap(), updated().await);
    assert_eq!(before["version"], 1);
    assert_eq!(updated().await, start, "a read moves nothing");

    assert_eq!(
        control
            .put_secret("keyspace.cloud", "Production", "/", "DB_HOST", "other")
            .unwrap(),
        2
    );
    let (changed, after_put) = (row("DB_HOST").await.unwrap(), updated().await);
    assert_eq!(changed["version"], 2);
    assert_eq!(changed["id"], before["id"]);
    assert_ne!(changed["updated_at"], before["updated_at"]);
    assert_eq!(changed["created_at"], before["created_at"]);
    assert_ne!(after_put, start);

    assert_eq!(
        control
            .rotate_secret("keyspace.cloud", "Production", "/", "DB_HOST", "third")
            .unwrap(),
        3
    );
    let (rotated, after_rotation) = (row("DB_HOST").await.unwrap(), updated().await);
    assert_eq!(rotated["version"], 3);
    assert_eq!(
        rotated["updated_at"], changed["updated_at"],
        "a rotation does not move the secret's own time"
    );
    assert_ne!(after_rotation, after_put);

    let change = SecretChange {
        tags: Some(vec!["polled".to_owned()]),
        ..SecretChange::default()
    };
    assert_eq!(
        control
            .change_secret("keyspace.cloud", "Production", "/", "DB_HOST", change)
            .unwrap(),
        4
    );
    assert_eq!(
        row("DB_HOST").await.unwrap()["tags"],
        serde_json::json!(["polled"])
    );
    let after_tags = updated().await;
    assert_ne!(after_tags, after_rotation);

    control
        .delete_secret("keyspace.cloud", "Production", "/", "DB_HOST")
        .unwrap();
    assert!(row("DB_HOST").await.is_none());
    assert_ne!(updated().await, after_tags);
}

#[tokio::test]
async fn a_change_in_a_referenced_environment_does_not_move_the_referring_one() {
    let (_emulator, control, client) = demo().await;
    let before = client.tokens().await;
    control
        .put_secret("shared-config", "Production", "/", "REGION", "eu-west-1")
        .unwrap();
    let after = client.tokens().await;
    let time = |tokens: &Value, app: &str| {
        entry(tokens, app, "Production")["environment"]["updated_at"].clone()
    };
    assert_ne!(
        time(&after, "shared-config"),
        time(&before, "shared-config")
    );
    assert_eq!(
        time(&after, "keyspace.cloud"),
        time(&before, "keyspace.cloud")
    );
}

#[tokio::test]
async fn tokens_of_one_account_share_its_key_and_not_its_shares() {
    let seed = Seed::from_yaml(
        "apps: [{name: a, environments: [{name: Production}]}]\naccounts: [{name: x, tokens: [{name: one}, {name: two}]}]",
    );
    let emulator = Emulator::start(Options::new(seed.unwrap())).await.unwrap();
    let [one, two] = ["one", "two"].map(|name| Client::new(&emulator, name));
    let answers = [one.tokens().await, two.tokens().await];
    let keys = [
        Account::open(&one.token, &answers[0]).private,
        Account::open(&two.token, &answers[1]).private,
    ];
    assert_eq!(keys[0], keys[1]);
    let parts = |token: &str| token.split(':').map(str::to_owned).collect::<Vec<_>>();
    let (one, two) = (parts(&one.token), parts(&two.token));
    assert_eq!(one[3], two[3], "public key");
    for part in [2, 4, 5] {
        assert_ne!(one[part], two[part]);
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_differently_by_each_endpoint() {
    let (_emulator, control, client) = demo().await;
    let id = control
        .environment_id("keyspace.cloud", "Production")
        .unwrap();
    client.rows(&id).await;
    control.revoke_token("demo").unwrap();
    let tokens = client.get("/service/secrets/tokens/").send().await.unwrap();
    let secrets = client
        .get("/service/secrets/")
        .header("environment", &id)
        .send()
        .await
        .unwrap();
    assert_eq!([tokens.status(), secrets.status()], [403, 401]);
}

#[tokio::test]
async fn access_given_and_taken_changes_the_list_and_no_timestamp() {
    let (_emulator, control, client) = demo().await;
    let before = client.tokens().await;
    control
        .set_access("demo", "shared-config", "Production", false)
        .unwrap();
    let apps: Vec<Value> = client.tokens().await["apps"].as_array().unwrap().clone();
    assert_eq!(apps.len(), 1);
    assert_eq!(apps[0], before["apps"][0]);
    let id = control
        .environment_id("shared-config", "Production")
        .unwrap();
    let refused = client
        .get("/service/secrets/")
        .header("environment", &id)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    control
        .set_access("demo", "shared-config", "Production", true)
        .unwrap();
    assert_eq!(client.secrets("shared-config", "Production").await.len(), 1);
}

#[tokio::test]
async fn requests_are_counted_by_endpoint() {
    let (_emulator, control, client) = demo().await;
    client.secrets("keyspace.cloud", "Production").await;
    for path in ["/service/health/", "/nowhere"] {
        client
            .get(path)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
    }
    let counters = control.requests();
    assert_eq!(
        (
            counters.tokens,
            counters.secrets,
            counters.health,
            counters.other
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(counters.connections, 1, "the connection is kept");
    control.reset_counters();
    assert_eq!(control.requests(), phase_emulator::Counters::default());
}

#[tokio::test]
async fn a_thousand_secrets_come_in_one_answer() {
    let emulator = Emulator::start(Options::new(Seed::sized(1000)))
        .await
        .unwrap();
    emulator.control().warm_up();
    let secrets = Client::new(&emulator, "default")
        .secrets("keyspace.cloud", "Production")
        .await;
    assert_eq!(secrets.len(), 1000);
    assert_eq!(
        value(&secrets, "/", "KEY_00999"),
        "value of secret number 00999"
    );
}
