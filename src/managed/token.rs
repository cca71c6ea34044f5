//! The service token of a `PhaseSecret`, out of the Secret that it names, read anew again
//! and again: a token that was replaced needs no restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use http::Request;
use kube::client::Body;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::apply::WITHIN;
use super::plan::SecretName;
use super::status::{Reason, Trouble};
use crate::cause::Cause;
use crate::credential::TOKEN_KEYS;
use crate::phase::token::Token;
use crate::render::encoding::Encoding;
use crate::snapshot::{Refusal, lock};

/// Many resources share a token: for so long it is not read for each of them.
const FRESH: Duration = Duration::from_secs(5);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No such Secret.
    #[error("Secret {0} does not exist: create it with the service token under the key token")]
    NoSecret(SecretName),
    /// No right to read it.
    #[error(
        "the controller may not read Secret {0}: give its ServiceAccount a Role with get on it"
    )]
    Forbidden(SecretName),
    /// No such key.
    #[error("Secret {0} has no key token: put the service token there")]
    NoKey(SecretName),
    /// Not a token.
    #[error("{problem} (key {key} of Secret {secret})")]
    Malformed {
        /// The Secret.
        secret: SecretName,
        /// The key.
        key: &'static str,
        /// Why.
        problem: String,
    },
    /// No answer.
    #[error("the API server did not answer while Secret {0} was read: it is tried again")]
    Unanswered(SecretName),
}

impl From<TokenError> for Trouble {
    fn from(error: TokenError) -> Self {
        let reason = match &error {
            TokenError::NoSecret(_) | TokenError::Forbidden(_) | TokenError::NoKey(_) => {
                Reason::TokenMissing
            }
            TokenError::Malformed { .. } => Reason::TokenInvalid,
            TokenError::Unanswered(_) => Reason::ApiUnavailable,
        };
        Self::new(reason, error)
    }
}

#[derive(Deserialize)]
struct Secret {
    #[serde(default)]
    data: BTreeMap<String, SecretString>,
}

/// Reads tokens.
#[derive(Default)]
pub struct Tokens(Mutex<HashMap<SecretName, Read>>);

/// What a Secret held a moment ago.
struct Read {
    at: Instant,
    key: &'static str,
    text: SecretString,
}

impl Tokens {
    /// The token of a Secret, as it is or was a moment ago.
    ///
    /// # Errors
    /// [`TokenError`], which shows nothing of the token.
    pub async fn read(
        &self,
        client: &kube::Client,
        secret: &SecretName,
    ) -> Result<Token, TokenError> {
        if let Some(read) = self.fresh(secret) {
            return token(secret, &read);
        }
        let found = timeout(WITHIN, get(client, secret));
        let found = found
            .await
            .unwrap_or_else(|_| Err(TokenError::Unanswered(secret.clone())))?;
        let mut data = found.data;
        let entry = TOKEN_KEYS
            .iter()
            .find_map(|key| Some((*key, data.remove(*key)?)));
        let (key, text) = entry.ok_or_else(|| TokenError::NoKey(secret.clone()))?;
        let at = Instant::now();
        let read = Read { at, key, text };
        let token = token(secret, &read)?;
        lock(&self.0).insert(secret.clone(), read);
        Ok(token)
    }

    /// What is told of a refusal. A token that was refused is read anew by whoever asks next.
    pub(super) fn trouble(&self, secret: &SecretName, refusal: &Refusal) -> Trouble {
        if refusal.cause == Cause::RefusedCredential {
            lock(&self.0).remove(secret);
        }
        Trouble::new(refusal.cause.into(), refusal)
    }

    /// No others than those of a moment are kept.
    fn fresh(&self, secret: &SecretName) -> Option<Read> {
        let mut all = lock(&self.0);
        all.retain(|_, read| read.at.elapsed() < FRESH);
        let Read { at, key, text } = all.get(secret)?;
        Some(Read {
            at: *at,
            key,
            text: text.clone(),
        })
    }
}

fn token(secret: &SecretName, read: &Read) -> Result<Token, TokenError> {
    let malformed = |problem: String| TokenError::Malformed {
        secret: secret.clone(),
        key: read.key,
        problem,
    };
    let text = read.text.expose_secret();
    let bytes = Encoding::Base64.decode(text);
    let bytes = bytes.map_err(|_| malformed("not base64".to_owned()))?;
    let text = std::str::from_utf8(bytes.expose_secret());
    let text = text.map_err(|_| malformed("not text".to_owned()))?;
    let text = SecretString::from(text);
    Token::parse(&text).map_err(|error| malformed(error.to_string()))
}

async fn get(client: &kube::Client, secret: &SecretName) -> Result<Secret, TokenError> {
    let SecretName { namespace, name } = secret;
    let uri = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    let unanswered = || TokenError::Unanswered(secret.clone());
    let request = Request::get(uri).body(Body::empty());
    let answer = client.send(request.map_err(|_| unanswered())?).await;
    let answer = answer.map_err(|_| unanswered())?;
    match answer.status().as_u16() {
        200 => {}
        403 => return Err(TokenError::Forbidden(secret.clone())),
        404 => return Err(TokenError::NoSecret(secret.clone())),
        _ => return Err(unanswered()),
    }
    let text = answer
        .into_body()
        .collect_bytes()
        .await
        .map_err(|_| unanswered())?;
    serde_json::from_slice(&text).map_err(|_| unanswered())
}
