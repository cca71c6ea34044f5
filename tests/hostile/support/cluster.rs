//! An API server that is played: classes and tokens that never change, and a list of
//! what is written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64ct::{Base64, Encoding};
use futures_util::stream;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The server; it ends when it is dropped.
pub struct Cluster {
    address: SocketAddr,
    objects: Arc<Objects>,
    _serving: JoinSet<()>,
}

struct Objects {
    classes: Vec<Value>,
    /// By namespace.
    tokens: BTreeMap<String, String>,
    /// Paths of Secrets.
    written: Mutex<Vec<String>>,
}

impl Cluster {
    /// With these classes, and a token in each of their namespaces.
    pub async fn start(classes: &[(&str, Value)], tokens: &[(&str, String)]) -> Self {
        let class = |(number, (namespace, parameters)): (usize, &(&str, Value))| {
            json!({
                "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
                "metadata": {
                    "name": "keys", "namespace": namespace, "uid": format!("uid-{number}"),
                    "resourceVersion": "1", "generation": 1,
                },
                "spec": {"provider": "phase", "parameters": parameters},
            })
        };
        let tokens = tokens.iter();
        let objects = Arc::new(Objects {
            classes: classes.iter().enumerate().map(class).collect(),
            tokens: tokens
                .map(|(namespace, token)| ((*namespace).to_owned(), token.clone()))
                .collect(),
            written: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&objects));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            objects,
            _serving: serving,
        }
    }

    /// The way to it.
    pub fn kubeconfig(&self) -> String {
        let server = format!("http://{}", self.address);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": server}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        })
        .to_string()
    }

    /// How often a Secret was written, such as `shop/copy`.
    pub fn writes(&self, secret: &str) -> usize {
        let (namespace, name) = secret.split_once('/').unwrap();
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        let written = self.objects.written.lock().unwrap();
        written.iter().filter(|one| **one == path).count()
    }
}

async fn answer(State(objects): State<Arc<Objects>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (method, parts) = (request.method().clone(), path.trim_matches('/').split('/'));
    let parts: Vec<&str> = parts.collect();
    match (method, parts.as_slice()) {
        (Method::GET, _) if query.contains("watch=") => json_of(200, Body::from_stream(silence())),
        (Method::GET, ["api", "v1", "namespaces", namespace, "secrets", name]) => {
            objects.token(namespace, name)
        }
        (Method::PATCH, ["api", "v1", "namespaces", namespace, "secrets", name]) => {
            let mut written = objects.written.lock().unwrap();
            written.push(path.clone());
            let version = (written.len() + 1).to_string();
            let metadata = json!({
                "name": name, "namespace": namespace, "uid": *name, "resourceVersion": version,
            });
            text(
                200,
                &json!({
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                }),
            )
        }
        (Method::GET, [.., "secretproviderclasses"]) => listed(&objects.classes),
        (Method::GET, _) => listed(&[]),
        // Events.
        (Method::POST, _) => json_of(201, request.into_body()),
        _ => text(
            404,
            &json!({"kind": "Status", "status": "Failure", "code": 404}),
        ),
    }
}

impl Objects {
    fn token(&self, namespace: &str, name: &str) -> Response {
        let Some(token) = self.tokens.get(namespace) else {
            return text(
                404,
                &json!({"kind": "Status", "status": "Failure", "code": 404}),
            );
        };
        text(
            200,
            &json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"name": name, "namespace": namespace, "uid": namespace, "resourceVersion": "1"},
                "data": {"token": Base64::encode_string(token.as_bytes())},
            }),
        )
    }
}

fn listed(items: &[Value]) -> Response {
    text(
        200,
        &json!({
            "kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items,
        }),
    )
}

/// A watch on which nothing happens.
fn silence() -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::convert::Infallible>> {
    stream::pending()
}

fn text(status: u16, body: &Value) -> Response {
    json_of(status, Body::from(body.to_string()))
}

fn json_of(status: u16, body: Body) -> Response {
    let response = Response::builder().status(status);
    response
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}
