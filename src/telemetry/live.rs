//! Whether the process answers where the driver asks: on its own socket, through the
//! file at its path, as any client would.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::provider::grpc::{VersionRequest, VersionResponse};

/// Asks the process whether it lives; clones share what was found.
#[derive(Clone)]
pub struct Live {
    path: Arc<Path>,
    /// What was found last. Who asks holds it, so that there is one question at a time
    /// and the others hear what it brought.
    found: Arc<Mutex<Option<Found>>>,
    stands_by: Arc<AtomicBool>,
}

/// What was found, and when.
struct Found {
    at: Instant,
    answer: Result<(), Dead>,
}

/// Why the driver would get no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dead {
    /// Nobody can connect.
    #[error("cannot connect to {0}: {1}")]
    Connect(PathBuf, String),
    /// Another process listens there.
    #[error("{0} belongs to another process")]
    Foreign(PathBuf),
    /// There is no file.
    #[error("{0} is gone")]
    Gone(PathBuf),
    /// It was connected to, and nothing came back.
    #[error("no answer on {0} within {limit} s", limit = WITHIN.as_secs())]
    Silent(PathBuf),
    /// What came back is no answer to the question.
    #[error("wrong answer on {0}")]
    Wrong(PathBuf),
}

impl Live {
    /// For the socket at this path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            found: Arc::default(),
            stands_by: Arc::default(),
        }
    }

    /// From now on another instance answers there, and this one lives as long as that
    /// one does. Ends when it does no more, for some seconds: it may be starting again.
    pub async fn stand_by(&self) -> Dead {
        self.stands_by.store(true, Ordering::Relaxed);
        let mut missed = 0;
        loop {
            sleep(WATCH).await;
            match version_at(&self.path).await {
                Ok(_) => missed = 0,
                Err(dead) if missed >= MISSED => return dead,
                Err(_) => missed += 1,
            }
        }
    }

    /// Whether the process answers there, found out less than a moment ago.
    ///
    /// # Errors
    /// [`Dead`]: why not.
    pub async fn check(&self) -> Result<(), Dead> {
        if self.stands_by.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Across an await on purpose: whoever comes meanwhile needs no question of its own.
        let mut found = self.found.lock().await;
        if let Some(last) = &*found
            && last.at.elapsed() < MOMENT
        {
            return last.answer.clone();
        }
        let answer = match timeout(WITHIN, ask(&self.path)).await {
            Ok(asked) => asked,
            Err(_) => Err(Dead::Silent(self.path.to_path_buf())),
        };
        *found = Some(Found {
            at: Instant::now(),
            answer: answer.clone(),
        });
        answer
    }
}

/// Who answers at this path: the program and its version.
///
/// # Errors
/// [`Dead`]: nobody does, or nobody of ours.
pub async fn version_at(path: &Path) -> Result<VersionResponse, Dead> {
    let asked = async {
        let stream = UnixStream::connect(path).await;
        let stream = stream.map_err(|error| unconnected(path, &error))?;
        ours(path, stream).await
    };
    timeout(WITHIN, asked)
        .await
        .unwrap_or_else(|_| Err(Dead::Silent(path.into())))
}

async fn ask(path: &Path) -> Result<(), Dead> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|error| unconnected(path, &error))?;
    // The kernel knows who called `listen`.
    let listens = stream.peer_cred().ok().and_then(|peer| peer.pid());
    if listens.is_some_and(|pid| u32::try_from(pid) != Ok(std::process::id())) {
        return Err(Dead::Foreign(path.into()));
    }
    ours(path, stream).await.map(drop)
}

async fn ours(path: &Path, stream: UnixStream) -> Result<VersionResponse, Dead> {
    match version(stream).await {
        Some(version) if version.runtime_name == env!("CARGO_PKG_NAME") => Ok(version),
        _ => Err(Dead::Wrong(path.into())),
    }
}

fn unconnected(path: &Path, error: &io::Error) -> Dead {
    match error.kind() {
        io::ErrorKind::NotFound => Dead::Gone(path.into()),
        _ => Dead::Connect(path.into(), error.to_string()),
    }
}

/// The gRPC call `Version`, with no more of HTTP/2 than it needs.
async fn version(stream: UnixStream) -> Option<VersionResponse> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .ok()?;
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let answer = sender.send_request(question()?).await.ok()?;
    if answer.status() != StatusCode::OK {
        return None;
    }
    let body = Limited::new(answer.into_body(), MAX_ANSWER)
        .collect()
        .await
        .ok()?;
    let is_ok = body.trailers()?.get("grpc-status")?.as_bytes() == b"0";
    let message = body.to_bytes();
    // One byte that says it is not compressed, four with its length.
    let message = is_ok.then(|| message.get(5..))??;
    VersionResponse::decode(message).ok()
}

fn question() -> Option<Request<Full<Bytes>>> {
    let message = VersionRequest {
        version: "v1alpha1".to_owned(),
    }
    .encode_to_vec();
    let length = u32::try_from(message.len()).ok()?;
    let framed = [&[0], &length.to_be_bytes()[..], &message].concat();
    Request::post("http://localhost/v1alpha1.CSIDriverProvider/Version")
        .header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        )
        .header(header::TE, HeaderValue::from_static("trailers"))
        .body(Full::from(framed))
        .ok()
}

/// A probe is to wait a little longer.
const WITHIN: Duration = Duration::from_secs(2);
/// For so long what was found counts for all who ask.
const MOMENT: Duration = Duration::from_millis(200);
/// How often who stands by looks for the other instance, and how often it may miss it.
const WATCH: Duration = Duration::from_secs(1);
const MISSED: usize = 5;
const MAX_ANSWER: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixListener;

    use super::*;

    async fn found(path: &Path) -> String {
        let dead = Live::new(path).check().await.unwrap_err().to_string();
        dead.replace(path.to_str().unwrap(), "PATH")
    }

    #[tokio::test]
    async fn each_way_of_being_dead_has_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("phase.sock");
        assert_eq!(found(&path).await, "PATH is gone");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(found(&path).await, "no answer on PATH within 2 s");
        let talks = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.write_all(b"hello").await;
            }
        });
        assert_eq!(found(&path).await, "wrong answer on PATH");
        talks.abort();
        assert!(talks.await.unwrap_err().is_cancelled());
        let refused = found(&path).await;
        assert!(
            refused.starts_with("cannot connect to PATH: Connection refused"),
            "{refused}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_together_are_one_question() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("phase.sock");
        let live = Live::new(&path);
        assert!(live.check().await.is_err());
        let listener = UnixListener::bind(&path).unwrap();
        let before = live.check().await;
        assert_eq!(before, Err(Dead::Gone(path)), "a moment ago");
        drop(listener);
    }
}
