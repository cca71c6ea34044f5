//! A Kubernetes API that takes events, and a service account to send them as.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::phase_http::tls::Authority;

/// It ends when dropped.
pub(super) struct Kubernetes {
    pub(super) port: String,
    seen: Arc<Seen>,
    account: TempDir,
    task: JoinHandle<()>,
}

struct Seen {
    events: Mutex<Vec<Sent>>,
    /// The status of the next answers; 0 for none at all.
    status: Mutex<u16>,
}

/// One request for an event.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) body: Value,
}

impl Kubernetes {
    pub(super) async fn start() -> Self {
        let authority = Authority::new();
        let account = tempfile::tempdir().unwrap();
        authority.write_to(&account.path().join("ca.crt"));
        std::fs::write(account.path().join("token"), "first-token\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let seen = Arc::new(Seen {
            events: Mutex::default(),
            status: Mutex::new(201),
        });
        let acceptor = authority.acceptor("127.0.0.1");
        Self {
            port,
            task: tokio::spawn(accept(listener, acceptor, Arc::clone(&seen))),
            seen,
            account,
        }
    }

    pub(super) fn account(&self) -> &Path {
        self.account.path()
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.account.path().join("token")
    }

    /// The status of all answers from now on; 0 for none.
    pub(super) fn answers(&self, status: u16) {
        *self.seen.status.lock().unwrap() = status;
    }

    /// What came so far, whatever it was answered.
    pub(super) fn events(&self) -> Vec<Sent> {
        self.seen.events.lock().unwrap().clone()
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, seen: Arc<Seen>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
            let connection = http1::Builder::new();
            drop(
                connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Seen>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(parts.method, "POST");
    assert_eq!(parts.headers["content-type"], "application/json");
    let text = |name: &str| parts.headers[name].to_str().unwrap().to_owned();
    seen.events.lock().unwrap().push(Sent {
        path: parts.uri.path().to_owned(),
        authorization: text("authorization"),
        body: serde_json::from_slice(&body).unwrap(),
    });
    let status = *seen.status.lock().unwrap();
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let mut answer = Response::new(Full::from("{\"message\": \"UPSTREAM_CANARY\"}"));
    *answer.status_mut() = status.try_into().unwrap();
    Ok(answer)
}
