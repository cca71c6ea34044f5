//! `/live`, `/ready`, and whoever means no good at their address.

use std::time::{Duration, Instant};

use phase_csi_provider::telemetry::live::Live;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::support::daemon::run;

async fn says(daemon: &Daemon, path: &str) -> (u16, String) {
    let (code, kind, text) = daemon.page(path).await;
    assert_eq!(kind, "text/plain; charset=utf-8");
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    (code, text.trim().to_owned())
}

#[tokio::test]
async fn a_daemon_that_serves_is_live_and_ready_whatever_phase_does() {
    let daemon = Daemon::start(&["--phase-host", "https://phase.invalid"]).await;
    let ok = (200, "ok".to_owned());
    assert_eq!(says(&daemon, "/live").await, ok);
    assert_eq!(says(&daemon, "/ready").await, ok);
}

#[tokio::test]
async fn a_socket_that_is_gone_is_seen_and_one_that_is_back_too() {
    let daemon = Daemon::start(&[]).await;
    let socket = daemon.socket();
    let directory = socket.parent().unwrap();
    let aside = directory.with_extension("aside");
    std::fs::rename(directory, &aside).unwrap();
    let (code, text) = says(&daemon, "/live").await;
    assert_eq!((code, text), (503, format!("{} is gone", socket.display())));
    std::fs::create_dir(directory).unwrap();
    eventually(async || (says(&daemon, "/live").await.0 == 200).then_some(())).await;
    std::fs::remove_dir_all(&aside).unwrap();
    let written = daemon.written();
    assert!(written.contains("created anew"), "{written}");
}

#[tokio::test]
async fn a_socket_of_another_process_is_not_ours() {
    let daemon = Daemon::start(&[]).await;
    let dead = Live::new(&daemon.socket()).check().await.unwrap_err();
    let expected = format!("{} belongs to another process", daemon.socket().display());
    assert_eq!(dead.to_string(), expected);
}

#[tokio::test]
async fn a_daemon_that_stops_is_not_ready() {
    let scene = Scene::start(&["--mount-deadline", "5s"]).await;
    scene.fault(FaultKind::Stall, Endpoint::Any);
    let stopping = async {
        scene.reaches("phase_csi_mounts_in_flight", 1.0).await;
        scene.daemon.terminate();
        eventually(async || (says(&scene.daemon, "/ready").await.0 == 503).then_some(())).await;
        says(&scene.daemon, "/ready").await.1
    };
    let class = class();
    let (mount, text) = tokio::join!(scene.publish(&class, "a"), stopping);
    assert!(mount.is_err());
    assert_eq!(text, "stopping: no new mounts are taken");
}

#[tokio::test]
async fn other_paths_and_methods_say_what_there_is() {
    let daemon = Daemon::start(&[]).await;
    let (code, text) = says(&daemon, "/").await;
    assert_eq!(
        (code, text.as_str()),
        (404, "there is /live, /ready and /metrics here")
    );
    let url = format!("http://{}/live", daemon.http().await);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(&url).body("x").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"GET, HEAD".parse().unwrap())
    );
    let answer = client.head(&url).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("phase.sock");
    let ended = run(&socket, &["--http-listen", &address]).await;
    assert_eq!(ended.status.code(), Some(1));
    let expected = format!(
        "--http-listen: cannot listen on {address}: Address already in use (os error 98): choose another address, or off for no health and metrics"
    );
    assert!(ended.output.contains(&expected), "{}", ended.output);
    assert!(!socket.exists());
    let ended = run(&socket, &["--http-listen", "localhost"]).await;
    assert_eq!(ended.status.code(), Some(2));
    for part in ["--http-listen", "'localhost'", "an IP address and a port"] {
        assert!(ended.output.contains(part), "{part}: {}", ended.output);
    }
}

#[tokio::test]
async fn off_is_off() {
    for value in ["off", ""] {
        let variables = [("PHASE_CSI_HTTP_LISTEN", value)];
        let daemon = Daemon::with(&[], &variables).await;
        let ended = daemon.stop().await;
        assert!(
            !ended.output.contains("health and metrics"),
            "{}",
            ended.output
        );
    }
}

#[tokio::test]
async fn abuse_hurts_no_mount_and_passes() {
    let scene = Scene::start(&[]).await;
    scene.publish(&class(), "a").await.unwrap();
    let address = scene.daemon.http().await;
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /live HTTP/1.1\r\nx").await.unwrap();
        }
        slow.push(stream);
    }
    let begun = Instant::now();
    for _ in 0..50 {
        scene.publish(&class(), "a").await.unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", scene.daemon.id()));
    assert!(descriptors.unwrap().count() < 80);
    // The slow ones are cut, so that others have their turn.
    let mut huge = TcpStream::connect(address).await.unwrap();
    let header = format!("GET /live HTTP/1.1\r\nx: {}", "x".repeat(1 << 20));
    let _ = huge.write_all(header.as_bytes()).await;
    let mut answer = Vec::new();
    let read = huge.read_to_end(&mut answer);
    let _ = timeout(Duration::from_secs(60), read)
        .await
        .expect("it is answered or cut");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert_eq!(says(&scene.daemon, "/live").await.0, 200);
    drop(slow);
}

#[tokio::test]
async fn a_daemon_leaves_no_core_dump() {
    let daemon = Daemon::start(&[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    let owner = std::fs::metadata(format!("/proc/{}/environ", daemon.id())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 0);
}
