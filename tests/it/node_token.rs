//! The node's own token, for pods that name none in namespaces that are listed.

use phase_emulator::{Emulator, Options, Seed};
use serde_json::json;
use tonic::Code;

use crate::support::daemon::{Daemon, attributes, run, texts};

const SEED: &str = "\
apps: [{name: shop, environments: [{name: Production, secrets: [{key: KEY, value: canary}]}]}]
accounts: [{name: node}, {name: pod}]
";

struct Scene {
    phase: Emulator,
    daemon: Daemon,
    file: tempfile::NamedTempFile,
}

impl Scene {
    async fn start(namespaces: &str) -> Self {
        let options = Options::new(Seed::from_yaml(SEED).unwrap());
        let phase = Emulator::start(options).await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), phase.control().token("node").unwrap()).unwrap();
        let daemon = Daemon::start(&[
            "--phase-host",
            &phase.url(),
            "--default-token-file",
            file.path().to_str().unwrap(),
            "--default-token-namespaces",
            namespaces,
        ])
        .await;
        Self {
            phase,
            daemon,
            file,
        }
    }

    /// A mount of a pod of namespace `shop`, with these `secrets`.
    async fn mount(&self, secrets: &str) -> Result<Vec<(String, String)>, (Code, String)> {
        let attributes = attributes(&json!({"phaseApp": "shop"}));
        let answer = self.daemon.call(attributes, secrets.to_owned()).await;
        let answer = answer.map(|answer| texts(&answer));
        answer.map_err(|status| (status.code(), status.message().to_owned()))
    }
}

#[tokio::test]
async fn a_listed_namespace_needs_no_secret_of_its_own() {
    let scene = Scene::start("other,shop").await;
    let files = vec![("KEY".to_owned(), "canary".to_owned())];
    for secrets in ["null", "{}", ""] {
        assert_eq!(scene.mount(secrets).await.as_ref(), Ok(&files));
    }
}

#[tokio::test]
async fn an_unlisted_namespace_is_told_to_name_one() {
    let scene = Scene::start("shop-2").await;
    let (code, text) = scene.mount("null").await.unwrap_err();
    assert_eq!(code, Code::FailedPrecondition);
    assert!(text.contains("csi.nodePublishSecretRef"), "{text}");
}

#[tokio::test]
async fn a_pod_that_names_a_secret_is_answered_by_that_alone() {
    let scene = Scene::start("shop").await;
    let (_, text) = scene.mount(r#"{"other":"x"}"#).await.unwrap_err();
    assert!(text.contains("it has other"), "{text}");
    scene.phase.control().revoke_token("pod").unwrap();
    let own = scene.phase.control().token("pod").unwrap();
    let own = json!({ "token": own }).to_string();
    assert_eq!(
        scene.mount(&own).await.unwrap_err().0,
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn a_new_token_in_the_file_takes_over_at_once() {
    let scene = Scene::start("shop").await;
    scene.mount("null").await.unwrap();
    std::fs::write(scene.file.path(), "canary").unwrap();
    let (_, text) = scene.mount("null").await.unwrap_err();
    assert!(
        text.starts_with("token of the node for namespace \"shop\" cannot be used: ")
            && !text.contains("canary"),
        "{text}"
    );
    std::fs::write(
        scene.file.path(),
        scene.phase.control().token("pod").unwrap(),
    )
    .unwrap();
    scene.mount("null").await.unwrap();
}

#[tokio::test]
async fn one_flag_without_the_other_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("phase.sock");
    for (flags, missing) in [
        (["--default-token-file", "/x"], "--default-token-namespaces"),
        (
            ["--default-token-namespaces", "shop"],
            "--default-token-file",
        ),
    ] {
        let ended = run(&socket, &flags).await;
        assert_eq!(ended.status.code(), Some(2));
        assert!(ended.output.contains(missing), "{}", ended.output);
    }
}
