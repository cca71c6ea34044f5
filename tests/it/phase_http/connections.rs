//! Names that do not resolve, ports that do not answer, and what is logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phase_csi_provider::cause::Cause;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::log::Log;
use super::server::{Reply, Server, closed_port};
use super::*;

#[tokio::test]
async fn a_closed_port_is_told() {
    let (_port, host) = closed_port();
    let error = tokens(&client(), &host).await.unwrap_err();
    assert_eq!(
        line(&error),
        format!(
            "{host}/service/secrets/tokens/ cannot be connected to: check host and port, that \
             Phase runs, and that this node may reach it; the mount is retried automatically"
        )
    );
    assert_eq!(error.cause(), Cause::Unreachable);
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    // The top-level domain `invalid` is reserved so that it never resolves.
    let host: Host = "https://phase.invalid".parse().unwrap();
    let error = tokens(&client(), &host).await.unwrap_err();
    assert_eq!(
        line(&error),
        "name of https://phase.invalid/service/secrets/tokens/ cannot be resolved: check the \
         spelling of the host and the DNS of this node; the mount is retried automatically"
    );
    assert_eq!(error.cause(), Cause::Unreachable);
}

#[tokio::test]
async fn a_connection_that_is_not_completed_is_told() {
    // Accepted by the kernel, but nobody speaks TLS there.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host: Host = format!("https://{}", silent.local_addr().unwrap())
        .parse()
        .unwrap();
    let mut hasty = config();
    hasty.connect_timeout = Duration::from_millis(100);
    hasty.retry.attempts = 2;
    let error = tokens(&Client::new(hasty).unwrap(), &host)
        .await
        .unwrap_err();
    assert_eq!(
        line(&error),
        format!(
            "{host}/service/secrets/tokens/ did not accept a connection in time: check routes and \
             firewalls between this node and Phase; the mount is retried automatically"
        )
    );
    assert_eq!(error.cause(), Cause::Unreachable);
}

#[tokio::test]
async fn another_protocol_at_the_port_is_told_and_not_asked_again() {
    let server = Server::start([Reply::Cut(b"SSH-2.0-OpenSSH_10.0\r\n".to_vec())]).await;
    let error = tokens(&client(), &server.host()).await.unwrap_err();
    assert_eq!(
        line(&error),
        format!(
            "{}/service/secrets/tokens/ does not answer in HTTP: check the scheme, name and port \
             of the host",
            server.host()
        )
    );
    assert_eq!(
        (error.cause(), server.requests().len()),
        (Cause::MalformedAnswer, 1)
    );
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_read_for_ever() {
    let server = Server::start([Reply::Flood(b"HTTP/1.1 200 OK\r\nx: y\r\n".to_vec())]).await;
    let error = tokens(&client(), &server.host()).await.unwrap_err();
    assert!(matches!(error, ClientError::NotHttp(_)), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_ends_inside_the_handshake_is_replaced() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host: Host = format!("https://{}", port.local_addr().unwrap())
        .parse()
        .unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    let closing = tokio::spawn(async move {
        loop {
            let (mut stream, _) = port.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            // Reads the greeting, so that the end is an end and not a reset.
            let _greeting = stream.read_u8().await;
            let _rest = stream.read(&mut [0; 4096]).await;
        }
    });
    let error = tokens(&client(), &host).await.unwrap_err();
    closing.abort();
    assert!(matches!(error, ClientError::ConnectionLost(_)), "{error}");
    assert_eq!(accepted.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn nothing_secret_is_logged_at_the_most_talkative_level() {
    let log = Log::default();
    let _guard = log.install(tracing::Level::TRACE);
    let row = r#"[{"id": "s1", "key": "ph:v1:KEY", "value": "ph:v1:VALUE", "key_digest": "d", "version": 3}]"#;
    let script = [Reply::error("500 Oops", "BODY"), Reply::json(row)];
    let server = Server::start(script).await;
    secrets(&client(), &server.host()).await.unwrap();

    let text = log.text();
    assert!(
        text.contains("asked Phase") && text.contains("failed with status 500"),
        "{text}"
    );
    for secret in [BEARER, "KEY", "VALUE", "BODY"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
