//! Whole nodes through whole outages: the real binary on its socket, an emulator
//! that goes away, lies and comes back.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use phase_emulator::{
    BadCertificate, Emulator, Endpoint, Fault, FaultKind, Garbage, Options, Seed, Tls,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::support::daemon::{Daemon, texts};
use crate::support::eventually;

/// Changes are seen at once, and budgets do not matter.
const QUICK: [&str; 4] = [
    "--test-only-poll-interval",
    "100ms",
    "--request-budget",
    "1000000",
];

struct Scene {
    emulator: Emulator,
    daemon: Daemon,
    state: TempDir,
    flags: Vec<String>,
}

impl Scene {
    async fn start() -> Self {
        Self::with(Tls::Off, &[]).await
    }

    async fn with(tls: Tls, further: &[&str]) -> Self {
        let options = Options {
            tls,
            ..Options::new(seed())
        };
        let emulator = Emulator::start(options).await.unwrap();
        let state = tempfile::tempdir().unwrap();
        let mut flags: Vec<String> = QUICK.map(str::to_owned).to_vec();
        flags.extend(["--phase-host".to_owned(), emulator.url()]);
        flags.extend(["--state-dir".to_owned(), path(state.path())]);
        if let Some(ca) = emulator.ca_pem() {
            let file = state.path().with_extension("pem");
            std::fs::write(&file, ca).unwrap();
            flags.extend(["--ca-file".to_owned(), path(&file)]);
        }
        flags.extend(further.iter().copied().map(str::to_owned));
        Self {
            daemon: daemon(&flags).await,
            emulator,
            state,
            flags,
        }
    }

    async fn publish(&self, class: &Value, pod: &str) -> Result<String, Status> {
        let token = self.emulator.control().token("ci").unwrap();
        let answer = self.daemon.publish(&token, class, pod).await?;
        Ok(texts(&answer)[0].1.clone())
    }

    async fn value(&self, pod: &str) -> Result<String, Status> {
        self.publish(&class(), pod).await
    }

    /// Waits until the pod's volume holds this.
    async fn becomes(&self, pod: &str, value: &str) {
        eventually(async || (self.value(pod).await.ok()? == value).then_some(())).await;
    }

    fn put(&self, value: &str) {
        let control = self.emulator.control();
        control
            .put_secret("a", "production", "/", "CANARY_KEY", value)
            .unwrap();
    }

    /// Waits until this many further tokens requests were made.
    async fn polled(&self, times: u64) {
        let control = self.emulator.control();
        let before = control.requests().tokens;
        eventually(async || (control.requests().tokens >= before + times).then_some(())).await;
    }

    fn fault(&self, kind: FaultKind, endpoint: Endpoint) {
        self.emulator
            .control()
            .set_fault(Fault::always(kind).on(endpoint));
    }
}

async fn daemon(flags: &[String]) -> Daemon {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Daemon::start(&flags).await
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn class() -> Value {
    json!({"phaseApp": "a"})
}

fn seed() -> Seed {
    let seed = json!({
        "apps": [{"name": "a", "environments": [
            {"name": "production", "secrets": [{"key": "CANARY_KEY", "value": "canary value"}]},
            {"name": "staging", "secrets": [{"key": "X", "value": "x"}]},
        ]}],
        "accounts": [{"name": "ci"}, {"name": "other"}],
    });
    Seed::from_yaml(&seed.to_string()).unwrap()
}

fn status(code: u16, retry_after: Option<&str>) -> FaultKind {
    FaultKind::Status {
        code,
        retry_after: retry_after.map(str::to_owned),
    }
}

#[tokio::test]
async fn volumes_live_and_pods_start_through_every_way_of_being_away() {
    for kind in [
        FaultKind::Refuse,
        FaultKind::Cut,
        status(500, None),
        status(503, Some("1")),
        status(429, None),
        status(429, Some("1")),
        FaultKind::Latency { ms: 30_000 },
        FaultKind::Stall,
    ] {
        let scene = Scene::start().await;
        scene.becomes("old", "canary value").await;
        scene.put("changed");
        scene.fault(kind.clone(), Endpoint::Any);
        // The poll that would have seen the change may have come before the fault.
        let seen = scene.value("old").await.unwrap();
        for pod in ["old", "new"] {
            let value = scene.value(pod).await;
            assert!(value.is_ok(), "{kind:?}: {value:?}");
        }
        assert!(
            ["canary value", "changed"].contains(&seen.as_str()),
            "{kind:?}"
        );
        scene.emulator.control().clear_faults();
    }
}

#[tokio::test]
async fn a_phase_that_comes_back_is_noticed_and_said_once() {
    let scene = Scene::start().await;
    scene.becomes("old", "canary value").await;
    scene.fault(status(500, None), Endpoint::Any);
    eventually(async || {
        scene.value("old").await.unwrap();
        let (asked, now) = (scene.emulator.control().requests().tokens, 12);
        (asked >= now).then_some(())
    })
    .await;
    scene.put("changed");
    scene.emulator.control().clear_faults();
    scene.becomes("old", "changed").await;
    let output = scene.daemon.stop().await.output;
    let count = |text: &str| output.matches(text).count();
    assert_eq!(count("Phase gives no answer"), 1, "{output}");
    assert_eq!(count("Phase answers again"), 1);
    assert_eq!(count("answered with what is remembered"), 1);
    assert_eq!(count("answered with what Phase has again"), 1);
}

#[tokio::test]
async fn a_certificate_that_changes_is_an_outage_until_it_is_mended() {
    let tls = Tls::SelfSigned { names: Vec::new() };
    let scene = Scene::with(tls, &[]).await;
    scene.becomes("old", "canary value").await;
    let bad = FaultKind::Certificate(BadCertificate::Expired);
    scene.fault(bad, Endpoint::Any);
    scene.put("changed");
    for pod in ["old", "new"] {
        assert!(scene.value(pod).await.is_ok());
    }
    let staging = json!({"phaseApp": "a", "phaseAppEnv": "staging"});
    let error = eventually(async || scene.publish(&staging, "staging").await.err()).await;
    assert!(error.message().contains("TLS certificate of"), "{error}");
    assert_eq!(error.code(), Code::Internal);
    scene.emulator.control().clear_faults();
    scene.becomes("old", "changed").await;
}

#[tokio::test]
async fn a_phase_that_lies_changes_no_volume_and_starts_none() {
    for kind in [
        FaultKind::Garbage(Garbage::Html),
        FaultKind::Garbage(Garbage::TruncatedJson),
        FaultKind::Garbage(Garbage::WrongTypes),
        FaultKind::WrongKey,
    ] {
        let scene = Scene::start().await;
        scene.becomes("old", "canary value").await;
        scene.fault(kind.clone(), Endpoint::Any);
        scene.put("changed");
        // A volume that is answered exists from then on.
        let pods = AtomicUsize::new(0);
        eventually(async || {
            let pod = format!("new-{}", pods.fetch_add(1, Ordering::Relaxed));
            scene.value(&pod).await.err()
        })
        .await;
        assert_eq!(
            scene.value("old").await.unwrap(),
            "canary value",
            "{kind:?}"
        );
        scene.emulator.control().clear_faults();
        scene.becomes("old", "changed").await;
        scene.becomes("new", "changed").await;
    }
}

#[tokio::test]
async fn a_firewall_that_refuses_empties_neither_memory_nor_disk() {
    for endpoint in [Endpoint::Tokens, Endpoint::Secrets] {
        let scene = Scene::start().await;
        scene.becomes("old", "canary value").await;
        let is_kept = || {
            let names = names(scene.state.path());
            names.iter().any(|name| name.ends_with(".image"))
        };
        eventually(async || is_kept().then_some(())).await;
        let refusal = FaultKind::Refusal {
            code: 403,
            error: "Request blocked by WAF".to_owned(),
        };
        scene.fault(refusal, endpoint);
        scene.put("changed");
        scene.polled(3).await;
        for pod in ["old", "new"] {
            let value = scene.value(pod).await;
            assert_eq!(value.unwrap(), "canary value", "{endpoint:?}");
        }
        let other = scene.emulator.control().token("other").unwrap();
        let error = scene.daemon.publish(&other, &class(), "other").await;
        let error = error.map(drop).unwrap_err();
        let words = "in words that are not known of Phase, so Phase counts as away";
        assert!(error.message().contains(words), "{error}");
        assert!(is_kept());
        scene.emulator.control().clear_faults();
        scene.becomes("new", "changed").await;
        let output = scene.daemon.stop().await.output;
        assert!(!output.contains("forgotten"), "{output}");
    }
}

#[tokio::test]
async fn pods_start_after_a_restart_in_an_outage_and_a_revoked_token_ends_with_it() {
    let scene = Scene::start().await;
    scene.becomes("old", "canary value").await;
    scene.polled(2).await;
    scene.fault(FaultKind::Refuse, Endpoint::Any);
    let control = scene.emulator.control();
    let [token, other] = ["ci", "other"].map(|name| control.token(name).unwrap());
    control.revoke_token("ci").unwrap();
    // One ends as it should, the next by force.
    scene.daemon.stop().await;
    for life in 0..2 {
        let daemon = daemon(&scene.flags).await;
        for pod in ["old", &format!("new-{life}")] {
            let answer = daemon.publish(&token, &class(), pod).await.unwrap();
            assert_eq!(texts(&answer)[0].1, "canary value");
        }
        let error = daemon.publish(&other, &class(), "other").await;
        assert_eq!(error.map(drop).unwrap_err().code(), Code::Internal);
        daemon.kill().await;
    }
    control.clear_faults();
    let daemon = daemon(&scene.flags).await;
    let error = eventually(async || {
        let answer = daemon.publish(&token, &class(), "old").await;
        answer.map(drop).err()
    })
    .await;
    assert_eq!(error.code(), Code::Unauthenticated, "{error}");
    let left = || {
        names(scene.state.path())
            .iter()
            .any(|name| name.ends_with(".image"))
    };
    eventually(async || (!left()).then_some(())).await;
}

#[tokio::test]
async fn nothing_readable_lies_on_disk_and_nobody_else_may_look() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::start().await;
    scene.becomes("old", "canary value").await;
    let files = || names(scene.state.path());
    eventually(async || {
        files()
            .iter()
            .any(|name| name.ends_with(".mark"))
            .then_some(())
    })
    .await;
    let token = scene.emulator.control().token("ci").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(scene.state.path()), 0o700);
    let host = scene.emulator.url().replace("http://", "");
    let app = scene.emulator.control().app_id("a").unwrap();
    let mut canaries: Vec<&str> = token.split(':').filter(|part| part.len() == 64).collect();
    canaries.extend(["CANARY_KEY", "canary", "production", "ph:v1", &host, &app]);
    let mut seen = 0;
    for name in files() {
        let file = scene.state.path().join(&name);
        if !file.is_file() {
            continue;
        }
        assert_eq!(mode(&file), 0o600, "{name}");
        let bytes = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for canary in &canaries {
            assert!(
                !text.contains(canary) && !name.contains(canary),
                "{canary} in {name}"
            );
        }
        seen += 1;
    }
    assert!(seen >= 2);
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_used_costs_no_mount() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let scene = Scene::with(Tls::Off, &[]).await;
    let mut flags = scene.flags.clone();
    let place = flags.iter().position(|flag| flag == "--state-dir").unwrap();
    flags[place + 1] = path(file.path());
    let daemon = daemon(&flags).await;
    let token = scene.emulator.control().token("ci").unwrap();
    let answer = daemon.publish(&token, &class(), "a").await.unwrap();
    assert_eq!(texts(&answer)[0].1, "canary value");
    let output = daemon.stop().await.output;
    let warnings = output.lines().filter(|line| line.contains("WARN"));
    let about = warnings.filter(|line| line.contains(file.path().to_str().unwrap()));
    assert_eq!(about.count(), 1, "{output}");
}

#[tokio::test]
async fn a_hanging_phase_costs_a_first_mount_its_deadline_and_no_forbidden_code() {
    let scene = Scene::with(Tls::Off, &["--mount-deadline", "2s"]).await;
    scene.fault(FaultKind::Stall, Endpoint::Any);
    let error = scene.value("a").await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert!(
        error.message().contains("time of this mount ran out"),
        "{error}"
    );
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}
