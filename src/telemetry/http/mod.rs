//! `/live`, `/ready`, `/metrics`: HTTP for probes and for Prometheus.
//!
//! Whoever may reach the address may ask, so nothing here can be made to cost much:
//! so many connections and no more, one request each, with one limit on all of its
//! time; a question that takes work is asked by one caller after the other.

mod listen;

use std::convert::Infallible;
use std::net::SocketAddr;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

pub use listen::{HttpArgs, HttpListen, ListenError};

use super::metrics::CONTENT_TYPE;

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

/// All is well, or one line that says what is not.
pub type Health = Result<(), String>;

type Page = Response<Full<Bytes>>;

impl Http {
    /// Takes the address, if there is to be one; callers are answered once it is served.
    ///
    /// # Errors
    /// [`ListenError`]: somebody has it, or it is not ours.
    pub async fn bind(listen: HttpListen) -> Result<Option<Self>, ListenError> {
        let Some(address) = listen.address() else {
            return Ok(None);
        };
        let failed = |error| ListenError { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Self { listener, address }))
    }

    /// Answers until it is dropped.
    pub async fn serve(self, pages: Pages) {
        info!(address = %self.address, "serving health and metrics");
        let (pages, places) = (Arc::new(pages), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        let mut connections = JoinSet::new();
        loop {
            // Whoever comes when all places are taken waits for one in the kernel's line.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => drop(connections.spawn(talk(stream, Arc::clone(&pages), place))),
                Err(error) => {
                    warn!(%error, "cannot accept a connection for health and metrics: trying again");
                    sleep(ACCEPT_BACK_OFF).await;
                }
            }
        }
    }
}

/// One request and its answer, within one limit.
async fn talk(stream: TcpStream, pages: Arc<Pages>, _place: OwnedSemaphorePermit) {
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(pages.answer(request.method(), request.uri().path()).await) }
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(ALL_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "connection for health or metrics ended"),
        Err(_) => debug!("connection for health or metrics was cut: its time was over"),
    }
}

impl Pages {
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
            "/metrics" => page(StatusCode::OK, CONTENT_TYPE, (self.metrics)()),
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
    page(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Page {
    let mut page = Response::new(Full::from(body));
    *page.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    page.headers_mut().insert(header::CONTENT_TYPE, kind);
    let no_store = HeaderValue::from_static("no-store");
    page.headers_mut().insert(header::CACHE_CONTROL, no_store);
    page
}

/// Two probes and a few Prometheus servers need fewer.
const MAX_CONNECTIONS: usize = 32;
/// A probe's and a scraper's headers come in one piece.
const HEADERS_WITHIN: Duration = Duration::from_secs(2);
/// All of one connection, from its first byte to its last.
const ALL_WITHIN: Duration = Duration::from_secs(5);
/// The least that is possible here.
const MAX_HEADER_BYTES: usize = 8 * 1024;
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);
