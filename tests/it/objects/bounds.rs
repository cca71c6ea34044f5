//! Classes that are large on purpose.

use std::sync::Arc;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::phase::environment::Secret as Opened;
use phase_csi_provider::phase::folder::Folder;
use phase_csi_provider::phase::{Answer, BadReferences, Selected};
use phase_csi_provider::render::{self, Layout, Object, Shape};
use phase_emulator::seed::{App, Environment, Secret};
use phase_emulator::{Emulator, Options, Seed};
use secrecy::SecretString;
use serde_json::json;
use tonic::Code;

use crate::support::daemon::Daemon;

async fn serving(environments: Vec<Environment>) -> (Emulator, Daemon, String) {
    let seed = Seed::new(vec![App::new("shop", environments)]);
    let emulator = Emulator::start(Options::new(seed)).await.unwrap();
    let daemon = Daemon::start(&["--phase-host", &emulator.url()]).await;
    let token = emulator.control().token("default").unwrap();
    (emulator, daemon, token)
}

#[tokio::test]
async fn two_thousand_entries_cost_two_requests() {
    let secrets = (0..500).map(|n| Secret::new("/", &format!("KEY_{n:03}"), &format!("value {n}")));
    let production = Environment::new("Production", secrets.collect());
    let (emulator, daemon, token) = serving(vec![production]).await;
    let entry = |n: usize| match n % 2 {
        0 => format!("- {{secretKey: KEY_{:03}, objectName: one/{n}}}\n", n % 500),
        _ => format!(
            "- {{include: [\"*_{:02}?\"], objectName: many/{n}, format: json}}\n",
            n % 50
        ),
    };
    let objects: String = (0..2000).map(entry).collect();
    let parameters = json!({"phaseApp": "shop", "objects": objects});
    let answer = daemon.mount(&token, &parameters).await.unwrap();
    assert_eq!(answer.files.len(), 2000);
    let file = |path: &str| {
        let file = answer.files.iter().find(|file| file.path == path).unwrap();
        String::from_utf8(file.contents.clone()).unwrap()
    };
    assert_eq!(file("one/1998"), "value 498");
    assert_eq!(file("many/1999").lines().count(), 12);
    let requests = emulator.control().requests();
    assert_eq!((requests.tokens, requests.secrets), (1, 1));
}

#[tokio::test]
async fn more_than_64_environments_are_refused_before_they_are_fetched() {
    let environment =
        |n: usize| Environment::new(&format!("env{n}"), vec![Secret::new("/", "KEY", "value")]);
    let (emulator, daemon, token) = serving((0..65).map(environment).collect()).await;
    let objects = |count: usize| -> String {
        let entries =
            (0..count).map(|n| format!("- {{secretKey: KEY, env: env{n}, objectName: f{n}}}\n"));
        entries.collect()
    };
    let parameters = json!({"phaseApp": "shop", "objects": objects(65)});
    let error = daemon
        .mount(&token, &parameters)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert_eq!(
        error.message(),
        "objects name more than 64 environments: mount fewer in one class"
    );
    assert_eq!(emulator.control().requests().secrets, 0);
    let parameters = json!({"phaseApp": "shop", "objects": objects(64)});
    let answer = daemon.mount(&token, &parameters).await.unwrap();
    assert_eq!(answer.files.len(), 64);
}

#[tokio::test]
async fn a_million_selected_secrets_are_the_most() {
    let secrets = |count: usize| -> Vec<_> {
        let names = (0..count).map(|n| format!("KEY_{n}"));
        names.map(|name| Secret::new("/", &name, "value")).collect()
    };
    let production = Environment::new("Production", secrets(1001));
    let (_emulator, daemon, token) = serving(vec![production]).await;
    let entry = |n: usize| format!("- {{objectName: f{n}, include: [NONE], format: json}}\n");
    let objects: String = (0..1000).map(entry).collect();
    let parameters = json!({"phaseApp": "shop", "objects": objects});
    let error = daemon
        .mount(&token, &parameters)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(
        error.message(),
        "objects take more than 1000000 secrets together: select fewer in each entry, or make two classes"
    );
}

#[test]
fn files_larger_than_any_driver_takes_are_refused() {
    let secret = Arc::new(Opened {
        key: "KEY".to_owned(),
        folder: Folder::root(),
        value: SecretString::from("x".repeat(1 << 20)),
        references: 0,
    });
    let object = |n: usize| Object {
        label: Some(format!("objects[{n}]")),
        folder: Folder::root(),
        mode: 0o644,
        optional: false,
        tagged: false,
        rules: Arc::default(),
        encoding: None,
        shape: Shape::One {
            key: "KEY".to_owned(),
            path: Some(format!("f{n}")),
            field: None,
        },
    };
    let files = |count: usize| {
        let selected = (0..count).map(|_| Selected {
            environment: "Production".to_owned(),
            secrets: vec![Arc::clone(&secret)],
            dynamic: Vec::new(),
        });
        let answer = Answer {
            app: "shop".to_owned(),
            selected: selected.collect(),
            kept: BadReferences::default(),
            fetched: 1,
            version_key: [1; 32].into(),
        };
        let layout = Layout {
            objects: (0..count).map(object).collect(),
            allow_empty: false,
        };
        render::files(&answer, &layout).map(|files| files.len())
    };
    assert_eq!(files(64), Ok(64));
    let error = files(65).unwrap_err();
    assert_eq!(error.cause(), Cause::TooLarge);
    assert_eq!(
        error.to_string(),
        "the files of this class have more than 67108864 bytes together: select fewer secrets, or make two classes"
    );
}
