//! From an HTTP response to the bytes of Phase's JSON, or to an error.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use reqwest::{Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::{ClientError, Endpoint, JsonFault, Target};

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
    /// There is no such environment.
    Environment,
    /// A network access policy excludes the caller's address.
    NetworkPolicy,
    /// Phase's form, another text.
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

/// The bytes of the body of a successful answer, at most `limit`.
pub(super) async fn body(
    mut response: Response,
    target: &Target,
    limit: usize,
) -> Result<Vec<u8>, ClientError> {
    if response.status() != StatusCode::OK {
        return Err(refused(response, target).await);
    }
    if !is_json(response.headers()) {
        return Err(ClientError::AnswerNotJson(target.clone()));
    }
    let announced = response.content_length().unwrap_or(0);
    let too_large = || ClientError::AnswerTooLarge {
        target: target.clone(),
        limit,
    };
    if announced > limit as u64 {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Err(too_large()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(_) => return Err(ClientError::AnswerCut(target.clone())),
        }
    }
}

/// The answer in the body; an error says where it is wrong, not what is there.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8], target: &Target) -> Result<T, ClientError> {
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

/// 401 and 403 mean different things at the two endpoints: the tokens endpoint
/// answers 403 to a dead token, the secrets endpoint 401 to a dead token, an
/// unknown environment and one without access.
fn denied(status: StatusCode, refusal: Refusal, target: Target) -> ClientError {
    let status = status.as_u16();
    match (target.endpoint, status, refusal) {
        (_, 401 | 403, Refusal::Foreign) => ClientError::NotPhase { target, status },
        (Endpoint::Tokens, 401 | 403, _) => ClientError::TokenRefused(target),
        (Endpoint::Secrets, 401 | 403, Refusal::Access) => ClientError::NoAccess(target),
        (Endpoint::Secrets, 401, Refusal::Environment) => ClientError::EnvironmentUnknown(target),
        (Endpoint::Secrets, 401, _) => ClientError::TokenRefused(target),
        (Endpoint::Secrets, 403, Refusal::NetworkPolicy) => ClientError::NetworkPolicy(target),
        (Endpoint::Secrets, 403, Refusal::Permission) => ClientError::PermissionMissing(target),
        (Endpoint::Secrets, 403, _) => ClientError::Forbidden(target),
        _ => ClientError::UnexpectedStatus { target, status },
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
    let error = error.to_ascii_lowercase();
    let known = [
        ("network access policy", Refusal::NetworkPolicy),
        ("cannot access this environment", Refusal::Access),
        ("environment not found", Refusal::Environment),
        ("permission to read", Refusal::Permission),
    ];
    let of_text = known.into_iter().find(|(text, _)| error.contains(text));
    of_text.map_or(Refusal::Other, |(_, refusal)| refusal)
}

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
