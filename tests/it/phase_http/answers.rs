//! Servers that answer 200 and lie.

use phase_csi_provider::cause::Cause;

use super::server::{Reply, Server};
use super::*;

const JSON: &str = "content-type: application/json\r\n";

/// The text and cause of what one reply leads to, and how often it was asked for.
async fn outcome(config: ClientConfig, reply: Reply) -> (String, Cause, usize) {
    let server = Server::start([reply]).await;
    let client = Client::new(config).unwrap();
    let error = tokens(&client, &server.host()).await.unwrap_err();
    let text = line(&error).replace(server.host().as_str(), "HOST");
    (text, error.cause(), server.requests().len())
}

fn chunked() -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{JSON}\r\n").into()
}

#[tokio::test]
async fn a_page_is_no_answer_whatever_its_status() {
    for headers in [
        "content-type: text/html\r\n",
        "",
        "content-type: application/jsonp\r\n",
    ] {
        assert_eq!(
            outcome(config(), Reply::new("200 OK", headers, NO_APPS)).await,
            (
                "HOST/service/secrets/tokens/ answered with something other than JSON: check that \
                 the host is a Phase console, and that no login page or proxy answers in its place"
                    .into(),
                Cause::MalformedAnswer,
                1
            )
        );
    }
}

#[tokio::test]
async fn the_content_type_may_have_parameters_and_any_case() {
    let headers = "content-type: Application/JSON; charset=utf-8\r\n";
    let server = Server::start([Reply::new("200 OK", headers, NO_APPS)]).await;
    assert!(tokens(&client(), &server.host()).await.is_ok());
}

#[tokio::test]
async fn wrong_json_is_told_by_kind_and_place_and_not_asked_for_again() {
    let secret = "do-not-repeat-this";
    for (body, fault) in [
        (
            r#"{"wrapped_key_share": "do-not-repeat-this"#.to_owned(),
            "it ends too early at line 1, column 41",
        ),
        (
            r#"{"wrapped_key_share": "00"}"#.to_owned(),
            "a missing field or a wrong type at line 1, column 27",
        ),
        (
            format!("{{\"apps\": [],\n \"wrapped_key_share\": [\"{secret}\"]}}"),
            "a missing field or a wrong type at line 2, column 22",
        ),
        (
            format!("{{\"wrapped_key_share\": \"00\", \"apps\": \"{secret}\"}}"),
            "a missing field or a wrong type at line 1, column 56",
        ),
        (secret.to_owned(), "a syntax error at line 1, column 1"),
        (
            format!("{NO_APPS}{secret}"),
            "a syntax error at line 1, column 40",
        ),
        (
            "<!doctype html>".to_owned(),
            "a syntax error at line 1, column 1",
        ),
        (String::new(), "it ends too early at line 1, column 0"),
    ] {
        let (text, cause, requests) = outcome(config(), Reply::json(&body)).await;
        assert_eq!(
            text,
            format!(
                "HOST/service/secrets/tokens/ sent JSON that is not Phase's ({fault}): \
                 check that the host is a Phase console of a supported version"
            ),
            "{body}"
        );
        assert_eq!((cause, requests), (Cause::MalformedAnswer, 1));
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_unread() {
    let small = ClientConfig {
        max_body: 100_000,
        ..config()
    };
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: 100001\r\n{JSON}\r\n");
    for reply in [Reply::Flood(chunked()), Reply::Bytes(announced.into())] {
        assert_eq!(
            outcome(small.clone(), reply).await,
            (
                "HOST/service/secrets/tokens/ sent more than 100000 bytes: split the environment \
                 into smaller ones, or check that the host is a Phase console"
                    .into(),
                Cause::TooLarge,
                1
            )
        );
    }
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_read() {
    let server = Server::start([Reply::json(NO_APPS)]).await;
    let exact = ClientConfig {
        max_body: NO_APPS.len(),
        ..config()
    };
    assert!(
        tokens(&Client::new(exact).unwrap(), &server.host())
            .await
            .is_ok()
    );
    let less = ClientConfig {
        max_body: NO_APPS.len() - 1,
        ..config()
    };
    assert!(
        tokens(&Client::new(less).unwrap(), &server.host())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_length_that_is_too_short_spoils_this_answer_and_not_the_next() {
    let short = format!("HTTP/1.1 200 OK\r\n{JSON}content-length: 20\r\n\r\n{NO_APPS}");
    let server = Server::start([Reply::Bytes(short.into()), Reply::json(NO_APPS)]).await;
    let client = client();
    let error = tokens(&client, &server.host()).await.unwrap_err();
    assert!(
        line(&error).contains("(it ends too early at line 1, column 20)"),
        "{error}"
    );
    tokens(&client, &server.host()).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_slow_drip_ends_with_the_requests_time() {
    let hasty = ClientConfig {
        request_timeout: Duration::from_millis(300),
        ..config()
    };
    assert_eq!(
        outcome(hasty, Reply::Drip(chunked())).await,
        (
            "HOST/service/secrets/tokens/ did not finish its answer within 0.3 s: the mount is \
             retried automatically; if this stays, look at the load of Phase and the network between"
                .into(),
            Cause::Unreachable,
            1
        )
    );
}

#[tokio::test]
async fn a_slow_drip_ends_with_the_mounts_time() {
    let server = Server::start([Reply::Drip(chunked())]).await;
    let soon = Deadline::after(Duration::from_millis(300));
    let error = client()
        .tokens(&server.host(), &authorization(), soon)
        .await
        .unwrap_err();
    assert_eq!(
        line(&error),
        format!(
            "time of this mount ran out while waiting for {}/service/secrets/tokens/: the mount \
             is retried automatically; if this stays, look at the load of Phase and the network between",
            server.host()
        )
    );
    assert_eq!(error.cause(), Cause::Deadline);
}

#[tokio::test]
async fn unknown_fields_and_missing_ones_of_older_backends_are_no_trouble() {
    let tokens_body = r#"{
        "wrapped_key_share": "ab", "future": [1], "organisation": {"id": "o", "name": "Tern"},
        "apps": [{"id": "a", "name": "app", "environment_keys": [
            {"environment": {"id": "e", "name": "Production", "x": {}},
             "identity_key": "ik", "wrapped_seed": "ws", "wrapped_salt": "wt"},
            {"environment": {"id": "f", "name": "Old"}, "wrapped_seed": "", "wrapped_salt": null,
             "identity_key": null, "deleted_at": "2026-01-01T00:00:00Z"}]}]}"#;
    let rows_body = r#"[
        {"id": "1", "key": "k", "value": "", "key_digest": "d", "version": 1},
        {"id": "2", "key": "k", "value": "v", "key_digest": "d", "version": 2, "type": "static",
         "comment": null, "tags": null, "override": null, "lifecycle": "rotating", "path": "/a"},
        {"id": "3", "key": "k", "value": "v", "key_digest": "d", "version": 3, "type": "newer",
         "override": {"id": "o", "value": "ov", "is_active": true}, "tags": ["t"]}]"#;
    let server = Server::start([Reply::json(tokens_body), Reply::json(rows_body)]).await;

    let answer = tokens(&client(), &server.host()).await.unwrap();
    let keys = &answer.apps[0].environment_keys;
    assert_eq!(
        keys.iter().map(|key| key.is_usable()).collect::<Vec<_>>(),
        [true, false]
    );

    let rows = secrets(&client(), &server.host()).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.path.as_str()).collect::<Vec<_>>(),
        ["/", "/a", "/"]
    );
    let value = |row: usize| rows[row].sealed.as_ref().unwrap().value.as_str();
    assert_eq!([value(0), value(1), value(2)], ["", "v", "ov"]);
    assert!(rows[1].tags.is_empty() && rows[2].tags == ["t"]);
}
