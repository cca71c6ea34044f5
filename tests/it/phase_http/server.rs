//! A server that answers from a script, byte by byte as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phase_csi_provider::phase::host::Host;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Sends these bytes and waits for the next request.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Cut(Vec<u8>),
    /// Sends these bytes, then a space now and then, for ever.
    Drip(Vec<u8>),
    /// Sends these bytes, then as many as the client takes, for ever.
    Flood(Vec<u8>),
    /// Sends nothing and keeps the connection.
    Stall,
}

/// A server on a port of its own; it ends when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What the server has seen, and what it does next.
struct Seen {
    script: Mutex<Vec<Reply>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

impl Reply {
    /// A response with this status line, these header lines and this body.
    pub(crate) fn new(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into(),
        )
    }

    /// Status 200 and JSON.
    pub(crate) fn json(body: &str) -> Self {
        Self::new("200 OK", "content-type: application/json\r\n", body)
    }

    /// Phase's form of an error.
    pub(crate) fn error(status: &str, text: &str) -> Self {
        let body = format!(r#"{{"error": "{text}"}}"#);
        Self::new(status, "content-type: application/json\r\n", &body)
    }
}

impl Server {
    /// Answers the requests by the script; its last reply is for all that follow.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, None, script)
    }

    /// The same behind TLS.
    pub(crate) async fn start_tls(
        acceptor: TlsAcceptor,
        script: impl IntoIterator<Item = Reply>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, Some(acceptor), script)
    }

    /// The same on a listener that exists already.
    pub(crate) fn on(
        listener: TcpListener,
        acceptor: Option<TlsAcceptor>,
        script: impl IntoIterator<Item = Reply>,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let seen = Arc::new(Seen {
            script: Mutex::new(script.into_iter().collect()),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, acceptor, seen.clone()));
        Self {
            address,
            scheme,
            seen,
            task,
        }
    }

    /// The server's URL by address.
    pub(crate) fn host(&self) -> Host {
        format!("{}://{}", self.scheme, self.address)
            .parse()
            .unwrap()
    }

    /// The server's URL by a name that leads to the loopback address.
    pub(crate) fn host_named(&self, name: &str) -> Host {
        format!("{}://{name}:{}", self.scheme, self.address.port())
            .parse()
            .unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of the requests, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port that refuses connections until it is listened to.
pub(crate) fn closed_port() -> (TcpSocket, Host) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let host = format!("http://{}", socket.local_addr().unwrap())
        .parse()
        .unwrap();
    (socket, host)
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, seen: Arc<Seen>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let seen = seen.clone();
        match acceptor.clone() {
            None => connections.spawn(serve(stream, seen)),
            Some(acceptor) => connections.spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, seen).await;
                }
            }),
        };
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Seen>) {
    while let Some(head) = read_head(&mut stream).await {
        let reply = seen.next(head);
        if play(&mut stream, reply).await.is_none() {
            return;
        }
    }
}

/// Plays the reply; none if the connection is to be closed.
async fn play(stream: &mut (impl AsyncWrite + Unpin), reply: Reply) -> Option<()> {
    match reply {
        Reply::Bytes(bytes) => send(stream, &bytes).await,
        Reply::Cut(bytes) => {
            send(stream, &bytes).await?;
            stream.shutdown().await.ok()?;
            None
        }
        Reply::Drip(bytes) => {
            send(stream, &bytes).await?;
            loop {
                sleep(Duration::from_millis(20)).await;
                send(stream, b"1\r\n \r\n").await?;
            }
        }
        Reply::Flood(bytes) => {
            send(stream, &bytes).await?;
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            loop {
                send(stream, chunk.as_bytes()).await?;
            }
        }
        Reply::Stall => std::future::pending().await,
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// The head of the next request; none if the client has closed the connection.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

impl Seen {
    fn next(&self, request: String) -> Reply {
        self.requests.lock().unwrap().push(request);
        let mut script = self.script.lock().unwrap();
        if script.len() > 1 {
            script.remove(0)
        } else {
            script[0].clone()
        }
    }
}
