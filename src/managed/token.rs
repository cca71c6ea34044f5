//! The service token of a `PhaseSecret`, out of the Secret that it names, read anew again
//! and again: a token that was replaced needs no restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
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
#[derive(Clone, Debug, thiserror::Error)]
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

/// Reads tokens, each once for all who want it at a time.
#[derive(Default)]
pub struct Tokens(Mutex<HashMap<SecretName, Reading>>);

type Reading = Shared<BoxFuture<'static, Result<Read, TokenError>>>;

/// What a Secret held a moment ago.
#[derive(Clone)]
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
        let reading = {
            let mut all = lock(&self.0);
            // No others than those of a moment are kept, and no failure.
            all.retain(|_, reading| match reading.peek() {
                None => true,
                Some(Ok(read)) => read.at.elapsed() < FRESH,
                Some(Err(_)) => false,
            });
            let begun = || read(client.clone(), secret.clone()).boxed().shared();
            all.entry(secret.clone()).or_insert_with(begun).clone()
        };
        token(secret, &reading.await?)
    }

    /// What is told of a refusal. A token that was refused is read anew by whoever asks next.
    pub(super) fn trouble(&self, secret: &SecretName, refusal: &Refusal) -> Trouble {
        if refusal.cause == Cause::RefusedCredential {
            lock(&self.0).remove(secret);
        }
        Trouble::new(refusal.cause.into(), refusal)
    }
}

async fn read(client: kube::Client, secret: SecretName) -> Result<Read, TokenError> {
    let found = timeout(WITHIN, get(&client, &secret)).await;
    let mut data = found
        .map_err(|_| TokenError::Unanswered(secret.clone()))??
        .data;
    let entry = TOKEN_KEYS
        .iter()
        .find_map(|key| Some((*key, data.remove(*key)?)));
    let (key, text) = entry.ok_or_else(|| TokenError::NoKey(secret.clone()))?;
    let at = Instant::now();
    let read = Read { at, key, text };
    token(&secret, &read)?;
    Ok(read)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::future::join_all;
    use http::Response;
    use k8s_openapi::ByteString;
    use kube::Client;
    use serde_json::{Value, json};
    use tokio::time::{advance, sleep};
    use tower::service_fn;

    use super::*;

    /// The API server: what it answers, late, and how often it was asked.
    #[derive(Default)]
    struct Server {
        answer: Mutex<Value>,
        asked: AtomicU64,
    }

    impl Server {
        fn client(self: &Arc<Self>) -> Client {
            let server = Arc::clone(self);
            let service = service_fn(move |_: Request<Body>| {
                let server = Arc::clone(&server);
                async move {
                    server.asked.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_secs(1)).await;
                    let answer = lock(&server.answer).to_string();
                    Ok::<_, std::convert::Infallible>(Response::new(Body::from(
                        answer.into_bytes(),
                    )))
                }
            });
            Client::new(service, "team")
        }

        fn asked(&self) -> u64 {
            self.asked.load(Ordering::SeqCst)
        }
    }

    fn secret() -> SecretName {
        SecretName {
            namespace: "team".to_owned(),
            name: "token".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_a_token_at_one_time_asks_once() {
        let key = "ab".repeat(32);
        let text = format!("pss_service:v2:{key}:{key}:{key}:{key}");
        let server = Arc::new(Server::default());
        *lock(&server.answer) = json!({"data": {"token": ByteString(text.into_bytes())}});
        let (client, tokens, secret) = (server.client(), Tokens::default(), secret());
        let all = join_all((0..32).map(|_| tokens.read(&client, &secret))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(server.asked(), 1);
        advance(FRESH).await;
        assert!(tokens.read(&client, &secret).await.is_ok());
        assert_eq!(server.asked(), 2, "it is read anew");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_wrong_is_told_to_all_who_waited_and_forgotten() {
        let server = Arc::new(Server::default());
        *lock(&server.answer) = json!({"data": {"other": ""}});
        let (client, tokens, secret) = (server.client(), Tokens::default(), secret());
        for times in 1..=2 {
            let all = join_all((0..32).map(|_| tokens.read(&client, &secret))).await;
            let is_told = |one: &Result<_, _>| matches!(one, Err(TokenError::NoKey(_)));
            assert!(all.iter().all(is_told));
            assert_eq!(server.asked(), times);
        }
    }
}
