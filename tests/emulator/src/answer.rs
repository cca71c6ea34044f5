//! Answers with the headers of the real server's views.

use crate::request::Form;
use crate::wire::camel_case;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::io;

/// The body of a response; an error in it cuts the connection.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// The page of an unknown path.
const NOT_FOUND: &str = "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Not Found</title>\n</head>\n<body>\n  \
    <h1>Not Found</h1><p>The requested resource was not found on this server.</p>\n</body>\n</html>\n";

/// An answer before it becomes bytes on a connection.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) content_type: &'static str,
    view: View,
    /// Written by a view itself, not by the framework that negotiates forms.
    plain: bool,
    challenge: bool,
    retry_after: Option<String>,
}

/// A view of the real server, as far as it shows in headers.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum View {
    Health,
    HealthById,
    Identity,
    NotFound,
    Public,
    Secrets,
    Tokens,
}

impl Answer {
    /// JSON text as it is.
    pub(crate) fn json(view: View, status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            body: body.into(),
            content_type: "application/json",
            view,
            plain: false,
            challenge: false,
            retry_after: None,
        }
    }

    /// `{"error": …}` from the framework.
    pub(crate) fn error(view: View, status: StatusCode, text: &str) -> Self {
        Self::json(view, status, json!({"error": text}).to_string())
    }

    /// `{"error": …}` from the view itself, which puts a space behind the colon.
    pub(crate) fn plain_error(view: View, status: StatusCode, text: &str) -> Self {
        Self::plain(
            view,
            status,
            format!("{{\"error\": {}}}", Value::from(text)),
        )
    }

    /// JSON from the view itself.
    pub(crate) fn plain(view: View, status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            plain: true,
            ..Self::json(view, status, body)
        }
    }

    /// 401 of the secrets endpoint.
    pub(crate) fn unauthorized(text: &str) -> Self {
        Self {
            challenge: true,
            ..Self::error(View::Secrets, StatusCode::UNAUTHORIZED, text)
        }
    }

    /// 429 with the seconds to wait.
    pub(crate) fn throttled(view: View, wait: u64) -> Self {
        let unit = if wait == 1 { "second" } else { "seconds" };
        let text = format!("Request was throttled. Expected available in {wait} {unit}.");
        Self {
            retry_after: Some(wait.to_string()),
            ..Self::error(view, StatusCode::TOO_MANY_REQUESTS, &text)
        }
    }

    /// The page of an unknown path.
    pub(crate) fn not_found() -> Self {
        let page = Self::plain(View::NotFound, StatusCode::NOT_FOUND, NOT_FOUND);
        Self {
            content_type: "text/html; charset=utf-8",
            ..page
        }
    }

    /// The answer in the negotiated form.
    pub(crate) fn formed(mut self, form: Form, camel: bool) -> Self {
        if camel
            && !self.plain
            && let Ok(value) = serde_json::from_slice(&self.body)
        {
            self.body = camel_case(value).to_string().into();
        }
        if form == Form::Html && !self.plain {
            self.body = page(&self.body).into();
            self.content_type = "text/html; charset=utf-8";
        }
        self
    }

    /// The response; the server sends health checks in chunks, everything else with its length.
    pub(crate) fn into_response(self) -> Response<Body> {
        let body = Full::new(self.body.clone()).map_err(|never| match never {});
        let chunked = self.view == View::Health;
        let body = if chunked {
            crate::body::in_chunks(self.body.clone())
        } else {
            body.boxed()
        };
        self.head(body)
    }

    /// The status and headers of the answer around `body`.
    pub(crate) fn head(&self, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type),
        );
        headers.insert(
            header::SERVER,
            HeaderValue::from_static(concat!("phase-emulator/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, value) in self.view.headers(self.content_type) {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let seconds = self
            .retry_after
            .as_deref()
            .and_then(|seconds| seconds.parse().ok());
        if let Some(seconds) = seconds {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl View {
    fn headers(self, content_type: &str) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![
            ("vary", self.vary(content_type)),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ];
        headers.extend(self.allow().map(|methods| ("allow", methods)));
        headers.extend((self != Self::Health).then_some(("x-frame-options", "DENY")));
        headers
    }

    fn allow(self) -> Option<&'static str> {
        match self {
            Self::Health | Self::HealthById | Self::Tokens => Some("GET, OPTIONS"),
            Self::Identity => Some("POST, OPTIONS"),
            Self::NotFound | Self::Public => None,
            Self::Secrets => Some("GET, POST, PUT, DELETE, HEAD, OPTIONS"),
        }
    }

    fn vary(self, content_type: &str) -> &'static str {
        match self {
            Self::Health => "Accept",
            Self::HealthById | Self::Identity | Self::Tokens => "Accept, origin, Cookie",
            Self::NotFound | Self::Public => "origin",
            Self::Secrets if content_type.starts_with("text/html") => "Accept, Cookie, origin",
            Self::Secrets => "Accept, origin",
        }
    }
}

/// A page around the JSON, where the real server shows its browsable API.
fn page(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json);
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!DOCTYPE html>\n<html>\n  <head><title>Phase</title></head>\n  <body><pre>{text}</pre></body>\n</html>\n"
    )
}
