//! A rolling update: the new instance takes the socket while the old one lives, and
//! the old one stands by until it is stopped.

use phase_csi_provider::provider::grpc::VersionRequest;
use tokio::process::Command;

use crate::support::daemon::{Daemon, run};
use crate::support::eventually;

/// Waits until the old instance has handed over.
async fn stands_by(old: &Daemon) {
    eventually(async || old.written().contains("standing by").then_some(())).await;
}

#[tokio::test]
async fn the_old_instance_stands_by_alive_and_not_ready_until_it_is_stopped() {
    let old = Daemon::start(&["--take-over"]).await;
    let mut driver = old.client().await;
    let new = old.successor(&["--take-over"]).await;
    stands_by(&old).await;
    assert_eq!(old.page("/live").await.0, 200);
    assert_eq!(old.page("/ready").await.0, 503);
    assert_eq!(new.page("/live").await.0, 200);
    assert_eq!(new.page("/ready").await.0, 200);
    assert!(driver.version(VersionRequest::default()).await.is_ok());
    old.terminate();
    let ended = old.ended().await;
    assert!(ended.status.success(), "{}", ended.output);
    assert!(new.socket().exists(), "it is the new one's");
    assert!(new.stop().await.status.success());
}

#[tokio::test]
async fn an_old_instance_whose_successor_dies_ends_to_be_started_again() {
    let old = Daemon::start(&["--take-over"]).await;
    let new = old.successor(&["--take-over"]).await;
    stands_by(&old).await;
    new.kill().await;
    let ended = old.ended().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended
            .output
            .contains("the instance that took over is gone: cannot connect to "),
        "{}",
        ended.output
    );
}

#[tokio::test]
async fn an_instance_that_may_not_take_over_respects_a_live_one_that_may() {
    let old = Daemon::start(&["--take-over"]).await;
    let new = run(&old.socket(), &[]).await;
    assert_eq!(new.status.code(), Some(1));
    assert!(
        new.output.contains("another instance is serving"),
        "{}",
        new.output
    );
}

#[tokio::test]
async fn a_probe_says_who_answers_or_why_nobody_does() {
    let probe = async |socket: &std::path::Path| {
        let endpoint = format!("unix://{}", socket.display());
        let program = env!("CARGO_BIN_EXE_phase-csi-provider");
        let output = Command::new(program)
            .args(["probe", "--endpoint", &endpoint])
            .output()
            .await;
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let daemon = Daemon::start(&[]).await;
    let socket = daemon.socket();
    let version = env!("CARGO_PKG_VERSION");
    let answer = format!(
        "phase-csi-provider {version} answers on unix://{}\n",
        socket.display()
    );
    assert_eq!(probe(&socket).await, (Some(0), answer));
    daemon.stop().await;
    let gone = format!("error: {} is gone\n", socket.display());
    assert_eq!(probe(&socket).await, (Some(1), gone));
}
