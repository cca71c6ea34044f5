//! The two methods of the contract, around the handler that fetches secrets.

use std::future::{Ready, ready};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::Request;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout_at;
use tonic::server::{Grpc, UnaryService};
use tonic::{Response, Status};
use tonic_prost::ProstCodec;
use tracing::{debug, error, warn};

use super::answer::{MountAnswer, MountCodec, Received};
use super::grpc::{VersionRequest, VersionResponse};
use super::limit::Limit;
use super::status::is_grpc;
use super::wiped::WipedBody;
use super::{Failure, MountRequest};
use crate::cause::Cause;
use crate::deadline::Deadline;
use crate::telemetry::metrics::{MountFigures, Outcome, RunningMount};
use crate::telemetry::request_id::RequestId;
use crate::telemetry::{lines, logs};

/// What fetches the secrets of one mount.
pub(super) type Handler = Arc<dyn Fn(MountRequest, Deadline) -> Answering + Send + Sync>;
/// A mount under way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<MountAnswer, Failure>> + Send>>;

/// How far the provider is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Mounts are taken.
    Serving,
    /// Another instance has the socket: mounts are taken until clients are there.
    HandingOver,
    /// No new mounts; running ones may finish.
    Draining,
    /// No mounts at all; connections close once the last answer is out.
    Ended,
}

impl Stage {
    /// Waits until `watched` is at this stage or past it.
    pub(super) async fn reached(self, watched: &watch::Receiver<Self>) {
        let mut watched = watched.clone();
        // An error means that the server itself is gone: past every stage.
        drop(watched.wait_for(|now| *now >= self).await);
    }
}

/// The calls of one provider; a clone shares everything.
#[derive(Clone)]
pub(super) struct Calls {
    mounts: Arc<Mounts>,
    mount_deadline: Duration,
}

impl Calls {
    pub(super) fn new(mounts: Mounts, mount_deadline: Duration) -> Self {
        Self {
            mounts: Arc::new(mounts),
            mount_deadline,
        }
    }

    /// Answers one call within its limit, which counts from here: it covers a
    /// request that trickles in, waiting for a place, and the mount itself.
    pub(super) async fn answer(
        self,
        mut request: Request<Incoming>,
    ) -> http::Response<tonic::body::Body> {
        if !is_grpc(request.headers()) {
            return Status::invalid_argument(
                "content-type is not application/grpc: only gRPC is served here",
            )
            .into_http();
        }
        let limit = Limit::new(request.headers(), self.mount_deadline);
        request.extensions_mut().insert(limit);
        let call = async {
            let Ok(answer) = timeout_at(limit.instant(), self.call(request)).await else {
                return refusal(limit.passed()).into_http();
            };
            answer
        };
        let answer = RequestId::random().of(call).await;
        lines::count();
        answer
    }

    /// The two methods of the contract, by their paths in `proto/provider.proto`.
    async fn call(&self, request: Request<Incoming>) -> http::Response<tonic::body::Body> {
        match request.uri().path() {
            "/v1alpha1.CSIDriverProvider/Mount" => {
                let running = self.mounts.figures.begin();
                let mut grpc = Grpc::new(MountCodec).max_decoding_message_size(MAX_REQUEST_BYTES);
                let mount = Mount {
                    mounts: &self.mounts,
                    running: &running,
                };
                let answer = grpc.unary(mount, request.map(WipedBody::new)).await;
                // A request that cannot be read does not come as far as the mount.
                running.ended(Cause::InvalidClass);
                answer
            }
            "/v1alpha1.CSIDriverProvider/Version" => {
                let mut grpc = Grpc::new(ProstCodec::default());
                grpc.unary(Version, request).await
            }
            _ => Status::unimplemented("").into_http(),
        }
    }
}

/// The method `Mount`.
struct Mount<'a> {
    mounts: &'a Mounts,
    running: &'a RunningMount<'a>,
}

impl<'a> UnaryService<Received> for Mount<'a> {
    type Response = MountAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<MountAnswer>, Status>> + Send + 'a>>;

    fn call(&mut self, request: tonic::Request<Received>) -> Self::Future {
        let (mounts, running) = (self.mounts, self.running);
        let request = request.map(Received::into_request);
        Box::pin(async move {
            let answer = mounts.mount(request).await;
            let outcome = answer.as_ref().err();
            running.ended(outcome.map_or(Outcome::OK, |failure| failure.cause.into()));
            answer.map_err(refusal)
        })
    }
}

/// The method `Version`.
struct Version;

impl UnaryService<VersionRequest> for Version {
    type Response = VersionResponse;
    type Future = Ready<Result<Response<VersionResponse>, Status>>;

    fn call(&mut self, _: tonic::Request<VersionRequest>) -> Self::Future {
        ready(Ok(Response::new(VersionResponse {
            version: String::from("v1alpha1"),
            runtime_name: String::from(env!("CARGO_PKG_NAME")),
            runtime_version: String::from(env!("CARGO_PKG_VERSION")),
        })))
    }
}

/// The mounts of one provider: how many run, and what runs them.
pub(super) struct Mounts {
    pub(super) handler: Handler,
    /// The places of mounts that run at once.
    pub(super) places: Arc<Semaphore>,
    pub(super) stage: watch::Receiver<Stage>,
    /// The largest answer that the driver takes.
    pub(super) max_answer_bytes: usize,
    /// Where mounts are counted.
    pub(super) figures: Arc<MountFigures>,
}

impl Mounts {
    async fn mount(
        &self,
        request: tonic::Request<MountRequest>,
    ) -> Result<Response<MountAnswer>, Failure> {
        let started = Instant::now();
        let limit = request.extensions().get::<Limit>().copied();
        let limit =
            limit.unwrap_or_else(|| Limit::new(request.metadata().as_ref(), Duration::ZERO));
        let place = self.place().await?;
        let answer = self.run(request.into_inner(), limit).await?;
        let mut answer = self.check(answer)?;
        let held = std::mem::take(&mut answer.held);
        debug!(
            files = answer.files,
            bytes = answer.bytes.len(),
            milliseconds = logs::millis(started.elapsed()),
            "mount answered"
        );
        let mut response = Response::new(answer);
        response.extensions_mut().insert(Arc::new((place, held)));
        Ok(response)
    }

    /// A place among the running mounts, as soon as one is free.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        tokio::select! {
            biased;
            () = Stage::Draining.reached(&self.stage) => Err(stopping("no new mounts are taken")),
            place = self.places.clone().acquire_owned() => place.map_err(|_| stopping("no new mounts are taken")),
        }
    }

    /// Runs the handler so that a panic ends only this mount. It ends when this
    /// future is dropped: when the client goes away, or the time is over. Not in a
    /// task of its own: to wake another thread costs more than a warm mount.
    async fn run(&self, request: MountRequest, limit: Limit) -> Result<MountAnswer, Failure> {
        let mount = async { (self.handler)(request, limit.inner()).await };
        tokio::select! {
            ended = AssertUnwindSafe(mount).catch_unwind() => {
                ended.unwrap_or_else(|_| Err(defect("the mount panicked")))
            }
            () = Stage::Ended.reached(&self.stage) => Err(stopping("this mount did not finish in time")),
        }
    }

    /// Refuses what the driver would refuse, or worse, take as nothing.
    fn check(&self, answer: MountAnswer) -> Result<MountAnswer, Failure> {
        if answer.files == 0 {
            return Err(defect("an answer without files or without versions"));
        }
        let (bytes, max) = (answer.bytes.len(), self.max_answer_bytes);
        if bytes > max {
            let text = format!(
                "answer of {bytes} bytes is larger than the {max} bytes that the driver takes: select fewer secrets, \
                 or raise --max-call-recv-msg-size of the driver and --max-call-send-msg-size of the provider together"
            );
            return Err(Failure::new(Cause::TooLarge, text));
        }
        Ok(answer)
    }
}

fn refusal(failure: Failure) -> Status {
    if failure.cause == Cause::Internal {
        error!(cause = failure.cause.label(), error = %failure, "mount refused");
    } else {
        warn!(cause = failure.cause.label(), error = %failure, "mount refused");
    }
    failure.into()
}

fn stopping(what: &str) -> Failure {
    let text = format!("provider is stopping: {what}: retry is automatic");
    Failure::new(Cause::Stopping, text)
}

fn defect(what: &str) -> Failure {
    let text = format!("internal error: {what}: this is a defect, please report it");
    Failure::new(Cause::Internal, text)
}

/// A SecretProviderClass is bounded by etcd at about 1.5 MiB, a Secret by 1 MiB.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
