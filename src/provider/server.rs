//! Connections: taken, bounded, and ended politely.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use super::authority::LocalAuthority;
use super::service::{Calls, Mounts, Stage};
use super::socket::{Place, Socket};
use super::status::disciplined;
use super::{BindError, Endpoint, Failure, MountAnswer, MountRequest};
use crate::connections::{Connections, Limits, Taken};
use crate::deadline::Deadline;
use crate::telemetry::lines::Rare;
use crate::telemetry::metrics::MountFigures;

/// How to serve.
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    /// The socket.
    pub endpoint: Endpoint,
    /// How long one mount may take, from the call's arrival to its answer.
    pub mount_deadline: Duration,
    /// The largest answer in bytes. The driver's own limit is its
    /// `--max-call-recv-msg-size`, 4 MiB by default.
    pub max_answer_bytes: usize,
    /// How many mounts run at once; more wait, inside their own deadline.
    pub max_mounts: usize,
    /// Whether a live instance on the socket is replaced, rather than respected.
    pub take_over: bool,
    /// Whether drivers before 1.6, which send the socket's path as `:authority`,
    /// are let in. Only tests have a reason to switch this off.
    pub rewrite_authority: bool,
    /// How long running mounts may take to finish once stopping has begun.
    pub drain: Duration,
    /// Where mounts are counted.
    pub figures: Arc<MountFigures>,
}

impl Config {
    /// The defaults, on `endpoint`: 90 s a mount, 4 MiB an answer, 512 mounts at
    /// once, 25 s to drain.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            mount_deadline: Duration::from_secs(90),
            max_answer_bytes: 4 * 1024 * 1024,
            max_mounts: 512,
            take_over: false,
            rewrite_authority: true,
            drain: Duration::from_secs(25),
            figures: Arc::default(),
        }
    }
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// We were asked to.
    Asked,
    /// Another instance took the socket's place.
    Replaced,
}

/// Whether mounts are taken.
#[derive(Clone, Debug)]
#[must_use]
pub struct Readiness(watch::Receiver<Stage>);

impl Readiness {
    /// Mounts are taken: the socket is there, and stopping has not begun.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        // A sender that is gone was a server that ended in the middle.
        self.0.has_changed().is_ok() && *self.0.borrow() == Stage::Serving
    }
}

/// A provider that can be called: the socket is there.
#[must_use = "a socket that nobody serves keeps drivers waiting"]
pub struct Bound {
    socket: Socket,
    config: Config,
    calls: Calls,
    places: Arc<Semaphore>,
    stage: watch::Sender<Stage>,
    connections: Connections<()>,
    complaints: Rare,
}

/// Binds and serves until `shutdown` completes or another instance takes the
/// socket's place, then drains. Dropping the future ends everything at once.
///
/// # Errors
///
/// [`BindError`] if the socket cannot be had.
pub async fn serve<H, F, A>(
    config: Config,
    handler: H,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<Stopped, BindError>
where
    H: Fn(MountRequest, Deadline) -> F + Send + Sync + 'static,
    F: Future<Output = Result<A, Failure>> + Send + 'static,
    A: Into<MountAnswer> + 'static,
{
    Ok(bind(config, handler).await?.run(shutdown).await)
}

/// Binds the socket; drivers may connect from here on, and are answered once
/// [`Bound::run`] runs.
///
/// # Errors
///
/// [`BindError`] if the socket cannot be had.
pub async fn bind<H, F, A>(config: Config, handler: H) -> Result<Bound, BindError>
where
    H: Fn(MountRequest, Deadline) -> F + Send + Sync + 'static,
    F: Future<Output = Result<A, Failure>> + Send + 'static,
    A: Into<MountAnswer> + 'static,
{
    let socket = Socket::bind(config.endpoint.clone(), config.take_over).await?;
    info!(endpoint = %config.endpoint, "serving");
    let places = Arc::new(Semaphore::new(config.max_mounts));
    let (stage, watched) = watch::channel(Stage::Serving);
    let mounts = Mounts {
        handler: Arc::new(move |request, deadline| {
            Box::pin(handler(request, deadline).map_ok(Into::into))
        }),
        places: Arc::clone(&places),
        stage: watched,
        max_answer_bytes: config.max_answer_bytes,
        figures: Arc::clone(&config.figures),
    };
    let calls = Calls::new(mounts, config.mount_deadline);
    Ok(Bound {
        socket,
        config,
        calls,
        places,
        stage,
        connections: Connections::new(LIMITS),
        complaints: Rare::default(),
    })
}

impl Bound {
    /// The socket's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.config.endpoint.path()
    }

    /// Says whether mounts are taken, for as long as anybody asks.
    pub fn readiness(&self) -> Readiness {
        Readiness(self.stage.subscribe())
    }

    /// Serves until `shutdown` completes or another instance takes the socket's
    /// place, then drains. Dropping the future ends everything at once.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) -> Stopped {
        let stopped = self.accept_until(shutdown).await;
        match stopped {
            Stopped::Asked => self.drain().await,
            Stopped::Replaced => self.hand_over().await,
        }
        stopped
    }

    async fn accept_until(&mut self, shutdown: impl Future<Output = ()> + Send) -> Stopped {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut tick = interval(WATCH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => return Stopped::Asked,
                stream = self.socket.accept() => self.connect(stream),
                _ = tick.tick() => if self.socket.watch().await == Place::Theirs {
                    return Stopped::Replaced;
                },
            }
        }
    }

    fn connect(&mut self, stream: UnixStream) {
        let rewrite = self.config.rewrite_authority;
        let (calls, stage) = (self.calls.clone(), self.stage.subscribe());
        let taken = self.connections.serve((), |place| async move {
            if speaks(&stream, &stage).await {
                place.speaks();
                talk(LocalAuthority::new(stream, rewrite), calls, stage).await;
            }
        });
        if taken == Taken::Refused && self.complaints.is_due() {
            warn!(limit = LIMITS.total, "connection closed: too many are open");
        }
    }

    /// Another instance has the socket: clients are told to connect anew, which brings
    /// them there. What they ask here meanwhile is answered: no mount is lost.
    async fn hand_over(mut self) {
        info!(connections = self.connections.len(), "handing over");
        self.stage.send_replace(Stage::HandingOver);
        let closing = self.connections.ended();
        if timeout(self.config.drain, closing).await.is_err() {
            self.drain().await;
        }
    }

    /// No new connections and no new mounts; running mounts finish, or are told
    /// that their time is over; then connections end once their last answer is out.
    async fn drain(self) {
        let Self {
            socket,
            config,
            places,
            stage,
            mut connections,
            ..
        } = self;
        drop(socket);
        stage.send_replace(Stage::Draining);
        let all = u32::try_from(config.max_mounts).unwrap_or(u32::MAX);
        info!(
            running = config.max_mounts - places.available_permits(),
            "stopping"
        );
        if timeout(config.drain, places.acquire_many(all))
            .await
            .is_err()
        {
            warn!("stopping: running mounts are ended");
        }
        stage.send_replace(Stage::Ended);
        let closing = connections.ended();
        if timeout(CLOSING, closing).await.is_err() {
            warn!("stopping: open connections are cut");
        }
    }
}

/// Waits for the client's first byte: a client that says nothing is not kept,
/// and does not hold up the end.
async fn speaks(stream: &UnixStream, stage: &watch::Receiver<Stage>) -> bool {
    let first = stream.async_io(Interest::READABLE, || {
        Ok(recv(stream, &mut [0; 1], RecvFlags::PEEK)?.0)
    });
    tokio::select! {
        spoke = timeout(SILENCE, first) => matches!(spoke, Ok(Ok(1))),
        () = Stage::HandingOver.reached(stage) => false,
    }
}

/// Answers the calls of one connection until it closes, or until the last
/// answer before the end is out.
async fn talk(stream: LocalAuthority<UnixStream>, calls: Calls, stage: watch::Receiver<Stage>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let calls = calls.clone();
        disciplined(async move { Ok::<_, std::convert::Infallible>(calls.answer(request).await) })
    });
    let connection = http2().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let leaving = async {
        // Draining keeps connections for what still has to be said on them.
        Stage::HandingOver.reached(&stage).await;
        if *stage.borrow() == Stage::Draining {
            Stage::Ended.reached(&stage).await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = leaving => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

fn http2() -> Builder<TokioExecutor> {
    let mut http2 = Builder::new(TokioExecutor::new());
    http2
        .auto_date_header(false)
        .max_concurrent_streams(MAX_STREAMS)
        .max_frame_size(super::frames::MAX_FRAME)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_STREAMS as usize);
    http2
}

/// A driver has one connection for all mounts; health checks have another. All are of
/// one peer, root or ourselves: one that says nothing makes room for the next, one that
/// is served does not.
const LIMITS: Limits = Limits {
    total: 64,
    per_peer: 64,
    ends_served: false,
};
/// Streams of one connection. A stream above the limit would be refused, which
/// the driver takes for `UNAVAILABLE`; a node has some hundreds of volumes. As
/// many may be given up at once (at kubelet's two minutes) without being taken
/// for an attack.
const MAX_STREAMS: u32 = 1024;
const MAX_HEADER_BYTES: u32 = 16 * 1024;
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// A client speaks first in HTTP/2, and at once.
const SILENCE: Duration = Duration::from_secs(5);
/// How long the last answers may take to be read.
const CLOSING: Duration = Duration::from_secs(5);
