//! Encryption at rest by what `encryption-config` prints: with each provider a managed
//! Secret that our controller wrote, and the token's beside it, is ciphertext in etcd
//! and plain through the API, also while the key is rotated by the documented steps.
//!
//! No driver has a part in it, so `run` leaves it out behind one of the two; and one API
//! server after the other, so it is one test.

mod edits;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use phase_csi_cluster::{Controller, KmsPlugin, Namespace, OwnApi};
use phase_csi_cluster::{encryption_config, eventually, secret};
use serde_json::json;

use edits::{
    with_identity_first, with_the_new_key_second, without_identity, without_key, without_kms,
};

const CANARY: &str = "canary-at-rest-4f1d";
const NAMES: [&str; 3] = ["database", "payments", "smtp"];

/// The Secret with the token, which lies in etcd as well.
const TOKEN: &str = "phase-service-token";

/// An API server that encrypts, and the controller of the managed Secrets.
struct Scene {
    api: OwnApi,
    controller: Option<Controller>,
}

/// A minute or two of API servers that start.
#[tokio::test]
async fn with_each_provider_secrets_are_ciphertext_in_etcd_and_stay_readable_through_rotations() {
    from_plain_text_to_secretbox().await;
    a_key_is_rotated("aesgcm").await;
    a_key_is_rotated("aescbc").await;
    to_a_kms_to_another_and_away().await;
}

impl Scene {
    fn new(name: &'static str) -> Self {
        Self {
            api: OwnApi::prepare(name, 6444),
            controller: None,
        }
    }

    /// Starts the API server with a configuration, and the controller once: it goes on
    /// through all restarts of the API server.
    async fn restart(&mut self, configuration: Option<&str>) {
        self.api.restart(configuration).await;
        self.controller = Some(match self.controller.take() {
            Some(controller) => controller.through(&self.api.client().await),
            None => {
                let secrets = vec![secret("/", "PASSWORD", CANARY)];
                Controller::start_at(&self.api, "managed", secrets, 1).await
            }
        });
    }

    fn controller(&mut self) -> &mut Controller {
        self.controller.as_mut().expect("it was started")
    }

    fn namespace(&self) -> &Namespace {
        &self.controller.as_ref().expect("it was started").namespace
    }

    /// Has the controller write all Secrets: those that are there are deleted, so that
    /// it makes them anew.
    async fn write_all(&mut self) {
        let secrets = self.namespace().api::<Secret>();
        for name in NAMES {
            self.controller()
                .resource(name, json!([{"secretName": name}]))
                .await;
            self.controller().shows(name, "PASSWORD", CANARY).await;
            let uid = |secret: Option<Secret>| secret.and_then(|of| of.metadata.uid);
            let before = uid(self.namespace().secret(name).await);
            let gone = DeleteParams::default();
            secrets.delete(name, &gone).await.unwrap();
            eventually("a Secret made anew", async || {
                let now = uid(self.namespace().secret(name).await);
                (now.is_some() && now != before).then_some(())
            })
            .await;
        }
    }

    /// Every Secret in etcd begins with `prefix`, and none shows what it holds.
    async fn all_stored_as(&self, prefix: &str) {
        let stored = self.api.stored_secrets().await;
        assert_eq!(stored.len(), NAMES.len() + 1, "{:?}", stored.keys());
        for (key, bytes) in stored {
            let begin = bytes.escape_ascii().take(60).map(char::from);
            let begin: String = begin.collect();
            assert!(
                bytes.starts_with(prefix.as_bytes()),
                "{key} is {begin}, not {prefix}"
            );
            assert!(!shows_canary(&bytes), "{key}");
        }
    }

    /// Through the API each Secret is what was written.
    async fn all_readable(&self) {
        let expected = BTreeMap::from([("PASSWORD".to_owned(), CANARY.as_bytes().to_vec())]);
        for name in NAMES {
            let data = self.namespace().secret_data(name).await;
            assert_eq!(data.as_ref(), Some(&expected), "{name}");
        }
    }

    /// Runs the command that a printed configuration names for writing everything again,
    /// and shows that nobody else sees a difference.
    async fn rewrite_by_the_command_of(&self, configuration: &str) {
        let before = self.owners().await;
        let rewrite = step(configuration, "# 3. ");
        assert!(rewrite.starts_with("bash -euo pipefail -c '"), "{rewrite}");
        let said = self.api.kubectl(&rewrite).await.unwrap();
        assert!(said.ends_with("all is written\n"), "{said}");
        for name in NAMES {
            assert!(said.contains(&format!("secret/{name} replaced")), "{said}");
        }
        assert_eq!(self.owners().await, before);
    }

    /// What is left, as the command of the next step shows it.
    async fn left_by_the_command_of(&self, configuration: &str) -> String {
        // Of this API server's own part of etcd.
        let own = format!("etcdctl get /{}/", self.api.name());
        let look = step(configuration, "# 4. ").replace("etcdctl get /registry/", &own);
        let look = look.lines().filter(|line| !line.ends_with('.'));
        let look = look.collect::<Vec<_>>().join("\n");
        self.api.etcdctl();
        // Where nothing is left, `grep` finds nothing.
        let look = format!("export PATH=$HOME:$PATH; ({look}) || [ $? = 1 ]");
        self.api.kubectl(&look).await.unwrap()
    }

    /// Who owns which field of the Secrets.
    async fn owners(&self) -> Vec<String> {
        let mut owners = Vec::new();
        for name in NAMES {
            let secret = self.namespace().secret(name).await.unwrap();
            let fields = serde_json::to_string(&secret.metadata.managed_fields).unwrap();
            assert!(fields.contains(MANAGER), "{fields}");
            owners.push(fields);
        }
        owners
    }
}

/// The commands of a step of the comments, as they are printed.
fn step(configuration: &str, number: &str) -> String {
    let (_, rest) = configuration.split_once(number).expect("it is there");
    let is_step = |line: &str| line.starts_with("# ") && line[2..].starts_with(char::is_numeric);
    let lines = rest.lines().skip(1);
    let lines = lines.take_while(|line| line.starts_with('#') && !is_step(line));
    let commands = lines.filter_map(|line| line.strip_prefix("#    "));
    let commands = commands.skip_while(|line| {
        !["bash ", "etcdctl "]
            .iter()
            .any(|program| line.starts_with(program))
    });
    commands.collect::<Vec<_>>().join("\n")
}

/// Who writes managed Secrets.
const MANAGER: &str = "phase-csi-provider";

/// As it is, or as JSON has it.
fn shows_canary(bytes: &[u8]) -> bool {
    let in_base64 = serde_json::to_string(&k8s_openapi::ByteString(CANARY.into())).unwrap();
    let in_base64 = in_base64.trim_matches(['"', '=']);
    [CANARY, in_base64].iter().any(|text| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

async fn rotated(scene: &Scene, configuration: &str, arguments: &[&str]) -> String {
    let file = scene.api.path("before.yaml");
    std::fs::write(&file, configuration).unwrap();
    let file = file.to_str().unwrap();
    encryption_config(&[&["--rotate", file], arguments].concat()).await
}

/// A key of the file: encrypted, rotated, written again, the old key removed.
async fn a_key_is_rotated(provider: &'static str) {
    let mut scene = Scene::new(provider);
    let prefix = |key: &str| format!("k8s:enc:{provider}:v1:{key}:");
    // One of them is no resource of this cluster.
    let resources = ["secrets", "configmaps", "pandas.awesome.bears.example"];
    let resources = resources.map(|name| format!("--resource={name}"));
    let resources = resources.each_ref().map(String::as_str);
    let first = encryption_config(&[&["--provider", provider], &resources[..]].concat()).await;
    scene.restart(Some(&first)).await;
    scene.write_all().await;
    scene.all_stored_as(&prefix("key-1")).await;
    scene.all_readable().await;

    let second = rotated(&scene, &first, &[]).await;
    scene.restart(Some(&second)).await;
    scene.all_stored_as(&prefix("key-1")).await;
    scene.all_readable().await;
    let is_of = |line: &str, key: &str| line.ends_with(&prefix(key));
    let left = scene.left_by_the_command_of(&second).await;
    assert!(left.lines().any(|line| is_of(line, "key-1")), "{left}");
    scene.rewrite_by_the_command_of(&second).await;
    let left = scene.left_by_the_command_of(&second).await;
    assert!(left.lines().all(|line| is_of(line, "key-2")), "{left}");
    assert!(!left.is_empty());
    scene.all_stored_as(&prefix("key-2")).await;

    scene.restart(Some(&without_key(&second, "key-1"))).await;
    scene.all_readable().await;
    scene.write_all().await;
    scene.all_stored_as(&prefix("key-2")).await;
    scene.api.stop().await;
}

/// The whole page, from plain text on.
async fn from_plain_text_to_secretbox() {
    let mut scene = Scene::new("secretbox");
    scene.restart(None).await;
    scene.write_all().await;
    let stored = scene.api.stored_secrets().await;
    assert_eq!(stored.len(), NAMES.len() + 1);
    for (key, bytes) in &stored {
        let shows = shows_canary(bytes) || key.ends_with(TOKEN);
        assert!(bytes.starts_with(b"k8s\0") && shows, "{key}");
    }

    let first = encryption_config(&[]).await;
    scene.restart(Some(&first)).await;
    assert_eq!(
        scene.api.stored_secrets().await,
        stored,
        "nothing changes by itself"
    );
    scene.all_readable().await;
    let left = scene.left_by_the_command_of(&first).await;
    let all = NAMES.len() + 1;
    assert_eq!(left, format!("{all}\n"), "all is plain text");
    scene.rewrite_by_the_command_of(&first).await;
    let left = scene.left_by_the_command_of(&first).await;
    assert_eq!(left, "0\n", "none is");
    scene.all_stored_as("k8s:enc:secretbox:v1:key-1:").await;

    // Whatever is written meanwhile is plain text, and the controller looks at each
    // Secret that somebody has written.
    scene.controller().replicas[0].kill().await;
    scene.restart(Some(&with_identity_first(&first))).await;
    scene.all_readable().await;

    let first = without_identity(&first);
    scene.restart(Some(&first)).await;
    scene.controller().restart(0).await;
    scene.all_readable().await;
    // A rotation on it: there is no plain text to go back to.
    let second = rotated(&scene, &first, &[]).await;
    scene.restart(Some(&second)).await;
    scene.rewrite_by_the_command_of(&second).await;
    scene.all_stored_as("k8s:enc:secretbox:v1:key-2:").await;
    scene.restart(Some(&with_the_new_key_second(&second))).await;
    scene.all_readable().await;
    scene.restart(Some(&without_key(&second, "key-1"))).await;
    scene.all_readable().await;
    scene.api.stop().await;
}

/// A KMS that rotates its own key, one in its place, and no KMS any more.
async fn to_a_kms_to_another_and_away() {
    let mut scene = Scene::new("kms");
    let sockets = ["one", "two"].map(|name| scene.api.path(&format!("{name}.sock")));
    let flags = |number: usize, name: &str| {
        let endpoint = format!("--kms-endpoint=unix://{}", sockets[number].display());
        [
            "--provider=kms".to_owned(),
            format!("--kms-name={name}"),
            endpoint,
        ]
    };
    let one = KmsPlugin::start("one", &sockets[0]);
    let arguments = flags(0, "vault");
    let first = encryption_config(&arguments.each_ref().map(String::as_str)).await;
    scene.restart(Some(&first)).await;
    scene.write_all().await;
    scene.all_stored_as("k8s:enc:kms:v2:vault:").await;
    scene.all_readable().await;
    assert!(one.encrypted() > 0, "the plugin was asked");
    all_name(&scene, "one-1").await;

    // A KMS rotates by itself; the API server looks when it starts, and each minute.
    one.rotate();
    scene.restart(Some(&first)).await;
    scene.rewrite_by_the_command_of(&first).await;
    all_name(&scene, &one.key_id()).await;

    let two = KmsPlugin::start("two", &sockets[1]);
    let arguments = flags(1, "cloud");
    let second = rotated(&scene, &first, &arguments.each_ref().map(String::as_str)).await;
    scene.restart(Some(&second)).await;
    scene.all_readable().await;
    scene.rewrite_by_the_command_of(&second).await;
    scene.all_stored_as("k8s:enc:kms:v2:cloud:").await;
    all_name(&scene, &two.key_id()).await;

    // The first KMS is no longer needed for anything.
    drop(one);
    let third = rotated(&scene, &second, &["--provider", "secretbox"]).await;
    let third = without_kms(&third, "vault");
    scene.restart(Some(&third)).await;
    scene.all_readable().await;
    scene.rewrite_by_the_command_of(&third).await;
    scene.all_stored_as("k8s:enc:secretbox:v1:key-1:").await;
    drop(two);
    scene.restart(Some(&without_kms(&third, "cloud"))).await;
    scene.all_readable().await;
    scene.api.stop().await;
}

/// Every Secret in etcd names the KMS's key that its own key is encrypted with.
async fn all_name(scene: &Scene, key_id: &str) {
    for (key, bytes) in scene.api.stored_secrets().await {
        let names = bytes
            .windows(key_id.len())
            .any(|part| part == key_id.as_bytes());
        assert!(names, "{key} does not name {key_id}");
    }
}
