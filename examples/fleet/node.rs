//! Nodes as kubelet runs them: each volume is mounted, and then republished for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::mount::Mounter;
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::provider::{MountRequest, MountResponse};
use phase_csi_provider::snapshot::{Figures, Settings, Snapshot};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::phase::Phase;

/// Pods with one volume each.
pub(crate) const VOLUMES: usize = 10;
/// What the volumes of a node mount, in turns.
const CLASSES: [&str; 2] = [
    "- secretKey: NUMBER\n",
    "- secretKey: NUMBER\n- secretKey: OTHER\n",
];
/// Kubelet looks at a pod again after a minute and up to a half more.
const REPUBLISH: Duration = Duration::from_secs(60);
/// Kubelet tries a mount that failed again after this, doubling,
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// up to this.
const LAST_RETRY: Duration = Duration::from_secs(120);
/// No class names a host.
const NO_OTHERS: &[&str] = &[];
/// The daemon's own default.
const MOUNT_DEADLINE: Duration = Duration::from_secs(90);

/// Who has which number, and since when.
#[derive(Default)]
pub(crate) struct Board(Mutex<Record>);

/// What the volumes of a fleet went through.
#[derive(Default)]
struct Record {
    /// When volumes first had a number, for each number; 0 is what they mount.
    arrivals: Vec<Vec<Instant>>,
    /// Mounts and republishes that brought an error.
    failed: usize,
}

/// All nodes.
pub(crate) struct Fleet {
    pub(crate) phase: Phase,
    pub(crate) board: Arc<Board>,
    mounters: Vec<Arc<Mounter<Phase>>>,
}

/// One volume of one pod.
struct Volume {
    mounter: Arc<Mounter<Phase>>,
    board: Arc<Board>,
    request: MountRequest,
    random: fastrand::Rng,
}

impl Fleet {
    /// Nodes that start all their pods within `over`, from now on.
    pub(crate) fn start(
        phase: &Phase,
        nodes: usize,
        poll: Duration,
        over: Duration,
    ) -> Result<Self> {
        let token = phase.token()?;
        let board = Arc::default();
        let mut mounters = Vec::with_capacity(nodes);
        for node in 0..nodes {
            let mounter = Arc::new(mounter(phase, poll)?);
            for number in 0..VOLUMES {
                let volume = Volume {
                    mounter: Arc::clone(&mounter),
                    board: Arc::clone(&board),
                    request: request(&token, CLASSES[number % CLASSES.len()], number),
                    random: fastrand::Rng::with_seed((node * VOLUMES + number) as u64),
                };
                tokio::spawn(volume.live(over));
            }
            mounters.push(mounter);
        }
        let phase = phase.clone();
        Ok(Self {
            phase,
            board,
            mounters,
        })
    }

    pub(crate) fn volumes(&self) -> usize {
        self.mounters.len() * VOLUMES
    }

    /// What every node says of itself.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        let figures = self.mounters.iter().map(|mounter| mounter.figures());
        figures.collect()
    }
}

impl Board {
    /// How many volumes have a number.
    pub(crate) fn arrived(&self, number: usize) -> usize {
        self.lock().arrivals.get(number).map_or(0, Vec::len)
    }

    /// When volumes first had a number, in the order of time.
    pub(crate) fn arrivals(&self, number: usize) -> Vec<Instant> {
        self.lock()
            .arrivals
            .get(number)
            .cloned()
            .unwrap_or_default()
    }

    /// How many mounts and republishes brought an error.
    pub(crate) fn failed(&self) -> usize {
        self.lock().failed
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A volume has a number that it did not have before.
    fn note(&self, number: usize) {
        let arrivals = &mut self.lock().arrivals;
        if arrivals.len() <= number {
            arrivals.resize_with(number + 1, Vec::new);
        }
        arrivals[number].push(Instant::now());
    }
}

impl Volume {
    async fn live(mut self, over: Duration) {
        sleep(over.mul_f64(self.random.f64())).await;
        let (mut has, mut retry) = (None, FIRST_RETRY);
        loop {
            // On the heap only while it is under way: there are many volumes.
            let mount = Box::pin(self.mount());
            let pause = match mount.await {
                Some(number) => {
                    if has.replace(number) != Some(number) {
                        self.board.note(number);
                    }
                    retry = FIRST_RETRY;
                    REPUBLISH.mul_f64(1.0 + 0.5 * self.random.f64())
                }
                None => {
                    self.board.lock().failed += 1;
                    let next = (retry * 2).min(LAST_RETRY);
                    std::mem::replace(&mut retry, next)
                }
            };
            sleep(pause).await;
        }
    }

    /// The number that the driver would write into the volume.
    async fn mount(&self) -> Option<usize> {
        let deadline = Deadline::after(MOUNT_DEADLINE);
        let answer = self.mounter.mount(self.request.clone(), deadline).await;
        number(&answer.ok()?.try_into().ok()?)
    }
}

fn number(answer: &MountResponse) -> Option<usize> {
    let file = answer.files.iter().find(|file| file.path == "NUMBER")?;
    std::str::from_utf8(&file.contents).ok()?.parse().ok()
}

/// What the daemon of one node is, without its socket.
fn mounter(phase: &Phase, poll: Duration) -> Result<Mounter<Phase>> {
    let hosts = AllowedHosts::new("https://phase.test".parse()?, NO_OTHERS)?;
    let settings = Settings {
        poll_interval: poll,
        ..Settings::default()
    };
    let snapshot = Snapshot::new(phase.clone(), settings, None);
    Ok(Mounter::new(snapshot, hosts))
}

/// The driver's call for a pod; the names of pods need differ on one node only.
fn request(token: &str, objects: &str, number: usize) -> MountRequest {
    let attributes = json!({
        "csi.storage.k8s.io/pod.name": format!("pod-{number}"),
        "csi.storage.k8s.io/pod.namespace": "shop",
        "csi.storage.k8s.io/pod.uid": format!("uid-{number}"),
        "csi.storage.k8s.io/serviceAccount.name": "web",
        "secretProviderClass": "keys",
        "phaseApp": "shop",
        "objects": objects,
    });
    let secrets = json!({ "token": token }).to_string();
    let mut request = MountRequest::new(attributes.to_string(), secrets);
    request.target_path =
        format!("/var/lib/kubelet/pods/uid-{number}/volumes/kubernetes.io~csi/keys/mount");
    request
}
