//! Connections: accepting them, and everything that can go wrong on them.

use crate::answer::{Answer, Body, View};
use crate::body;
use crate::endpoint;
use crate::fault::{Endpoint, FaultKind, Garbage};
use crate::request::{Ask, Route};
use crate::state::State;
use crate::tls::Certificates;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Connections open at once.
const CONNECTIONS: usize = 1024;

/// Longest wait for a request's head, or for the next request of a kept connection.
const HEAD: Duration = Duration::from_secs(60);

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Longest time that a stalled answer or handshake keeps a connection.
const STALL: Duration = Duration::from_secs(600);

/// Most bytes of a request's body.
const REQUEST_BODY: usize = 64 * 1024;

/// The service ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection ended on purpose")]
struct Ended;

/// Serves `listener` until the task is dropped, and with it every connection.
pub(crate) async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    certificates: Option<Arc<Certificates>>,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = permits
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.spawn(connect(
                    stream,
                    peer,
                    state.clone(),
                    certificates.clone(),
                    permit,
                ));
            }
            // Out of file descriptors, most likely: wait for a connection to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connect(
    stream: TcpStream,
    peer: SocketAddr,
    state: Arc<State>,
    certificates: Option<Arc<Certificates>>,
    _permit: OwnedSemaphorePermit,
) {
    state.counters.count_connection();
    // Answers are written whole; waiting for more would only add latency.
    let _ = stream.set_nodelay(true);
    let fault = state.faults().of_connection();
    if fault == Some(FaultKind::Refuse) {
        return;
    }
    match certificates {
        Some(certificates) => {
            let handshake = Box::pin(shake_hands(stream, &certificates, fault));
            if let Some(stream) = handshake.await {
                converse(stream, peer.ip(), state).await;
            }
        }
        None => converse(stream, peer.ip(), state).await,
    }
}

async fn shake_hands(
    stream: TcpStream,
    certificates: &Certificates,
    fault: Option<FaultKind>,
) -> Option<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let acceptor = match fault {
        Some(FaultKind::HandshakeStall) => {
            tokio::time::sleep(STALL).await;
            return None;
        }
        Some(FaultKind::HandshakeCut) => {
            // The client has spoken and waits for an answer when the connection ends.
            let _ = stream.readable().await;
            return None;
        }
        Some(FaultKind::Certificate(kind)) => certificates.bad(kind).ok()?,
        _ => certificates.good(),
    };
    tokio::time::timeout(HANDSHAKE, acceptor.accept(stream))
        .await
        .ok()?
        .ok()
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: IpAddr,
    state: Arc<State>,
) {
    let mut reconnect = state.reconnect.subscribe();
    let service = service_fn(move |request| respond(request, peer, state.clone()));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .title_case_headers(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = reconnect.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn respond(
    request: Request<Incoming>,
    peer: IpAddr,
    state: Arc<State>,
) -> Result<Response<Body>, Ended> {
    let route = Route::of(request.uri().path());
    state.counters.count(route);
    let suffering = state.suffering(match route {
        Route::Secrets => Endpoint::Secrets,
        Route::Tokens => Endpoint::Tokens,
        _ => Endpoint::Any,
    });
    tokio::time::sleep(suffering.latency).await;
    match suffering.kind {
        Some(FaultKind::Refuse) => Err(Ended),
        Some(FaultKind::Stall) => {
            tokio::time::sleep(STALL).await;
            Err(Ended)
        }
        kind => {
            let stranger = kind == Some(FaultKind::WrongKey);
            let answer = answer(request, peer, state, stranger).await?;
            Ok(spoil(answer, kind))
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: IpAddr,
    state: Arc<State>,
    stranger: bool,
) -> Result<Answer, Ended> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_BODY)
        .collect()
        .await
        .map_err(|_| Ended)?
        .to_bytes();
    let ask = Ask {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        method: parts.method,
        headers: parts.headers,
        peer,
    };
    // Sealing a large environment for the first time takes long enough to hold up other connections.
    let answer =
        tokio::task::spawn_blocking(move || endpoint::answer(&state, &ask, &body, stranger));
    answer.await.map_err(|_| Ended)
}

/// What a fault leaves of an answer.
fn spoil(mut answer: Answer, kind: Option<FaultKind>) -> Response<Body> {
    let whole = answer.body.clone();
    match kind {
        Some(FaultKind::Cut) => with_length(answer.head(body::cut(&whole)), whole.len()),
        Some(FaultKind::Drip { interval_ms }) => {
            let length = whole.len();
            with_length(
                answer.head(body::drip(whole, Duration::from_millis(interval_ms))),
                length,
            )
        }
        Some(FaultKind::Endless) => answer.head(body::endless()),
        Some(FaultKind::Garbage(garbage)) => spoiled(answer, garbage).into_response(),
        Some(FaultKind::Redirect { location }) => redirect(answer, &location),
        Some(FaultKind::Refusal { code, error }) => failure(code, &error, None),
        Some(FaultKind::Status { code, retry_after }) => {
            let error = "fault set through the control endpoint";
            failure(code, error, retry_after.as_deref())
        }
        _ => {
            answer.body = whole;
            answer.into_response()
        }
    }
}

fn spoiled(mut answer: Answer, garbage: Garbage) -> Answer {
    answer.status = StatusCode::OK;
    match garbage {
        Garbage::Empty => answer.body = Bytes::new(),
        Garbage::Html => {
            answer.content_type = "text/html; charset=utf-8";
            answer.body = Bytes::from_static(
                b"<!DOCTYPE html>\n<html><body>Welcome to the console</body></html>\n",
            );
        }
        Garbage::TruncatedJson => answer.body.truncate(answer.body.len() / 2),
        Garbage::WrongContentType => answer.content_type = "text/plain",
        Garbage::WrongTypes => {
            answer.body = Bytes::from_static(
                b"{\"wrapped_key_share\":7,\"apps\":\"none\",\"id\":[],\"key\":null}",
            );
        }
    }
    answer
}

fn redirect(mut answer: Answer, location: &str) -> Response<Body> {
    answer.status = StatusCode::FOUND;
    answer.body = Bytes::new();
    let mut response = answer.into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn failure(code: u16, error: &str, retry_after: Option<&str>) -> Response<Body> {
    let status = StatusCode::from_u16(code)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()));
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Answer::error(View::Tokens, status, error).into_response();
    let retry_after = retry_after.and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(retry_after) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, retry_after);
    }
    response
}

fn with_length(mut response: Response<Body>, length: usize) -> Response<Body> {
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}
