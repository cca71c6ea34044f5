//! Faults on demand: what can go wrong between a client and a server.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Faults kept at once; the oldest gives way.
const FAULTS: usize = 64;

/// A fault, where it strikes and how often.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[must_use = "a fault strikes once it is given to Control::set_fault"]
pub struct Fault {
    /// Which requests it strikes. Faults of the connection strike before a request is known, so they need `any`.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// How often; until cleared when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What happens.
    pub kind: FaultKind,
}

/// Requests that a fault strikes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Every request.
    #[default]
    Any,
    /// `GET /service/secrets/`.
    Secrets,
    /// `GET /service/secrets/tokens/`.
    Tokens,
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FaultKind {
    /// New connections are shown a bad certificate.
    Certificate(BadCertificate),
    /// The connection closes in the middle of the answer's body.
    Cut,
    /// The answer's body comes one byte at a time.
    Drip {
        /// Milliseconds between two bytes.
        interval_ms: u64,
    },
    /// The answer's body never ends.
    Endless,
    /// Status 200 with a body that is no answer.
    Garbage(Garbage),
    /// The connection closes in the middle of the TLS handshake.
    HandshakeCut,
    /// The TLS handshake never finishes.
    HandshakeStall,
    /// The answer comes late; adds to other faults.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// A status with `{"error": …}`, as a firewall in front of Phase may send it.
    Refusal {
        /// 200 to 599.
        code: u16,
        /// The text of `error`.
        error: String,
    },
    /// Status 302 to somewhere else.
    Redirect {
        /// Target.
        location: String,
    },
    /// The connection is closed at once, as if nobody listened.
    Refuse,
    /// No answer ever comes.
    Stall,
    /// An error status.
    Status {
        /// 200 to 599.
        code: u16,
        /// The header `Retry-After`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<String>,
    },
    /// A true answer, encrypted for someone else.
    WrongKey,
}

/// Bodies that are no answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// Nothing at all.
    Empty,
    /// A web page, as a front end answers.
    Html,
    /// The first half of the true JSON, of honest length.
    TruncatedJson,
    /// The true JSON as `text/plain`.
    WrongContentType,
    /// JSON of other types.
    WrongTypes,
}

/// Certificates that a careful client refuses.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BadCertificate {
    /// Out of date for years.
    Expired,
    /// Self-signed for `CN=example.com` without any subject alternative name, as the stock self-hosted proxy makes it.
    NoNames,
    /// Right names, unknown authority.
    Untrusted,
    /// Known authority, another host's name.
    WrongName,
}

/// Faults in waiting, in the order in which they were set.
#[derive(Default)]
pub(crate) struct Faults {
    waiting: VecDeque<Fault>,
}

/// What a request suffers.
#[derive(Default)]
pub(crate) struct Suffering {
    pub(crate) latency: Duration,
    pub(crate) kind: Option<FaultKind>,
}

impl Fault {
    /// A fault that strikes every request until it is cleared.
    pub fn always(kind: FaultKind) -> Self {
        Self {
            endpoint: Endpoint::Any,
            times: None,
            kind,
        }
    }

    /// A fault that strikes `times` requests.
    pub fn times(times: u32, kind: FaultKind) -> Self {
        Self {
            endpoint: Endpoint::Any,
            times: Some(times),
            kind,
        }
    }

    /// The same fault for one endpoint only.
    pub fn on(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }

    fn strikes(&self, endpoint: Endpoint) -> bool {
        self.endpoint == Endpoint::Any || self.endpoint == endpoint
    }
}

impl FaultKind {
    /// Whether it strikes a connection before any request.
    pub(crate) fn is_of_connection(&self) -> bool {
        let tls = matches!(
            self,
            Self::Certificate(_) | Self::HandshakeCut | Self::HandshakeStall
        );
        tls || *self == Self::Refuse
    }

    fn is_of_request(&self) -> bool {
        *self == Self::Refuse || !self.is_of_connection()
    }

    fn is_latency(&self) -> bool {
        matches!(self, Self::Latency { .. })
    }
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        if self.waiting.len() >= FAULTS {
            self.waiting.pop_front();
        }
        self.waiting.push_back(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Takes what strikes a new connection.
    pub(crate) fn of_connection(&mut self) -> Option<FaultKind> {
        self.take(|fault| fault.kind.is_of_connection() && fault.endpoint == Endpoint::Any)
    }

    /// Takes what strikes a request to `endpoint`: every latency, and the first of the others.
    pub(crate) fn of_request(&mut self, endpoint: Endpoint) -> Suffering {
        let late = |fault: &Fault| fault.kind.is_latency() && fault.strikes(endpoint);
        let latency = self
            .waiting
            .iter()
            .filter(|fault| late(fault))
            .map(delay)
            .sum();
        self.waiting
            .iter_mut()
            .filter(|fault| late(fault))
            .for_each(use_up);
        self.waiting.retain(|fault| fault.times != Some(0));
        let kind = self.take(|fault| {
            fault.kind.is_of_request() && !fault.kind.is_latency() && fault.strikes(endpoint)
        });
        Suffering { latency, kind }
    }

    fn take(&mut self, wanted: impl Fn(&Fault) -> bool) -> Option<FaultKind> {
        let place = self
            .waiting
            .iter()
            .position(|fault| fault.times != Some(0) && wanted(fault))?;
        use_up(&mut self.waiting[place]);
        let kind = self.waiting[place].kind.clone();
        self.waiting.retain(|fault| fault.times != Some(0));
        Some(kind)
    }
}

fn use_up(fault: &mut Fault) {
    fault.times = fault.times.map(|left| left.saturating_sub(1));
}

fn delay(fault: &Fault) -> Duration {
    match fault.kind {
        FaultKind::Latency { ms } if fault.times != Some(0) => Duration::from_millis(ms),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_strikes_that_often() {
        let mut faults = Faults::default();
        faults.add(Fault::times(2, FaultKind::Cut).on(Endpoint::Secrets));
        assert_eq!(faults.of_request(Endpoint::Tokens).kind, None);
        assert_eq!(
            faults.of_request(Endpoint::Secrets).kind,
            Some(FaultKind::Cut)
        );
        assert_eq!(
            faults.of_request(Endpoint::Secrets).kind,
            Some(FaultKind::Cut)
        );
        assert_eq!(faults.of_request(Endpoint::Secrets).kind, None);
        assert!(faults.waiting.is_empty());
    }

    #[test]
    fn latencies_add_up_beside_another_fault() {
        let mut faults = Faults::default();
        faults.add(Fault::always(FaultKind::Latency { ms: 20 }));
        faults.add(Fault::times(1, FaultKind::Latency { ms: 5 }));
        faults.add(Fault::always(FaultKind::Stall));
        let first = faults.of_request(Endpoint::Tokens);
        assert_eq!(
            (first.latency, first.kind),
            (Duration::from_millis(25), Some(FaultKind::Stall))
        );
        assert_eq!(
            faults.of_request(Endpoint::Any).latency,
            Duration::from_millis(20)
        );
    }

    #[test]
    fn faults_of_the_handshake_spare_requests() {
        let mut faults = Faults::default();
        faults.add(Fault::always(FaultKind::HandshakeCut));
        assert_eq!(faults.of_request(Endpoint::Tokens).kind, None);
        assert_eq!(faults.of_connection(), Some(FaultKind::HandshakeCut));
    }

    #[test]
    fn the_oldest_fault_gives_way_when_there_are_too_many() {
        let mut faults = Faults::default();
        faults.add(Fault::always(FaultKind::Cut));
        for _ in 0..FAULTS {
            faults.add(Fault::always(FaultKind::Stall));
        }
        assert_eq!(faults.waiting.len(), FAULTS);
        assert_eq!(
            faults.of_request(Endpoint::Any).kind,
            Some(FaultKind::Stall)
        );
    }
}
