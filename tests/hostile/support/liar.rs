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
use futures_util::stream;
use phase_emulator::Emulator;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A lie about the keys of an account.
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
}

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
    let lie = bearer.and_then(|bearer| lies.of.get(bearer)).copied();
    match lie {
        Some(lie) if request.uri().path().contains("tokens") => lies.lie(lie, request).await,
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

    async fn lie(&self, lie: Lie, request: Request) -> Response {
        let body = match lie {
            Lie::Apps(count) => {
                let (_, body) = self.truth(request).await;
                let app = |number: usize| json!({"id": number.to_string(), "name": format!("app-{number}"), "environment_keys": []});
                more(
                    &body,
                    |answer| &mut answer["apps"],
                    &mut (0..count).map(app),
                )
            }
            Lie::Environments(count) => {
                let (_, body) = self.truth(request).await;
                let answer: Value = serde_json::from_slice(&body).unwrap();
                let key = answer["apps"][0]["environment_keys"][0].clone();
                let other = |number: usize| {
                    let mut key = key.clone();
                    key["environment"]["id"] = json!(format!("id-{number}"));
                    key["environment"]["name"] = json!(format!("other-{number}"));
                    key
                };
                more(
                    &body,
                    |answer| &mut answer["apps"][0]["environment_keys"],
                    &mut (0..count).map(other),
                )
            }
            Lie::Drip => {
                let bytes = stream::unfold((), async |()| {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
                });
                return json_of(200, Body::from_stream(bytes));
            }
            Lie::Fields(count) => {
                let fields: Vec<String> = (0..count)
                    .map(|number| format!("\"f{number}\":0"))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
            Lie::Long(bytes) => {
                const PIECE: usize = 1 << 16;
                let begin = stream::iter([Bytes::from_static(b"{\"wrapped_key_share\":\"")]);
                let rest =
                    stream::iter((0..bytes / PIECE).map(|_| Bytes::from_static(&[b'x'; PIECE])));
                let all = futures_util::StreamExt::chain(begin, rest);
                let all = futures_util::StreamExt::map(all, Ok::<_, Infallible>);
                return json_of(200, Body::from_stream(all));
            }
            Lie::Nested(depth) => format!("{{\"apps\":{}", "[".repeat(depth)),
        };
        json_of(200, Body::from(body))
    }
}

/// The answer with more items in one of its lists.
fn more(
    body: &[u8],
    list: impl FnOnce(&mut Value) -> &mut Value,
    items: &mut dyn Iterator<Item = Value>,
) -> String {
    let mut answer: Value = serde_json::from_slice(body).unwrap();
    list(&mut answer).as_array_mut().unwrap().extend(items);
    answer.to_string()
}

fn json_of(status: u16, body: Body) -> Response {
    let response = Response::builder().status(status);
    response
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}
