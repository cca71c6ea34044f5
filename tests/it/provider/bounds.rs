//! Mounts end: at the deadline, with their client, and never more than so many
//! at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phase_csi_provider::cause::Cause;
use tokio::sync::mpsc;
use tonic::Code;

use super::*;

#[tokio::test]
async fn a_mount_past_the_deadline_is_ended_and_says_so() {
    let (started, mut events) = mpsc::unbounded_channel();
    let provider = Provider::with(
        |config| config.mount_deadline = Duration::from_millis(200),
        move |_, _| hang(started.clone()),
    )
    .await;
    let status = mount(provider.client().await).await.err().unwrap();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(
        status.message(),
        "mount did not finish within 200ms (--mount-deadline): Phase or the network is slow: retry is automatic"
    );
    assert_eq!(events.recv().await, Some(Event::Started));
    assert_eq!(
        timeout(SAFETY, events.recv()).await.unwrap(),
        Some(Event::Dropped)
    );
}

#[tokio::test]
async fn the_handler_hears_of_its_deadline_and_its_own_words_come_first() {
    let provider = Provider::with(
        |config| config.mount_deadline = Duration::from_secs(2),
        |_, deadline: Deadline| async move {
            tokio::time::sleep_until(deadline.instant()).await;
            Err(Failure::new(Cause::Unreachable, "phase did not answer"))
        },
    )
    .await;
    let status = mount(provider.client().await).await.err().unwrap();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "phase did not answer")
    );
}

#[tokio::test]
async fn a_mount_stops_when_its_client_cancels_it() {
    let (started, mut events) = mpsc::unbounded_channel();
    let provider = Provider::start(move |_, _| hang(started.clone())).await;
    let client = provider.client().await;
    let cancelled = tokio::spawn(mount(client.clone()));
    assert_eq!(events.recv().await, Some(Event::Started));
    cancelled.abort();
    assert_eq!(
        timeout(SAFETY, events.recv()).await.unwrap(),
        Some(Event::Dropped)
    );
    drop(client);
}

#[tokio::test]
async fn more_mounts_than_places_wait_for_one() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let provider = Provider::with(
        |config| config.max_mounts = 3,
        move |_, _| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(answer("x"))
            }
        },
    )
    .await;
    let client = provider.client().await;
    let mounts: Vec<_> = (0..20)
        .map(|_| tokio::spawn(mount(client.clone())))
        .collect();
    for mount in mounts {
        assert!(mount.await.unwrap().is_ok());
    }
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_mount_that_waits_for_a_place_is_bounded_by_the_deadline_too() {
    let (started, mut events) = mpsc::unbounded_channel();
    let provider = Provider::with(
        |config| {
            config.max_mounts = 1;
            config.mount_deadline = Duration::from_secs(1);
        },
        move |_, _| hang(started.clone()),
    )
    .await;
    let client = provider.client().await;
    let first = tokio::spawn(mount(client.clone()));
    assert_eq!(events.recv().await, Some(Event::Started));
    let (first, second) = tokio::join!(first, mount(client));
    for status in [first.unwrap().err().unwrap(), second.err().unwrap()] {
        assert!(
            status
                .message()
                .starts_with("mount did not finish within 1s"),
            "{}",
            status.message()
        );
    }
}

#[tokio::test]
async fn two_thousand_mounts_at_once_on_one_connection_are_all_answered() {
    let provider = Provider::start(|_, _| async {
        tokio::task::yield_now().await;
        Ok(answer("x"))
    })
    .await;
    let client = provider.client().await;
    let mounts: Vec<_> = (0..2000)
        .map(|_| tokio::spawn(mount(client.clone())))
        .collect();
    for mount in mounts {
        assert_eq!(mount.await.unwrap().unwrap().files.len(), 1);
    }
}

#[tokio::test]
async fn a_thousand_mounts_given_up_at_once_do_not_cost_the_connection() {
    let (started, mut events) = mpsc::unbounded_channel();
    let handler = move |request: MountRequest, _| {
        let started = started.clone();
        async move {
            if request.attributes == "now" {
                Ok(answer("x"))
            } else {
                hang(started).await
            }
        }
    };
    let provider = Provider::with(|config| config.max_mounts = 1000, handler).await;
    let client = provider.client().await;
    let mounts: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(mount(client.clone())))
        .collect();
    for _ in 0..1000 {
        assert_eq!(
            timeout(SAFETY, events.recv()).await.unwrap(),
            Some(Event::Started)
        );
    }
    mounts.iter().for_each(|mount| mount.abort());
    let mut asking = client.clone();
    let last = asking.mount(MountRequest::new("now", ""));
    assert!(timeout(SAFETY, last).await.unwrap().is_ok());
}
