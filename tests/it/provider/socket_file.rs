//! The socket's file: whose it is, who may use it, what becomes of it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

async fn served() -> Provider {
    Provider::start(|_, _| async { Ok(answer("x")) }).await
}

async fn refusal(path: &Path) -> String {
    let bound = provider::bind(config(path), |_, _| async { Ok(answer("x")) }).await;
    bound.err().unwrap().to_string()
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SAFETY, wait).await.unwrap();
}

#[tokio::test]
async fn it_is_private_from_its_first_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("phase.sock");
    let sightings = Arc::new(AtomicUsize::new(0));
    let (watched, seen) = (path.clone(), Arc::clone(&sightings));
    let watcher = std::thread::spawn(move || {
        while seen.load(Ordering::Relaxed) < 300 {
            if let Ok(found) = watched.symlink_metadata() {
                assert_eq!(found.mode() & 0o7777, 0o600);
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    while !watcher.is_finished() {
        let bound = provider::bind(config(&path), |_, _| async { Ok(answer("x")) }).await;
        assert_eq!(path.symlink_metadata().unwrap().mode() & 0o7777, 0o600);
        drop(bound);
        assert!(!path.exists());
    }
    watcher.join().unwrap();
}

#[tokio::test]
async fn what_a_dead_instance_left_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("phase.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let bound = provider::bind(config(&path), |_, _| async { Ok(answer("x")) })
        .await
        .unwrap();
    let provider = Provider::run(dir, bound);
    assert!(mount(provider.client().await).await.is_ok());
}

#[tokio::test]
async fn a_live_instance_is_respected_and_goes_on() {
    let first = served().await;
    assert_eq!(
        refusal(&first.path).await,
        format!(
            "another instance is serving on {}: stop it first, or choose another --endpoint",
            first.path.display()
        )
    );
    assert!(mount(first.client().await).await.is_ok());
}

#[tokio::test]
async fn a_live_instance_that_is_too_busy_to_accept_is_respected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("phase.sock");
    let fd = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&fd, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&fd, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    assert!(
        refusal(&path)
            .await
            .starts_with("another instance is serving on ")
    );
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (file, folder, link) = (
        dir.path().join("file.sock"),
        dir.path().join("folder.sock"),
        dir.path().join("link.sock"),
    );
    fs::write(&file, "precious").unwrap();
    fs::create_dir(&folder).unwrap();
    symlink(&file, &link).unwrap();
    for path in [&file, &folder, &link] {
        assert_eq!(
            refusal(path).await,
            format!(
                "{} exists and is not a socket: remove it, or choose another --endpoint",
                path.display()
            )
        );
    }
    assert_eq!(fs::read(&link).unwrap(), b"precious");
    assert!(folder.is_dir());
}

#[tokio::test]
async fn a_missing_directory_and_one_that_cannot_be_written_are_clear_errors() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("not-there");
    assert_eq!(
        refusal(&missing.join("phase.sock")).await,
        format!(
            "directory {} does not exist: create or mount it, the driver looks for sockets there",
            missing.display()
        )
    );
    let text = refusal(Path::new("/proc/self/phase.sock")).await;
    assert!(
        text.starts_with("cannot serve on /proc/self/phase.sock: "),
        "{text}"
    );
    assert!(
        text.ends_with(": check the directory's owner and mode, or choose another --endpoint"),
        "{text}"
    );
    let long = dir.path().join("x".repeat(80));
    fs::write(&long, "").unwrap();
    let text = refusal(&dir.path().join(format!("{}/y", "x".repeat(80)))).await;
    assert!(text.starts_with("directory "), "{text}");
}

#[tokio::test]
async fn a_stop_removes_it() {
    let provider = served().await;
    let path = provider.path.clone();
    assert!(path.exists());
    assert_eq!(provider.stop().await, Stopped::Asked);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stop_leaves_what_is_not_ours() {
    let provider = served().await;
    let path = provider.path.clone();
    let dir = provider.dir;
    fs::remove_file(&path).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    provider.stop.send(()).ok();
    timeout(SAFETY, provider.task).await.unwrap().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
    drop(dir);
}

#[tokio::test]
async fn one_that_vanished_comes_back_and_open_connections_live_on() {
    let provider = served().await;
    let before = provider.client().await;
    assert!(mount(before.clone()).await.is_ok());
    fs::remove_file(&provider.path).unwrap();
    until(|| provider.path.exists()).await;
    assert_eq!(
        provider.path.symlink_metadata().unwrap().mode() & 0o7777,
        0o600
    );
    assert!(mount(provider.client().await).await.is_ok());
    assert!(mount(before).await.is_ok());
    let path = provider.path.clone();
    assert_eq!(provider.stop().await, Stopped::Asked);
    assert!(!path.exists());
}

#[tokio::test]
async fn one_whose_directory_vanished_comes_back_with_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("providers");
    fs::create_dir(&folder).unwrap();
    let bound = provider::bind(config(&folder.join("phase.sock")), |_, _| async {
        Ok(answer("x"))
    })
    .await
    .unwrap();
    let provider = Provider::run(dir, bound);
    fs::remove_dir_all(&folder).unwrap();
    // Long enough for an attempt that fails.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    fs::create_dir(&folder).unwrap();
    until(|| provider.path.exists()).await;
    assert!(mount(provider.client().await).await.is_ok());
}

#[tokio::test]
async fn another_instance_in_its_place_ends_this_one_and_keeps_the_file() {
    let first = served().await;
    let aside = first.path.with_extension("aside");
    fs::rename(&first.path, &aside).unwrap();
    let other = UnixListener::bind(&first.path).unwrap();
    assert_eq!(
        timeout(SAFETY, first.task).await.unwrap().unwrap(),
        Stopped::Replaced
    );
    assert!(
        first
            .path
            .symlink_metadata()
            .unwrap()
            .file_type()
            .is_socket()
    );
    assert!(UnixStream::connect(&first.path).is_ok());
    drop(other);
}
