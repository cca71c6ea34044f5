//! A Phase that lies to some: a server in front of the emulator that answers the tokens
//! of attackers with what they would like, and everybody else truly.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use phase_emulator::Emulator;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::{JoinSet, spawn_blocking};

/// A lie about the keys of an account, or about its secrets.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    /// So many apps beside the true ones.
    Apps(usize),
    /// A byte each 50 ms, for ever.
    Drip,
    /// So many environments beside the true ones, in the first app.
    Environments(usize),
    /// So many fields that nobody knows, in one object.
    Fields(usize),
    /// So many bytes of one text that nobody announced.
    Long(usize),
    /// So many lists in one another.
    Nested(usize),
    /// So many secrets without anything in them, where the keys are true.
    Rows(usize),
}

/// A long answer is sent in pieces of so many bytes.
const PIECE: usize = 1 << 16;

/// The server; it ends when it is dropped.
pub struct Liar {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

struct Lies {
    client: Client,
    truth: String,
    /// By the bearer of whom they are told.
    of: HashMap<String, Lie>,
    /// Made once, so that attackers pay for it and not their victims.
    told: Mutex<HashMap<String, Bytes>>,
}

impl Liar {
    /// Lies to the tokens of these accounts.
    pub async fn before(emulator: &Emulator, lies: &[(&str, Lie)]) -> Self {
        let bearer = |account: &str| {
            let token = emulator.control().token(account).unwrap();
            token.split(':').nth(2).unwrap().to_owned()
        };
        let lies = Arc::new(Lies {
            client: Client::builder().no_proxy().build().unwrap(),
            truth: emulator.url(),
            of: lies
                .iter()
                .map(|&(account, lie)| (bearer(account), lie))
                .collect(),
            told: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(lies);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            _serving: serving,
        }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(State(lies): State<Arc<Lies>>, request: Request) -> Response {
    let bearer = request.headers().get("authorization");
    let bearer = bearer.and_then(|header| header.to_str().ok()?.rsplit(' ').next());
    let bearer = bearer.unwrap_or_default().to_owned();
    match lies.of.get(&bearer).copied() {
        Some(lie) if request.uri().path().contains("tokens") != matches!(lie, Lie::Rows(_)) => {
            lies.lie(lie, bearer, request).await
        }
        _ => {
            let (status, body) = lies.truth(request).await;
            json_of(status, Body::from(body))
        }
    }
}

impl Lies {
    async fn truth(&self, request: Request) -> (u16, Bytes) {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let mut headers = request.headers().clone();
        headers.remove("host");
        let asked = self
            .client
            .get(format!("{}{path}", self.truth))
            .headers(headers);
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    }

    async fn lie(&self, lie: Lie, bearer: String, request: Request) -> Response {
        let body = match lie {
            Lie::Drip => {
                let bytes = stream::unfold((), async |()| {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
                });
                Body::from_stream(bytes)
            }
            Lie::Long(bytes) => {
                let begin = stream::iter([Bytes::from_static(b"{\"wrapped_key_share\":\"")]);
                let pieces = (0..bytes / PIECE).map(|_| Bytes::from_static(&[b'x'; PIECE]));
                let all = begin.chain(stream::iter(pieces));
                Body::from_stream(all.map(Ok::<_, Infallible>))
            }
            _ => {
                let mut told = self.told.lock().await;
                if !told.contains_key(&bearer) {
                    let (_, truth) = self.truth(request).await;
                    let body = spawn_blocking(move || lie.body(&truth));
                    told.insert(bearer.clone(), body.await.unwrap());
                }
                Body::from(told[&bearer].clone())
            }
        };
        json_of(200, body)
    }
}

impl Lie {
    /// What is made of the true answer.
    fn body(self, truth: &[u8]) -> Bytes {
        let body = match self {
            Self::Apps(count) => {
                let app = |number| format!(r#"{{"id":"","name":"app-{number}"}}"#);
                let apps: Vec<String> = (0..count).map(app).collect();
                let truth = String::from_utf8_lossy(truth);
                truth.replacen("\"apps\":[", &format!("\"apps\":[{},", apps.join(",")), 1)
            }
            Self::Environments(count) => more(truth, count),
            Self::Fields(count) => {
                let fields: Vec<String> = (0..count)
                    .map(|number| format!("\"f{number}\":0"))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
            Self::Nested(depth) => format!("{{\"apps\":{}", "[".repeat(depth)),
            Self::Rows(count) => {
                let row = r#"{"id":"","key":"","key_digest":"","value":""}"#;
                format!("[{}]", vec![row; count].join(","))
            }
            Self::Drip | Self::Long(_) => String::new(),
        };
        body.into()
    }
}

/// So many environments more, in the first app.
fn more(truth: &[u8], count: usize) -> String {
    let mut answer: Value = serde_json::from_slice(truth).unwrap();
    let keys = answer["apps"][0]["environment_keys"]
        .as_array_mut()
        .unwrap();
    let key = keys[0].clone();
    keys.extend((0..count).map(|number| {
        let mut key = key.clone();
        key["environment"]["id"] = json!(format!("id-{number}"));
        key["environment"]["name"] = json!(format!("other-{number}"));
        key
    }));
    answer.to_string()
}

fn json_of(status: u16, body: Body) -> Response {
    let response = Response::builder().status(status);
    response
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}
