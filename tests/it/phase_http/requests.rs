//! What goes over the wire, and how often.

use super::server::{Reply, Server};
use super::*;
use crate::support::replay::Recording;
use phase_csi_provider::phase::client::Asked;

const ROW: &str =
    r#"[{"id": "s1", "key": "ph:v1:k", "value": "ph:v1:v", "key_digest": "d", "version": 3}]"#;

#[tokio::test]
async fn the_tokens_question_is_one_exact_request() {
    let server = Server::start([Reply::json(NO_APPS)]).await;
    let answer = tokens(&client(), &server.host()).await.unwrap();
    assert_eq!(answer.wrapped_key_share.as_str(), "00");
    assert!(answer.apps.is_empty());
    let expected = format!(
        "GET /service/secrets/tokens/ HTTP/1.1\r\n\
         accept: application/json\r\n\
         authorization: Bearer ServiceAccount {BEARER}\r\n\
         user-agent: phase-csi-provider/{}\r\n\
         host: {}\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        server.address()
    );
    assert_eq!(server.requests(), [expected]);
}

#[tokio::test]
async fn the_secrets_question_names_the_environment_and_no_folder() {
    let server = Server::start([Reply::json(ROW)]).await;
    let rows = secrets(&client(), &server.host()).await.unwrap();
    assert_eq!(rows[0].id, "s1");
    let expected = format!(
        "GET /service/secrets/ HTTP/1.1\r\n\
         accept: application/json\r\n\
         authorization: Bearer ServiceAccount {BEARER}\r\n\
         environment: env-1\r\n\
         dynamic: true\r\n\
         user-agent: phase-csi-provider/{}\r\n\
         host: {}\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        server.address()
    );
    assert_eq!(server.requests(), [expected]);
}

#[tokio::test]
async fn a_probe_asks_for_the_rows_of_no_key_as_recorded() {
    let server = Server::start([Reply::json("[]")]).await;
    let (host, authorization) = (server.host(), authorization());
    let asked = Asked {
        host: &host,
        authorization: &authorization,
        environment: Some("env-1"),
        memory: None,
        is_probe: true,
    };
    let body = client().once(&asked, 1, deadline()).await.unwrap();
    assert_eq!(&body[..], b"[]");
    let recording = Recording::read("permission-probe");
    let probe = &recording.exchanges()[0]["request"]["headers"];
    let digest = probe.as_array().unwrap().iter();
    let digest = digest.filter(|header| header[0] == "KeyDigest");
    let digests: Vec<_> = digest.map(|header| header[1].as_str().unwrap()).collect();
    let expected = format!(
        "GET /service/secrets/ HTTP/1.1\r\n\
         accept: application/json\r\n\
         authorization: Bearer ServiceAccount {BEARER}\r\n\
         environment: env-1\r\n\
         keydigest: {}\r\n\
         user-agent: phase-csi-provider/{}\r\n\
         host: {}\r\n\r\n",
        digests[0],
        env!("CARGO_PKG_VERSION"),
        server.address()
    );
    assert_eq!(server.requests(), [expected]);
}

#[tokio::test]
async fn a_prefix_of_the_host_stands_before_the_path() {
    let server = Server::start([Reply::json(NO_APPS)]).await;
    let host = format!("{}/phase/service/", server.host()).parse().unwrap();
    tokens(&client(), &host).await.unwrap();
    assert!(server.requests()[0].starts_with("GET /phase/service/secrets/tokens/ HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start([Reply::json(NO_APPS), Reply::json(ROW)]).await;
    let client = client();
    tokens(&client, &server.host()).await.unwrap();
    for _ in 0..4 {
        secrets(&client, &server.host()).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn an_environment_id_that_is_none_is_not_sent() {
    let server = Server::start([Reply::json(ROW)]).await;
    for id in ["", "a b", "a\r\nx-evil: 1", "é"] {
        let asked = client()
            .secrets(&server.host(), &authorization(), id, deadline())
            .await;
        assert_eq!(
            line(&asked.unwrap_err()),
            format!(
                "environment id is not one that {}/service/secrets/ can be asked for: \
                 check that the host is a Phase console of a supported version",
                server.host()
            ),
            "{id:?}"
        );
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn no_more_than_the_set_number_of_requests_is_under_way() {
    let server = Server::start([Reply::Stall]).await;
    let client = Client::new(ClientConfig {
        requests_per_host: 2,
        ..config()
    })
    .unwrap();
    let (host, auth) = (server.host(), authorization());
    let short = || client.tokens(&host, &auth, Deadline::after(Duration::from_millis(500)));
    let (first, second, third) = tokio::join!(short(), short(), short());
    for asked in [first, second, third] {
        assert!(matches!(asked, Err(ClientError::Deadline(_))), "{asked:?}");
    }
    assert_eq!(server.requests().len(), 2);
}
