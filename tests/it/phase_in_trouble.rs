//! A whole mount, through the real binary, while Phase is slow, lies, or is away.

use phase_emulator::{
    BadCertificate, Emulator, Endpoint, Fault, FaultKind, Garbage, Options, Seed, Tls,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::daemon::{Daemon, texts};
use crate::support::eventually;

struct Scene {
    emulator: Emulator,
    daemon: Daemon,
}

impl Scene {
    async fn of(secrets: Value) -> Self {
        let emulator = Emulator::start(Options::new(seed(secrets))).await.unwrap();
        let flags = ["--phase-host", &emulator.url(), "--mount-deadline", "2s"];
        let daemon = Daemon::start(&flags).await;
        Self { emulator, daemon }
    }

    async fn mount(&self) -> Result<Vec<(String, String)>, Status> {
        let token = self.emulator.control().token("ci").unwrap();
        let answer = self.daemon.mount(&token, &json!({"phaseApp": "a"})).await?;
        Ok(texts(&answer))
    }

    async fn refusal(&self, fault: Fault) -> (Code, String) {
        self.emulator.control().set_fault(fault);
        let status = self.mount().await.unwrap_err();
        self.emulator.control().clear_faults();
        (status.code(), status.message().to_owned())
    }
}

fn seed(secrets: Value) -> Seed {
    let other = json!([{"key": "X", "value": "x"}, {"key": "Y", "value": "${X}${production.KEY}"}]);
    let seed = json!({
        "apps": [{"name": "a", "environments": [
            {"name": "production", "secrets": secrets},
            {"name": "staging", "secrets": other},
        ]}],
        "accounts": [{"name": "ci"}],
    });
    Seed::from_yaml(&seed.to_string()).unwrap()
}

fn one() -> Value {
    json!([{"key": "KEY", "value": "value"}])
}

#[tokio::test]
async fn a_failure_that_passes_is_not_noticed() {
    let scene = Scene::of(one()).await;
    for kind in [
        FaultKind::Cut,
        FaultKind::Refuse,
        FaultKind::Status {
            code: 503,
            retry_after: None,
        },
        FaultKind::Status {
            code: 429,
            retry_after: Some("0".to_owned()),
        },
    ] {
        let fault = Fault::times(1, kind.clone()).on(Endpoint::Secrets);
        scene.emulator.control().set_fault(fault);
        assert_eq!(scene.mount().await.unwrap().len(), 1, "{kind:?}");
        scene.emulator.control().clear_faults();
    }
}

#[tokio::test]
async fn each_lasting_failure_ends_in_its_own_words_and_a_final_code() {
    for (kind, words) in [
        (
            FaultKind::Status {
                code: 500,
                retry_after: None,
            },
            "failed with status 500",
        ),
        (
            FaultKind::Status {
                code: 429,
                retry_after: Some("60".to_owned()),
            },
            "limits the rate of requests",
        ),
        (
            FaultKind::Garbage(Garbage::Html),
            "answered with something other than JSON",
        ),
        (
            FaultKind::Redirect {
                location: "http://127.0.0.1:1/".to_owned(),
            },
            "a credential follows no redirect",
        ),
        (FaultKind::Stall, "time of this mount ran out"),
        (
            FaultKind::Drip { interval_ms: 50 },
            "time of this mount ran out",
        ),
    ] {
        for endpoint in [Endpoint::Tokens, Endpoint::Secrets] {
            let scene = Scene::of(one()).await;
            let (code, text) = scene
                .refusal(Fault::always(kind.clone()).on(endpoint))
                .await;
            assert_eq!(code, Code::Internal, "{text}");
            assert!(text.contains(words), "{kind:?}: {text}");
        }
    }
}

#[tokio::test]
async fn a_lasting_failure_that_ends_is_well_again_soon() {
    let scene = Scene::of(one()).await;
    let failing = FaultKind::Status {
        code: 500,
        retry_after: None,
    };
    scene.refusal(Fault::always(failing)).await;
    let mounted = eventually(async || scene.mount().await.ok()).await;
    assert_eq!(mounted.len(), 1);
}

#[tokio::test]
async fn what_was_sealed_for_somebody_else_does_not_open() {
    let scene = Scene::of(one()).await;
    let (code, text) = scene
        .refusal(Fault::always(FaultKind::WrongKey).on(Endpoint::Secrets))
        .await;
    assert_eq!(code, Code::DataLoss);
    assert!(
        text.contains("does not decrypt: folder \"/\" of environment \"production\""),
        "{text}"
    );
    let scene = Scene::of(one()).await;
    let (code, text) = scene
        .refusal(Fault::always(FaultKind::WrongKey).on(Endpoint::Tokens))
        .await;
    assert_eq!(code, Code::DataLoss);
    assert!(
        text.contains("do not open with this token")
            || text.contains("does not open with this token"),
        "{text}"
    );
}

#[tokio::test]
async fn one_row_that_does_not_decrypt_fails_the_whole_mount() {
    let broken = json!([
        {"key": "FINE", "value": "value"},
        {"key": "BROKEN", "value": "", "stored_value": "plain text"},
    ]);
    let status = Scene::of(broken).await.mount().await.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss);
    assert!(
        status
            .message()
            .starts_with("secret \"BROKEN\" does not decrypt: "),
        "{status}"
    );
}

#[tokio::test]
async fn each_environment_is_asked_for_once_however_often_it_is_referred_to() {
    let scene = Scene::of(json!([
        {"key": "KEY", "value": "value"},
        {"key": "A", "value": "${staging.X}-${staging.Y}"},
        {"key": "B", "value": "${staging.Y}-${staging.X}-${KEY}"},
    ]))
    .await;
    let files = scene.mount().await.unwrap();
    assert_eq!(files[0].1, "x-xvalue");
    assert_eq!(files[1].1, "xvalue-x-value");
    let requests = scene.emulator.control().requests();
    assert_eq!((requests.tokens, requests.secrets), (1, 2));
}

#[tokio::test]
async fn a_private_authority_is_believed_when_it_is_given() {
    let options = Options {
        tls: Tls::SelfSigned { names: Vec::new() },
        ..Options::new(seed(one()))
    };
    let emulator = Emulator::start(options).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, emulator.control().ca_pem().unwrap()).unwrap();
    let token = emulator.control().token("ci").unwrap();
    let class = json!({"phaseApp": "a"});
    let trusting = [
        "--phase-host",
        &emulator.url(),
        "--ca-file",
        file.to_str().unwrap(),
    ];
    let daemon = Daemon::start(&trusting).await;
    assert_eq!(daemon.mount(&token, &class).await.unwrap().files.len(), 1);
    emulator
        .control()
        .set_fault(Fault::always(FaultKind::Certificate(
            BadCertificate::Expired,
        )));
    let daemon = Daemon::start(&trusting).await;
    let status = daemon.mount(&token, &class).await.map(|_| ()).unwrap_err();
    assert!(
        status.message().starts_with("TLS certificate of https://"),
        "{status}"
    );
    emulator.control().clear_faults();
    let daemon = Daemon::start(&["--phase-host", &emulator.url()]).await;
    let status = daemon.mount(&token, &class).await.map(|_| ()).unwrap_err();
    assert!(status.message().contains("--ca-file"), "{status}");
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test]
async fn a_daemon_that_verifies_nothing_says_so() {
    let daemon = Daemon::start(&["--insecure-skip-tls-verify"]).await;
    let output = daemon.stop().await.output;
    assert!(
        output.contains("WARN") && output.contains("--insecure-skip-tls-verify"),
        "{output}"
    );
}
