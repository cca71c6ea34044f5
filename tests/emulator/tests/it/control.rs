//! The control endpoint over HTTP, as a shell script uses it.

use crate::protocol::demo;
use phase_emulator::{Emulator, Options, Seed, StartError};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

struct Curl {
    http: Client,
    base: String,
}

impl Curl {
    fn new(emulator: &Emulator) -> Self {
        Self {
            http: Client::builder().no_proxy().build().unwrap(),
            base: emulator.control_url(),
        }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        json_of(
            self.http
                .get(format!("{}{path}", self.base))
                .send()
                .await
                .unwrap(),
        )
        .await
    }
}

async fn json_of(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

fn api_key(more: &Value) -> Value {
    let mut body = json!({"app": "keyspace.cloud", "environment": "production", "key": "API_KEY"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn secrets_are_changed_rotated_and_deleted() {
    let (emulator, _, client) = demo().await;
    let curl = Curl::new(&emulator);
    let value = async || {
        let secrets = client.secrets("keyspace.cloud", "Production").await;
        secrets
            .into_iter()
            .find(|secret| secret.key == "API_KEY")
            .map(|secret| secret.value)
    };
    let put = async |more: Value| {
        json_of(curl.send(Method::PUT, "/secret", &api_key(&more)).await).await["version"].clone()
    };
    assert_eq!(put(json!({"value": "one"})).await, 2);
    assert_eq!(value().await.as_deref(), Some("one"));
    assert_eq!(put(json!({"value": "two", "rotation": true})).await, 3);
    assert_eq!(
        put(json!({"tags": ["x"], "comment": "c", "type": "sealed", "lifecycle": "rotating"}))
            .await,
        4
    );
    assert_eq!(
        value().await.as_deref(),
        Some("two"),
        "what is not named stays"
    );
    assert_eq!(put(json!({"path": "/elsewhere", "value": "new"})).await, 1);
    let deleted = curl
        .send(Method::DELETE, "/secret", &api_key(&json!({"path": "/"})))
        .await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        value().await.as_deref(),
        Some("new"),
        "only the other folder's is left"
    );
}

#[tokio::test]
async fn an_override_reaches_its_user_only() {
    let seed = "apps: [{name: a, environments: [{name: Production, secrets: [{key: K, value: v}]}]}]\naccounts: [{name: alice, kind: user}, {name: robot}]";
    let emulator = Emulator::start(Options::new(Seed::from_yaml(seed).unwrap()))
        .await
        .unwrap();
    let (curl, id) = (
        Curl::new(&emulator),
        emulator
            .control()
            .environment_id("a", "Production")
            .unwrap(),
    );
    let row = async |token| {
        crate::protocol::Client::new(&emulator, token)
            .rows(&id)
            .await
            .remove(0)
    };
    let set = async |personal: Value| {
        let body = json!({"app": "a", "environment": "Production", "key": "K", "user": "alice", "override": personal});
        assert_eq!(
            curl.send(Method::PUT, "/override", &body).await.status(),
            StatusCode::NO_CONTENT
        );
    };
    set(json!({"value": "mine"})).await;
    assert_eq!(row("alice").await["override"]["is_active"], true);
    assert_eq!(
        row("alice").await["override"],
        row("alice").await["override"],
        "the ciphertext stays"
    );
    assert!(row("robot").await["override"].is_null());
    set(Value::Null).await;
    assert!(row("alice").await["override"].is_null());
}

#[tokio::test]
async fn tokens_are_listed_and_revoked() {
    let (emulator, control, client) = demo().await;
    let curl = Curl::new(&emulator);
    assert_eq!(
        curl.get("/tokens").await,
        json!({"demo": control.token("demo").unwrap()})
    );
    let revoked = curl
        .send(Method::POST, "/tokens/demo/revoke", &Value::Null)
        .await;
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        client
            .get("/service/secrets/tokens/")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
}

#[tokio::test]
async fn faults_latency_limits_and_access_are_set() {
    let (emulator, control, client) = demo().await;
    let curl = Curl::new(&emulator);
    let status = async || {
        client
            .get("/service/secrets/tokens/")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let done = async |method, path, body: Value| {
        assert_eq!(
            curl.send(method, path, &body).await.status(),
            StatusCode::NO_CONTENT,
            "{path} {body}"
        );
    };
    let fault = json!({"endpoint": "tokens", "times": 1, "kind": {"status": {"code": 502}}});
    done(Method::POST, "/fault", fault).await;
    assert_eq!([status().await, status().await], [502, 200]);
    for kind in [
        json!("stall"),
        json!("wrong_key"),
        json!({"garbage": "html"}),
        json!({"certificate": "no_names"}),
        json!({"drip": {"interval_ms": 1}}),
    ] {
        done(Method::POST, "/fault", json!({"kind": kind})).await;
    }
    done(Method::DELETE, "/faults", Value::Null).await;
    assert_eq!(status().await, 200);
    done(Method::PUT, "/latency", json!({"ms": 1})).await;
    done(Method::PUT, "/rate-limit", json!({"rate": "1/min"})).await;
    assert_eq!([status().await, status().await], [200, 429]);
    done(Method::PUT, "/rate-limit", json!({"rate": null})).await;
    let access = json!({"account": "demo", "app": "shared-config", "environment": "Production", "may_read": false});
    done(Method::PUT, "/access", access).await;
    assert_eq!(client.tokens().await["apps"].as_array().unwrap().len(), 1);

    let counted = curl.get("/counters").await;
    assert_eq!(counted["tokens"], control.requests().tokens);
    assert_eq!(counted["tokens"], 6);
    done(Method::DELETE, "/counters", Value::Null).await;
    assert_eq!(curl.get("/counters").await["tokens"], 0);
}

#[tokio::test]
async fn mistakes_are_named() {
    let (emulator, ..) = demo().await;
    let curl = Curl::new(&emulator);
    for (method, path, body, status, text) in [
        (
            Method::PUT,
            "/secret",
            api_key(&json!({"app": "nowhere", "value": "x"})),
            404,
            "app not found: \"nowhere\": see the apps of the seed",
        ),
        (
            Method::PUT,
            "/secret",
            api_key(&json!({"environment": "prod", "value": "x"})),
            404,
            "environment not found: \"prod\" of app \"keyspace.cloud\": see the environments of the seed",
        ),
        (
            Method::DELETE,
            "/secret",
            api_key(&json!({"path": "/none"})),
            404,
            "secret not found: \"API_KEY\" at \"/none\": see the secrets of the environment",
        ),
        (
            Method::POST,
            "/tokens/nobody/revoke",
            Value::Null,
            404,
            "token not found: \"nobody\": see the tokens of the seed",
        ),
        (
            Method::PUT,
            "/access",
            json!({"account": "x", "app": "keyspace.cloud", "environment": "Staging", "may_read": true}),
            404,
            "account not found: \"x\": see the accounts of the seed",
        ),
        (
            Method::GET,
            "/ca.pem",
            Value::Null,
            404,
            "certificate not found: the emulator runs without tls",
        ),
    ] {
        let answer = curl.send(method, path, &body).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(json_of(answer).await["error"], text, "{path}");
    }
    for (method, path, body, hint) in [
        (
            Method::POST,
            "/fault",
            json!({"kind": "explode"}),
            "unknown variant",
        ),
        (
            Method::POST,
            "/fault",
            json!({"kind": "cut", "endpoints": "any"}),
            "unknown field `endpoints`",
        ),
        (
            Method::PUT,
            "/secret",
            api_key(&json!({"valeu": "x"})),
            "unknown field `valeu`",
        ),
        (
            Method::PUT,
            "/rate-limit",
            json!({"rate": "fast"}),
            "rate cannot be read",
        ),
    ] {
        let answer = curl.send(method, path, &body).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let error = json_of(answer).await["error"].to_string();
        assert!(error.contains(hint), "{error}");
    }
}

#[tokio::test]
async fn the_control_endpoint_stays_on_loopback() {
    let control = "0.0.0.0:0".parse().unwrap();
    let options = Options {
        control,
        ..Options::new(Seed::demo())
    };
    let Err(error @ StartError::Control(_)) = Emulator::start(options).await else {
        panic!("not on loopback")
    };
    assert_eq!(
        error.to_string(),
        "control address is not on loopback: 0.0.0.0:0: use 127.0.0.1 or [::1]"
    );
}

#[tokio::test]
async fn two_emulators_do_not_share_a_port() {
    let (emulator, ..) = demo().await;
    let options = Options {
        listen: emulator.address(),
        ..Options::new(Seed::demo())
    };
    let Err(error) = Emulator::start(options).await else {
        panic!("the port is taken")
    };
    assert!(
        error.to_string().starts_with(&format!(
            "address cannot be listened on: {}: ",
            emulator.address()
        )),
        "{error}"
    );
}
