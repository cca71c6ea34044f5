//! A thousand processes killed in the middle of writing what a node keeps: what
//! is there afterwards is whole, and of one moment.

use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use phase_csi_provider::snapshot::disk::{Clock, DiskKey, Image, Limits, Loaded, Store};
use tokio::runtime::{Builder, Runtime};

/// Tells the writer its directory.
const DIRECTORY: &str = "PHASE_CSI_TEST_KILLED_WRITER";
/// How the writer says that it writes from now on.
const WRITING: &str = "it writes";
const DIRECTORIES: usize = 4;
const KILLS: usize = 250;
const MOST_PAUSE_US: u64 = 6000;
const ENVIRONMENTS: usize = 4;
const BYTES: usize = 1024;

#[test]
fn after_a_thousand_kills_a_set_is_whole_and_never_older() {
    let interrupted: usize = thread::scope(|scope| {
        let one = || scope.spawn(kill_again_and_again);
        let threads: Vec<_> = (0..DIRECTORIES).map(|_| one()).collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert!(
        interrupted > DIRECTORIES * KILLS / 50,
        "only {interrupted} of the kills were in the middle of a write"
    );
}

/// What the killed processes do; without a directory, nothing.
#[test]
fn the_writer_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    runtime().block_on(async {
        let store = open(directory.as_ref()).await;
        let loaded = store.load(&key()).await;
        let first = loaded.map_or(0, |loaded| generation(&loaded)) + 1;
        for generation in first.. {
            store.save(&key(), image(generation), store.now(), volumes(generation));
            store.flush().await;
            // From here on there is something to lose.
            if generation == first {
                writeln!(stdout(), "{WRITING}").unwrap();
            }
        }
    });
}

/// Says how many of the kills left a file half-written.
fn kill_again_and_again() -> usize {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state");
    let runtime = runtime();
    let (mut interrupted, mut last) = (0, 0);
    for kill in 0..KILLS {
        kill_one(&directory);
        interrupted += usize::from(!leftovers(&directory).is_empty());
        let loaded = runtime.block_on(async { open(&directory).await.load(&key()).await });
        let now = generation(&loaded.expect("what was written is there"));
        assert!(now > last, "kill {kill}: {now} comes after {last}");
        assert_eq!(leftovers(&directory), [""; 0], "kill {kill}");
        assert!(!directory.join("set-aside").exists(), "kill {kill}");
        last = now;
    }
    interrupted
}

fn kill_one(directory: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_writer::the_writer_that_is_killed"])
        .arg("--nocapture")
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_it_writes(&mut child);
    thread::sleep(Duration::from_micros(fastrand::u64(..=MOST_PAUSE_US)));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn wait_until_it_writes(child: &mut Child) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.contains(WRITING)), "it ended early");
}

fn leftovers(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".tmp-")).collect()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn open(directory: &Path) -> Store {
    Store::open(directory.to_owned(), Limits::default(), Clock::system()).await
}

fn key() -> DiskKey {
    DiskKey::derive(&[7; 32], "https://phase.example")
}

/// A set in which every part carries the number.
fn image(generation: u64) -> Image {
    let body = Bytes::from(generation.to_le_bytes().repeat(BYTES / 8));
    let environment = |number| (format!("{number} of {generation}"), body.clone());
    Image {
        id: id(generation),
        tokens: body.clone(),
        environments: (0..ENVIRONMENTS).map(environment).collect(),
        pins: Vec::new(),
    }
}

fn id(generation: u64) -> [u8; 16] {
    u128::from(generation).to_le_bytes()
}

fn volumes(generation: u64) -> Vec<[u8; 16]> {
    vec![id(generation); 3]
}

/// The number that every part carries.
fn generation(loaded: &Loaded) -> u64 {
    let generation = u128::from_le_bytes(loaded.id) as u64;
    let expected = image(generation);
    assert_eq!(loaded.tokens, expected.tokens);
    assert_eq!(loaded.environments, expected.environments);
    assert!(loaded.age.is_some(), "the clock of this boot is known");
    // The mark is written after the image: a kill in between leaves none that counts.
    let volumes = &loaded.volumes;
    assert!(volumes.is_empty() || *volumes == self::volumes(generation));
    generation
}
