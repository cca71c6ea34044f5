//! From an HTTP response to the bytes of Phase's JSON, or to an error.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use reqwest::{Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::{ClientError, Endpoint, JsonFault, Target};
use crate::quota::Meter;

/// Enough for any error text of Phase.
const MAX_ERROR_BODY: usize = 4 << 10;

/// A longer name would not leave room for the rest of the line.
const MAX_SHOWN_TARGET: usize = 100;

/// Longest wait that is worth a number: beyond, it is "a day".
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What Phase says in the body of a refusal; recognised, never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The account may not read this environment.
    Access,
    /// The token is not valid, or not any more.
    Token,
    /// There is no such environment.
    Environment,
    /// A network access policy excludes the caller's address.
    NetworkPolicy,
    /// Phase's form, but a text that it was never seen to send.
    Other,
    /// The role may not read secrets.
    Permission,
    /// The body is not Phase's.
    Foreign,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

/// The bytes of the body of a successful answer, at most `limit`, each paid for by
/// `memory` before it is there.
pub(super) async fn body(
    mut response: Response,
    target: &Target,
    limit: usize,
    memory: Option<&Meter>,
) -> Result<Vec<u8>, ClientError> {
    if response.status() != StatusCode::OK {
        return Err(refused(response, target).await);
    }
    if !is_json(response.headers()) {
        return Err(ClientError::AnswerNotJson(target.clone()));
    }
    let too_large = || ClientError::AnswerTooLarge {
        target: target.clone(),
        limit,
    };
    let announced = response.content_length().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let mut body = Body {
        bytes: Vec::new(),
        target,
        memory,
    };
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.bytes.len() + chunk.len() > limit => return Err(too_large()),
            Ok(Some(chunk)) => body.extend(&chunk, announced, limit)?,
            Ok(None) => return Ok(body.finish()),
            Err(_) => return Err(ClientError::AnswerCut(target.clone())),
        }
    }
}

/// A body on its way.
struct Body<'a> {
    bytes: Vec<u8>,
    target: &'a Target,
    memory: Option<&'a Meter>,
}

impl Body<'_> {
    /// One chunk more. What is announced is taken once it begins to come, and else twice
    /// of what was there: who announces and sends nothing costs nothing.
    fn extend(&mut self, chunk: &[u8], announced: usize, limit: usize) -> Result<(), ClientError> {
        let needed = self.bytes.len() + chunk.len();
        let capacity = self.bytes.capacity();
        if needed > capacity {
            let grown = announced.max(capacity * 2).min(limit).max(needed);
            self.pay(grown - capacity)?;
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    fn pay(&self, bytes: usize) -> Result<(), ClientError> {
        let Some(memory) = self.memory else {
            return Ok(());
        };
        let paid = memory.take(bytes as u64);
        paid.map_err(|exceeded| ClientError::Exceeded {
            target: self.target.clone(),
            exceeded: Box::new(exceeded),
        })
    }

    fn finish(mut self) -> Vec<u8> {
        let spare = self.bytes.capacity() - self.bytes.len();
        self.bytes.shrink_to_fit();
        if let Some(memory) = self.memory {
            memory.give_back(spare as u64);
        }
        self.bytes
    }
}

/// The answer in the body; an error says where it is wrong, not what is there.
///
/// # Errors
/// [`ClientError::AnswerMalformed`].
pub fn parse<T: DeserializeOwned>(body: &[u8], target: &Target) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::AnswerMalformed {
        target: target.clone(),
        fault: match error.classify() {
            Category::Eof => JsonFault::Incomplete,
            Category::Data => JsonFault::Structure,
            Category::Syntax | Category::Io => JsonFault::Syntax,
        },
        line: error.line(),
        column: error.column(),
    })
}

async fn refused(response: Response, target: &Target) -> ClientError {
    let status = response.status();
    let number = status.as_u16();
    let target = target.clone();
    if status.is_redirection() {
        return ClientError::Redirected {
            target,
            to: redirect_target(response.headers()),
        };
    }
    if status.is_server_error() {
        let wait = retry_after(response.headers(), SystemTime::now());
        return ClientError::ServerFailed {
            target,
            status: number,
            wait,
        };
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let wait = retry_after(response.headers(), SystemTime::now());
        return ClientError::RateLimited { target, wait };
    }
    if !status.is_client_error() || status == StatusCode::NOT_FOUND {
        return ClientError::UnexpectedStatus {
            target,
            status: number,
        };
    }
    denied(status, refusal(response).await, target)
}

/// Only Phase's own words say what is refused. Its statuses do not: the tokens endpoint
/// answers 403 to a dead token, the secrets endpoint 401, as it does to an environment
/// that is unknown or without access; version 2.51 answers 403 to all of them.
fn denied(status: StatusCode, refusal: Refusal, target: Target) -> ClientError {
    let status = status.as_u16();
    if !matches!(status, 401 | 403) {
        return ClientError::UnexpectedStatus { target, status };
    }
    match (refusal, target.endpoint) {
        (Refusal::Foreign, _) => ClientError::NotPhase { target, status },
        (Refusal::Token, _) => ClientError::TokenRefused(target),
        (Refusal::Access, Endpoint::Secrets) => ClientError::NoAccess(target),
        (Refusal::Environment, Endpoint::Secrets) => ClientError::EnvironmentUnknown(target),
        (Refusal::NetworkPolicy, Endpoint::Secrets) => ClientError::NetworkPolicy(target),
        (Refusal::Permission, Endpoint::Secrets) => ClientError::PermissionMissing(target),
        _ => ClientError::RefusedUnclearly { target, status },
    }
}

async fn refusal(mut response: Response) -> Refusal {
    if !is_json(response.headers()) {
        return Refusal::Foreign;
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ERROR_BODY {
            return Refusal::Foreign;
        }
    }
    recognised(&body)
}

fn recognised(body: &[u8]) -> Refusal {
    let Ok(ErrorBody { error }) = serde_json::from_slice(body) else {
        return Refusal::Foreign;
    };
    let is = |text: &&(&str, Refusal)| error.eq_ignore_ascii_case(text.0);
    KNOWN
        .iter()
        .find(is)
        .map_or(Refusal::Other, |known| known.1)
}

/// What Phase was seen to refuse with, whole: a firewall's page may hold any part of it.
const KNOWN: [(&str, Refusal); 8] = [
    ("Token expired or deleted", Refusal::Token),
    ("Invalid token", Refusal::Token),
    ("Environment not found", Refusal::Environment),
    (
        "Service account cannot access this environment",
        Refusal::Access,
    ),
    (
        "Service token cannot access this environment",
        Refusal::Access,
    ),
    ("User cannot access this environment", Refusal::Access),
    (
        "You don't have permission to read secrets in this environment.",
        Refusal::Permission,
    ),
    (
        "Access denied: a network access policy restricts access from your IP address.",
        Refusal::NetworkPolicy,
    ),
];

fn is_json(headers: &HeaderMap) -> bool {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = text
        .and_then(|text| text.split(';').next())
        .unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// The scheme and name of an absolute `Location`; the rest may hold anything.
fn redirect_target(headers: &HeaderMap) -> Option<String> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let url = Url::parse(location).ok()?;
    let target = url.origin().ascii_serialization();
    (url.has_host() && target.len() <= MAX_SHOWN_TARGET).then_some(target)
}

/// How long to stay away: whole seconds, or the time until a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let date = |name| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            // The server's own clock, if it tells: ours may go wrong.
            let now = date(header::DATE).unwrap_or(now);
            date(header::RETRY_AFTER)?
                .duration_since(now)
                .unwrap_or_default()
        }
    };
    Some(wait.min(MAX_WAIT))
}
