//! Lives of one node, one after the other, on one state directory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::snapshot::Settings;
use phase_csi_provider::snapshot::disk::{Clock, Limits, Moment, Store};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::staleness::with;
use super::{HOUR, LATENCY, POLL, World, one, seed};
use crate::support::model::{Model, Weather};

/// A node whose process ends and begins again, on one directory.
pub(super) struct Lives {
    pub(super) model: Model,
    directory: TempDir,
    boot: Arc<AtomicU64>,
    /// What the clocks are off by, in seconds: the wall's, and the one since boot.
    wall: Arc<AtomicU64>,
    begun: Instant,
}

impl Lives {
    pub(super) fn new() -> Self {
        Self {
            model: Model::new(seed(), LATENCY),
            directory: tempfile::tempdir().unwrap(),
            boot: Arc::new(AtomicU64::new(1)),
            wall: Arc::new(AtomicU64::new(1_000_000)),
            begun: Instant::now(),
        }
    }

    pub(super) async fn life(&self) -> World {
        let (boot, wall, begun) = (Arc::clone(&self.boot), Arc::clone(&self.wall), self.begun);
        let clock = Clock::fake(move || {
            let passed = u64::try_from(begun.elapsed().as_millis()).unwrap();
            Moment {
                boot: [u8::try_from(boot.load(Ordering::Relaxed)).unwrap(); 16],
                boottime_ms: passed,
                wall_ms: wall.load(Ordering::Relaxed) * 1000 + passed,
            }
        });
        let directory = self.directory.path().to_owned();
        let store = Store::open(directory, Limits::default(), clock).await;
        World::of(self.model.clone(), Settings::default(), Some(store))
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_costs_at_most_one_request_a_token() {
    let lives = Lives::new();
    let world = lives.life().await;
    world.value("a").await.unwrap();
    world.mounter.flush().await;
    drop(world);
    // And one proof that it may still be read, of two bytes.
    let mut proofs = 0;
    for (away, asked) in [(POLL / 2, (1, 1)), (POLL * 5, (2, 1))] {
        sleep(away).await;
        let world = lives.life().await;
        assert_eq!(world.value("a").await.unwrap(), "value");
        assert_eq!(world.value("new").await.unwrap(), "value");
        assert_eq!(lives.model.requests(), asked, "after {away:?}");
        proofs += 1;
        assert_eq!(lives.model.probes().len(), proofs, "after {away:?}");
        assert_eq!(world.mounter.figures().from_disk, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_an_outage_starts_pods_within_max_stale() {
    let lives = Lives::new();
    let world = lives.life().await;
    world.value("a").await.unwrap();
    world.mounter.flush().await;
    drop(world);
    lives.model.weather(Weather::Down);
    sleep(HOUR / 2).await;
    let world = lives.life().await;
    let begun = Instant::now();
    assert_eq!(world.value("new").await.unwrap(), "value");
    assert!(begun.elapsed() <= Duration::from_secs(5));
    // Another class of what lies there too; what does not lie there fails.
    let other = json!({"objects": "- secretKey: OTHER\n"});
    assert_eq!(world.mount("all", &other, "b").await.unwrap()[0].1, "other");
    let staging = json!({"phaseAppEnv": "staging"});
    let error = world.mount("all", &staging, "c").await.unwrap_err();
    assert_eq!(error.cause, Cause::Unreachable);
    // Another token opens nothing of it.
    let error = world.mount("second", &one(), "d").await.unwrap_err();
    assert_eq!(error.cause, Cause::Unreachable);
    // The first life's volume is answered for ever, new ones are not.
    world.live(&["a"], &one(), HOUR).await;
    assert_eq!(world.value("a").await.unwrap(), "value");
    let error = world.value("late").await.unwrap_err();
    assert!(
        error.message.contains("more than the 1 h of maxStale"),
        "{error}"
    );
    drop(world);
    let world = lives.life().await;
    assert_eq!(
        world.value("a").await.unwrap(),
        "value",
        "and over one more restart"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_reboot_no_volume_exists_any_more() {
    let lives = Lives::new();
    let world = lives.life().await;
    let class = with(&one(), "10m");
    world.mount("all", &class, "a").await.unwrap();
    world.mounter.flush().await;
    drop(world);
    lives.model.weather(Weather::Down);
    lives.boot.store(2, Ordering::Relaxed);
    sleep(Duration::from_secs(300)).await;
    let world = lives.life().await;
    assert!(
        world.mount("all", &class, "a").await.is_ok(),
        "within maxStale it starts"
    );
    drop(world);
    lives.boot.store(3, Ordering::Relaxed);
    sleep(Duration::from_secs(600)).await;
    let world = lives.life().await;
    let error = world.mount("all", &class, "a").await.unwrap_err();
    assert!(error.message.contains("of maxStale"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_does_not_lengthen_a_life() {
    let lives = Lives::new();
    let world = lives.life().await;
    let class = with(&one(), "10m");
    world.mount("all", &class, "a").await.unwrap();
    world.mounter.flush().await;
    drop(world);
    lives.model.weather(Weather::Down);
    sleep(Duration::from_secs(3600)).await;
    // The wall clock says that no time has passed, and then that it is yesterday.
    for off in [1_000_000 - 3600, 1_000_000 - 90_000, 1_000_000 + 90_000] {
        lives.wall.store(off, Ordering::Relaxed);
        let world = lives.life().await;
        let error = world.mount("all", &class, "new").await.unwrap_err();
        assert!(error.message.contains("maxStale"), "{off}: {error}");
    }
    // With a reboot in between, a clock before what is written tells nothing.
    lives.boot.store(2, Ordering::Relaxed);
    lives.wall.store(1_000_000 - 90_000, Ordering::Relaxed);
    let world = lives.life().await;
    let error = world.mount("all", &class, "new").await.unwrap_err();
    assert!(error.message.contains("of unknown age"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_leaves_nothing_on_disk() {
    let lives = Lives::new();
    let world = lives.life().await;
    world.value("a").await.unwrap();
    world.mounter.flush().await;
    let files = || {
        let entries = std::fs::read_dir(lives.directory.path()).unwrap();
        entries
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
                name.ends_with(".image") || name.ends_with(".mark")
            })
            .count()
    };
    assert_eq!(files(), 2);
    world.control().revoke_token("all").unwrap();
    sleep(POLL * 11 / 10).await;
    let error = world.value("a").await.unwrap_err();
    assert_eq!(error.cause, Cause::RefusedCredential);
    world.mounter.flush().await;
    assert_eq!(files(), 0);
}

#[tokio::test(start_paused = true)]
async fn access_that_was_taken_away_leaves_nothing_on_disk() {
    let lives = Lives::new();
    let world = lives.life().await;
    world.value("a").await.unwrap();
    world
        .control()
        .set_access("all", "a", "production", false)
        .unwrap();
    sleep(POLL * 11 / 10).await;
    world.mounter.flush().await;
    drop(world);
    lives.model.weather(Weather::Down);
    let world = lives.life().await;
    let error = world.value("a").await.unwrap_err();
    assert_eq!(error.cause, Cause::NotFound, "{error}");
    // By now it is known that Phase is away; that is the reason, and not what was read.
    let error = world.value("new").await.unwrap_err();
    assert_eq!(error.cause, Cause::Unreachable, "{error}");
}
