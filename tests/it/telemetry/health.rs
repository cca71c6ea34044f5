//! `/live`, `/ready`, and whoever means no good at their address.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phase_csi_provider::telemetry::live::Live;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

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

/// Whoever holds so many connections and says nothing on them; what is closed is opened
/// again at once, until it is dropped.
async fn silent(address: SocketAddr, count: usize) -> JoinSet<()> {
    let opened = Arc::new(AtomicUsize::new(0));
    let mut attack = JoinSet::new();
    for _ in 0..count {
        let opened = Arc::clone(&opened);
        attack.spawn(async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    opened.fetch_add(1, Ordering::Relaxed);
                    drop(stream.read_to_end(&mut Vec::new()).await);
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
    }
    eventually(async || (opened.load(Ordering::Relaxed) >= count).then_some(())).await;
    attack
}

/// A page as a peer with this address gets it.
async fn page_from(peer: [u8; 4], address: SocketAddr, path: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((peer, 0))).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_hundred_and_fifty_silent_connections_stop_neither_probes_nor_prometheus() {
    let directory = tempfile::tempdir().unwrap();
    let health = directory.path().join("health.sock");
    let endpoint = format!("unix://{}", health.display());
    let daemon = Daemon::start(&["--health-socket", &endpoint]).await;
    let address = daemon.http().await;
    let attack = silent(address, 150).await;
    for number in 0..7 {
        let flag = ["--live", "--ready"][number % 2];
        let (code, text) = probe(&health, flag).await;
        assert_eq!((code, text.as_str()), (Some(0), "ok\n"), "probe {number}");
        let page = page_from([127, 0, 0, 2], address, "/metrics");
        // As long as Prometheus waits.
        let page = timeout(Duration::from_secs(10), page).await;
        let page = page.expect("another peer is answered");
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("phase_csi_build_info"), "{page}");
    }
    drop(attack);
}

/// `probe` on a socket of health: its status, and what it writes.
async fn probe(socket: &Path, flag: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
        .args(["probe", flag, &format!("unix://{}", socket.display())])
        .env_clear()
        .output()
        .await
        .unwrap();
    let written = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(written).unwrap())
}

#[tokio::test]
async fn a_probe_asks_the_process_itself_and_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let health = directory.path().join("health.sock");
    let gone = format!(
        "error: cannot connect to {}: No such file or directory (os error 2): is it the --health-socket of the process?\n",
        health.display()
    );
    assert_eq!(probe(&health, "--live").await, (Some(1), gone));
    let endpoint = format!("unix://{}", health.display());
    let daemon = Daemon::start(&["--health-socket", &endpoint, "--http-listen", "off"]).await;
    assert_eq!(probe(&health, "--ready").await, (Some(0), "ok\n".into()));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&health).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // The provider's own socket speaks another language.
    let wrong = format!(
        "error: wrong answer on {}: is it a --health-socket?\n",
        daemon.socket().display()
    );
    assert_eq!(probe(&daemon.socket(), "--live").await, (Some(1), wrong));
    // Another instance has the driver's socket, and is healthy: this one is asked.
    let successor = daemon.successor(&["--take-over"]).await;
    eventually(async || (probe(&health, "--ready").await.0 != Some(0)).then_some(())).await;
    drop(successor);
}

#[tokio::test]
async fn a_probe_of_a_process_whose_socket_is_gone_fails_with_its_words() {
    let directory = tempfile::tempdir().unwrap();
    let health = directory.path().join("health.sock");
    let endpoint = format!("unix://{}", health.display());
    let daemon = Daemon::start(&["--health-socket", &endpoint]).await;
    let socket = daemon.socket();
    std::fs::rename(socket.parent().unwrap(), directory.path().join("aside")).unwrap();
    let expected = format!("error: {} is gone\n", socket.display());
    eventually(async || {
        (probe(&health, "--live").await == (Some(1), expected.clone())).then_some(())
    })
    .await;
    std::fs::create_dir(socket.parent().unwrap()).unwrap();
    eventually(async || (probe(&health, "--live").await.0 == Some(0)).then_some(())).await;
}

#[tokio::test]
async fn a_health_socket_that_cannot_be_had_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("phase.sock");
    std::fs::write(directory.path().join("file"), "").unwrap();
    let taken = directory.path().join("taken");
    let _listener = tokio::net::UnixListener::bind(&taken).unwrap();
    for (name, why) in [
        ("none/health.sock", "its directory does not exist"),
        ("file", "a file that is no socket is there"),
        ("taken", "another process serves there"),
    ] {
        let path = directory.path().join(name);
        let endpoint = format!("unix://{}", path.display());
        let ended = run(&socket, &["--health-socket", &endpoint]).await;
        assert_eq!(ended.status.code(), Some(1));
        let expected = format!(
            "--health-socket: cannot listen on {}: {why}: choose another path, or leave it off",
            path.display()
        );
        assert!(ended.output.contains(&expected), "{}", ended.output);
    }
}

#[tokio::test]
async fn abuse_hurts_no_mount_and_passes() {
    let scene = Scene::start(&[]).await;
    scene.publish(&class(), "a").await.unwrap();
    let address = scene.daemon.http().await;
    let attack = silent(address, 200).await;
    for _ in 0..50 {
        scene.publish(&class(), "a").await.unwrap();
    }
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", scene.daemon.id()));
    assert!(descriptors.unwrap().count() < 80);
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
    let page = page_from([127, 0, 0, 2], address, "/live").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    drop(attack);
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
