//! The server without its sockets: for simulations that run on a clock of their own.

use crate::control::Control;
use crate::emulator::StartError;
use crate::endpoint;
use crate::organisation::Organisation;
use crate::request::{Ask, Route};
use crate::seed::Seed;
use crate::state::State;
use crate::throttle::Throttle;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// A Phase server that is asked by calls instead of connections. It has no faults and no
/// latency: whoever simulates a network adds what it suffers.
#[derive(Clone)]
pub struct Unplugged {
    state: Arc<State>,
}

/// What the server says to one question.
#[derive(Clone, Debug)]
pub struct Said {
    /// The HTTP status.
    pub status: u16,
    /// The body as it would be sent.
    pub body: Bytes,
}

impl Unplugged {
    /// With this organisation.
    ///
    /// # Errors
    /// The seed cannot be served.
    pub fn new(seed: Seed) -> Result<Self, StartError> {
        let throttle = Throttle::new(None);
        let organisation = Organisation::open(seed)?;
        let state = State::new(organisation, throttle, None, Duration::ZERO);
        Ok(Self {
            state: Arc::new(state),
        })
    }

    /// The powers of the control endpoint.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.state), None)
    }

    /// The answer to whoever sends this `Authorization`: the rows of an environment, or
    /// the tokens answer. With `stranger`, all that is encrypted is for someone else.
    pub fn ask(&self, authorization: &str, environment: Option<&str>, stranger: bool) -> Said {
        self.say(authorization, environment, None, stranger)
    }

    /// The answer to whoever asks for the rows of no key: whether they may be read.
    pub fn probe(&self, authorization: &str, environment: &str) -> Said {
        let digest = "0".repeat(64);
        self.say(authorization, Some(environment), Some(&digest), false)
    }

    fn say(
        &self,
        authorization: &str,
        environment: Option<&str>,
        digest: Option<&str>,
        stranger: bool,
    ) -> Said {
        let mut headers = HeaderMap::new();
        let pairs = [
            ("authorization", Some(authorization)),
            ("environment", environment),
            // As the provider asks.
            ("dynamic", environment.map(|_| "true")),
            ("keydigest", digest),
        ];
        for (name, value) in pairs {
            if let Some(value) = value.and_then(|value| value.parse().ok()) {
                headers.insert(name, value);
            }
        }
        headers.insert(
            header::ACCEPT,
            header::HeaderValue::from_static("application/json"),
        );
        let path = match environment {
            None => "/service/secrets/tokens/",
            Some(_) => "/service/secrets/",
        };
        self.state.counters.count(Route::of(path));
        let ask = Ask {
            method: Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let answer = endpoint::answer(&self.state, &ask, b"", stranger);
        Said {
            status: answer.status.as_u16(),
            body: answer.body,
        }
    }
}
