//! A node that does what a plan says, and writes down what was true and what it said.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::mount::Mounter;
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::snapshot::disk::{Clock, Limits, Moment, Store};
use phase_csi_provider::snapshot::{Settings, Snapshot};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::ear::Ear;
use super::history::{History, Life, Mounted};
use super::steps::{ACCOUNTS, CLASSES, ENVIRONMENTS, PODS, Plan, SLOTS, Step, TOKENS, value};
use crate::snapshot::{REPUBLISH, request};
use crate::support::daemon::texts;

/// How many volumes are republished.
const LIVING: usize = 5;

/// The clocks of a node.
struct Clocks {
    boot: u8,
    booted: Instant,
    wall_seconds: i64,
}

/// A volume that kubelet keeps.
#[derive(Clone, Copy, PartialEq)]
struct Volume {
    token: usize,
    class: usize,
    pod: (usize, u32),
}

/// A node and its Phase.
struct Node {
    ear: Ear,
    mounter: Arc<Mounter<Ear>>,
    budget: u32,
    directory: Option<TempDir>,
    clocks: Arc<Mutex<Clocks>>,
    set_back: Duration,
    changes: u32,
    pods: [u32; PODS],
    volumes: Vec<Volume>,
    aside: Vec<JoinHandle<()>>,
}

/// Does what the plan says.
pub(super) async fn run(plan: &Plan) -> History {
    let mut node = Node::new(plan).await;
    for step in &plan.steps {
        node.step(step).await;
    }
    node.join().await;
    let history = Arc::clone(&node.ear.history);
    drop(node);
    std::mem::take(&mut *history.lock().unwrap())
}

/// A directory for what is kept; in memory, since nobody waits for a disk here.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

impl Node {
    async fn new(plan: &Plan) -> Self {
        let ear = Ear::new();
        let restarts = |step: &Step| matches!(step, Step::Restart { .. });
        let directory = plan.steps.iter().any(restarts).then(directory);
        let clocks = Arc::new(Mutex::new(Clocks {
            boot: 1,
            booted: ear.begun,
            wall_seconds: 1_000_000_000,
        }));
        let mounter = begin(&ear, plan.budget, directory.as_ref(), &clocks).await;
        Self {
            mounter: Arc::new(mounter),
            budget: plan.budget,
            ear,
            directory,
            clocks,
            set_back: Duration::ZERO,
            changes: 2,
            pods: [0; PODS],
            volumes: Vec::new(),
            aside: Vec::new(),
        }
    }

    async fn step(&mut self, step: &Step) {
        let control = self.ear.model.phase.control();
        match *step {
            Step::Nothing => {}
            Step::Mount {
                token,
                class,
                pod,
                seconds,
                aside,
            } => {
                let pod = (pod, self.pods[pod]);
                let volume = Volume { token, class, pod };
                self.volumes.retain(|known| *known != volume);
                self.volumes.push(volume);
                let mount = self.mount(volume, Duration::from_secs(seconds));
                match aside {
                    true => self.aside.push(tokio::spawn(mount)),
                    false => mount.await,
                }
            }
            Step::Live { rounds } => self.live(rounds).await,
            Step::NewPod { pod } => {
                self.pods[pod] += 1;
                self.volumes.retain(|volume| volume.pod.0 != pod);
            }
            Step::Put { slot } => {
                self.changes += 1;
                let (id, (environment, key)) = (self.changes, SLOTS[slot]);
                let environment = ENVIRONMENTS[environment];
                let put = control.put_secret("a", environment, "/", key, &value(id));
                put.unwrap();
                self.becomes(|truth| truth.slots[slot] = Some(id));
            }
            Step::Delete { slot } => {
                let (environment, key) = SLOTS[slot];
                let deleted = control.delete_secret("a", ENVIRONMENTS[environment], "/", key);
                if deleted.is_ok() {
                    self.becomes(|truth| truth.slots[slot] = None);
                }
            }
            Step::Access {
                account,
                environment,
                may_read,
            } => {
                let (name, place) = (ACCOUNTS[account], ENVIRONMENTS[environment]);
                control.set_access(name, "a", place, may_read).unwrap();
                self.becomes(|truth| truth.access[account][environment] = may_read);
            }
            Step::Revoke { token } => {
                control.revoke_token(TOKENS[token].0).unwrap();
                self.becomes(|truth| truth.revoked[token] = true);
            }
            Step::Role { account, may_read } => {
                control.set_role(ACCOUNTS[account], may_read).unwrap();
                self.becomes(|truth| truth.roles[account] = may_read);
            }
            Step::Sky(sky) => {
                self.ear.model.weather_of_tokens(sky.tokens);
                self.ear.model.weather_of_secrets(sky.secrets);
                *self.ear.sky.lock().unwrap() = sky;
                let now = self.ear.begun.elapsed();
                self.ear.history.lock().unwrap().skies.push((now, sky));
            }
            Step::Wait(time) => sleep(time).await,
            Step::Restart {
                reboots,
                wall_seconds,
                away,
            } => self.restart(reboots, wall_seconds, away).await,
        }
    }

    fn becomes(&self, change: impl FnOnce(&mut super::history::Truth)) {
        let now = self.ear.begun.elapsed();
        self.ear.history.lock().unwrap().becomes(now, change);
    }

    async fn live(&self, rounds: usize) {
        let first = self.volumes.len().saturating_sub(LIVING);
        for _ in 0..rounds {
            sleep(REPUBLISH).await;
            let volumes = self.volumes[first..].iter();
            join_all(volumes.map(|volume| self.mount(*volume, Duration::from_secs(90)))).await;
        }
    }

    /// The driver's call for a volume.
    fn mount(&self, volume: Volume, limit: Duration) -> impl Future<Output = ()> + Send + use<> {
        let Volume { token, class, pod } = volume;
        let text = self.ear.model.phase.control().token(TOKENS[token].0);
        let name = format!("{}-{}", pod.0, pod.1);
        let request = request(&text.unwrap(), &CLASSES[class].parameters(), &name);
        let (mounter, history) = (Arc::clone(&self.mounter), Arc::clone(&self.ear.history));
        let begun = self.ear.begun;
        async move {
            let begin = begun.elapsed();
            let life = history.lock().unwrap().lives.len() - 1;
            let mount = mounter.mount(request, Deadline::after(limit));
            // Nobody waits longer than this; a mount that hangs shows as one that is late.
            let said = timeout(limit * 2, mount).await;
            let said = said.ok().map(|said| {
                said.map(|answer| texts(&answer.try_into().unwrap()))
                    .map_err(|failure| (failure.cause, failure.message))
            });
            let end = begun.elapsed();
            history.lock().unwrap().mounts.push(Mounted {
                token,
                class,
                pod,
                life,
                limit,
                begin,
                end,
                said,
            });
        }
    }

    async fn join(&mut self) {
        for mount in self.aside.drain(..) {
            mount.await.unwrap();
        }
    }

    async fn restart(&mut self, reboots: bool, wall_seconds: i64, away: Duration) {
        self.join().await;
        self.mounter.flush().await;
        self.ear.is_dead.store(true, Ordering::Relaxed);
        sleep(away).await;
        {
            let mut clocks = self.clocks.lock().unwrap();
            clocks.wall_seconds += wall_seconds;
            if let Ok(back) = u64::try_from(-wall_seconds) {
                self.set_back += Duration::from_secs(back);
            }
            if reboots {
                clocks.boot += 1;
                clocks.booted = Instant::now();
            }
            let boot = clocks.boot;
            self.ear.history.lock().unwrap().lives.push(Life {
                at: self.ear.begun.elapsed(),
                boot,
                set_back: if boot > 1 {
                    self.set_back
                } else {
                    Duration::ZERO
                },
            });
        }
        if reboots {
            // Pods start anew in what kubelet takes for the same volumes.
            self.volumes.clear();
        }
        self.ear.is_dead = Arc::default();
        let begun = begin(
            &self.ear,
            self.budget,
            self.directory.as_ref(),
            &self.clocks,
        );
        self.mounter = Arc::new(begun.await);
    }
}

/// The process begins.
async fn begin(
    ear: &Ear,
    budget: u32,
    directory: Option<&TempDir>,
    clocks: &Arc<Mutex<Clocks>>,
) -> Mounter<Ear> {
    let (clocks, begun) = (Arc::clone(clocks), ear.begun);
    let clock = Clock::fake(move || {
        let clocks = clocks.lock().unwrap();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        Moment {
            boot: [clocks.boot; 16],
            boottime_ms: ms(clocks.booted.elapsed()),
            wall_ms: u64::try_from(clocks.wall_seconds * 1000).unwrap() + ms(begun.elapsed()),
        }
    });
    let store = match directory {
        Some(directory) => {
            Some(Store::open(directory.path().to_owned(), Limits::default(), clock).await)
        }
        None => None,
    };
    let settings = Settings {
        request_budget: budget,
        ..Settings::default()
    };
    let hosts = AllowedHosts::new("https://phase.test".parse().unwrap(), &["*"]).unwrap();
    Mounter::new(Snapshot::new(ear.clone(), settings, store), hosts)
}
