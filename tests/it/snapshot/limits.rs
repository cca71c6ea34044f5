//! Every map has a limit, and memory returns.

use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::snapshot::{Limits, Settings};
use serde_json::json;
use tokio::time::sleep;

use super::{POLL, World, one};
use crate::support::model::Weather;

fn limited(limits: Limits) -> World {
    World::with(Settings {
        limits,
        ..Settings::default()
    })
}

#[tokio::test(start_paused = true)]
async fn the_class_that_was_used_longest_ago_gives_way() {
    let world = limited(Limits {
        entries: 3,
        ..Limits::default()
    });
    for n in 0..10 {
        let class = json!({"objects": format!("- {{secretKey: KEY, objectName: file-{n}}}\n")});
        world.mount("all", &class, "a").await.unwrap();
        sleep(Duration::from_millis(1)).await;
        assert!(world.mounter.figures().entries <= 3);
    }
    assert_eq!(world.mounter.figures().entries, 3);
    assert_eq!(world.model.requests(), (1, 1), "what was fetched stays");
}

#[tokio::test(start_paused = true)]
async fn the_token_that_was_used_longest_ago_gives_way_with_all_it_opened() {
    let world = limited(Limits {
        credentials: 2,
        ..Limits::default()
    });
    for token in ["all", "second", "same"] {
        world.mount(token, &one(), "a").await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.mounter.figures().entries, 2);
    world.model.weather(Weather::Down);
    sleep(POLL).await;
    world.mount("all", &one(), "a").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn volumes_are_bounded_and_a_forgotten_one_counts_as_new() {
    let world = limited(Limits {
        volumes: 5,
        ..Limits::default()
    });
    let class = json!({"objects": "- secretKey: KEY\n", "maxStale": "0s"});
    for pod in 0..20 {
        world
            .mount("all", &class, &format!("pod-{pod}"))
            .await
            .unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.mounter.figures().volumes, 5);
    world.model.weather(Weather::Down);
    sleep(POLL * 2).await;
    assert!(world.mount("all", &class, "pod-19").await.is_ok());
    assert!(world.mount("all", &class, "pod-0").await.is_err());
}

/// What is remembered of one namespace gives way to what it needs now.
#[tokio::test(start_paused = true)]
async fn bytes_are_bounded() {
    let world = limited(Limits {
        bytes: 180_000,
        ..Limits::default()
    });
    for token in ["all", "second", "same", "all", "second", "same"] {
        world.mount(token, &json!({}), "a").await.unwrap();
        let bytes = world.mounter.figures().bytes;
        assert!((1..=90_000).contains(&bytes), "half of all: {bytes}");
    }
    let entries = world.mounter.figures().entries;
    assert!(entries < 3, "others gave way: {entries}");
}

/// A class that needs more than one may have says so, and keeps nothing.
#[tokio::test(start_paused = true)]
async fn what_has_no_room_is_refused_with_limit_and_use() {
    let world = limited(Limits {
        bytes: 12_000,
        ..Limits::default()
    });
    let error = world.mount("all", &json!({}), "a").await.unwrap_err();
    assert_eq!(error.cause, Cause::TooLarge);
    let told = "memory for secrets: at most 5250 bytes for one class, 0 bytes are in use and ";
    assert!(error.message.starts_with(told), "{}", error.message);
    assert_eq!(world.mounter.figures().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn memory_returns_after_volumes_are_gone() {
    let world = World::new();
    for pod in 0..200 {
        world.value(&format!("pod-{pod}")).await.unwrap();
    }
    assert_eq!(world.mounter.figures().volumes, 200);
    sleep(Duration::from_secs(16 * 60)).await;
    assert_eq!(world.mounter.figures().volumes, 0);
    sleep(Duration::from_secs(3 * 3600)).await;
    let figures = world.mounter.figures();
    assert_eq!((figures.entries, figures.bytes), (0, 0));
}
