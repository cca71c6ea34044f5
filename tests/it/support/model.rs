//! A Phase that is asked by calls on a clock of its own, with weather.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::phase::client::{Asked, ClientError, Endpoint, Target};
use phase_csi_provider::snapshot::Upstream;
use phase_emulator::{Said, Seed, Unplugged};
use tokio::time::{Instant, sleep};

/// How long the client waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What the way to Phase, and Phase, are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything works.
    Fine,
    /// Nobody listens.
    Down,
    /// The name has no address.
    NoName,
    /// The certificate is not believed.
    Certificate,
    /// No answer comes until the client gives up.
    Hangs,
    /// Every answer takes so long.
    Slow(Duration),
    /// A web page in place of JSON.
    Garbage,
    /// A firewall's page, with status 403.
    Firewall,
    /// A firewall's refusal in Phase's form, with status 403.
    FirewallInJson,
    /// Everything is sealed for someone else.
    WrongKey,
    /// A tokens answer whose key share opens with nobody's token.
    WrongShare,
    /// An error status of the server.
    Failing,
    /// 429, with or without a time to stay away.
    Throttled(Option<Duration>),
}

/// What concerns which endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Sky {
    pub tokens: Weather,
    pub secrets: Weather,
}

/// A Phase that is asked by calls; clones are the same.
#[derive(Clone)]
pub struct Model {
    pub phase: Unplugged,
    sky: Arc<Mutex<Sky>>,
    /// Who answers in Phase's place.
    forger: Arc<Mutex<Option<Unplugged>>>,
    log: Arc<Mutex<Vec<(Instant, Endpoint)>>>,
    probes: Arc<Mutex<Vec<(Instant, String)>>>,
    latency: Duration,
}

impl Model {
    pub fn new(seed: Seed, latency: Duration) -> Self {
        let fine = Sky {
            tokens: Weather::Fine,
            secrets: Weather::Fine,
        };
        Self {
            phase: Unplugged::new(seed).unwrap(),
            sky: Arc::new(Mutex::new(fine)),
            forger: Arc::default(),
            log: Arc::default(),
            probes: Arc::default(),
            latency,
        }
    }

    /// Who answers in Phase's place from now on.
    pub fn answered_by(&self, forger: Option<Unplugged>) {
        *self.forger.lock().unwrap() = forger;
    }

    /// The weather of both endpoints from now on.
    pub fn weather(&self, weather: Weather) {
        *self.sky.lock().unwrap() = Sky {
            tokens: weather,
            secrets: weather,
        };
    }

    pub fn weather_of_secrets(&self, weather: Weather) {
        self.sky.lock().unwrap().secrets = weather;
    }

    pub fn weather_of_tokens(&self, weather: Weather) {
        self.sky.lock().unwrap().tokens = weather;
    }

    /// When it was only asked whether an environment may be read, and which.
    pub fn probes(&self) -> Vec<(Instant, String)> {
        self.probes.lock().unwrap().clone()
    }

    /// Requests so far that bring something: tokens and secrets.
    pub fn requests(&self) -> (usize, usize) {
        let log = self.log.lock().unwrap();
        let tokens = log
            .iter()
            .filter(|(_, one)| *one == Endpoint::Tokens)
            .count();
        (tokens, log.len() - tokens)
    }

    /// When requests were made, since some instant.
    pub fn instants(&self, since: Instant, endpoint: Endpoint) -> Vec<Duration> {
        let log = self.log.lock().unwrap();
        let later = log
            .iter()
            .filter(|(at, one)| *at >= since && *one == endpoint);
        later.map(|(at, _)| *at - since).collect()
    }

    pub fn forget_requests(&self) {
        self.log.lock().unwrap().clear();
    }
}

impl Upstream for Model {
    async fn once(
        &self,
        asked: &Asked<'_>,
        _: u32,
        deadline: Deadline,
    ) -> Result<Bytes, ClientError> {
        let target = asked.target();
        match asked.environment.filter(|_| asked.is_probe) {
            Some(environment) => {
                let probe = (Instant::now(), environment.to_owned());
                self.probes.lock().unwrap().push(probe);
            }
            None => {
                let request = (Instant::now(), target.endpoint);
                self.log.lock().unwrap().push(request);
            }
        }
        let weather = {
            let sky = self.sky.lock().unwrap();
            match target.endpoint {
                Endpoint::Tokens => sky.tokens,
                Endpoint::Secrets => sky.secrets,
            }
        };
        let takes = match weather {
            Weather::Slow(takes) => takes,
            Weather::Hangs => Duration::MAX,
            _ => self.latency,
        };
        if takes >= deadline.left().min(REQUEST_TIMEOUT) {
            let limit = REQUEST_TIMEOUT;
            sleep(deadline.left().min(limit)).await;
            return Err(match deadline.left().is_zero() {
                true => ClientError::Deadline(target),
                false => ClientError::ResponseTimeout { target, limit },
            });
        }
        // Asked when the question arrives, told when the answer does.
        sleep(takes / 2).await;
        let header = asked.authorization.header();
        let authorization = header.to_str().unwrap();
        let stranger = weather == Weather::WrongKey;
        let forger = self.forger.lock().unwrap().clone();
        let phase = forger.as_ref().unwrap_or(&self.phase);
        let said = match asked.environment.filter(|_| asked.is_probe) {
            Some(environment) => phase.probe(authorization, environment),
            None => phase.ask(authorization, asked.environment, stranger),
        };
        sleep(takes - takes / 2).await;
        match weather {
            Weather::Down => Err(ClientError::ConnectionRefused(target)),
            Weather::NoName => Err(ClientError::DnsFailed(target)),
            Weather::Certificate => Err(ClientError::Certificate {
                target,
                fault: phase_csi_provider::phase::client::CertificateFault::Expired,
            }),
            Weather::Garbage => Err(ClientError::AnswerNotJson(target)),
            Weather::Firewall => Err(ClientError::NotPhase {
                target,
                status: 403,
            }),
            Weather::FirewallInJson => Err(ClientError::RefusedUnclearly {
                target,
                status: 403,
            }),
            Weather::Failing => Err(ClientError::ServerFailed {
                target,
                status: 500,
                wait: None,
            }),
            Weather::Throttled(wait) => Err(ClientError::RateLimited { target, wait }),
            Weather::WrongShare => read(said, target).map(|body| with_wrong_share(&body)),
            Weather::Fine | Weather::Hangs | Weather::Slow(_) | Weather::WrongKey => {
                read(said, target)
            }
        }
    }
}

fn with_wrong_share(body: &Bytes) -> Bytes {
    let mut answer: serde_json::Value = serde_json::from_slice(body).unwrap();
    if answer["wrapped_key_share"].is_string() {
        answer["wrapped_key_share"] = "00".repeat(104).into();
    }
    answer.to_string().into()
}

/// As the client reads a status.
fn read(Said { status, body }: Said, target: Target) -> Result<Bytes, ClientError> {
    let text = String::from_utf8_lossy(&body);
    let of = |part: &str| text.contains(part);
    Err(match (target.endpoint, status) {
        (_, 200) => return Ok(body),
        (Endpoint::Secrets, 401 | 403) if of("cannot access") => ClientError::NoAccess(target),
        (Endpoint::Secrets, 401) if of("Environment not found") => {
            ClientError::EnvironmentUnknown(target)
        }
        (Endpoint::Secrets, 403) if of("network access policy") => {
            ClientError::NetworkPolicy(target)
        }
        (Endpoint::Secrets, 403) => ClientError::PermissionMissing(target),
        (_, 401 | 403) => ClientError::TokenRefused(target),
        _ => ClientError::UnexpectedStatus { target, status },
    })
}
