//! `/live`, `/ready`, `/metrics`: HTTP for probes and for Prometheus.
//!
//! Whoever may reach the address may ask, so nothing here can be made to cost much: so
//! many connections and no more, divided fairly among peers (`connections`); so
//! many new ones in a second; one request each, with one limit on all of its time; and
//! figures that are written down so often and no more, whoever asks (`latest`). Probes
//! have a socket of their own (`health`), which strangers cannot reach at all.

mod health;
mod latest;
mod listen;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

pub use health::{HealthSocket, HealthSocketError};
pub use listen::{HttpArgs, HttpListen, ListenError};

use self::latest::Latest;
use super::metrics::CONTENT_TYPE;
use crate::connections::{Connections, Limits, Place};

/// An address that is listened on, or none where that is off.
#[must_use = "nobody answers until this is served"]
pub struct Http {
    listener: TcpListener,
    address: SocketAddr,
}

/// What is answered.
pub struct Pages {
    /// Whether the process does its work, or why not.
    pub live: Box<dyn Fn() -> BoxFuture<'static, Health> + Send + Sync>,
    /// Whether work may come, or why not.
    pub ready: Box<dyn Fn() -> Health + Send + Sync>,
    /// The text of all figures.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

/// The pages, for every listener that answers them.
#[derive(Clone)]
pub struct Shared(Arc<Site>);

struct Site {
    live: Box<dyn Fn() -> BoxFuture<'static, Health> + Send + Sync>,
    ready: Box<dyn Fn() -> Health + Send + Sync>,
    metrics: Latest,
}

/// All is well, or one line that says what is not.
pub type Health = Result<(), String>;

type Page = Response<Full<Bytes>>;

/// How many connections were taken since when.
struct Pace {
    since: Instant,
    taken: u32,
}

impl Http {
    /// Takes the address, if there is to be one; callers are answered once it is served.
    ///
    /// # Errors
    /// [`ListenError`]: somebody has it, or it is not ours.
    pub fn bind(listen: HttpListen) -> Result<Option<Self>, ListenError> {
        let Some(address) = listen.address() else {
            return Ok(None);
        };
        let failed = |error| ListenError { address, error };
        let listener = listener(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Self { listener, address }))
    }

    /// Answers until it is dropped.
    pub async fn serve(self, pages: Shared) {
        info!(address = %self.address, "serving health and metrics");
        let mut connections = Connections::<IpAddr>::new(LIMITS);
        let mut pace = Pace::new();
        loop {
            pace.keep().await;
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let pages = pages.clone();
                    let peer = peer.ip().to_canonical();
                    connections.serve(peer, |place| talk(stream, pages, place));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection for health and metrics: trying again");
                    sleep(ACCEPT_BACK_OFF).await;
                }
            }
        }
    }
}

/// A listener with a long line: where that is full, the kernel lets callers wait for
/// seconds, also those who want little.
fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Pace {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            taken: 0,
        }
    }

    /// Waits until one more may be taken. Who comes meanwhile waits in the kernel's line.
    async fn keep(&mut self) {
        let end = self.since + ACCEPT_WINDOW;
        if self.taken >= ACCEPTED_IN_WINDOW {
            sleep_until(end).await;
        }
        if Instant::now() >= end {
            *self = Self::new();
        }
        self.taken += 1;
    }
}

/// One request and its answer, within one limit.
async fn talk(stream: TcpStream, pages: Shared, place: Place<IpAddr>) {
    let conversation = converse(stream, pages, place);
    if timeout(ALL_WITHIN, conversation).await.is_err() {
        debug!("connection for health or metrics was cut: its time was over");
    }
}

/// One request and its answer.
async fn converse<P: Send + 'static>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    pages: Shared,
    place: Place<P>,
) {
    // The place is the connection's, and is given back when that ends.
    let service = service_fn(move |request: Request<Incoming>| {
        place.speaks();
        let Shared(site) = pages.clone();
        async move { Ok::<_, Infallible>(site.answer(request.method(), request.uri().path()).await) }
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "connection for health or metrics ended");
    }
}

impl Pages {
    /// The same, for every listener that answers them.
    #[must_use]
    pub fn shared(self) -> Shared {
        Shared(Arc::new(Site {
            live: self.live,
            ready: self.ready,
            metrics: Latest::new(self.metrics),
        }))
    }
}

impl Site {
    async fn answer(&self, method: &Method, path: &str) -> Page {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut page = line(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here");
            let allowed = HeaderValue::from_static("GET, HEAD");
            page.headers_mut().insert(header::ALLOW, allowed);
            return page;
        }
        match path {
            "/live" => of_health((self.live)().await),
            "/ready" => of_health((self.ready)()),
            "/metrics" => page(StatusCode::OK, CONTENT_TYPE, self.metrics.text().await),
            _ => line(
                StatusCode::NOT_FOUND,
                "there is /live, /ready and /metrics here",
            ),
        }
    }
}

fn of_health(health: Health) -> Page {
    match health {
        Ok(()) => line(StatusCode::OK, "ok"),
        Err(why) => line(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

fn line(status: StatusCode, text: &str) -> Page {
    let text = Bytes::from(format!("{text}\n"));
    page(status, "text/plain; charset=utf-8", text)
}

fn page(status: StatusCode, kind: &'static str, body: Bytes) -> Page {
    let mut page = Response::new(Full::new(body));
    *page.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    page.headers_mut().insert(header::CONTENT_TYPE, kind);
    let no_store = HeaderValue::from_static("no-store");
    page.headers_mut().insert(header::CACHE_CONTROL, no_store);
    page
}

/// A few Prometheus servers need fewer.
const LIMITS: Limits = Limits {
    total: 32,
    per_peer: 8,
    ends_served: true,
};
/// So many new connections in so long: some hundredths of a processor, whoever comes.
const ACCEPTED_IN_WINDOW: u32 = 200;
const ACCEPT_WINDOW: Duration = Duration::from_millis(100);
/// A scraper's headers come in one piece.
const HEADERS_WITHIN: Duration = Duration::from_secs(2);
/// All of one connection, from its first byte to its last.
const ALL_WITHIN: Duration = Duration::from_secs(5);
/// The least that is possible here.
const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Two seconds' worth of it; the kernel has a limit of its own, too.
const BACKLOG: u32 = 4_096;
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_taken_in_at_its_pace_and_a_few_at_once() {
        let (mut pace, begun) = (Pace::new(), Instant::now());
        for _ in 0..200 {
            pace.keep().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for _ in 0..2_000 {
            pace.keep().await;
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
    }
}
