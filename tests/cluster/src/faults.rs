//! A way to the API server that can be disturbed: a proxy on loopback, which goes on
//! with the suite's own certificate.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, once, unfold};
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::Programs;
use crate::programs::plain_client_of;

/// What happens to a request instead of its answer.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// This status, with `Retry-After` in seconds where one is given.
    Status(u16, Option<u32>),
    /// It reaches the API server this much later.
    Slow(Duration),
    /// It reaches nobody and is never answered.
    Hang,
    /// The API server does it, but nobody hears so: the connection is cut.
    Lost,
}

/// What happens to all watches that run.
#[derive(Clone, Copy, Debug)]
pub enum Blow {
    /// Their connections are cut in the middle of an answer.
    Cut,
    /// They are told that their version is gone, as the API server does it: in the stream.
    Gone,
    /// They show nothing any more, and do not end.
    Freeze,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// When it came.
    pub at: Instant,
}

impl Asked {
    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// What `wanted` says of a request, and what then happens to it.
type Rule = (Box<dyn Fn(&Asked) -> bool + Send>, Fault);
type Frames = BoxStream<'static, Result<Frame<Bytes>, Broken>>;
type Answer = Response<StreamBody<Frames>>;
/// A blow for the watches whose path has the text in it.
type Blows = broadcast::Receiver<(&'static str, Blow)>;

/// The way to the API server of one controller.
pub struct Way {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
    /// For programs: it names the proxy.
    pub kubeconfig: PathBuf,
}

struct Shared {
    client: Client,
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<Asked>>,
    blows: broadcast::Sender<(&'static str, Blow)>,
}

/// The connection is to be cut.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("cut")
    }
}

impl std::error::Error for Broken {}

impl Way {
    /// Opens one that does not disturb.
    pub async fn open(programs: &Programs, folder: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            client: plain_client_of(&programs.kubeconfig).await,
            rules: Mutex::default(),
            asked: Mutex::default(),
            blows: broadcast::channel(4).0,
        });
        let kubeconfig = folder.join("way.kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "way",
            "clusters": [{"name": "way", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "way", "user": {}}],
            "contexts": [{"name": "way", "context": {"cluster": "way", "user": "way"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self {
            shared,
            address,
            server,
            kubeconfig,
        }
    }

    /// From now on this happens to requests that are `wanted`, whatever was said before.
    pub fn disturb(&self, wanted: impl Fn(&Asked) -> bool + Send + 'static, fault: Fault) {
        let mut rules = self.shared.rules.lock().unwrap();
        rules.push((Box::new(wanted), fault));
    }

    /// Nothing is disturbed any more; what hangs already goes on hanging.
    pub fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// All watches that run now whose path has this in it.
    pub fn strike(&self, path: &'static str, blow: Blow) {
        let sent = self.shared.blows.send((path, blow));
        sent.expect("a watch runs");
    }

    /// Nobody listens any more, and every connection is cut.
    pub async fn close(&mut self) {
        self.server.abort();
        drop((&mut self.server).await);
    }

    /// Somebody listens again, at the same address.
    pub async fn reopen(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.server = tokio::spawn(serve(listener, Arc::clone(&self.shared)));
    }

    /// The requests since the last time that this was asked.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(connection(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let answer = service_fn(|request| answered(request, Arc::clone(&shared)));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    drop(served); // cut by us, or left by the other side
}

async fn answered(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Broken> {
    let asked = Asked {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        at: Instant::now(),
    };
    let path = asked.path.clone();
    let fault = {
        let rules = shared.rules.lock().unwrap();
        let found = rules.iter().rev().find(|(wanted, _)| wanted(&asked));
        found.map(|(_, fault)| *fault)
    };
    shared.asked.lock().unwrap().push(asked);
    match fault {
        Some(Fault::Status(code, retry_after)) => return Ok(status(code, retry_after)),
        Some(Fault::Slow(time)) => sleep(time).await,
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Lost) | None => {}
    }
    // Before it is asked: a blow that falls meanwhile counts.
    let blows = shared.blows.subscribe();
    let (mut head, body) = request.into_parts();
    head.headers.remove(hyper::header::HOST);
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let asked = Request::from_parts(head, Body::from(body.to_vec()));
    let answer = shared.client.send(asked).await.map_err(|_| Broken)?;
    let (head, body) = answer.into_parts();
    if matches!(fault, Some(Fault::Lost)) {
        return Err(Broken);
    }
    let body = BodyDataStream::new(body);
    let body = body.map(|bytes| bytes.map(Frame::data).map_err(|_| Broken));
    let body = match path.contains("watch=true") {
        true => until_struck(path, body.boxed(), blows),
        false => body.boxed(),
    };
    Ok(Response::from_parts(head, StreamBody::new(body)))
}

/// A watch, until a blow falls.
fn until_struck(path: String, body: Frames, blows: Blows) -> Frames {
    let next = async |(path, mut body, mut blows, is_over): (String, Frames, Blows, bool)| {
        if is_over {
            return None;
        }
        tokio::select! {
            biased;
            blow = struck(&path, &mut blows) => {
                let last = match blow {
                    Blow::Cut => Err(Broken),
                    Blow::Gone => Ok(Frame::data(gone())),
                    Blow::Freeze => std::future::pending().await,
                };
                Some((last, (path, body, blows, true)))
            }
            frame = body.next() => Some((frame?, (path, body, blows, false))),
        }
    };
    unfold((path, body, blows, false), next).boxed()
}

/// The blow that falls on this watch.
async fn struck(path: &str, blows: &mut Blows) -> Blow {
    loop {
        let (part, blow) = blows.recv().await.expect("few blows, and a way that stays");
        if path.contains(part) {
            return blow;
        }
    }
}

fn gone() -> Bytes {
    let event = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 1 (2)", "reason": "Expired", "code": 410,
    }});
    Bytes::from(format!("{event}\n"))
}

/// An answer as the API server gives it.
fn status(code: u16, retry_after: Option<u32>) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "message": "disturbed by a test", "reason": "",
    });
    let bytes = Bytes::from(status.to_string());
    let body = once(async { Ok(Frame::data(bytes)) }).boxed();
    let mut answer = Response::builder()
        .status(code)
        .header("Content-Type", "application/json");
    if let Some(seconds) = retry_after {
        answer = answer.header("Retry-After", seconds);
    }
    answer.body(StreamBody::new(body)).unwrap()
}
