//! A directory that cannot be used costs the feature, and one line.

use std::io::Write;
use std::os::unix::fs::symlink;

use super::*;

const CANNOT: &str = "cannot be written: ";
const CAN: &str = "can be written again";

/// Everything that a mount does, on a store that remembers nothing.
async fn use_all(store: &Store) {
    save(store, 1, 1);
    mark(store, 1, 1, &[1]);
    store.flush().await;
    assert_eq!(kept(store, 1).await, None);
    store.forget(&key(1)).await;
    assert_eq!(store.usage(), (0, 0));
    assert_eq!(store.now().boot, [1; 16]);
}

#[tokio::test]
async fn a_file_or_a_link_in_place_of_the_directory_is_one_warning() {
    let made: [fn(&Path); 2] = [
        |path| fs::write(path, "text").unwrap(),
        |path| symlink("/", path).unwrap(),
    ];
    for make in made {
        let node = Node::new();
        make(&node.path);
        let log = Log::default();
        let _guard = log.install();
        use_all(&node.store().await).await;
        assert_eq!(
            log.lines(),
            [
                "is not a directory: give a new or an empty directory: nothing is kept across restarts until the next start"
            ]
        );
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_one_warning() {
    let node = Node::new();
    let parent = node.path.with_file_name("file");
    fs::write(&parent, "").unwrap();
    let log = Log::default();
    let guard = log.install();
    let path = parent.join("state");
    let store = Store::open(path, Limits::default(), node.hands.clock()).await;
    use_all(&store).await;
    drop(guard);
    assert_eq!(
        log.lines(),
        [
            "cannot make it: Not a directory (os error 20): check its file system, owner and permissions: nothing is kept across restarts until the next start"
        ]
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_replaced_is_told_once_and_costs_no_other_key() {
    let node = Node::new();
    let store = node.store().await;
    let log = Log::default();
    let _guard = log.install();
    let obstacle = node.file(1, "image").join("inner");
    fs::create_dir_all(&obstacle).unwrap();
    for id in 1..=3 {
        save(&store, 1, id);
        save(&store, 2, id);
        store.flush().await;
        assert_eq!(kept(&store, 2).await, Some(id));
    }
    let leftovers = entries(&node.path);
    assert!(
        leftovers.iter().all(|name| !name.starts_with(".tmp-")),
        "{leftovers:?}"
    );
    assert!(
        !node.file(1, "mark").exists(),
        "no mark of an image that is not there"
    );
    assert_eq!(
        (log.count(CANNOT), log.count(CAN)),
        (1, 0),
        "{:?}",
        log.lines()
    );
    fs::remove_dir_all(node.file(1, "image")).unwrap();
    store.flush().await;
    assert_eq!(kept(&store, 1).await, Some(3), "the latest was not lost");
    assert_eq!(
        (log.count(CANNOT), log.count(CAN)),
        (1, 1),
        "{:?}",
        log.lines()
    );
}

#[tokio::test]
async fn a_directory_that_vanished_is_made_anew() {
    let node = Node::with_image().await;
    let store = node.store().await;
    fs::remove_dir_all(&node.path).unwrap();
    assert_eq!(kept(&store, 1).await, None);
    save(&store, 2, 2);
    mark(&store, 1, 1, &[]);
    store.flush().await;
    assert_eq!(
        (kept(&store, 1).await, kept(&store, 2).await),
        (None, Some(2))
    );
    assert_eq!(store.usage().0, 2);
    fs::remove_dir_all(&node.path).unwrap();
    fs::write(&node.path, "a file in its place").unwrap();
    let log = Log::default();
    let _guard = log.install();
    save(&store, 2, 3);
    store.flush().await;
    assert_eq!(
        log.count("cannot be written: is not a directory"),
        1,
        "{:?}",
        log.lines()
    );
    fs::remove_file(&node.path).unwrap();
    store.flush().await;
    assert_eq!(kept(&store, 2).await, Some(3));
    assert_eq!(log.count(CAN), 1);
}

#[tokio::test]
async fn what_cannot_be_removed_is_not_loaded_until_it_is() {
    let node = Node::with_image().await;
    let store = node.store().await;
    let (image, mark) = (node.file(1, "image"), node.file(1, "mark"));
    fs::remove_file(&mark).unwrap();
    fs::create_dir_all(mark.join("inner")).unwrap();
    store.forget(&key(1)).await;
    assert!(!image.exists());
    assert_eq!(kept(&store, 1).await, None);
    fs::remove_dir_all(&mark).unwrap();
    save(&store, 1, 2);
    store.flush().await;
    assert_eq!(kept(&store, 1).await, Some(2));
}

/// The test on a disk of 64 KiB, if the system lets this user mount one.
fn on_a_small_disk(test: &str) {
    let mount = "mount -t tmpfs -o size=64k tmpfs \"$TMPDIR\"";
    if !again(&format!("trouble::{test}"), &["unshare", "-rm"], mount) {
        let _ = writeln!(io::stderr(), "{test}: no right to mount: not run");
    }
}

#[tokio::test]
async fn a_full_disk_keeps_what_was_there_and_is_told_once() {
    if !is_again() {
        return on_a_small_disk("a_full_disk_keeps_what_was_there_and_is_told_once");
    }
    let node = Node::with_image().await;
    let store = node.store().await;
    let log = Log::default();
    let _guard = log.install();
    let ballast = node.path.with_file_name("ballast");
    fs::write(&ballast, vec![0; 70_000]).unwrap_err();
    for id in 2..=4 {
        save(&store, 1, id);
        mark(&store, 1, id, &[]);
        store.flush().await;
        assert_eq!(kept(&store, 1).await, Some(1));
        assert_eq!(entries(&node.path).len(), 3, "no leftovers");
    }
    assert_eq!(
        (log.count(CANNOT), log.count(CAN)),
        (1, 0),
        "{:?}",
        log.lines()
    );
    assert_eq!(log.count("No space left"), 1);
    let loaded = node.load().await.unwrap();
    assert_eq!(
        (loaded.id, loaded.volumes.len()),
        ([1; 16], 1),
        "after a restart, too"
    );
    fs::remove_file(ballast).unwrap();
    store.flush().await;
    assert_eq!(kept(&store, 1).await, Some(4));
    assert_eq!(
        (log.count(CANNOT), log.count(CAN)),
        (1, 1),
        "{:?}",
        log.lines()
    );
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_read() {
    if !is_again() {
        return on_a_small_disk("a_disk_that_cannot_be_written_is_read");
    }
    let node = Node::with_image().await;
    let remount = |mode: &str| {
        let option = format!("remount,{mode}");
        let status = Command::new("mount")
            .args(["-o", &option])
            .arg(std::env::temp_dir())
            .status();
        assert!(status.unwrap().success());
    };
    remount("ro");
    node.hands.pass(2);
    let log = Log::default();
    let _guard = log.install();
    let store = node.store().await;
    assert_eq!(kept(&store, 1).await, Some(1));
    save(&store, 1, 2);
    store.flush().await;
    store.forget(&key(1)).await;
    assert_eq!(kept(&store, 1).await, None, "forgotten, though it is there");
    assert_eq!(
        (log.count(CANNOT), log.count(CAN)),
        (1, 0),
        "{:?}",
        log.lines()
    );
    assert_eq!(log.count("Read-only file system"), 1);
    remount("rw");
    store.flush().await;
    assert!(!node.file(1, "image").exists());
    assert_eq!(log.count(CAN), 1, "{:?}", log.lines());
}
