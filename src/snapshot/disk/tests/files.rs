//! What stands in the directory, who may read it, and how much there is.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use tokio::time::{Instant, sleep};

use super::seal::OVERHEAD;
use super::*;

/// Bytes of a mark with one volume.
const MARK: u64 = 149;

#[tokio::test]
async fn what_was_saved_is_loaded_after_a_restart() {
    let node = Node::with_image().await;
    node.hands.pass(3);
    let store = node.store().await;
    let loaded = store.load(&key(1)).await.unwrap();
    assert_eq!(minutes(&loaded), Some(3));
    assert_eq!(loaded.volumes, [[1; 16]]);
    assert_eq!(kept(&store, 1).await, Some(1));
    assert_eq!(format!("{loaded:?}"), "Loaded { age: Some(180s), .. }");
}

#[tokio::test]
async fn another_token_or_another_host_finds_nothing() {
    let node = Node::with_image().await;
    let log = Log::default();
    let _guard = log.install();
    let store = node.store().await;
    assert_eq!(kept(&store, 2).await, None);
    let elsewhere = DiskKey::derive(&[1; 32], "https://elsewhere.example");
    assert!(store.load(&elsewhere).await.is_none());
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn a_mark_tells_later_confirmation_and_volumes() {
    let node = Node::with_image().await;
    let store = node.store().await;
    node.hands.pass(5);
    mark(&store, 1, 1, &[7, 8]);
    store.flush().await;
    node.hands.pass(2);
    let loaded = node.load().await.unwrap();
    assert_eq!(minutes(&loaded), Some(2));
    assert_eq!(loaded.volumes, [[7; 16], [8; 16]]);
}

#[tokio::test]
async fn a_mark_of_another_image_says_nothing() {
    let node = Node::with_image().await;
    let store = node.store().await;
    node.hands.pass(5);
    mark(&store, 1, 2, &[7]);
    store.flush().await;
    let loaded = node.load().await.unwrap();
    assert_eq!(
        minutes(&loaded),
        Some(5),
        "since the image itself was saved"
    );
    assert_eq!(loaded.volumes, [[0; 16]; 0]);
}

#[tokio::test]
async fn the_latest_that_was_laid_down_is_what_is_kept() {
    let node = Node::new();
    let store = node.store().await;
    for id in 1..=200 {
        save(&store, 1, id);
        mark(&store, 1, id, &[id, id]);
    }
    store.flush().await;
    let loaded = node.load().await.unwrap();
    assert_eq!((loaded.id, loaded.volumes), ([200; 16], vec![[200; 16]; 2]));
}

#[tokio::test]
async fn what_is_forgotten_is_gone_and_nothing_brings_it_back() {
    let node = Node::with_image().await;
    let store = node.store().await;
    for id in 2..=50 {
        save(&store, 1, id);
        save(&store, 2, id);
        mark(&store, 1, id, &[]);
        let first = key(1);
        let ((), loaded) = tokio::join!(store.forget(&first), kept(&store, 1));
        assert_eq!(loaded, None);
        assert!(!node.file(1, "image").exists() && !node.file(1, "mark").exists());
        mark(&store, 1, id, &[]);
        store.flush().await;
        assert_eq!(kept(&store, 1).await, None);
        assert!(
            !node.file(1, "mark").exists(),
            "a mark alone is not written"
        );
        assert_eq!(kept(&store, 2).await, Some(id));
        tokio::task::yield_now().await;
        save(&store, 1, id);
    }
    store.flush().await;
    assert_eq!(
        kept(&store, 1).await,
        Some(50),
        "saved after it was forgotten"
    );
}

#[tokio::test]
async fn a_store_that_is_dropped_writes_what_was_laid_down() {
    let node = Node::new();
    save(&node.store().await, 1, 1);
    for _ in 0..500 {
        if node.file(1, "mark").exists() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(kept(&node.store().await, 1).await, Some(1));
}

#[tokio::test]
async fn names_and_bytes_tell_nothing() {
    let node = Node::with_image().await;
    let store = node.store().await;
    mark(&store, 1, 1, b"v");
    store.flush().await;
    let hidden = [
        &b"canary"[..],
        b"dev",
        b"prod",
        &[1; 16],
        &[b'v'; 16],
        b"example",
    ];
    for name in entries(&node.path) {
        if name == "clock" || name == "set-aside" {
            continue;
        }
        let bytes = fs::read(node.path.join(&name)).unwrap();
        let whole = [name.as_bytes(), &bytes].concat();
        for hidden in hidden {
            let found = whole.windows(hidden.len()).any(|window| window == hidden);
            assert!(!found, "{name}: {hidden:?}");
        }
    }
    let name = key(1).name().to_owned();
    let mut expected = [
        format!("{name}.image"),
        format!("{name}.mark"),
        "clock".to_owned(),
    ];
    expected.sort();
    assert_eq!(entries(&node.path), expected);
}

#[tokio::test]
async fn nobody_else_may_read_whatever_the_umask() {
    if !is_again() {
        let test = "files::nobody_else_may_read_whatever_the_umask";
        assert!(again(test, &[], "umask 0"));
        return;
    }
    let node = Node::with_image().await;
    fs::write(node.path.join("foreign"), "").unwrap();
    fs::set_permissions(&node.path, PermissionsExt::from_mode(0o755)).unwrap();
    let store = node.store().await;
    assert_eq!(kept(&store, 1).await, Some(1));
    store.flush().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&node.path), 0o700);
    assert_eq!(mode(&node.path.join("set-aside")), 0o700);
    for file in [
        node.file(1, "image"),
        node.file(1, "mark"),
        node.path.join("clock"),
    ] {
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
}

fn limits(files: usize, images: u64) -> Limits {
    let bytes = images * (image(1).length() + OVERHEAD as u64 + MARK);
    Limits {
        files,
        bytes,
        ..Limits::default()
    }
}

#[tokio::test]
async fn what_was_least_recently_used_goes_for_files_and_for_bytes() {
    for limits in [limits(6, 100), limits(100, 3)] {
        let node = Node::new();
        let store = node.store_with(limits).await;
        for number in 1..=3 {
            save(&store, number, number);
            store.flush().await;
        }
        assert_eq!(kept(&store, 1).await, Some(1), "loading uses it");
        mark(&store, 2, 2, &[]);
        store.flush().await;
        save(&store, 4, 4);
        store.flush().await;
        let mut left = Vec::new();
        for number in 1..=4 {
            left.extend(kept(&store, number).await);
        }
        assert_eq!(left, [1, 2, 4], "{limits:?}");
        assert_eq!(store.usage().0, 6);
        assert!(store.usage().1 <= limits.bytes);
        assert_eq!(entries(&node.path).len(), 7, "six files and the clock");
    }
}

#[tokio::test]
async fn the_order_of_use_outlives_a_restart_and_lower_limits_are_kept() {
    let node = Node::new();
    let store = node.store().await;
    for number in 1..=4 {
        save(&store, number, number);
        store.flush().await;
        // File times are as coarse as the kernel's tick.
        sleep(Duration::from_millis(15)).await;
    }
    assert_eq!(kept(&store, 1).await, Some(1));
    let store = node.store_with(limits(4, 100)).await;
    assert_eq!(store.usage().0, 4);
    let (first, last) = (kept(&store, 1).await, kept(&store, 4).await);
    assert_eq!((first, last), (Some(1), Some(4)));
}

#[tokio::test]
async fn a_set_above_the_limit_is_not_kept_and_what_was_there_stays() {
    let node = Node::with_image().await;
    let log = Log::default();
    let _guard = log.install();
    let image_bytes = image(1).length() + OVERHEAD as u64;
    let store = node
        .store_with(Limits {
            image_bytes,
            ..Limits::default()
        })
        .await;
    let mut large = image(2);
    large.environments[0].0.push('.');
    for _ in 0..3 {
        store.save(&key(1), large.clone(), store.now(), Vec::new());
    }
    store.flush().await;
    assert_eq!(kept(&store, 1).await, Some(1));
    let expected = format!("a set of more than {image_bytes} bytes is not kept across restarts");
    assert_eq!(log.lines(), [expected]);
}

#[tokio::test]
async fn usage_is_what_lies_there() {
    let node = Node::with_image().await;
    let store = node.store().await;
    let files = [node.file(1, "image"), node.file(1, "mark")];
    let bytes = files.map(|file| fs::metadata(file).unwrap().len());
    assert_eq!(store.usage(), (2, bytes.iter().sum()));
    store.forget(&key(1)).await;
    assert_eq!(store.usage(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_comes_at_once_is_written_together_within_a_second() {
    let node = Node::new();
    let store = node.store().await;
    let begun = Instant::now();
    for number in 1..=3 {
        save(&store, number, 1);
    }
    let mut seen = BTreeMap::new();
    while store.usage().0 < 6 {
        sleep(Duration::from_millis(10)).await;
        seen.entry(store.usage().0)
            .or_insert_with(|| begun.elapsed());
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{seen:?}");
    let first = seen.into_iter().find(|(files, _)| *files > 0).unwrap();
    assert!(first.1 >= Duration::from_millis(400), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_or_removes_does_not_wait_for_others_to_join() {
    let node = Node::new();
    let store = node.store().await;
    let begun = Instant::now();
    save(&store, 1, 1);
    store.flush().await;
    assert_eq!(store.usage().0, 2);
    save(&store, 2, 1);
    store.forget(&key(1)).await;
    assert_eq!(kept(&store, 1).await, None);
    assert!(begun.elapsed() < Duration::from_millis(100));
}
