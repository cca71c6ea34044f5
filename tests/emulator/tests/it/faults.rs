//! What a client sees of each fault.

use crate::protocol::{Client, demo};
use crate::raw;
use phase_emulator::{Control, Emulator, Endpoint, Fault, FaultKind, Garbage};
use serde_json::Value;
use std::time::{Duration, Instant};

const TOKENS: &str = "/service/secrets/tokens/";

/// The bytes that a fault leaves of the tokens answer, on a connection of its own.
async fn raw_tokens(emulator: &Emulator) -> Vec<u8> {
    let token = emulator.control().token("demo").unwrap();
    let bearer = token.split(':').nth(2).unwrap();
    let request = format!(
        "GET {TOKENS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ServiceAccount {bearer}\r\n\r\n"
    );
    raw::exchange(&emulator.url(), &request).await
}

async fn tokens_under(fault: FaultKind) -> (Emulator, Vec<u8>) {
    let (emulator, control, _) = demo().await;
    control.set_fault(Fault::always(fault));
    let bytes = raw_tokens(&emulator).await;
    (emulator, bytes)
}

/// Waits for something that another task brings about.
pub(crate) async fn until(met: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it happens sooner or later");
}

async fn status(client: &Client) -> u16 {
    client.get(TOKENS).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_status_comes_as_often_as_it_was_asked_for() {
    let (_emulator, control, client) = demo().await;
    let kind = FaultKind::Status {
        code: 503,
        retry_after: Some("7".to_owned()),
    };
    control.set_fault(Fault::times(2, kind).on(Endpoint::Tokens));
    let answer = client.get(TOKENS).send().await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "7")
    );
    assert_eq!(
        client
            .get("/service/health/")
            .send()
            .await
            .unwrap()
            .status(),
        200,
        "another endpoint"
    );
    assert_eq!([status(&client).await, status(&client).await], [503, 200]);
}

#[tokio::test]
async fn a_cut_body_is_shorter_than_announced() {
    let (_emulator, bytes) = tokens_under(FaultKind::Cut).await;
    let answer = raw::parse(&bytes).unwrap();
    let announced: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), announced / 2);
}

#[tokio::test]
async fn garbage_is_a_200_that_is_no_answer() {
    let (emulator, control, _) = demo().await;
    let whole = raw::parse(&raw_tokens(&emulator).await).unwrap().body;
    let spoiled = async |garbage| {
        control.clear_faults();
        control.set_fault(Fault::always(FaultKind::Garbage(garbage)));
        let answer = raw::parse(&raw_tokens(&emulator).await).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-length").unwrap(),
            answer.body.len().to_string()
        );
        (
            answer.header("content-type").unwrap().to_owned(),
            answer.body,
        )
    };
    let (kind, body) = spoiled(Garbage::Html).await;
    assert!(kind.starts_with("text/html") && body.starts_with(b"<!DOCTYPE html>"));
    let (kind, body) = spoiled(Garbage::TruncatedJson).await;
    assert_eq!(
        (kind.as_str(), &body[..]),
        ("application/json", &whole[..whole.len() / 2])
    );
    let (kind, body) = spoiled(Garbage::WrongContentType).await;
    assert_eq!((kind.as_str(), &body), ("text/plain", &whole));
    let (_, body) = spoiled(Garbage::WrongTypes).await;
    assert!(serde_json::from_slice::<Value>(&body).unwrap()["wrapped_key_share"].is_number());
    assert_eq!(spoiled(Garbage::Empty).await.1, b"");
}

#[tokio::test]
async fn a_redirect_names_its_target_and_holds_no_body() {
    let (_emulator, bytes) = tokens_under(FaultKind::Redirect {
        location: "https://elsewhere.example/".to_owned(),
    })
    .await;
    let answer = raw::parse(&bytes).unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("https://elsewhere.example/"))
    );
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn a_dripping_body_is_whole_in_the_end_and_late() {
    let (emulator, control, client) = demo().await;
    control.set_fault(Fault::always(FaultKind::Drip { interval_ms: 5 }));
    let before = Instant::now();
    let body = client
        .get("/service/health/")
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(&body[..], br#"{"status": "alive", "version": "v2.73.2"}"#);
    assert!(
        before.elapsed() >= Duration::from_millis(5) * 41,
        "one wait for each byte"
    );
    drop(emulator);
}

#[tokio::test]
async fn an_endless_body_goes_on_for_as_long_as_it_is_read() {
    let (_emulator, control, client) = demo().await;
    control.set_fault(Fault::always(FaultKind::Endless));
    let mut answer = client.get(TOKENS).send().await.unwrap();
    let mut read = 0;
    while read < 20_000_000 {
        read += answer
            .chunk()
            .await
            .unwrap()
            .expect("there is always more")
            .len();
    }
    assert_eq!(answer.headers().get("content-length"), None);
}

#[tokio::test]
async fn a_stalled_request_ends_with_the_client_and_not_before() {
    let (_emulator, control, client) = demo().await;
    control.set_fault(Fault::always(FaultKind::Stall).on(Endpoint::Tokens));
    let request = tokio::spawn(client.get(TOKENS).send());
    until(|| control.requests().tokens == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!request.is_finished());
    request.abort();
    control.clear_faults();
    assert_eq!(status(&client).await, 200);
}

#[tokio::test]
async fn refused_connections_include_those_that_were_open() {
    let (emulator, control, client) = demo().await;
    assert_eq!(status(&client).await, 200);
    control.set_fault(Fault::always(FaultKind::Refuse));
    assert!(
        client.get(TOKENS).send().await.is_err(),
        "neither the kept connection nor a new one"
    );
    assert!(raw_tokens(&emulator).await.is_empty());
    control.clear_faults();
    assert_eq!(status(&client).await, 200);
}

#[tokio::test]
async fn one_endpoint_can_be_refused_on_a_kept_connection() {
    let (_emulator, control, client) = demo().await;
    control.set_fault(Fault::always(FaultKind::Refuse).on(Endpoint::Secrets));
    assert_eq!(status(&client).await, 200);
    assert!(client.get("/service/secrets/").send().await.is_err());
    assert_eq!(status(&client).await, 200);
}

#[tokio::test]
async fn latency_delays_every_answer_and_adds_up() {
    let (_emulator, control, client) = demo().await;
    control.set_latency(Duration::from_millis(60));
    control.set_fault(Fault::times(1, FaultKind::Latency { ms: 90 }));
    let timed = async || {
        let before = Instant::now();
        assert_eq!(status(&client).await, 200);
        before.elapsed()
    };
    assert!(timed().await >= Duration::from_millis(150));
    assert!(timed().await >= Duration::from_millis(60));
}

#[tokio::test]
async fn rows_and_keys_for_someone_else_look_right_and_do_not_open() {
    let (_emulator, control, client) = demo().await;
    let (keys, id) = environment(&control, &client).await;
    let honest = client.rows(&id).await;
    control.set_fault(Fault::times(2, FaultKind::WrongKey));
    let rows = client.rows(&id).await;
    assert_eq!(rows.len(), honest.len());
    for (row, honest) in rows.iter().zip(&honest) {
        assert_eq!(
            row["value"].as_str().unwrap().len(),
            honest["value"].as_str().unwrap().len()
        );
        assert_eq!(row["key_digest"], honest["key_digest"]);
        assert_eq!(keys.text(&row["value"]), None);
    }
    let strange = client.tokens().await;
    let honest = client.tokens().await;
    assert_ne!(strange, honest);
    assert_eq!(strange["wrapped_key_share"], honest["wrapped_key_share"]);
    assert_eq!(client.rows(&id).await.len(), rows.len());
}

async fn environment(control: &Control, client: &Client) -> (crate::open::Environment, String) {
    let tokens = client.tokens().await;
    let account = crate::open::Account::open(&control.token("demo").unwrap(), &tokens);
    let entry = crate::protocol::entry(&tokens, "keyspace.cloud", "Production");
    (
        account.environment(entry),
        entry["environment"]["id"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn a_dropped_emulator_is_gone_with_its_connections() {
    let (emulator, control, client) = demo().await;
    assert_eq!(status(&client).await, 200);
    control.set_fault(Fault::always(FaultKind::Stall).on(Endpoint::Secrets));
    let waiting = tokio::spawn(client.get("/service/secrets/").send());
    until(|| control.requests().secrets == 1).await;
    emulator.stop().await;
    assert!(
        waiting.await.unwrap().is_err(),
        "a stalled request ends, too"
    );
    assert!(client.get(TOKENS).send().await.is_err());
}
