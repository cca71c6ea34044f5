//! A server that answers with recorded bytes, from a real socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{json, text};

/// A file of recorded exchanges.
pub struct Recording {
    pub file: String,
    pub value: Value,
}

impl Recording {
    pub fn read(case: &str) -> Self {
        let file = format!("{case}.json");
        let value = json(&format!("wire/{file}"));
        Self { file, value }
    }

    pub fn token(&self, label: &str) -> &str {
        text(&self.value["credentials"], label)
    }

    pub fn expected(&self) -> &Value {
        &self.value["expected"]
    }

    pub fn exchanges(&self) -> &[Value] {
        self.value["exchanges"].as_array().unwrap()
    }
}

/// Whether an exchange's body was kept when it was recorded.
pub fn has_body(exchange: &Value) -> bool {
    let body = &exchange["response"]["body_json"];
    body != "omitted" && (body.is_array() || body.is_object())
}

/// The header of a recorded request.
pub fn header<'a>(exchange: &'a Value, name: &str) -> Option<&'a str> {
    let headers = exchange["request"]["headers"].as_array()?;
    let found = headers.iter().find(|pair| {
        let key = pair[0].as_str().unwrap_or_default();
        key.eq_ignore_ascii_case(name)
    })?;
    found[1].as_str()
}

/// A server that gives recorded answers, each as often as it is asked.
pub struct Replay {
    address: SocketAddr,
    state: Arc<Played>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Played {
    /// Answers given in this order, whatever is asked.
    sequence: Mutex<VecDeque<Value>>,
    /// Answers found by what is asked.
    known: Vec<Value>,
    asked: Mutex<Vec<(String, Option<String>)>>,
}

impl Replay {
    /// Answers the nth request with the nth exchange.
    pub async fn in_order(exchanges: &[Value]) -> Self {
        Self::start(Played {
            sequence: Mutex::new(exchanges.iter().cloned().collect()),
            ..Played::default()
        })
        .await
    }

    /// Answers a request with the exchange that has its path, authorization and environment.
    pub async fn of(recordings: &[&Recording]) -> Self {
        let exchanges = recordings
            .iter()
            .flat_map(|recording| recording.exchanges());
        Self::start(Played {
            known: exchanges
                .filter(|exchange| has_body(exchange))
                .cloned()
                .collect(),
            ..Played::default()
        })
        .await
    }

    async fn start(played: Played) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(played);
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&state));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            state,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far: paths and environments.
    pub fn asked(&self) -> Vec<(String, Option<String>)> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(played): State<Arc<Played>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let of = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let environment = of("environment");
    played
        .asked
        .lock()
        .unwrap()
        .push((path.clone(), environment.clone()));
    let next = played.sequence.lock().unwrap().pop_front();
    let fits = |exchange: &&Value| {
        text(&exchange["request"], "path") == path
            && header(exchange, "environment") == environment.as_deref()
            && header(exchange, "authorization") == of("authorization").as_deref()
    };
    let exchange = next.or_else(|| played.known.iter().find(fits).cloned());
    exchange.map_or_else(no_access, |exchange| recorded(&exchange["response"]))
}

/// What the server says of an environment that the token may not read, and this
/// one of those that were not recorded.
fn no_access() -> Response {
    let body = r#"{"error":"Service account cannot access this environment"}"#;
    let response = Response::builder()
        .status(401)
        .header("content-type", "application/json");
    response.body(Body::from(body)).unwrap()
}

fn recorded(response: &Value) -> Response {
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    let mut builder = Response::builder().status(status);
    for pair in response["headers"].as_array().unwrap() {
        let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        // These belong to the connection, which is not replayed.
        if !["connection", "content-length", "date"].contains(&name.to_lowercase().as_str()) {
            builder = builder.header(name, value);
        }
    }
    let body = match (&response["body_json"], &response["body_text"]) {
        (Value::Null, Value::String(text)) => text.clone(),
        (Value::Null, _) => String::new(),
        (json, _) => json.to_string(),
    };
    builder.body(Body::from(body)).unwrap()
}
