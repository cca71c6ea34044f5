//! Every example class of the README and of `daemonset/examples` passes `check`,
//! and `render` gives its files against an emulator that has its keys.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::docs::blocks::files;
use crate::docs::pages::ORGANISATION;

const HOST: &str = "https://console.phase.dev";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The apps, or the one app, that Phase must hold for an example, and the files that it makes then.
fn expected(example: &str) -> (Value, Vec<&'static str>) {
    match example {
        "class.yaml" | "README.md" => (
            app(
                "keyspace.cloud",
                "Production",
                &[("/", "API_KEY"), ("/", "DB_URL")],
            ),
            vec!["API_KEY", "DB_URL"],
        ),
        "class-all.yaml" => (
            json!({
                "name": "all",
                "id": "3f1c9a52-8f6e-4d2a-9c61-0d4a3a5f7b10",
                "environments": [
                    {"name": "Production", "secrets": [
                        tagged("/backend", "API_KEY", "x"),
                        tagged("/backend", "API_OLD_OLD", "x"),
                        tagged("/backend", "KEYSTORE", "AP8Q"),
                        tagged("/backend/db", "DB_PASSWORD", "x"),
                        tagged("/backend/env", "MODE", "x"),
                        tagged("/backend/app", "DB_USER", "x"),
                        tagged("/backend/app", "DB_HOST", "x"),
                    ]},
                    {"name": "Staging", "secrets": [
                        {"path": "/backend", "key": "GCP_ACCOUNT", "value": "{\"private_key\": \"x\"}"},
                    ]},
                ],
            }),
            vec![
                ".env",
                "KEYSTORE",
                "api-key",
                "app.conf",
                "gcp/key.pem",
                "password",
            ],
        ),
        "README.md, objects" => (
            app(
                "keyspace.cloud",
                "Production",
                &[
                    ("/", "DB_PASSWORD"),
                    ("/", "API_KEY"),
                    ("/", "DB_HOST"),
                    ("/backend", "MODE"),
                ],
            ),
            vec![".env", "API_KEY", "app.properties", "db/password"],
        ),
        "jdbc-properties.yaml" => (
            app(
                "orders",
                "Production",
                &["DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD"].map(|key| ("/database", key)),
            ),
            vec!["hikari.properties"],
        ),
        "nginx.yaml" => (
            app(
                "web",
                "Production",
                &["UPSTREAM_HOST", "UPSTREAM_USER", "UPSTREAM_PASSWORD"].map(|key| ("/", key)),
            ),
            vec!["snippets/upstreams.conf"],
        ),
        "tls-bundle.yaml" => (
            app(
                "edge",
                "Production",
                &[("/tls", "TLS_KEY"), ("/tls", "TLS_CERT")],
            ),
            vec!["tls/bundle.pem"],
        ),
        "recipes/env-file.yaml" => (shop(), vec!["env.sh"]),
        "recipes/env-vars.yaml" => (shop(), vec!["DB_HOST", "DB_PASSWORD", "DB_USER"]),
        "recipes/image-pull.yaml" => (shop(), vec!["docker.json"]),
        "recipes/ingress-tls.yaml" => (shop(), vec!["tls.crt", "tls.key"]),
        "recipes/own-file.yaml" => (shop(), vec!["id_ed25519"]),
        "recipes/statefulset.yaml" => (shop(), vec!["shop-0/PASSWORD", "shop-1/PASSWORD"]),
        "recipes/two-classes.yaml" => (shop(), vec!["SMTP_PASSWORD", "STRIPE_KEY"]),
        "sync-controller/secretsync.yaml" => (shop(), vec!["DB_HOST", "DB_PASSWORD"]),
        other => panic!("{other} is an example that this test does not know"),
    }
}

/// The apps that the pages of `docs/` talk about.
fn shop() -> Value {
    let organisation: Value = serde_saphyr::from_str(ORGANISATION).unwrap();
    organisation["apps"].clone()
}

fn app(name: &str, environment: &str, keys: &[(&str, &str)]) -> Value {
    let secrets = keys.iter();
    let secrets: Vec<_> = secrets
        .map(|(path, key)| json!({"path": path, "key": key, "value": "x"}))
        .collect();
    json!({"name": name, "environments": [{"name": environment, "secrets": secrets}]})
}

fn tagged(path: &str, key: &str, value: &str) -> Value {
    json!({"path": path, "key": key, "value": value, "tags": ["certs"]})
}

/// The examples that are classes, by file name.
fn examples() -> Vec<(String, String)> {
    let read = |path: String| {
        let name = path.strip_prefix("daemonset/examples/").unwrap();
        (name.to_owned(), read(&path))
    };
    let mut examples: Vec<_> = files("daemonset/examples").into_iter().map(read).collect();
    examples.retain(|(_, text)| text.contains("kind: SecretProviderClass"));
    let class = yaml_of_the_readme("kind: SecretProviderClass");
    let objects = yaml_of_the_readme("    objects: |\n");
    examples.push(("README.md, objects".to_owned(), class.clone() + &objects));
    examples.push(("README.md".to_owned(), class));
    examples.sort();
    examples
}

/// The first YAML block of the README that has these words.
fn yaml_of_the_readme(words: &str) -> String {
    let readme = read("README.md");
    let blocks = readme.split("```yaml\n").skip(1);
    let mut blocks = blocks.map(|block| block.split("```").next().unwrap());
    let block = blocks.find(|block| block.contains(words));
    block.expect(words).to_owned()
}

async fn run(arguments: &[&str], token: &str) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
        .args(arguments)
        .env_clear()
        .env("PHASE_SERVICE_TOKEN", token)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text + &errors)
}

#[tokio::test]
async fn every_example_passes_check_and_renders_its_files() {
    let mut seen = 0;
    for (name, text) in examples() {
        let (apps, paths) = expected(&name);
        let apps = match apps {
            Value::Array(apps) => apps,
            app => vec![app],
        };
        let seed = json!({"organisation": "examples", "apps": apps}).to_string();
        let seed = Seed::from_yaml(&seed).unwrap();
        let emulator = Emulator::start(Options::new(seed)).await.unwrap();
        let token = emulator.control().token("default").unwrap();
        let url = emulator.url();
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| -> PathBuf {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let as_written = file("written.yaml", &text);
        let (code, said) = run(&["check", "-f", as_written.to_str().unwrap()], "").await;
        assert_eq!(code, 0, "{name}: {said}");
        let local = file("local.yaml", &text.replace(HOST, &url));
        let local = ["-f", local.to_str().unwrap(), "--phase-host", &url];
        let (code, said) = run(&[&["check", "--online"], &local[..]].concat(), &token).await;
        assert_eq!(code, 0, "{name}: {said}");
        let (code, said) = run(&[&["render", "-o", "json"], &local[..]].concat(), &token).await;
        assert_eq!(code, 0, "{name}: {said}");
        let rendered: Value = serde_json::from_str(&said).unwrap();
        let classes = rendered["classes"].as_array().unwrap().iter();
        let rendered: BTreeSet<_> = classes
            .flat_map(|class| class["files"].as_array().unwrap())
            .map(|file| file["path"].as_str().unwrap())
            .collect();
        assert_eq!(rendered, paths.into_iter().collect(), "{name}");
        seen += 1;
    }
    assert!(seen >= 15, "{seen} examples");
}
