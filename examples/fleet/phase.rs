//! Phase with its limits, asked by calls: one server for all nodes, behind one address.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Sub;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::phase::client::{Asked, ClientError, Endpoint};
use phase_csi_provider::snapshot::Upstream;
use phase_emulator::{Seed, Unplugged};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::Result;

/// One way between a node and Phase, there and back.
const NETWORK: Duration = Duration::from_millis(20);
/// What a real server took for the tokens answer.
const TOKENS: Duration = Duration::from_millis(19);
/// What a real server took for the rows of an environment.
const SECRETS: Duration = Duration::from_millis(31);
/// Over which time Phase counts.
const MINUTE: Duration = Duration::from_secs(60);

/// Requests a minute: those for tokens by address, those for secrets by account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) tokens: Option<usize>,
    pub(crate) secrets: Option<usize>,
}

/// Requests of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
}

/// Requests of both endpoints.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) tokens: Count,
    pub(crate) secrets: Count,
}

/// The one Phase of a fleet; clones are the same.
#[derive(Clone)]
pub(crate) struct Phase(Arc<Server>);

struct Server {
    unplugged: Unplugged,
    state: Mutex<State>,
}

/// What changes with every request.
#[derive(Default)]
struct State {
    tokens: Window,
    secrets: Window,
    /// By environment; nothing is encrypted anew until something changes.
    bodies: HashMap<Option<String>, Bytes>,
}

/// One limit, as the server counts it: a sliding window, without what it refused.
#[derive(Default)]
struct Window {
    limit: Option<usize>,
    accepted: VecDeque<Instant>,
    count: Count,
}

impl Phase {
    /// One app with one environment and one account; no limit yet.
    pub(crate) fn new() -> Result<Self> {
        let seed = json!({
            "apps": [{"name": "shop", "environments": [{"name": "production", "secrets": [
                {"key": "NUMBER", "value": "0"},
                {"key": "OTHER", "value": "never changes"},
            ]}]}],
            "accounts": [{"name": "fleet", "tokens": [{"name": "fleet"}]}],
        });
        let unplugged = Unplugged::new(Seed::from_yaml(&seed.to_string())?)?;
        let state = Mutex::default();
        Ok(Self(Arc::new(Server { unplugged, state })))
    }

    /// The token that every node has.
    pub(crate) fn token(&self) -> Result<String> {
        let token = self.0.unplugged.control().token("fleet");
        Ok(token.ok_or("the seed has a token")?)
    }

    /// From now on these limits hold; what was asked before does not count.
    pub(crate) fn limit(&self, limits: Limits) {
        let mut state = self.state();
        state.tokens.restart(limits.tokens);
        state.secrets.restart(limits.secrets);
    }

    /// Somebody changes the secret that every class mounts.
    pub(crate) fn change(&self, number: usize) -> Result<()> {
        let control = self.0.unplugged.control();
        control.put_secret("shop", "production", "/", "NUMBER", &number.to_string())?;
        self.state().bodies.clear();
        Ok(())
    }

    /// All requests so far.
    pub(crate) fn counts(&self) -> Counts {
        let state = self.state();
        Counts {
            tokens: state.tokens.count,
            secrets: state.secrets.count,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer as the server would send it now.
    fn body(&self, asked: &Asked<'_>) -> Bytes {
        if asked.is_probe {
            return Bytes::from_static(b"[]");
        }
        let key = asked.environment.map(str::to_owned);
        if let Some(body) = self.state().bodies.get(&key) {
            return body.clone();
        }
        let header = asked.authorization.header();
        let authorization = header.to_str().expect("a header that was made of a text");
        let said = self
            .0
            .unplugged
            .ask(authorization, asked.environment, false);
        assert_eq!(said.status, 200, "nothing is refused but by the limits");
        self.state().bodies.insert(key, said.body.clone());
        said.body
    }
}

impl Upstream for Phase {
    async fn once(
        &self,
        asked: &Asked<'_>,
        _: u32,
        _: Deadline,
    ) -> std::result::Result<Bytes, ClientError> {
        sleep(NETWORK / 2).await;
        let target = asked.target();
        let (admitted, takes) = {
            let mut state = self.state();
            let now = Instant::now();
            match target.endpoint {
                Endpoint::Tokens => (state.tokens.admit(now), TOKENS),
                Endpoint::Secrets => (state.secrets.admit(now), SECRETS),
            }
        };
        if let Err(wait) = admitted {
            sleep(NETWORK / 2).await;
            let wait = Some(wait);
            return Err(ClientError::RateLimited { target, wait });
        }
        // Read when the question arrives, told when the answer does.
        let body = self.body(asked);
        sleep(takes + NETWORK / 2).await;
        Ok(body)
    }
}

impl Window {
    fn restart(&mut self, limit: Option<usize>) {
        self.limit = limit;
        self.accepted.clear();
    }

    /// Counts a request, or says for how long to stay away: in whole seconds, until
    /// the oldest one leaves the window.
    fn admit(&mut self, now: Instant) -> std::result::Result<(), Duration> {
        let Some(limit) = self.limit else {
            self.count.accepted += 1;
            return Ok(());
        };
        let is_over = |at: &Instant| now - *at >= MINUTE;
        while self.accepted.front().is_some_and(is_over) {
            self.accepted.pop_front();
        }
        if let Some(oldest) = self
            .accepted
            .front()
            .filter(|_| self.accepted.len() >= limit)
        {
            self.count.refused += 1;
            let left = MINUTE - (now - *oldest);
            return Err(Duration::from_secs(left.as_secs_f64().ceil() as u64));
        }
        self.accepted.push_back(now);
        self.count.accepted += 1;
        Ok(())
    }
}

impl Count {
    pub(crate) const fn all(self) -> usize {
        self.accepted + self.refused
    }

    /// The larger of both, accepted and refused apart.
    fn max(self, other: Self) -> Self {
        Self {
            accepted: self.accepted.max(other.accepted),
            refused: self.refused.max(other.refused),
        }
    }
}

impl Counts {
    /// The larger of both.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.max(other.tokens),
            secrets: self.secrets.max(other.secrets),
        }
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            accepted: self.accepted - before.accepted,
            refused: self.refused - before.refused,
        }
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            tokens: self.tokens - before.tokens,
            secrets: self.secrets - before.secrets,
        }
    }
}

impl FromStr for Limits {
    type Err = String;

    /// `none`, `120` for both endpoints, or `120/240` for tokens and secrets.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let one = |text: &str| match text {
            "none" => Ok(None),
            number => match number.parse() {
                Ok(limit) if limit > 0 => Ok(Some(limit)),
                _ => Err(format!(
                    "{number:?} is neither a number of requests nor none"
                )),
            },
        };
        let (tokens, secrets) = text.split_once('/').unwrap_or((text, text));
        Ok(Self {
            tokens: one(tokens)?,
            secrets: one(secrets)?,
        })
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |limit: Option<usize>| limit.map_or_else(|| "none".to_owned(), |n| n.to_string());
        let text = match self.tokens == self.secrets {
            true => one(self.tokens),
            false => format!("{}/{}", one(self.tokens), one(self.secrets)),
        };
        f.pad(&text)
    }
}
