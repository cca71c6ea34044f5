//! Victims: another namespace, tokens of its own, a small class. Their mounts are timed.

use std::fmt::Write as _;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use phase_emulator::Emulator;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::daemon::Daemon;
use super::phase::{SECRETS, VICTIMS, victim};
use super::tenant::{Tenant, Volume};

/// Between one round and the next: a new pod each takes two requests.
const PAUSE: Duration = Duration::from_millis(100);
/// Warm mounts of a round.
const WARM: usize = 5;
/// Who fails so often, need not go on.
const MOST_FAILURES: usize = 5;

/// A namespace whose mounts are timed.
pub struct Victims {
    tenant: Tenant,
    tokens: Vec<String>,
    /// How many tokens were used.
    used: AtomicUsize,
    /// Between one round and the next.
    pause: Duration,
}

/// How long mounts took, and which failed.
#[derive(Default)]
pub struct Times {
    /// Of a volume that there is, with a token and a class that are known.
    pub warm: Vec<Duration>,
    /// Of a new pod with a token that was never used.
    pub cold: Vec<Duration>,
    /// Why a mount failed, with its time.
    pub failures: Vec<String>,
}

impl Victims {
    /// Known to the daemon by one mount.
    pub async fn start(daemon: &Daemon, emulator: &Emulator) -> Self {
        let token = |number| emulator.control().token(&victim(number)).unwrap();
        let victims = Self {
            tenant: Tenant::new(daemon.client().await, "shop"),
            tokens: (0..VICTIMS).map(token).collect(),
            used: AtomicUsize::new(1),
            pause: PAUSE,
        };
        let known = victims.tenant.mount(&victims.known()).await;
        assert_eq!(known.unwrap().files.len(), SECRETS);
        victims
    }

    /// With another time between one new pod and the next.
    pub fn each(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// So many rounds with nobody beside.
    pub async fn rounds(&self, count: usize) -> Times {
        let mut times = Times::default();
        for _ in 0..count {
            self.round(&mut times).await;
        }
        times
    }

    /// Round after round, at least so many, while something else goes on.
    pub async fn beside(&self, count: usize, work: impl Future<Output = ()>) -> Times {
        let mut times = Times::default();
        let done = std::sync::atomic::AtomicBool::new(false);
        let rounds = async {
            let mut rounds = 0;
            while (rounds < count || !done.load(Ordering::Relaxed))
                && times.failures.len() < MOST_FAILURES
            {
                self.round(&mut times).await;
                rounds += 1;
            }
        };
        let work = async {
            work.await;
            done.store(true, Ordering::Relaxed);
        };
        tokio::join!(rounds, work);
        times
    }

    async fn round(&self, times: &mut Times) {
        for _ in 0..WARM {
            let warm = self.timed(&self.known(), &mut times.failures).await;
            times.warm.extend(warm);
        }
        if let Some(new) = self.unknown() {
            let cold = self.timed(&new, &mut times.failures).await;
            times.cold.extend(cold);
        }
        sleep(self.pause).await;
    }

    async fn timed(&self, volume: &Volume, failures: &mut Vec<String>) -> Option<Duration> {
        let begun = Instant::now();
        let answer = self.tenant.mount(volume).await;
        let took = begun.elapsed();
        match answer {
            Ok(answer) if answer.files.len() == SECRETS => Some(took),
            Ok(answer) => {
                failures.push(format!("{} files after {}", answer.files.len(), ms(took)));
                None
            }
            Err(status) => {
                failures.push(format!("{} after {}", status.message(), ms(took)));
                None
            }
        }
    }

    fn known(&self) -> Volume {
        Volume::new(Some(&self.tokens[0]), "known", &class())
    }

    /// A new pod with a new token, while there are any.
    fn unknown(&self) -> Option<Volume> {
        let number = self.used.fetch_add(1, Ordering::Relaxed);
        let token = self.tokens.get(number)?;
        Some(Volume::new(Some(token), &format!("new-{number}"), &class()))
    }
}

impl Times {
    /// Median and 99th percentile of warm mounts, then of cold ones.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for times in [&self.warm, &self.cold] {
            let [median, most] = [50, 99].map(|part| percentile(times, part));
            let _ = write!(text, " {:>9} {:>9}", ms(median), ms(most));
        }
        text
    }
}

/// The time under which so many of a hundred stay.
pub fn percentile(times: &[Duration], part: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = (times.len() * part).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// In milliseconds.
pub fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn class() -> Value {
    json!({"phaseApp": "shop"})
}
