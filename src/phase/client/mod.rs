//! The HTTP client: two questions to a console, each one request.
//!
//! Every question has a deadline, is asked again only where that can help,
//! reads a bounded answer, and fails in one clear line that repeats nothing
//! of what the server sent.

mod answer;
mod authorization;
mod ca;
mod dns;
mod error;
mod failure;
mod pool;
mod question;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

pub use answer::parse;
pub use authorization::{Authorization, UnusableBearer};
pub use ca::CaFileError;
pub use error::{CertificateFault, ClientError, Endpoint, JsonFault, Target};
pub use question::Asked;

use self::pool::{PoolError, Pools};
use self::question::Question;
use super::host::Host;
use super::retry::Retry;
use super::wire::{SecretRow, TokensAnswer};
use crate::deadline::Deadline;
use crate::quota::Meter;
use crate::telemetry::logs;
use crate::telemetry::metrics::{BackendFigures, Outcome};

/// Hosts share this many groups, each with its own limit of requests.
const GROUPS: usize = 64;

/// How the client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Further CA certificates, PEM; read again when the file changes.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to come about, TLS included.
    pub connect_timeout: Duration,
    /// Whether to believe any certificate.
    pub insecure_skip_tls_verify: bool,
    /// Addresses of the node, beside those that this process sees.
    pub node_addresses: Vec<IpAddr>,
    /// The most bytes that are read of one answer.
    pub max_body: usize,
    /// Where proxies are looked up.
    pub proxies: Proxies,
    /// How long one request may take from the first byte to the last.
    pub request_timeout: Duration,
    /// How many requests to one host are under way at once; others wait.
    pub requests_per_host: usize,
    /// How often and how soon a request is tried again.
    pub retry: Retry,
    /// Where requests are counted.
    pub figures: Arc<BackendFigures>,
}

/// Where proxies are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// In `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    Environment,
    /// Nowhere: every host is connected to directly.
    None,
}

/// Asks Phase consoles, over connections that are kept.
pub struct Client {
    pools: Pools,
    permits: Vec<Semaphore>,
    config: ClientConfig,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            insecure_skip_tls_verify: false,
            node_addresses: Vec::new(),
            // A row is about 700 bytes and its values 4/3 of their plaintext:
            // 17,000 short secrets, or twice the 4 MiB that a mount can hold.
            max_body: 12 << 20,
            proxies: Proxies::Environment,
            request_timeout: Duration::from_secs(30),
            requests_per_host: 8,
            retry: Retry::default(),
            figures: Arc::default(),
        }
    }
}

impl Client {
    /// A client that has read its CA file, but connected to nobody.
    ///
    /// # Errors
    /// The CA file cannot be read, or is not one.
    pub fn new(config: ClientConfig) -> Result<Self, CaFileError> {
        let permits = (0..GROUPS)
            .map(|_| Semaphore::new(config.requests_per_host))
            .collect();
        Ok(Self {
            pools: Pools::new(&config)?,
            permits,
            config,
        })
    }

    /// What the credential may see.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tokens(
        &self,
        host: &Host,
        auth: &Authorization,
        deadline: Deadline,
    ) -> Result<TokensAnswer, ClientError> {
        let question = Question::new(host, Endpoint::Tokens, auth);
        self.ask(question, deadline).await
    }

    /// The secrets of every folder of an environment, in no order.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn secrets(
        &self,
        host: &Host,
        auth: &Authorization,
        environment_id: &str,
        deadline: Deadline,
    ) -> Result<Vec<SecretRow>, ClientError> {
        let question = Question::of(&Asked {
            host,
            authorization: auth,
            environment: Some(environment_id),
            memory: None,
            is_probe: false,
        })?;
        self.ask(question, deadline).await
    }

    /// The body of one answer as Phase sent it: one request, tried once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn once(
        &self,
        asked: &Asked<'_>,
        attempt: u32,
        deadline: Deadline,
    ) -> Result<Bytes, ClientError> {
        let question = Question::of(asked)?;
        let body = self.attempt(&question, asked.memory, attempt, deadline);
        Ok(Bytes::from(body.await?))
    }

    async fn ask<T>(&self, question: Question, deadline: Deadline) -> Result<T, ClientError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let retry = self.config.retry;
        let attempt = |attempt| self.attempt(&question, None, attempt, deadline);
        let body = retry.run(deadline, ClientError::advice, attempt).await?;
        parsed(body.into(), question.target).await
    }

    async fn attempt(
        &self,
        question: &Question,
        memory: Option<&Meter>,
        attempt: u32,
        deadline: Deadline,
    ) -> Result<Vec<u8>, ClientError> {
        let begun = Instant::now();
        let outcome = self.send(question, memory, deadline).await;
        let took = begun.elapsed();
        let counted = outcome
            .as_ref()
            .err()
            .map_or(Outcome::OK, |error| error.cause().into());
        self.config
            .figures
            .asked(question.target.endpoint, counted, took);
        debug!(
            asked = %question.target,
            attempt,
            milliseconds = logs::millis(took),
            bytes = outcome.as_ref().map_or(0, Vec::len),
            error = outcome.as_ref().err().map(tracing::field::display),
            "asked Phase"
        );
        outcome
    }

    async fn send(
        &self,
        question: &Question,
        memory: Option<&Meter>,
        deadline: Deadline,
    ) -> Result<Vec<u8>, ClientError> {
        let target = &question.target;
        let ready = timeout_at(deadline.instant(), self.ready(target)).await;
        let (_permit, pool) = ready.map_err(|_| ClientError::Deadline(target.clone()))??;

        let limit = self.config.request_timeout;
        let until = deadline.instant().min(Instant::now() + limit);
        // Whichever ends first is to blame.
        let late = |limited: ClientError| match until == deadline.instant() {
            true => ClientError::Deadline(target.clone()),
            false => limited,
        };

        let url = target.to_string();
        let request = pool.get(&url).headers(question.headers.clone()).send();
        let response = timeout_at(until, request)
            .await
            .map_err(|_| {
                late(ClientError::ResponseTimeout {
                    target: target.clone(),
                    limit,
                })
            })?
            .map_err(|error| failure::of_request(&error, target, self.pools.is_proxied(&url)))?;

        let body = answer::body(response, target, self.config.max_body, memory);
        timeout_at(until, body).await.map_err(|_| {
            late(ClientError::AnswerSlow {
                target: target.clone(),
                limit,
            })
        })?
    }

    /// A place among the host's requests, and the connections to it.
    async fn ready(
        &self,
        target: &Target,
    ) -> Result<(SemaphorePermit<'_>, reqwest::Client), ClientError> {
        let group = &self.permits[target.host.group(GROUPS)];
        let permit = group.acquire().await.expect("nobody closes the semaphores");
        let pool = self.pools.of(&target.host).await;
        Ok((permit, pool.map_err(|error| no_pool(&error, target))?))
    }
}

/// The answer in a body that Phase sent for `target`.
///
/// # Errors
/// [`ClientError::AnswerMalformed`].
pub async fn parsed<T>(body: Bytes, target: Target) -> Result<T, ClientError>
where
    T: DeserializeOwned + Send + 'static,
{
    if body.len() <= PARSED_AT_ONCE {
        return parse(&body, &target);
    }
    // An environment of a thousand secrets takes milliseconds to parse.
    let parsed = spawn_blocking(move || parse(&body, &target)).await;
    parsed.expect("parsing does not panic, and the runtime outlives its requests")
}

/// Below this size parsing takes less than a switch of threads.
const PARSED_AT_ONCE: usize = 16 << 10;

fn no_pool(error: &PoolError, target: &Target) -> ClientError {
    match error {
        PoolError::Local => ClientError::HostIsLocal(target.clone()),
        PoolError::NoTrust => ClientError::NoTrust(target.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const fn may_move_between_threads<T: Send>(_: &T) {}

    #[test]
    fn questions_may_be_asked_from_any_task() {
        let ask = |client: &Client, host: &Host, auth: &Authorization, deadline| {
            may_move_between_threads(&client.tokens(host, auth, deadline));
            may_move_between_threads(&client.secrets(host, auth, "id", deadline));
        };
        let _: &dyn Fn(&Client, &Host, &Authorization, Deadline) = &ask;
    }

    #[tokio::test]
    async fn a_name_that_only_the_star_allows_may_not_lead_to_the_node() {
        let config = ClientConfig {
            proxies: Proxies::None,
            ..ClientConfig::default()
        };
        let client = Client::new(config).unwrap();
        let auth = Authorization::new("User", &"00".into()).unwrap();
        let host: Host = "https://localhost:1".parse().unwrap();
        let asked = client.tokens(&host.screened(), &auth, deadline()).await;
        assert_eq!(
            asked.unwrap_err().to_string(),
            "name of https://localhost:1/service/secrets/tokens/ leads to an address of the node \
             or of its cloud: ask the cluster admin to add the host with --allowed-host"
        );
        // The same name written out by the operator is asked, and nobody listens there.
        let asked = client.tokens(&host, &auth, deadline()).await;
        assert!(
            matches!(asked, Err(ClientError::ConnectionRefused(_))),
            "{asked:?}"
        );
    }

    fn deadline() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }
}
