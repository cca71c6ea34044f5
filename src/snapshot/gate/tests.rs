#![allow(clippy::unwrap_used)]

mod block;
mod bounds;
mod budget;
mod order;
mod places;
mod strength;
mod tenants;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::task::{JoinHandle, yield_now};
use tokio::time::{advance, sleep};

use super::*;

/// A credential of a tenant.
#[derive(Clone, Copy)]
struct Who(&'static str, u8);

const A: Who = Who("a", 1);
const B: Who = Who("b", 2);
const C: Who = Who("c", 3);
const D: Who = Who("d", 4);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Who was admitted, or was not and why, and how long after the start.
type Log = Vec<(&'static str, Duration, Option<Throttled>)>;

/// A gate, and a log of what becomes of the calls at it.
struct Scene {
    gate: Gate,
    start: Instant,
    log: Arc<Mutex<Log>>,
    /// How what is admitted ends.
    outcome: Outcome,
}

impl Who {
    fn asker(self) -> Asker {
        Asker {
            tenant: Tenant::new(self.0),
            credential: [self.1; 16],
        }
    }
}

/// Says nothing of any jitter.
fn gate(per_minute: u32) -> Gate {
    Gate::with_random(per_minute, || 0.0)
}

fn host(name: &str) -> Host {
    format!("https://{name}").parse().unwrap()
}

fn lane() -> Lane {
    Lane::Address(Host::default())
}

fn account(number: u8) -> Lane {
    Lane::Account(Host::default(), [number; 32])
}

/// Lets every task run as far as it can without time passing.
async fn settled() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// Lets time pass, and everything happen that it brings about.
async fn pass(time: Duration) {
    sleep(time).await;
    settled().await;
}

impl Scene {
    fn new(per_minute: u32) -> Self {
        Self {
            gate: gate(per_minute),
            start: Instant::now(),
            log: Arc::default(),
            outcome: Outcome::Neither,
        }
    }

    /// A call whose request takes no time.
    fn call(
        &self,
        name: &'static str,
        lane: &Lane,
        asker: Who,
        priority: Priority,
        limit: Duration,
    ) -> JoinHandle<()> {
        let (gate, log, start) = (self.gate.clone(), Arc::clone(&self.log), self.start);
        let (lane, deadline) = (lane.clone(), Deadline::after(limit));
        let outcome = self.outcome;
        tokio::spawn(async move {
            let admitted = gate.admit(&lane, &asker.asker(), priority, deadline).await;
            let line = (name, start.elapsed(), admitted.as_ref().err().copied());
            log.lock().unwrap().push(line);
            if let Ok(pass) = admitted {
                pass.ended(outcome);
            }
        })
    }

    /// The same scene, whose calls end in another way from now on.
    fn ending(&self, outcome: Outcome) -> Self {
        Self {
            gate: self.gate.clone(),
            log: Arc::clone(&self.log),
            outcome,
            ..*self
        }
    }

    fn mount(&self, name: &'static str, asker: Who) -> JoinHandle<()> {
        self.call(name, &lane(), asker, Priority::Mount, HOUR)
    }

    fn stranger(&self, name: &'static str, asker: Who) -> JoinHandle<()> {
        self.call(name, &lane(), asker, Priority::Stranger, HOUR)
    }

    fn poll(&self, name: &'static str, asker: Who) -> JoinHandle<()> {
        self.call(name, &lane(), asker, Priority::Poll, HOUR)
    }

    /// Spends requests of the lane.
    async fn spend(&self, lane: &Lane, asker: Who, requests: u32) {
        for _ in 0..requests {
            let _pass = now(&self.gate, lane, asker).await.unwrap();
        }
    }

    fn log(&self) -> Log {
        self.log.lock().unwrap().clone()
    }

    fn names(&self) -> Vec<&'static str> {
        self.log().into_iter().map(|(name, ..)| name).collect()
    }
}

/// A mount that is admitted at once or not at all.
async fn now(gate: &Gate, lane: &Lane, asker: Who) -> Result<Pass, Throttled> {
    let deadline = Deadline::after(Duration::from_nanos(1));
    gate.admit(lane, &asker.asker(), Priority::Mount, deadline)
        .await
}

/// Whether a call has no answer yet, looked at once.
async fn is_waiting(call: &mut (impl Future + Unpin)) -> bool {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *call).poll(context).is_pending())).await
}

const fn by_budget(wait: Duration) -> Option<Throttled> {
    Some(Throttled::ByBudget { wait })
}

const fn by_phase(wait: Duration) -> Option<Throttled> {
    Some(Throttled::ByPhase { wait })
}

/// Those who take all places of a host, each as many as it may have beside the others;
/// none is [`C`].
fn crowd() -> Vec<Who> {
    let mut crowd = Vec::new();
    for (name, takes) in [("a", 4), ("e", 4), ("f", 4), ("g", 2), ("h", 1), ("i", 1)] {
        crowd.extend([Who(name, 9)].repeat(takes));
    }
    crowd
}
