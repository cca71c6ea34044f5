//! The YAML file: what is read, what is made up, what is written back.

use crate::protocol::Client;
use phase_emulator::seed::{App, Environment, Secret};
use phase_emulator::{Emulator, Options, Seed, StartError};
use std::fs;
use std::path::Path;

const SHORT: &str = "# Kept comment.
apps:
- name: keyspace.cloud
  environments:
  - name: Production
    secrets:
    - {key: API_KEY, value: one}
";

async fn start(file: &Path) -> Emulator {
    Emulator::start(Options::from_file(file).unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_restart_keeps_tokens_ids_versions_and_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("phase.yaml");
    fs::write(&file, SHORT).unwrap();
    let first = start(&file).await;
    let control = first.control();
    control
        .put_secret("keyspace.cloud", "Production", "/backend", "NEW", "a\nb\n")
        .unwrap();
    control
        .put_secret("keyspace.cloud", "Production", "/", "API_KEY", "two")
        .unwrap();
    let (token, id) = (
        control.token("default"),
        control
            .environment_id("keyspace.cloud", "Production")
            .unwrap(),
    );
    let (tokens, rows) = (
        Client::new(&first, "default").tokens().await,
        Client::new(&first, "default").rows(&id).await,
    );
    first.stop().await;

    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# Kept comment.\n"), "{text}");
    let second = start(&file).await;
    assert_eq!(second.control().token("default"), token);
    let client = Client::new(&second, "default");
    let secrets = client.secrets("keyspace.cloud", "Production").await;
    let values: Vec<_> = secrets
        .iter()
        .map(|secret| (secret.path.as_str(), secret.value.as_str()))
        .collect();
    assert_eq!(values, [("/backend", "a\nb\n"), ("/", "two")]);
    for (before, after) in rows.iter().zip(client.rows(&id).await) {
        for field in [
            "id",
            "version",
            "created_at",
            "updated_at",
            "key_digest",
            "path",
            "folder",
        ] {
            assert_eq!(before[field], after[field], "{field}");
        }
    }
    let environment = |tokens: &serde_json::Value| {
        tokens["apps"][0]["environment_keys"][0]["environment"].clone()
    };
    assert_eq!(environment(&client.tokens().await), environment(&tokens));

    second.control().revoke_token("default").unwrap();
    second.stop().await;
    let third = start(&file).await;
    let refused = Client::new(&third, "default")
        .get("/service/secrets/tokens/")
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 403, "a revoked token stays revoked");
}

#[tokio::test]
async fn access_that_was_taken_stays_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("phase.yaml");
    fs::write(&file, Seed::demo().to_yaml()).unwrap();
    let first = start(&file).await;
    first
        .control()
        .set_access("demo", "keyspace.cloud", "Staging", false)
        .unwrap();
    first.stop().await;
    let second = start(&file).await;
    let tokens = Client::new(&second, "demo").tokens().await;
    let names = tokens["apps"][0]["environment_keys"].as_array().unwrap();
    let names: Vec<_> = names
        .iter()
        .map(|entry| entry["environment"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Development", "Production"]);
}

#[test]
fn every_text_survives_the_file() {
    let long = "word ".repeat(60);
    let texts = [
        "",
        " ",
        "\n",
        "a\n",
        "a\r\nb\r\n",
        "\r",
        "\ttab",
        "trailing ",
        "1000",
        "0x1f",
        "yes",
        "null",
        "~",
        "- a",
        "a: b",
        "#no",
        "${A}",
        "${{B}}",
        "'quoted'",
        "\"quoted\"",
        "back\\slash",
        "héllo 🔐 日本語",
        "\u{feff}bom",
        "\u{2028}",
        "\u{85}",
        "\u{7}bell",
        "2026-11-23",
        "1e3",
        "---",
        "...",
        "|",
        ">",
        "%x",
        "@x",
        "`x",
        "\n\n lead\n  more\n\n",
        &long,
    ];
    let secrets = texts
        .iter()
        .enumerate()
        .map(|(turn, text)| Secret::new("/", &format!("{turn} {text}"), text))
        .collect();
    let seed = Seed::new(vec![App::new(
        "app",
        vec![Environment::new("Production", secrets)],
    )]);
    let again = Seed::from_yaml(&seed.to_yaml()).unwrap();
    for (turn, (text, secret)) in texts
        .iter()
        .zip(&again.apps[0].environments[0].secrets)
        .enumerate()
    {
        assert_eq!(secret.value, *text);
        assert_eq!(secret.key, format!("{turn} {text}"));
    }
}

#[test]
fn a_writer_is_never_seen_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("phase.yaml");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    fs::write(&file, SHORT).unwrap();
    let emulator = runtime.block_on(start(&file));
    let control = emulator.control();
    let writer = std::thread::spawn(move || {
        for turn in 0..50 {
            control
                .put_secret(
                    "keyspace.cloud",
                    "Production",
                    "/",
                    "API_KEY",
                    &turn.to_string(),
                )
                .unwrap();
        }
    });
    while !writer.is_finished() {
        Seed::from_yaml(&fs::read_to_string(&file).unwrap())
            .expect("the old or the new file, never a part");
    }
    writer.join().unwrap();
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside the file");
}

/// Why a seed is refused: at reading, or at the start.
async fn refusal(yaml: &str) -> String {
    match Seed::from_yaml(yaml) {
        Err(error) => error.to_string(),
        Ok(seed) => Emulator::start(Options::new(seed))
            .await
            .err()
            .expect("the seed is refused")
            .to_string(),
    }
}

#[tokio::test]
async fn mistakes_in_a_seed_are_named() {
    let zero = "0".repeat(64);
    let token = |kind: &str| format!("{kind}:{zero}:{zero}:{zero}:{zero}");
    let accounts = |text: &str| {
        format!(
            "apps: [{{name: a, environments: [{{name: Production}}]}}, {{name: A}}]\naccounts: [{text}]"
        )
    };
    for (yaml, expected) in [
        (accounts("{name: x, access: [{app: a}]}"), "app name is ambiguous: \"a\" of account \"x\": give the id in place of the name"),
        (accounts("{name: x, access: [{app: b}]}"), "app is not in the seed: \"b\" of account \"x\": add it or correct the name"),
        (accounts("{name: x, allowed_addresses: [10.0.0.0/99]}"), "address cannot be read: \"10.0.0.0/99\" of account \"x\": write 10.0.0.1 or 10.0.0.0/8"),
        (accounts("{name: x, tokens: [{name: t}, {name: t}]}"), "token is listed twice: \"t\": give each token a name and text of its own"),
        (accounts("{name: x, kind: legacy}"), "legacy account needs one app: \"x\": list exactly one under access"),
        (accounts("{name: x, private_key: abc}"), "key cannot be read: private_key of account \"x\": write 64 hex digits"),
        (accounts(&format!("{{name: x, tokens: [{{name: t, token: '{}'}}]}}", token("pss_user:v1"))), "token cannot be read: \"t\": it must have the form of its account's kind"),
        (
            accounts(&format!("{{name: x, tokens: [{{name: t, token: '{}'}}]}}", token("pss_service:v2"))),
            "token belongs to another key pair: \"t\": give the account's private_key, or remove the token to get a new one",
        ),
        ("key: abc".to_owned(), "key cannot be read: key of the seed: write 64 hex digits"),
        (
            "apps: [{name: a, environments: [{name: Staging}]}]\naccounts: [{name: x, access: [{app: a, environments: [stag]}]}]".to_owned(),
            "environment is not in the seed: \"stag\" of account \"x\": add it or correct the name",
        ),
        (
            "apps: [{name: a, environments: [{name: Staging, secrets: [{key: K, path: /b}, {key: K, path: b/}]}]}]".to_owned(),
            "secret is listed twice: \"K\" at \"/b\" of environment \"Staging\": remove one",
        ),
    ] {
        assert_eq!(refusal(&yaml).await, expected);
    }
    for (yaml, hint) in [
        ("apps: [{nam: a}]", "nam"),
        ("rate_limit: fast", "rate cannot be read"),
        ("apps: {", ""),
    ] {
        let error = refusal(yaml).await;
        assert!(
            error.starts_with("seed cannot be read: ")
                && error.contains(hint)
                && !error.contains('\n'),
            "{error}"
        );
        assert!(error.len() < 500, "{error}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_or_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.yaml");
    let error = Options::from_file(&missing).expect_err("there is no file");
    assert!(
        error.to_string().starts_with(&format!(
            "seed file cannot be read: {}: ",
            missing.display()
        )),
        "{error}"
    );

    let nowhere = folder.path().join("no").join("such.yaml");
    let options = Options {
        file: Some(nowhere.clone()),
        ..Options::new(Seed::demo())
    };
    let Err(error @ StartError::Save(_)) = Emulator::start(options).await else {
        panic!("the folder is missing")
    };
    assert!(
        error.to_string().starts_with(&format!(
            "seed file cannot be written: {}: ",
            nowhere.display()
        )),
        "{error}"
    );
}

#[test]
fn a_printed_seed_shows_no_secret() {
    let text = format!("{:?}", Options::new(Seed::demo()));
    assert!(
        text.contains("Seed(\"Keyspace\", 2 apps)") && !text.contains("ak_live"),
        "{text}"
    );
}
