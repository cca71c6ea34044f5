//! A stop: no new mounts, running ones finish, and it ends in bounded time.

use std::sync::Arc;

use phase_csi_provider::provider::grpc::VersionRequest;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tonic::Code;

use super::*;

const NO_NEW: &str = "provider is stopping: no new mounts are taken: retry is automatic";

/// A provider whose mounts wait for a permit of the semaphore.
async fn gated(
    change: impl FnOnce(&mut Config),
) -> (Provider, Arc<Semaphore>, mpsc::UnboundedReceiver<()>) {
    let gate = Arc::new(Semaphore::new(0));
    let (started, starts) = mpsc::unbounded_channel();
    let opening = Arc::clone(&gate);
    let provider = Provider::with(change, move |_, _| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        async move {
            started.send(()).unwrap();
            gate.acquire().await.unwrap().forget();
            Ok(answer("finished"))
        }
    })
    .await;
    (provider, opening, starts)
}

async fn gone(path: &Path) {
    let wait = async {
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SAFETY, wait).await.unwrap();
}

#[tokio::test]
async fn running_mounts_finish_while_new_ones_and_new_connections_are_refused() {
    let (provider, gate, mut starts) = gated(|_| {}).await;
    let client = provider.client().await;
    let running = tokio::spawn(mount(client.clone()));
    starts.recv().await.unwrap();
    provider.stop.send(()).unwrap();
    gone(&provider.path).await;
    let refused = mount(client.clone()).await.err().unwrap();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Internal, NO_NEW)
    );
    assert!(
        client
            .clone()
            .version(VersionRequest::default())
            .await
            .is_ok()
    );
    assert!(UnixStream::connect(&provider.path).await.is_err());
    assert!(!provider.task.is_finished());
    gate.add_permits(1);
    assert_eq!(
        running.await.unwrap().ok().unwrap().files[0].contents,
        b"finished"
    );
    assert_eq!(
        timeout(SAFETY, provider.task).await.unwrap().unwrap(),
        Stopped::Asked
    );
}

#[tokio::test]
async fn mounts_that_run_too_long_are_told_so_before_it_ends() {
    let (provider, _gate, mut starts) =
        gated(|config| config.drain = Duration::from_millis(200)).await;
    let client = provider.client().await;
    // Many, so that the last answers are not out before the connection hears of it.
    let mut running = Vec::new();
    for _ in 0..100 {
        running.push(tokio::spawn(mount(client.clone())));
        starts.recv().await.unwrap();
    }
    assert_eq!(provider.stop().await, Stopped::Asked);
    for mount in running {
        let told = mount.await.unwrap().err().unwrap();
        let text = "provider is stopping: this mount did not finish in time: retry is automatic";
        assert_eq!((told.code(), told.message()), (Code::Internal, text));
    }
}

#[tokio::test]
async fn mounts_that_wait_for_a_place_are_refused_at_once() {
    let (provider, gate, mut starts) = gated(|config| config.max_mounts = 1).await;
    let client = provider.client().await;
    let running = tokio::spawn(mount(client.clone()));
    starts.recv().await.unwrap();
    let waiting = tokio::spawn(mount(client.clone()));
    // It waits once it has been sent; being sent after the stop is refused as well.
    tokio::time::sleep(Duration::from_millis(50)).await;
    provider.stop.send(()).unwrap();
    let refused = timeout(SAFETY, waiting)
        .await
        .unwrap()
        .unwrap()
        .err()
        .unwrap();
    assert_eq!(refused.message(), NO_NEW);
    gate.add_permits(1);
    assert!(running.await.unwrap().is_ok());
    timeout(SAFETY, provider.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let (provider, _gate, _starts) = gated(|config| config.drain = SAFETY * 10).await;
    let _idle = provider.client().await;
    let _silent = UnixStream::connect(&provider.path).await.unwrap();
    assert_eq!(provider.stop().await, Stopped::Asked);
}

#[tokio::test]
async fn dropping_it_ends_running_mounts_at_once_and_removes_the_socket() {
    let (started, mut events) = mpsc::unbounded_channel();
    let provider = Provider::start(move |_, _| hang(started.clone())).await;
    let running = tokio::spawn(mount(provider.client().await));
    assert_eq!(events.recv().await, Some(Event::Started));
    provider.task.abort();
    assert!(provider.task.await.err().unwrap().is_cancelled());
    assert_eq!(
        timeout(SAFETY, events.recv()).await.unwrap(),
        Some(Event::Dropped)
    );
    assert!(timeout(SAFETY, running).await.unwrap().unwrap().is_err());
    assert!(!provider.path.exists());
}

#[tokio::test]
async fn a_replaced_instance_finishes_its_mounts_too() {
    let (provider, gate, mut starts) = gated(|_| {}).await;
    let running = tokio::spawn(mount(provider.client().await));
    starts.recv().await.unwrap();
    std::fs::remove_file(&provider.path).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&provider.path).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!provider.task.is_finished());
    gate.add_permits(1);
    assert!(running.await.unwrap().is_ok());
    assert_eq!(
        timeout(SAFETY, provider.task).await.unwrap().unwrap(),
        Stopped::Replaced
    );
    assert!(provider.path.exists());
}
