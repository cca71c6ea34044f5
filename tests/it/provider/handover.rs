//! A live instance is followed by another one on the same socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A further instance on the socket of `first`, which takes its place.
async fn successor(first: &Provider, says: &'static str) -> Bound {
    let mut config = config(&first.path);
    config.take_over = true;
    provider::bind(config, move |_, _| async move { Ok(answer(says)) })
        .await
        .unwrap()
}

/// Whether the request met the end of its connection, which said that it was not looked
/// at: drivers (grpc-go) send such a one again by themselves, tonic does not.
fn is_unprocessed(error: &tonic::Status) -> bool {
    format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}

#[tokio::test]
async fn no_mount_is_lost_and_the_last_ones_reach_the_successor() {
    let first = Provider::start(|_, _| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(answer("first"))
    })
    .await;
    // Drivers: one connection each for all their mounts, which connects anew by itself.
    let over = Arc::new(AtomicBool::new(false));
    let mut drivers = Vec::new();
    for _ in 0..8 {
        let (client, over) = (first.client().await, Arc::clone(&over));
        drivers.push(tokio::spawn(async move {
            let mut last = Vec::new();
            while !over.load(Ordering::Relaxed) || last != b"second" {
                last = match mount(client.clone()).await {
                    Ok(answer) => answer.files[0].contents.clone(),
                    Err(error) if is_unprocessed(&error) => continue,
                    Err(error) => panic!("{error:?}"),
                };
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (stop, stopping) = oneshot::channel::<()>();
    let second = successor(&first, "second").await;
    assert_eq!(first.dir.path().read_dir().unwrap().count(), 1);
    let second = tokio::spawn(second.run(async { drop(stopping.await) }));
    let ended = timeout(SAFETY, first.task).await.unwrap().unwrap();
    assert_eq!(ended, Stopped::Replaced);
    over.store(true, Ordering::Relaxed);
    for driver in drivers {
        timeout(SAFETY, driver).await.unwrap().unwrap();
    }
    assert!(first.path.exists());
    stop.send(()).unwrap();
    timeout(SAFETY, second).await.unwrap().unwrap();
    assert!(!first.path.exists());
}

#[tokio::test]
async fn a_mount_that_runs_when_the_successor_comes_is_answered() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let first = Provider::start(move |_, _| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|&go| go).await.unwrap();
            Ok(answer("first"))
        }
    })
    .await;
    let running = tokio::spawn(mount(first.client().await));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _second = successor(&first, "second").await;
    // Long enough to be noticed, and for the connection to be told.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!first.task.is_finished());
    go.send(true).unwrap();
    let answer = timeout(SAFETY, running).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.files[0].contents, b"first");
    let ended = timeout(SAFETY, first.task).await.unwrap().unwrap();
    assert_eq!(ended, Stopped::Replaced);
}

#[tokio::test]
async fn a_file_that_a_killed_successor_left_is_in_nobodys_way() {
    let first = Provider::start(|_, _| async { Ok(answer("first")) }).await;
    let left = first.dir.path().join("phase.sock.new");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    let second = successor(&first, "second").await;
    assert!(!left.exists());
    drop(second);
    assert!(!first.path.exists());
}
