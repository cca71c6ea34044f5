#![allow(clippy::unwrap_used)]

mod block;
mod bounds;
mod budget;
mod order;
mod places;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::task::{JoinHandle, yield_now};
use tokio::time::{advance, sleep};

use super::*;

const A: Asker = [1; 16];
const B: Asker = [2; 16];
const C: Asker = [3; 16];
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Who was admitted, or was not and why, and how long after the start.
type Log = Vec<(&'static str, Duration, Option<Throttled>)>;

/// A gate, and a log of what becomes of the calls at it.
struct Scene {
    gate: Gate,
    start: Instant,
    log: Arc<Mutex<Log>>,
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
        }
    }

    /// A call whose request takes no time.
    fn call(
        &self,
        name: &'static str,
        lane: &Lane,
        asker: Asker,
        priority: Priority,
        limit: Duration,
    ) -> JoinHandle<()> {
        let (gate, log, start) = (self.gate.clone(), Arc::clone(&self.log), self.start);
        let (lane, deadline) = (lane.clone(), Deadline::after(limit));
        tokio::spawn(async move {
            let outcome = gate.admit(&lane, &asker, priority, deadline).await;
            let line = (name, start.elapsed(), outcome.err());
            log.lock().unwrap().push(line);
        })
    }

    fn mount(&self, name: &'static str, asker: Asker) -> JoinHandle<()> {
        self.call(name, &lane(), asker, Priority::Mount, HOUR)
    }

    fn poll(&self, name: &'static str, asker: Asker) -> JoinHandle<()> {
        self.call(name, &lane(), asker, Priority::Poll, HOUR)
    }

    /// Spends requests of the lane.
    async fn spend(&self, lane: &Lane, asker: Asker, requests: u32) {
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
async fn now(gate: &Gate, lane: &Lane, asker: Asker) -> Result<Pass, Throttled> {
    let deadline = Deadline::after(Duration::from_nanos(1));
    gate.admit(lane, &asker, Priority::Mount, deadline).await
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
