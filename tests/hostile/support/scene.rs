//! A daemon that is attacked, its victims, and what came of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Duration;

use phase_emulator::Emulator;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::admin::{Place, Probes};
use super::attacks;
use super::daemon::Daemon;
use super::liar::{Liar, Lie};
use super::limit::TO_STAY_BELOW;
use super::phase;
use super::tenant::{Tenant, Volume};
use super::victims::{Times, Victims};

/// Rounds of victims' mounts without an attack, and at least with one.
const ROUNDS: usize = 5;

/// What a victim's mount may take at most before it counts as failed.
const DEADLINE: [&str; 2] = ["--mount-deadline", "10s"];

/// How soon work that nobody waits for any more must have ended.
const LEFT: Duration = Duration::from_millis(500);
/// More than polls and probes take in a second, and less than one thread that works on.
const IDLE: Duration = Duration::from_millis(600);

/// One at a time, since they are timed.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// A line of each attack so far.
static TABLE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A daemon with victims.
pub struct Scene {
    pub emulator: Emulator,
    pub daemon: Daemon,
    pub admin: SocketAddr,
    place: Place,
    victims: Victims,
    alone: Times,
    _liar: Liar,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

/// What came of an attack.
pub struct Outcome {
    name: String,
    /// Victims' mounts before it.
    pub alone: Times,
    /// And while it went on.
    pub beside: Times,
    /// Probes of `/live` that were answered well, and that failed.
    pub probes: (u64, u64),
    /// How the process ended, if it did.
    pub ended: Option<ExitStatus>,
    /// What it took at most, in bytes.
    pub peak: u64,
    /// Time on processors in the second after the attackers went away.
    after: Duration,
    /// How many lines it has written in its life.
    pub lines: u64,
    last_lines: String,
    /// What attackers got of their first mounts.
    said: BTreeSet<String>,
}

impl Scene {
    /// With these flags, and hostile apps of Phase beside the victims'.
    pub async fn start(hostile: &[(&str, Value)], flags: &[&str]) -> Self {
        Self::lying(hostile, &[], flags).await
    }

    /// The same before a Phase that lies to the accounts of some apps.
    pub async fn lying(hostile: &[(&str, Value)], lies: &[(&str, Lie)], flags: &[&str]) -> Self {
        let turn = turn().await;
        let emulator = phase::start(hostile).await;
        let liar = Liar::before(&emulator, lies).await;
        let url = match lies {
            [] => emulator.url(),
            _ => liar.url(),
        };
        let flags = [&["--phase-host", &url], &DEADLINE[..], flags].concat();
        let daemon = Daemon::serve(&flags).await;
        let victims = Victims::start(&daemon, &emulator).await;
        let alone = victims.rounds(ROUNDS).await;
        let admin = daemon.admin().await;
        Self {
            admin,
            place: Place::Port(admin),
            emulator,
            daemon,
            victims,
            alone,
            _liar: liar,
            _turn: turn,
        }
    }

    /// With victims' times before the attack from more rounds than usual.
    pub async fn alone_for(mut self, rounds: usize) -> Self {
        self.alone = self.victims.rounds(rounds).await;
        self
    }

    /// With probes as the chart has them: on a socket of their own.
    pub fn probed_by_exec(mut self) -> Self {
        self.place = Place::Socket(self.daemon.health());
        self
    }

    /// With victims' new pods so far apart.
    pub fn new_pods_each(mut self, pause: Duration) -> Self {
        self.victims = self.victims.each(pause);
        self
    }

    /// A namespace with a connection of its own.
    pub async fn tenant(&self, namespace: &str) -> Tenant {
        Tenant::new(self.daemon.client().await, namespace)
    }

    /// A volume with the token of an account.
    pub fn volume(&self, account: &str, parameters: &Value) -> Volume {
        let token = self.emulator.control().token(account).unwrap();
        Volume::new(Some(&token), "pod", parameters)
    }

    /// Victims mount and kubelet probes while the attack goes on, for so long at most.
    pub async fn attacked(
        mut self,
        name: &str,
        most: Duration,
        attack: impl Future<Output = ()>,
    ) -> Outcome {
        let probes = Probes::of(self.place);
        let attack = async { drop(timeout(most, attack).await) };
        let beside = self.victims.beside(ROUNDS, attack).await;
        sleep(LEFT).await;
        let before = self.daemon.processor();
        sleep(Duration::from_secs(1)).await;
        let after = self.daemon.processor().saturating_sub(before);
        Outcome {
            name: name.to_owned(),
            alone: self.alone,
            beside,
            probes: probes.counts(),
            ended: self.daemon.ended(),
            peak: self.daemon.peak(),
            after,
            lines: self.daemon.lines(),
            last_lines: self.daemon.last_lines(),
            said: attacks::said(),
        }
    }
}

impl Outcome {
    /// The process lives, within its memory; kubelet found it well; every victim's
    /// mount was answered.
    pub fn assert_harmless(&self) {
        let row = self.row();
        tell(row.clone());
        println!("attackers got {:#?}", self.said);
        assert_eq!(self.ended, None, "it ended: {row}\n{}", self.last_lines);
        assert!(self.peak <= TO_STAY_BELOW, "too much memory: {row}");
        let failures = &self.beside.failures;
        assert!(
            failures.is_empty(),
            "{failures:#?}\n{row}\n{}",
            self.last_lines
        );
        let (answered, failed) = self.probes;
        assert!(answered > 0 && failed == 0, "probes of /live: {row}");
        assert!(self.after < IDLE, "it still works on it: {row}");
    }

    fn row(&self) -> String {
        let (answered, failed) = self.probes;
        format!(
            "{:<42}{} |{} | {:>2} | {:>3} of {:>3} | {:>5.1} MiB | {:>4} ms{}",
            self.name,
            self.alone.text(),
            self.beside.text(),
            self.beside.failures.len(),
            failed,
            answered + failed,
            self.peak as f64 / f64::from(1 << 20),
            self.after.as_millis(),
            self.ended
                .map(|status| format!(" | {status}"))
                .unwrap_or_default(),
        )
    }
}

/// Whoever times others, or is timed, is alone.
pub async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    TURN.lock().await
}

/// A line of the table.
pub fn tell(row: String) {
    println!("{row}");
    TABLE.lock().unwrap().push(row);
}

/// All attacks so far in one table, past what a test harness keeps back.
pub fn print_table() {
    let table = TABLE.lock().unwrap();
    let mut out = std::io::stderr().lock();
    let _ = writeln!(
        out,
        "\nvictims' mounts: warm p50, p99, cold p50, p99, alone | beside | failed | probes failed | peak | work left"
    );
    for row in table.iter() {
        let _ = writeln!(out, "{row}");
    }
}
