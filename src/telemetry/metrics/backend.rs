//! Requests to Phase: how many, how they ended, how long they took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Outcome;
use super::histogram::Histogram;
use super::text::{Kind, Text};
use crate::phase::client::Endpoint;

/// Requests to Phase: how many, how they ended, how long they took.
#[derive(Debug, Default)]
pub struct BackendFigures {
    tokens: OfEndpoint,
    secrets: OfEndpoint,
}

#[derive(Debug, Default)]
struct OfEndpoint {
    ended: [AtomicU64; Outcome::COUNT],
    durations: Histogram,
}

impl BackendFigures {
    /// One request ended.
    pub fn asked(&self, endpoint: Endpoint, outcome: Outcome, took: Duration) {
        let of_endpoint = match endpoint {
            Endpoint::Tokens => &self.tokens,
            Endpoint::Secrets => &self.secrets,
        };
        of_endpoint.ended[outcome.place()].fetch_add(1, Ordering::Relaxed);
        of_endpoint.durations.observe(took);
    }

    pub(super) fn write(&self, text: &mut Text) {
        let endpoints = [("tokens", &self.tokens), ("secrets", &self.secrets)];
        text.family(
            "phase_csi_backend_requests_total",
            Kind::Counter,
            "Requests to Phase, each attempt on its own, by how they ended.",
        );
        for (endpoint, of_endpoint) in endpoints {
            for outcome in Outcome::all() {
                let count = of_endpoint.ended[outcome.place()].load(Ordering::Relaxed);
                let labels = [("endpoint", endpoint), ("outcome", outcome.label())];
                text.sample(&labels, count);
            }
        }
        text.family(
            "phase_csi_backend_request_duration_seconds",
            Kind::Histogram,
            "How long a request to Phase took, the wait for a connection included.",
        );
        for (endpoint, of_endpoint) in endpoints {
            text.histogram(&[("endpoint", endpoint)], &of_endpoint.durations);
        }
    }
}
