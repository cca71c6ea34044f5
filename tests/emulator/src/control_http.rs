//! The control endpoint: [`Control`] over HTTP with JSON, on loopback.

use crate::control::{Control, ControlError};
use crate::fault::Fault;
use crate::organisation::SecretChange;
use crate::seed::{Lifecycle, Override, SecretType};
use crate::throttle::Rate;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Body of `PUT /secret`: the secret, and the fields of a [`SecretChange`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutSecret {
    app: String,
    environment: String,
    #[serde(default)]
    path: String,
    key: String,
    value: Option<String>,
    comment: Option<String>,
    tags: Option<Vec<String>>,
    #[serde(rename = "type")]
    kind: Option<SecretType>,
    lifecycle: Option<Lifecycle>,
    move_to: Option<String>,
    #[serde(default)]
    rotation: bool,
}

/// Body of `PUT /override`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetOverride {
    app: String,
    environment: String,
    #[serde(default)]
    path: String,
    key: String,
    user: String,
    r#override: Option<Override>,
}

/// Body of `DELETE /secret`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteSecret {
    app: String,
    environment: String,
    #[serde(default)]
    path: String,
    key: String,
}

/// Body of `PUT /access`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetAccess {
    account: String,
    app: String,
    environment: String,
    may_read: bool,
}

/// Body of `PUT /role`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRole {
    account: String,
    may_read_secrets: bool,
}

/// Body of `PUT /excluded`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetExcluded {
    account: String,
    excluded: bool,
}

/// Body of `PUT /latency`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLatency {
    ms: u64,
}

/// Body of `PUT /rate-limit`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRate {
    rate: Option<Rate>,
}

/// An answer of the control endpoint that is no success.
enum Refusal {
    Control(ControlError),
    Form(JsonRejection),
    Missing(&'static str),
}

/// The routes of the control endpoint.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/access", put(set_access))
        .route("/ca.pem", get(ca_pem))
        .route("/counters", get(counters).delete(reset_counters))
        .route("/excluded", put(set_excluded))
        .route("/fault", post(set_fault))
        .route("/faults", delete(clear_faults))
        .route("/latency", put(set_latency))
        .route("/override", put(set_override))
        .route("/rate-limit", put(set_rate))
        .route("/role", put(set_role))
        .route("/secret", put(put_secret).delete(delete_secret))
        .route("/tokens", get(tokens))
        .route("/tokens/{name}/revoke", post(revoke))
        .with_state(control)
}

async fn put_secret(
    State(control): State<Control>,
    body: Result<Json<PutSecret>, JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(body) = body?;
    let change = SecretChange {
        value: body.value,
        comment: body.comment,
        tags: body.tags,
        kind: body.kind,
        lifecycle: body.lifecycle,
        move_to: body.move_to,
        rotation: body.rotation,
    };
    let version = blocking(move || {
        control.change_secret(&body.app, &body.environment, &body.path, &body.key, change)
    })
    .await?;
    Ok(Json(json!({"version": version})))
}

async fn set_override(
    State(control): State<Control>,
    body: Result<Json<SetOverride>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    let Json(SetOverride {
        app,
        environment,
        path,
        key,
        user,
        r#override,
    }) = body?;
    blocking(move || control.set_override(&app, &environment, &path, &key, &user, r#override))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_secret(
    State(control): State<Control>,
    body: Result<Json<DeleteSecret>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    let Json(body) = body?;
    blocking(move || control.delete_secret(&body.app, &body.environment, &body.path, &body.key))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_access(
    State(control): State<Control>,
    body: Result<Json<SetAccess>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    let Json(body) = body?;
    blocking(move || {
        control.set_access(&body.account, &body.app, &body.environment, body.may_read)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_role(
    State(control): State<Control>,
    body: Result<Json<SetRole>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    let Json(body) = body?;
    blocking(move || control.set_role(&body.account, body.may_read_secrets)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_excluded(
    State(control): State<Control>,
    body: Result<Json<SetExcluded>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    let Json(body) = body?;
    blocking(move || control.set_excluded(&body.account, body.excluded)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    blocking(move || control.revoke_token(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tokens(State(control): State<Control>) -> Json<Value> {
    Json(
        control
            .tokens()
            .into_iter()
            .map(|(name, token)| (name, Value::from(token)))
            .collect(),
    )
}

async fn set_fault(
    State(control): State<Control>,
    body: Result<Json<Fault>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    control.set_fault(body?.0);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear_faults();
    StatusCode::NO_CONTENT
}

async fn set_latency(
    State(control): State<Control>,
    body: Result<Json<SetLatency>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    control.set_latency(Duration::from_millis(body?.ms));
    Ok(StatusCode::NO_CONTENT)
}

async fn set_rate(
    State(control): State<Control>,
    body: Result<Json<SetRate>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    control.set_rate_limit(body?.rate);
    Ok(StatusCode::NO_CONTENT)
}

async fn counters(State(control): State<Control>) -> Response {
    Json(control.requests()).into_response()
}

async fn reset_counters(State(control): State<Control>) -> StatusCode {
    control.reset_counters();
    StatusCode::NO_CONTENT
}

async fn ca_pem(State(control): State<Control>) -> Result<String, Refusal> {
    control.ca_pem().map(str::to_owned).ok_or(Refusal::Missing(
        "certificate not found: the emulator runs without tls",
    ))
}

/// Changes write the seed's file, which must not hold up the server.
async fn blocking<T: Send + 'static>(
    change: impl FnOnce() -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(change)
        .await
        .expect("a change does not panic")
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        Self::Control(error)
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::Form(rejection)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Control(error @ ControlError::File(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
            Self::Control(error @ ControlError::Lookup(_)) => {
                (StatusCode::NOT_FOUND, error.to_string())
            }
            Self::Form(rejection) => (rejection.status(), rejection.body_text()),
            Self::Missing(text) => (StatusCode::NOT_FOUND, text.to_owned()),
        };
        (status, Json(json!({"error": text}))).into_response()
    }
}
