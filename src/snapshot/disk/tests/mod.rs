//! The store on real directories, with clocks that lie and disks that fail.

#![allow(clippy::unwrap_used)]

mod clocks;
mod files;
mod strangers;
mod trouble;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tempfile::TempDir;
use tracing::Level;
use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

const MINUTE: u64 = 60_000;

/// A clock that is told what to tell.
#[derive(Clone)]
struct Hands(Arc<Mutex<Moment>>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Moment {
            boot: [1; 16],
            boottime_ms: 1000 * MINUTE,
            wall_ms: 9000 * MINUTE,
        })))
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::fake(move || *hands.0.lock().unwrap())
    }

    fn pass(&self, minutes: u64) {
        let mut now = self.0.lock().unwrap();
        now.boottime_ms += minutes * MINUTE;
        now.wall_ms += minutes * MINUTE;
    }

    /// Minutes since 9,000 minutes after 1970.
    fn set_wall(&self, minutes: i64) {
        let minutes = 9000_i64.checked_add(minutes).unwrap();
        self.0.lock().unwrap().wall_ms = minutes as u64 * MINUTE;
    }

    fn reboot(&self, number: u8) {
        let mut now = self.0.lock().unwrap();
        now.boot = [number; 16];
        now.boottime_ms = 0;
    }
}

/// A directory, and stores on it one after the other.
struct Node {
    _parent: TempDir,
    path: PathBuf,
    hands: Hands,
}

impl Node {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        Self {
            path: parent.path().join("state"),
            _parent: parent,
            hands: Hands::new(),
        }
    }

    async fn store(&self) -> Store {
        self.store_with(Limits::default()).await
    }

    async fn store_with(&self, limits: Limits) -> Store {
        Store::open(self.path.clone(), limits, self.hands.clock()).await
    }

    /// A directory that keeps image 1 of key 1.
    async fn with_image() -> Self {
        let node = Self::new();
        let store = node.store().await;
        save(&store, 1, 1);
        store.flush().await;
        node
    }

    async fn load(&self) -> Option<Loaded> {
        self.store().await.load(&key(1)).await
    }

    fn file(&self, number: u8, ending: &str) -> PathBuf {
        self.path.join(format!("{}.{ending}", key(number).name()))
    }

    fn aside(&self) -> Vec<String> {
        entries(&self.path.join("set-aside"))
    }
}

fn key(number: u8) -> DiskKey {
    DiskKey::derive(&[number; 32], "https://canary-host.example")
}

fn image(id: u8) -> Image {
    let text = |part: &str| Bytes::from(format!("canary-{part} of {id}"));
    Image {
        id: [id; 16],
        tokens: text("tokens"),
        environments: vec![
            ("canary-app/dev".to_owned(), text("dev")),
            ("canary-app/prod".to_owned(), text("prod")),
        ],
        pins: vec![("canary-id".to_owned(), [id; 32])],
    }
}

/// Saves an image that was confirmed now, with one volume of the same number.
fn save(store: &Store, number: u8, id: u8) {
    store.save(&key(number), image(id), store.now(), vec![[id; 16]]);
}

fn mark(store: &Store, number: u8, id: u8, volumes: &[u8]) {
    let mark = Mark {
        image: [id; 16],
        confirmed: store.now(),
        volumes: volumes.iter().map(|&volume| [volume; 16]).collect(),
    };
    store.mark(&key(number), mark);
}

/// The id of what is kept under a key; that it is whole is asserted.
async fn kept(store: &Store, number: u8) -> Option<u8> {
    let loaded = store.load(&key(number)).await?;
    let id = loaded.id[0];
    let expected = image(id);
    assert_eq!(loaded.tokens, expected.tokens);
    assert_eq!(loaded.environments, expected.environments);
    Some(id)
}

fn minutes(loaded: &Loaded) -> Option<u64> {
    loaded.age.map(|age| age.as_secs() / 60)
}

fn entries(path: &Path) -> Vec<String> {
    let Ok(names) = fs::read_dir(path) else {
        return Vec::new();
    };
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Runs a test of this module again, in a process that a shell line prepares
/// under a wrapper; says whether it ran, which it does not if that fails. Its
/// temporary files are in a directory of its own.
fn again(test: &str, wrapper: &[&str], line: &str) -> bool {
    let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let directory = tempfile::tempdir().unwrap();
    let script = format!("{line} && echo prepared && exec \"$@\"");
    let mut words = wrapper.to_vec();
    words.extend(["sh", "-c", &script, "sh"]);
    let output = Command::new(words[0])
        .args(&words[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(AGAIN, "1")
        .env("TMPDIR", directory.path())
        .output();
    let Ok(output) = output else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let prepared = text.contains("prepared");
    let passed = output.status.success() && text.contains("1 passed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!prepared || passed, "{text}{errors}");
    prepared
}

/// Set in such a process.
const AGAIN: &str = "PHASE_CSI_TEST_AGAIN";

fn is_again() -> bool {
    std::env::var_os(AGAIN).is_some()
}

/// What this thread logs until the guard is dropped.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn install(&self) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::INFO)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        set_default(subscriber)
    }

    /// The lines, each from the text after the directory.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let line = |line: &str| line.split_once("state: ").unwrap().1.to_owned();
        text.lines().map(line).collect()
    }

    /// How many lines have this text in them.
    fn count(&self, text: &str) -> usize {
        let lines = self.lines();
        lines.iter().filter(|line| line.contains(text)).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
