//! What the daemon tells about itself: the real binary, asked as kubelet and
//! Prometheus ask it.

pub(crate) mod dashboards;
mod figures;
mod health;
mod kubernetes;
mod lines;
mod pod_events;

use phase_emulator::{Emulator, Endpoint, Fault, FaultKind, Options, Seed};
use serde_json::{Value, json};
use tonic::Status;

use crate::support::daemon::{Daemon, texts};
use crate::support::eventually;

/// Changes are seen at once, and budgets do not matter.
const QUICK: [&str; 4] = [
    "--test-only-poll-interval",
    "100ms",
    "--request-budget",
    "1000000",
];

/// A daemon with its Phase.
struct Scene {
    emulator: Emulator,
    daemon: Daemon,
}

impl Scene {
    async fn start(flags: &[&str]) -> Self {
        Self::with(flags, &[]).await
    }

    async fn with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let emulator = Emulator::start(Options::new(seed())).await.unwrap();
        let url = emulator.url();
        let flags = [&["--phase-host", &url], flags].concat();
        Self {
            daemon: Daemon::with(&flags, variables).await,
            emulator,
        }
    }

    fn token(&self) -> String {
        self.emulator.control().token("ci").unwrap()
    }

    async fn publish(&self, class: &Value, pod: &str) -> Result<String, Status> {
        let answer = self.daemon.publish(&self.token(), class, pod).await?;
        Ok(texts(&answer)[0].1.clone())
    }

    fn fault(&self, kind: FaultKind, endpoint: Endpoint) {
        let fault = Fault::always(kind).on(endpoint);
        self.emulator.control().set_fault(fault);
    }

    /// Waits until a series is at least so much.
    async fn reaches(&self, series: &str, least: f64) {
        eventually(async || (self.daemon.metric(series).await >= least).then_some(())).await;
    }
}

fn class() -> Value {
    json!({"phaseApp": "CANARY_APP"})
}

fn seed() -> Seed {
    let seed = json!({
        "apps": [{"name": "CANARY_APP", "environments": [
            {"name": "production", "secrets": [{"key": "CANARY_KEY", "value": "canary value"}]},
            {"name": "staging", "secrets": [{"key": "X", "value": "x"}]},
        ]}],
        "accounts": [
            {"name": "ci"},
            {"name": "limited", "access": [{"app": "CANARY_APP", "environments": ["staging"]}]},
        ],
    });
    Seed::from_yaml(&seed.to_string()).unwrap()
}

fn status(code: u16) -> FaultKind {
    FaultKind::Status {
        code,
        retry_after: None,
    }
}
