//! The `objects` of a class: what a pod gets for each field, mounted through the
//! socket from an emulator; and the text of every mistake.

mod bounds;
mod entries;
mod missing;
pub mod mistakes;
mod names;
mod quiet;

use phase_csi_provider::provider::MountResponse;
use phase_emulator::seed::{App, Environment, Secret};
use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::daemon::Daemon;
use crate::support::eventually;

/// A shop with two environments behind a running daemon.
struct Shop {
    emulator: Emulator,
    daemon: Daemon,
}

impl Shop {
    async fn open() -> Self {
        Self::of(production()).await
    }

    async fn with_broken_row() -> Self {
        let mut broken = Secret::new("/", "BROKEN", "");
        broken.stored_value = Some("plain text".to_owned());
        let mut secrets = production();
        secrets.push(broken);
        Self::of(secrets).await
    }

    async fn of(production: Vec<Secret>) -> Self {
        let seed = Seed::new(vec![App::new(
            "shop",
            vec![
                Environment::new("Production", production),
                Environment::new("Staging", vec![Secret::new("/", "API_KEY", "staging key")]),
            ],
        )]);
        let emulator = Emulator::start(Options::new(seed)).await.unwrap();
        let daemon =
            Daemon::start(&["--phase-host", &emulator.url(), "--mount-deadline", "5s"]).await;
        Self { emulator, daemon }
    }

    /// One that sees changes at once.
    async fn attentive() -> Self {
        let Self { emulator, .. } = Self::open().await;
        let flags = ["--phase-host", &emulator.url()];
        let quick = [
            "--test-only-poll-interval",
            "50ms",
            "--request-budget",
            "100000",
        ];
        let daemon = Daemon::start(&[flags.as_slice(), &quick].concat()).await;
        Self { emulator, daemon }
    }

    async fn mount(&self, parameters: Value) -> Result<MountResponse, Status> {
        let token = self.emulator.control().token("default").unwrap();
        let mut all = json!({"phaseApp": "shop"});
        for (name, value) in parameters.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.daemon.mount(&token, &all).await
    }

    async fn refusal(&self, parameters: Value) -> Status {
        let answer = self.mount(parameters).await;
        answer.map(drop).unwrap_err()
    }

    /// `path → bytes` of a class with these objects.
    async fn files(&self, objects: &str) -> Vec<(String, Vec<u8>)> {
        bytes(&self.mount(json!({ "objects": objects })).await.unwrap())
    }

    /// Waits until a class with these objects gives these files.
    async fn becomes(&self, objects: &str, files: &[(String, Vec<u8>)]) {
        eventually(async || (self.files(objects).await == files).then_some(())).await;
    }

    /// The error of a class with these objects.
    async fn error(&self, code: Code, objects: &str) -> String {
        let error = self.refusal(json!({ "objects": objects })).await;
        assert_eq!(error.code(), code, "{}", error.message());
        assert!(error.message().len() <= 500);
        error.message().to_owned()
    }
}

fn production() -> Vec<Secret> {
    let mut password = Secret::new("/db", "PASSWORD", "it's \"$ecret\"");
    password.tags = vec!["db creds".to_owned()];
    vec![
        Secret::new("/", "API_KEY", "production key"),
        Secret::new("/", "KEYSTORE", "AP8Q\nIA==\n"),
        Secret::new("/", "MODE", "deadbeef"),
        Secret::new(
            "/",
            "GCP",
            r#"{"type": "service_account", "key": {"id": 7, "pem": "LS0t"}}"#,
        ),
        Secret::new("/", "URL", "https://${API_KEY}/"),
        password,
        Secret::new("/db", "USER_NAME", "shop"),
        Secret::new("/db/replica", "PASSWORD", "second"),
    ]
}

fn bytes(answer: &MountResponse) -> Vec<(String, Vec<u8>)> {
    let files = answer.files.iter();
    let files = files.map(|file| (file.path.clone(), file.contents.clone()));
    files.collect()
}

fn file(path: &str, contents: &str) -> (String, Vec<u8>) {
    (path.to_owned(), contents.as_bytes().to_vec())
}
