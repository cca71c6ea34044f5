//! Each figure moves as it should, and none can be invented.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::snapshot::Figures;
use phase_csi_provider::telemetry::metrics::ControllerMetrics;
use phase_emulator::Garbage;

use super::*;

fn mounts(outcome: &str) -> String {
    format!("phase_csi_mounts_total{{outcome=\"{outcome}\"}}")
}

fn requests(endpoint: &str, outcome: &str) -> String {
    format!("phase_csi_backend_requests_total{{endpoint=\"{endpoint}\",outcome=\"{outcome}\"}}")
}

fn answers(source: &str) -> String {
    format!("phase_csi_snapshot_answers_total{{source=\"{source}\"}}")
}

#[tokio::test]
async fn mounts_requests_answers_and_the_budget_are_counted() {
    let scene = Scene::start(&["--request-budget", "10"]).await;
    let daemon = &scene.daemon;
    assert_eq!(daemon.metric("phase_csi_budget_remaining").await, 10.0);
    for _ in 0..3 {
        scene.publish(&class(), "a").await.unwrap();
    }
    for (series, value) in [
        (mounts("ok"), 3.0),
        (mounts("not_found"), 0.0),
        (
            "phase_csi_mount_duration_seconds_count{outcome=\"ok\"}".to_owned(),
            3.0,
        ),
        (
            "phase_csi_mount_duration_seconds_bucket{outcome=\"ok\",le=\"+Inf\"}".to_owned(),
            3.0,
        ),
        ("phase_csi_mounts_in_flight".to_owned(), 0.0),
        (requests("tokens", "ok"), 1.0),
        (requests("secrets", "ok"), 1.0),
        (
            "phase_csi_backend_request_duration_seconds_count{endpoint=\"secrets\"}".to_owned(),
            1.0,
        ),
        (answers("backend"), 1.0),
        (answers("memory"), 2.0),
        (answers("stale"), 0.0),
        ("phase_csi_snapshot_entries".to_owned(), 1.0),
        ("phase_csi_budget_remaining".to_owned(), 9.0),
    ] {
        assert_eq!(daemon.metric(&series).await, value, "{series}");
    }
    assert!(daemon.metric("phase_csi_snapshot_bytes").await > 1_000.0);
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("phase_csi_build_info{{version=\"{version}\"}}");
    assert_eq!(daemon.metric(&build).await, 1.0);
    let took = daemon
        .metric("phase_csi_mount_duration_seconds_sum{outcome=\"ok\"}")
        .await;
    assert!(took > 0.0 && took < 60.0, "{took}");
}

#[tokio::test]
async fn each_way_to_fail_has_its_outcome() {
    let scene = Scene::start(&["--mount-deadline", "1s"]).await;
    let daemon = &scene.daemon;
    let token = scene.token();
    let limited = scene.emulator.control().token("limited").unwrap();
    let app = |name: &str| json!({ "phaseApp": name });
    assert!(
        daemon
            .mount(&token, &json!({"phaseAp": "x"}))
            .await
            .is_err()
    );
    assert!(daemon.mount(&token, &app("other")).await.is_err());
    assert!(daemon.mount(&limited, &class()).await.is_err());
    assert!(daemon.mount("junk", &class()).await.is_err());
    let attributes = crate::support::daemon::attributes(&class());
    assert!(daemon.call(attributes, "null".to_owned()).await.is_err());
    for (kind, endpoint) in [
        (FaultKind::WrongKey, Endpoint::Secrets),
        (FaultKind::Garbage(Garbage::Html), Endpoint::Secrets),
        (FaultKind::Stall, Endpoint::Secrets),
    ] {
        scene.fault(kind, endpoint);
        assert!(daemon.mount(&token, &class()).await.is_err());
        scene.emulator.control().clear_faults();
        // What failed is not asked for again at once.
        tokio::time::sleep(Duration::from_millis(1_600)).await;
    }
    for (outcome, count) in [
        ("deadline", 1.0),
        ("invalid_class", 1.0),
        ("malformed_answer", 1.0),
        ("no_credential", 1.0),
        ("not_found", 2.0),
        ("refused_credential", 1.0),
        ("undecryptable", 1.0),
        ("ok", 0.0),
    ] {
        assert_eq!(daemon.metric(&mounts(outcome)).await, count, "{outcome}");
    }
    let html = requests("secrets", "malformed_answer");
    assert_eq!(daemon.metric(&html).await, 1.0);
    assert_eq!(daemon.metric("phase_csi_mounts_in_flight").await, 0.0);
}

#[tokio::test]
async fn a_limit_a_server_error_and_a_large_answer_have_theirs() {
    for (code, outcome) in [(500, "unreachable"), (429, "rate_limited")] {
        let scene = Scene::start(&["--mount-deadline", "2s"]).await;
        scene.fault(status(code), Endpoint::Any);
        assert!(scene.publish(&class(), "a").await.is_err());
        assert_eq!(scene.daemon.metric(&mounts(outcome)).await, 1.0);
        let asked = requests("tokens", outcome);
        assert!(scene.daemon.metric(&asked).await >= 1.0);
    }
    let scene = Scene::start(&["--max-call-send-msg-size", "20"]).await;
    assert!(scene.publish(&class(), "a").await.is_err());
    assert_eq!(scene.daemon.metric(&mounts("too_large")).await, 1.0);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_counts_as_a_wrong_one() {
    use phase_csi_provider::provider::MountRequest;
    let scene = Scene::start(&[]).await;
    let large = MountRequest::new("x".repeat(5 << 20), "null");
    assert!(scene.daemon.client().await.mount(large).await.is_err());
    assert_eq!(scene.daemon.metric(&mounts("invalid_class")).await, 1.0);
}

#[tokio::test]
async fn a_mount_under_way_is_in_flight_and_a_caller_that_leaves_is_counted() {
    let scene = Scene::start(&[]).await;
    scene.fault(FaultKind::Stall, Endpoint::Any);
    let class = class();
    let mount = scene.publish(&class, "a");
    let left = tokio::select! {
        _ = mount => false,
        () = scene.reaches("phase_csi_mounts_in_flight", 1.0) => true,
    };
    assert!(left);
    scene.reaches(&mounts("deadline"), 1.0).await;
    assert_eq!(scene.daemon.metric("phase_csi_mounts_in_flight").await, 0.0);
}

#[tokio::test]
async fn an_outage_shows_in_stale_answers_and_in_the_oldest_success() {
    let scene = Scene::start(&QUICK).await;
    scene.publish(&class(), "a").await.unwrap();
    let oldest = "phase_csi_snapshot_oldest_success_seconds";
    assert!(scene.daemon.metric(oldest).await < 10.0);
    scene.fault(status(500), Endpoint::Any);
    eventually(async || {
        scene.publish(&class(), "a").await.unwrap();
        (scene.daemon.metric(&answers("stale")).await >= 1.0).then_some(())
    })
    .await;
    scene.reaches(oldest, 1.0).await;
    scene.emulator.control().clear_faults();
    eventually(async || (scene.daemon.metric(oldest).await < 1.0).then_some(())).await;
}

#[tokio::test]
async fn what_lay_on_disk_counts_as_such() {
    let state = tempfile::tempdir().unwrap();
    let mut flags = QUICK.to_vec();
    flags.extend(["--state-dir", state.path().to_str().unwrap()]);
    let scene = Scene::start(&flags).await;
    scene.publish(&class(), "a").await.unwrap();
    let (token, url) = (scene.token(), scene.emulator.url());
    scene.daemon.stop().await;
    flags.extend(["--phase-host", &url]);
    let daemon = Daemon::start(&flags).await;
    daemon.publish(&token, &class(), "a").await.unwrap();
    assert_eq!(daemon.metric(&answers("disk")).await, 1.0);
}

#[tokio::test]
async fn no_class_can_invent_a_label_and_nothing_secret_is_one() {
    let scene = Scene::start(&[]).await;
    let (_, _, before) = scene.daemon.page("/metrics").await;
    scene.publish(&class(), "a").await.unwrap();
    for name in ["CANARY_OTHER", "x\"} 1\nphase_csi_evil 1", "${CANARY}"] {
        for parameter in ["phaseApp", "phaseAppEnv", "phaseHost", name] {
            let mut class = class();
            class[parameter] = json!(name);
            assert!(scene.publish(&class, name).await.is_err());
        }
    }
    let (_, _, after) = scene.daemon.page("/metrics").await;
    assert_eq!(series(&after), series(&before));
    let token = scene.token();
    let secret = token.split(':').filter(|part| part.len() == 64);
    let url = scene.emulator.url();
    let canaries = [
        "CANARY",
        "canary",
        "shop",
        "evil",
        "web-0",
        &url["http://".len()..],
    ];
    for canary in secret.chain(canaries) {
        assert!(!after.contains(canary), "{canary} in {after}");
    }
    let causes = Cause::ALL.iter().map(|cause| cause.label());
    let outcomes: BTreeSet<_> = causes.chain(["ok", "sent", "failed", "dropped"]).collect();
    for line in after.lines() {
        if let Some((_, rest)) = line.split_once("outcome=\"") {
            let (outcome, _) = rest.split_once('"').unwrap();
            assert!(outcomes.contains(outcome), "{line}");
        }
    }
}

/// Every series, without its value.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn prometheus_has_nothing_to_say_against_the_text() {
    let scene = Scene::start(&[]).await;
    scene.publish(&class(), "a").await.unwrap();
    let (code, kind, text) = scene.daemon.page("/metrics").await;
    assert_eq!(
        (code, kind.as_str()),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    // The controller's are written by the same hand.
    let controllers = ControllerMetrics::default().text(&Figures::default());
    for text in [text, controllers] {
        let promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut promtool) = promtool else {
            eprintln!("NOT CHECKED: no promtool here (Debian's package prometheus)");
            return;
        };
        let mut stdin = promtool.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let said = promtool.wait_with_output().unwrap();
        let words = [said.stdout, said.stderr].concat();
        let words = String::from_utf8(words).unwrap();
        assert!(said.status.success() && words.is_empty(), "{words}");
    }
}
