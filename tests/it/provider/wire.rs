//! Requests that no gRPC library would send, and what a client makes of the
//! answers: never one of the five codes that leave a pod's volume empty.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use phase_csi_provider::cause::Cause;
use tokio::net::UnixStream;
use tonic::{Code, Status};

use super::raw::{END_HEADERS, HEADERS, Outcome, RawClient, frame};
use super::*;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

async fn connect(provider: &Provider) -> SendRequest<Body> {
    let io = TokioIo::new(UnixStream::connect(&provider.path).await.unwrap());
    let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(std::io::Error::other)
        .boxed_unsync()
}

fn request(method: &str, body: Body) -> http::Request<Body> {
    http::Request::post(format!(
        "http://localhost/v1alpha1.CSIDriverProvider/{method}"
    ))
    .header("content-type", "application/grpc")
    .body(body)
    .unwrap()
}

/// The code and message that a gRPC client reads from the answer.
async fn ask(provider: &Provider, request: http::Request<Body>) -> (Code, String) {
    let mut sender = connect(provider).await;
    let answer = timeout(SAFETY, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.status(), 200);
    let in_headers = Status::from_header_map(answer.headers());
    let body = answer.into_body().collect().await.unwrap();
    let status = in_headers
        .or_else(|| body.trailers().and_then(Status::from_header_map))
        .unwrap();
    (status.code(), status.message().to_owned())
}

async fn provider() -> Provider {
    Provider::start(|_, _| async { Ok(answer("x")) }).await
}

#[tokio::test]
async fn a_whole_message_is_answered() {
    let provider = provider().await;
    assert_eq!(
        ask(&provider, request("Mount", full(&[0; 5][..]))).await,
        (Code::Ok, String::new())
    );
}

#[tokio::test]
async fn broken_messages_are_internal() {
    let provider = provider().await;
    let truncated = &b"\0\0\0\0\x09abc"[..];
    let not_protobuf = &b"\0\0\0\0\x03\xff\xff\xff"[..];
    let not_utf8 = &b"\0\0\0\0\x03\x0a\x01\xff"[..];
    let compressed = &b"\x01\0\0\0\x03abc"[..];
    let flag = &b"\x07\0\0\0\x03abc"[..];
    for bytes in [
        truncated,
        not_protobuf,
        not_utf8,
        compressed,
        flag,
        b"",
        b"\0\0",
    ] {
        let (code, message) = ask(&provider, request("Mount", full(bytes))).await;
        assert_eq!(code, Code::Internal, "{bytes:?}: {message}");
        assert!(!message.is_empty(), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_request_above_four_mebibytes_is_refused_in_clear_words() {
    let provider = provider().await;
    let secrets = "x".repeat(5_000_000);
    let status = provider
        .client()
        .await
        .mount(MountRequest::new("", secrets))
        .await
        .err()
        .unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().starts_with("request is too large: "),
        "{}",
        status.message()
    );
    assert!(status.message().contains("4194304"), "{}", status.message());
    let ending = "make the SecretProviderClass or the Secret of nodePublishSecretRef smaller";
    assert!(status.message().ends_with(ending), "{}", status.message());
}

#[tokio::test]
async fn an_unknown_encoding_and_an_unknown_method_are_unimplemented() {
    let provider = provider().await;
    let mut encoded = request("Mount", full(&[0; 5][..]));
    encoded
        .headers_mut()
        .insert("grpc-encoding", "snappy".parse().unwrap());
    assert_eq!(ask(&provider, encoded).await.0, Code::Unimplemented);
    assert_eq!(
        ask(&provider, request("Unmount", full(&[0; 5][..])))
            .await
            .0,
        Code::Unimplemented
    );
    let mut other = request("Mount", full(&[0; 5][..]));
    *other.uri_mut() = "http://localhost/grpc.health.v1.Health/Check"
        .parse()
        .unwrap();
    assert_eq!(ask(&provider, other).await.0, Code::Unimplemented);
}

#[tokio::test]
async fn another_content_type_is_an_invalid_argument() {
    let provider = provider().await;
    for kind in [Some("application/json"), Some("text/plain"), None] {
        let mut request = request("Mount", full("{}"));
        request.headers_mut().remove("content-type");
        if let Some(kind) = kind {
            request
                .headers_mut()
                .insert("content-type", kind.parse().unwrap());
        }
        let expected = "content-type is not application/grpc: only gRPC is served here";
        assert_eq!(
            ask(&provider, request).await,
            (Code::InvalidArgument, expected.into())
        );
    }
}

#[tokio::test]
async fn a_callers_shorter_timeout_is_kept_by_us_and_is_internal() {
    let (started, _events) = tokio::sync::mpsc::unbounded_channel();
    let provider = Provider::start(move |_, _| hang(started.clone())).await;
    let mut request = request("Mount", full(&[0; 5][..]));
    request
        .headers_mut()
        .insert("grpc-timeout", "200m".parse().unwrap());
    let expected = "mount did not finish within 180ms (what the caller allowed): Phase or the network is slow: \
                    retry is automatic";
    assert_eq!(
        ask(&provider, request).await,
        (Code::Internal, expected.into())
    );
}

#[tokio::test]
async fn a_request_that_never_ends_is_ended_at_the_deadline() {
    let change = |config: &mut Config| config.mount_deadline = Duration::from_millis(200);
    let provider = Provider::with(change, |_, _| async { Ok(answer("x")) }).await;
    let first = futures_util::stream::iter([Ok(hyper::body::Frame::data(Bytes::from_static(
        b"\0\0\0\0\x09",
    )))]);
    let body = StreamBody::new(futures_util::StreamExt::chain(
        first,
        futures_util::stream::pending(),
    ));
    let (code, message) = ask(&provider, request("Mount", body.boxed_unsync())).await;
    assert_eq!(code, Code::Internal);
    assert!(
        message.starts_with("mount did not finish within 200ms (--mount-deadline)"),
        "{message}"
    );
}

#[tokio::test]
async fn a_request_whose_body_breaks_off_costs_nobody_else() {
    let provider = provider().await;
    let broken = futures_util::stream::iter([Err(std::io::Error::other("broken off"))]);
    let body = StreamBody::new(broken).boxed_unsync();
    let mut sender = connect(&provider).await;
    assert!(sender.send_request(request("Mount", body)).await.is_err());
    assert_eq!(
        ask(&provider, request("Mount", full(&[0; 5][..]))).await.0,
        Code::Ok
    );
}

#[tokio::test]
async fn a_mount_stops_when_its_connection_is_gone() {
    let (started, mut events) = tokio::sync::mpsc::unbounded_channel();
    let provider = Provider::start(move |_, _| hang(started.clone())).await;
    let mut client = RawClient::connect(&provider.path).await;
    let block = client.block("Mount", b"localhost", (b"user-agent", b"test"));
    let stream = client
        .open(|stream| frame(HEADERS, END_HEADERS, stream, &block))
        .await;
    client
        .write(&frame(raw::DATA, raw::END_STREAM, stream, &[0; 5]))
        .await;
    assert_eq!(events.recv().await, Some(Event::Started));
    drop(client);
    assert_eq!(
        timeout(SAFETY, events.recv()).await.unwrap(),
        Some(Event::Dropped)
    );
}

#[tokio::test]
async fn mounts_cancelled_before_they_were_taken_do_not_cost_the_connection() {
    let provider = provider().await;
    let mut client = RawClient::connect(&provider.path).await;
    client.give_up(500).await;
    let answered = client.ask(b"localhost", (b"user-agent", b"test")).await;
    assert_eq!(answered, Outcome::Answered);
}

#[tokio::test]
async fn garbage_on_a_connection_costs_that_connection_only() {
    let provider = provider().await;
    let mut client = UnixStream::connect(&provider.path).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut client, &[0xff; 5000])
        .await
        .unwrap();
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut rest);
    drop(timeout(SAFETY, read).await.unwrap());
    assert_eq!(
        ask(&provider, request("Mount", full(&[0; 5][..]))).await.0,
        Code::Ok
    );
}

#[tokio::test]
async fn a_failure_that_is_all_percent_signs_and_accents_arrives_as_it_was() {
    let text = "läden 100% ✓ \"%41\"";
    let provider =
        Provider::start(move |_, _| async move { Err(Failure::new(Cause::NotFound, text)) }).await;
    assert_eq!(
        ask(&provider, request("Mount", full(&[0; 5][..]))).await,
        (Code::NotFound, text.into())
    );
}
