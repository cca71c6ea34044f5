//! What one request asks for, and the headers that say so.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::authorization::Authorization;
use super::error::{ClientError, Endpoint, Target};
use crate::phase::host::Host;
use crate::quota::Meter;
use crate::telemetry::request_id::RequestId;

/// What one request asks for: the tokens answer, or an environment's rows.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The console.
    pub host: &'a Host,
    /// Who asks.
    pub authorization: &'a Authorization,
    /// Which environment's rows, by id; nothing for the tokens answer.
    pub environment: Option<&'a str>,
    /// What pays for the answer's body while it comes, if it is to be counted.
    pub memory: Option<&'a Meter>,
    /// Only whether the environment's rows may be read: none of them comes, and Phase
    /// writes nothing into its audit log.
    pub is_probe: bool,
}

/// One question: everything but who asks and until when.
pub(super) struct Question {
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
}

impl Asked<'_> {
    /// The console and endpoint that are asked.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            host: self.host.clone(),
            endpoint: match self.environment {
                None => Endpoint::Tokens,
                Some(_) => Endpoint::Secrets,
            },
        }
    }
}

impl Question {
    pub(super) fn of(asked: &Asked<'_>) -> Result<Self, ClientError> {
        let Target { host, endpoint } = asked.target();
        let mut question = Self::new(&host, endpoint, asked.authorization);
        if let Some(id) = asked.environment {
            let Some(environment) = environment_header(id) else {
                return Err(ClientError::UnusableEnvironmentId(question.target));
            };
            let name = HeaderName::from_static("environment");
            question.headers.insert(name, environment);
        }
        if asked.environment.is_some() && !asked.is_probe {
            // Dynamic secrets come with their keys' names, and no lease is made.
            let name = HeaderName::from_static("dynamic");
            question
                .headers
                .insert(name, HeaderValue::from_static("true"));
        }
        if asked.is_probe {
            let name = HeaderName::from_static("keydigest");
            let nothing = HeaderValue::from_static(DIGEST_OF_NOTHING);
            question.headers.insert(name, nothing);
        }
        Ok(question)
    }

    pub(super) fn new(host: &Host, endpoint: Endpoint, auth: &Authorization) -> Self {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, auth.header());
        // Whoever keeps Phase's front end finds the call in our log by it.
        let id = RequestId::current().map(|id| HeaderValue::try_from(id.to_string()));
        if let Some(Ok(id)) = id {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        Self {
            target: Target {
                host: host.clone(),
                endpoint,
            },
            headers,
        }
    }
}

/// The digest of no key: Phase answers with an empty list whom it lets read.
const DIGEST_OF_NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The id as a header; the server sent it, so it may be anything.
fn environment_header(id: &str) -> Option<HeaderValue> {
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_id.then(|| HeaderValue::from_str(id).ok())?
}
