//! What may leave the process: the outermost layer around every call.
//!
//! With rotation on, the driver can start a pod with an empty volume when a
//! mount is answered with `CANCELLED`, `DEADLINE_EXCEEDED`,
//! `RESOURCE_EXHAUSTED`, `ABORTED` or `UNAVAILABLE`. Whoever makes them (our
//! code, a panic, the gRPC library, a layer in between), they become `INTERNAL`
//! here; so does everything that a gRPC client would read as one of them.

use std::any::Any;
use std::convert::Infallible;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use tonic::{Code, Status};

use super::checked_body::{CheckedBody, clear};
use super::failure::one_line;

/// The answer of `call`, or an answer in its place that a driver can bear.
pub(super) async fn disciplined<B, E>(
    call: impl Future<Output = Result<Response<B>, E>>,
) -> Result<Response<tonic::body::Body>, Infallible>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Display,
    E: Display,
{
    let answer = match AssertUnwindSafe(call).catch_unwind().await {
        Ok(Ok(response)) => checked(response),
        Ok(Err(error)) => Err(internal(&error.to_string())),
        Err(panic) => Err(panicked(panic)),
    };
    Ok(answer.unwrap_or_else(Status::into_http))
}

/// The response with its status checked, or the status that takes its place.
fn checked<B>(response: Response<B>) -> Result<Response<tonic::body::Body>, Status>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Display,
{
    let (mut parts, body) = response.into_parts();
    if parts.status != StatusCode::OK {
        return Err(internal(&format!("HTTP status {}", parts.status.as_u16())));
    }
    if !is_grpc(&parts.headers) {
        return Err(internal("the answer is not gRPC"));
    }
    match Status::from_header_map(&parts.headers) {
        Some(status) if status.code() != Code::Ok => return Err(allowed(&status)),
        _ => clear(&mut parts.headers),
    }
    let held = std::mem::take(&mut parts.extensions);
    let body = CheckedBody::new(body, held);
    Ok(Response::from_parts(parts, tonic::body::Body::new(body)))
}

/// Whether the headers say that the body is gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let rest = text.and_then(|text| text.strip_prefix("application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The status itself if its code may leave, else `INTERNAL` with the message
/// kept behind the name of the code that it had.
pub(super) fn allowed(status: &Status) -> Status {
    let (code, text) = (status.code(), status.message());
    match code {
        Code::Aborted => renamed("ABORTED", text),
        Code::Cancelled => renamed("CANCELLED", text),
        Code::DeadlineExceeded => renamed("DEADLINE_EXCEEDED", text),
        Code::ResourceExhausted => renamed("RESOURCE_EXHAUSTED", text),
        Code::Unavailable => renamed("UNAVAILABLE", text),
        // Made by the gRPC library alone, for a message above our limit.
        Code::OutOfRange => Status::invalid_argument(one_line(&format!(
            "request is too large: {text}: make the SecretProviderClass or the Secret of nodePublishSecretRef smaller"
        ))),
        Code::AlreadyExists
        | Code::DataLoss
        | Code::FailedPrecondition
        | Code::Internal
        | Code::InvalidArgument
        | Code::NotFound
        | Code::Ok
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::Unknown => Status::new(code, one_line(text)),
    }
}

fn renamed(code: &str, text: &str) -> Status {
    internal(&format!("{code}: {text}"))
}

pub(super) fn internal(text: &str) -> Status {
    Status::internal(one_line(&format!("internal error: {text}")))
}

/// A panic's own text is not sent: it may hold anything.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Status {
    drop(panic);
    internal("the provider panicked: this is a defect, please report it")
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use http_body::Frame;
    use http_body_util::{BodyExt, Empty, Full, StreamBody};
    use tower::{BoxError, ServiceExt, service_fn, timeout::Timeout};

    use super::*;

    pub(in super::super) type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    /// What a gRPC client makes of the answer: data, code, message.
    pub(in super::super) async fn read<B, E>(
        call: impl Future<Output = Result<Response<B>, E>>,
    ) -> (Bytes, Code, String)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Display,
        E: Display,
    {
        let answer = disciplined(call).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(is_grpc(answer.headers()));
        let in_headers = Status::from_header_map(answer.headers());
        let body = answer.into_body().collect().await.unwrap();
        let in_trailers = body.trailers().and_then(Status::from_header_map);
        assert!(
            in_headers.is_some() != in_trailers.is_some(),
            "exactly one status"
        );
        let status = in_headers.or(in_trailers).unwrap();
        assert!(status.details().is_empty());
        (body.to_bytes(), status.code(), status.message().to_owned())
    }

    pub(in super::super) fn grpc<B>(body: B) -> Result<Response<B>, &'static str> {
        Ok(Response::builder()
            .header(CONTENT_TYPE, "application/grpc")
            .body(body)
            .unwrap())
    }

    pub(in super::super) fn frames(
        frames: Frames,
    ) -> Result<Response<impl Body<Data = Bytes, Error = &'static str>>, &'static str> {
        grpc(StreamBody::new(futures_util::stream::iter(frames)))
    }

    pub(in super::super) fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    pub(in super::super) fn ending(
        headers: &[(&'static str, &'static str)],
    ) -> Result<Frame<Bytes>, &'static str> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Ok(Frame::trailers(HeaderMap::from_iter(pairs)))
    }

    const FORBIDDEN: [(Code, &str); 5] = [
        (Code::Aborted, "ABORTED"),
        (Code::Cancelled, "CANCELLED"),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        (Code::Unavailable, "UNAVAILABLE"),
    ];

    #[tokio::test]
    async fn a_forbidden_code_becomes_internal_with_its_name_and_message_kept() {
        for (code, name) in FORBIDDEN {
            let expected = (
                Bytes::new(),
                Code::Internal,
                format!("internal error: {name}: läuft 100% nicht"),
            );
            let status =
                Status::with_details(code, "läuft 100% nicht", Bytes::from_static(b"\x08\x0e"));
            let in_headers = status.clone().into_http::<Empty<Bytes>>();
            assert_eq!(read(async { Ok::<_, &str>(in_headers) }).await, expected);
            let mut trailers = HeaderMap::new();
            status.add_header(&mut trailers).unwrap();
            let in_trailers = frames(vec![Ok(Frame::trailers(trailers))]);
            assert_eq!(read(async { in_trailers }).await, expected);
        }
    }

    #[tokio::test]
    async fn every_other_code_and_its_message_are_left() {
        for code in (0..17)
            .map(Code::from)
            .filter(|code| *code != Code::OutOfRange)
        {
            if FORBIDDEN.iter().any(|(forbidden, _)| *forbidden == code) {
                continue;
            }
            let status = Status::new(code, "as it was");
            let mut trailers = HeaderMap::new();
            status.add_header(&mut trailers).unwrap();
            let answer = frames(vec![data("x"), Ok(Frame::trailers(trailers))]);
            assert_eq!(
                read(async { answer }).await,
                ("x".into(), code, "as it was".into())
            );
        }
    }

    #[tokio::test]
    async fn a_code_that_clients_would_read_in_their_own_way_becomes_unknown() {
        for text in ["014", "+14", " 14", "14 ", "17", "-1", "", "x"] {
            let answer = frames(vec![ending(&[
                ("grpc-status", text),
                ("grpc-message", "m"),
            ])]);
            assert_eq!(read(async { answer }).await.1, Code::Unknown, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_internal_and_its_text_is_not_sent() {
        let call = async {
            if true {
                panic!("s3cret")
            } else {
                grpc(Empty::<Bytes>::new())
            }
        };
        let text = "internal error: the provider panicked: this is a defect, please report it";
        assert_eq!(
            read(call).await,
            (Bytes::new(), Code::Internal, text.into())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_layer_is_internal() {
        let slow = service_fn(|()| async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new()))
        });
        let call = Timeout::new(slow, Duration::from_secs(1)).oneshot(());
        assert_eq!(
            read(call).await,
            (
                Bytes::new(),
                Code::Internal,
                "internal error: request timed out".into()
            )
        );
    }

    #[tokio::test]
    async fn an_answer_that_is_not_grpc_is_internal() {
        for code in [400, 404, 415, 429, 500, 502, 503, 504] {
            let answer = Response::builder()
                .status(code)
                .body(Full::new(Bytes::from("busy")))
                .unwrap();
            let expected = format!("internal error: HTTP status {code}");
            assert_eq!(
                read(async { Ok::<_, &str>(answer) }).await,
                (Bytes::new(), Code::Internal, expected)
            );
        }
        let page = Response::builder()
            .header(CONTENT_TYPE, "text/html")
            .body(Full::new(Bytes::from("hi")))
            .unwrap();
        let expected = "internal error: the answer is not gRPC";
        assert_eq!(
            read(async { Ok::<_, &str>(page) }).await,
            (Bytes::new(), Code::Internal, expected.into())
        );
    }

    #[tokio::test]
    async fn a_message_is_cut_to_one_line_of_500_bytes() {
        let status =
            Status::unavailable(format!("a\nb{}", "c".repeat(600))).into_http::<Empty<Bytes>>();
        let (_, _, message) = read(async { Ok::<_, &str>(status) }).await;
        assert!(message.starts_with("internal error: UNAVAILABLE: a bccc"));
        assert_eq!(message.len(), 500);
    }

    #[test]
    fn the_content_types_of_grpc_are_known() {
        let says = |text: &str| {
            is_grpc(&HeaderMap::from_iter([(
                CONTENT_TYPE,
                text.parse().unwrap(),
            )]))
        };
        assert!(
            [
                "application/grpc",
                "application/grpc+proto",
                "application/grpc;charset=utf-8"
            ]
            .map(says)
            .iter()
            .all(|is| *is)
        );
        assert!(
            ![
                "application/grpc-web",
                "application/json",
                "",
                "text/application/grpc"
            ]
            .map(says)
            .contains(&true)
        );
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
