//! What `render` shows of a class that is fine.

use serde_json::{Value, json};

use super::{Scene, class, command, ran_with_input};
use crate::support::daemon::Daemon;
use crate::support::replay::{Recording, Replay};

const OBJECTS: &str = "\
phaseApp: a
recursive: \"true\"
objects: |
  - objectName: .env
    format: dotenv
    filePermission: \"0600\"
  - secretKey: KEY
    objectName: one/key
  - secretKey: PIXEL
    encoding: hex
    path: /deep
";

fn secrets() -> Value {
    json!([
        {"key": "KEY", "value": "canary-value-one\n"},
        {"key": "URL", "value": "http://${KEY}@${staging.URL}"},
        {"key": "PIXEL", "value": "00ff1b5b", "path": "/deep"},
    ])
}

#[tokio::test]
async fn a_table_says_of_every_file_what_it_is_and_where_it_came_from() {
    let scene = Scene::of(secrets()).await;
    let file = scene.file("class.yaml", &class("keys", OBJECTS));
    let out = scene.render(&["-f", &file]).await.fine();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[0],
        "SecretProviderClass shop/keys: 3 files of app a, 107 bytes"
    );
    let without_version: Vec<_> = lines[2..]
        .iter()
        .map(|line| {
            let version = &line[21..53];
            assert!(
                version.starts_with("VERSION ")
                    || version.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{line}"
            );
            format!("{}…{}", &line[..21], &line[53..])
        })
        .collect();
    assert_eq!(
        without_version,
        [
            "FILE     MODE  SIZE  …  REFERENCES  FROM",
            ".env     0600    86  …           2  3 keys of production /, /deep",
            "PIXEL    0644     4  …           0  PIXEL of production /deep",
            "one/key  0644    17  …           0  KEY of production /",
        ]
    );
    assert!(!out.contains("canary"), "{out}");
}

#[tokio::test]
async fn programs_get_one_object() {
    let scene = Scene::of(secrets()).await;
    let file = scene.file("class.yaml", &class("keys", OBJECTS));
    let out = scene.render(&["-f", &file, "-o", "json"]).await.fine();
    let report: Value = serde_json::from_str(&out).unwrap();
    let only = &report["classes"][0];
    assert_eq!(
        (&only["name"], &only["namespace"], &only["app"]),
        (&json!("keys"), &json!("shop"), &json!("a"))
    );
    assert_eq!(only["warnings"], json!([]));
    let mut first = only["files"][0].clone();
    let version = first["version"].take();
    assert_eq!(version.as_str().unwrap().len(), 32);
    assert_eq!(
        first,
        json!({
            "path": ".env", "mode": "0600", "size": 86, "version": null,
            "environment": "production", "references": 2,
            "secrets": [
                {"folder": "/", "key": "KEY"},
                {"folder": "/", "key": "URL"},
                {"folder": "/deep", "key": "PIXEL"},
            ],
        })
    );
    assert!(!out.contains("canary"), "{out}");
    let shown = scene
        .render(&["-f", &file, "-o", "json", "--show-values"])
        .await
        .fine();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let files = &shown["classes"][0]["files"];
    assert_eq!(files[1]["contentBase64"], "AP8bWw==");
    assert_eq!(files[1].get("content"), None);
    assert_eq!(files[2]["content"], "canary-value-one\n");
    assert_eq!(files[2].get("contentBase64"), None);
}

#[tokio::test]
async fn values_are_printed_as_they_are_or_as_base64() {
    let scene = Scene::of(json!([
        {"key": "A", "value": "two\nlines\n"},
        {"key": "B", "value": "no end"},
        {"key": "C", "value": "\u{1b}[31mred"},
        {"key": "D", "value": "turned \u{202e}round"},
    ]))
    .await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let out = scene.render(&["-f", &file, "--show-values"]).await.fine();
    let (_, values) = out.split_once("\n\n==>").unwrap();
    assert_eq!(
        values,
        " A <==\ntwo\nlines\n\n==> B (no new line at its end) <==\nno end\n\n==> C (not printable: as base64) <==\nG1szMW1yZWQ=\n\n==> D (not printable: as base64) <==\ndHVybmVkIOKArnJvdW5k\n"
    );
}

#[tokio::test]
async fn names_from_phase_cannot_act_on_a_terminal() {
    let scene = Scene::seeded(json!({
        "apps": [{"name": "a", "environments": [
            {"name": "prod\u{1b}[2J", "secrets": [{"key": "K\u{7}", "value": "v"}]},
        ]}],
        "accounts": [{"name": "ci"}],
    }))
    .await;
    let parameters =
        "phaseApp: a\nphaseAppEnv: \"prod\\e[2J\"\nobjects: |\n  - {objectName: all, format: json}";
    let file = scene.file("class.yaml", &class("keys", parameters));
    let out = scene.render(&["-f", &file]).await.fine();
    assert!(out.ends_with("  K\\u{7} of prod\\u{1b}[2J /\n"), "{out:?}");
}

#[tokio::test]
async fn several_classes_of_several_documents_are_shown_or_one_is_chosen() {
    let scene = Scene::of(secrets()).await;
    let other = class("other", "phaseApp: a\nphaseAppEnv: staging").replace("shop", "bar");
    let foreign = class("foreign", "x: y").replace("provider: phase", "provider: vault");
    let both = format!("{}---\n{foreign}---\n{other}", class("keys", OBJECTS));
    let file = scene.file("class.yaml", &both);
    let titles = |out: String| -> Vec<String> {
        let lines = out.lines().filter(|line| line.starts_with("SecretPro"));
        lines.map(str::to_owned).collect()
    };
    let one = "SecretProviderClass shop/keys: 3 files of app a, 107 bytes";
    let two = "SecretProviderClass bar/other: 1 file of app a, 15 bytes";
    let all = scene.render(&["-f", &file]).await.fine();
    assert_eq!(titles(all), [one, two]);
    for arguments in [["--class", "other"], ["-n", "bar"]] {
        let chosen = scene
            .render(&[&["-f", &file], &arguments[..]].concat())
            .await;
        assert_eq!(titles(chosen.fine()), [two]);
    }
    let file = scene.file("b.yaml", &other);
    let twice = ran_with_input(scene.command(&["-f", "-", "-f", &file]), &both).await;
    assert_eq!(titles(twice.fine()), [one, two, two]);
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_is_a_warning_where_the_class_says_so() {
    let scene = Scene::of(json!([{"key": "KEY", "value": "canary-${NOWHERE}"}])).await;
    let parameters = "phaseApp: a\nonSecretReferenceError: Warn";
    let file = scene.file("class.yaml", &class("keys", parameters));
    let ran = scene.render(&["-f", &file, "-o", "json"]).await;
    assert_eq!(ran.code, Some(0));
    let begin = "warning: SecretProviderClass shop/keys: ${NOWHERE} in secret \"KEY\" ";
    assert!(
        ran.error.starts_with(begin) && ran.error.lines().count() == 1,
        "{}",
        ran.error
    );
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let warning = report["classes"][0]["warnings"][0].as_str().unwrap();
    assert!(ran.error.contains(warning));
    assert!(!(ran.out + &ran.error).contains("canary"));
}

/// The real client asks for them, and says what it does not serve.
#[tokio::test]
async fn dynamic_secrets_are_seen_and_not_served() {
    let scene = Scene::seeded(json!({
        "apps": [{"name": "a", "environments": [{
            "name": "production",
            "secrets": [{"key": "KEY", "value": "value"}],
            "dynamic": [{"name": "deploy", "keys": ["AWS_USER"]}],
        }]}],
        "accounts": [{"name": "ci"}],
    }));
    let scene = scene.await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let ran = scene.render(&["-f", &file]).await;
    assert_eq!(
        (ran.code, ran.error.as_str()),
        (
            Some(0),
            "warning: SecretProviderClass shop/keys: dynamic secret \"deploy\" in folder \"/\" of environment \"production\" is not served yet: its keys are left out\n"
        )
    );
    let named = "phaseApp: a\nobjects: '[{secretKey: AWS_USER}]'";
    let file = scene.file("named.yaml", &class("keys", named));
    let ran = scene.render(&["-f", &file]).await;
    assert_eq!(
        ran.failed(1)[1..],
        [
            "error: SecretProviderClass shop/keys: objects[0]: secret \"AWS_USER\" is a key of a dynamic secret, which is not served yet: folder \"/\" of environment \"production\" in app \"a\": name a static secret, or set optional: true"
        ]
    );
}

#[tokio::test]
async fn every_bad_reference_is_a_line_of_its_own() {
    let secrets =
        ["A", "B", "C"].map(|key| json!({"key": key, "value": format!("canary-${{NO_{key}}}")}));
    let scene = Scene::of(json!(secrets)).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let ran = scene.render(&["-f", &file]).await;
    let lines = ran.failed(1);
    assert_eq!(lines.len(), 3, "{lines:?}");
    for key in ["A", "B", "C"] {
        let begin = format!(
            "error: SecretProviderClass shop/keys: ${{NO_{key}}} in secret \"{key}\" of folder"
        );
        assert!(
            lines.iter().any(|line| line.starts_with(&begin)),
            "{lines:?}"
        );
    }
    assert!(!ran.error.contains("canary"));
}

#[tokio::test]
async fn files_that_no_driver_takes_by_default_are_a_warning() {
    let large = json!({"key": "A", "value": "x".repeat(4 << 20)});
    let scene = Scene::of(json!([large, {"key": "B", "value": "x", "path": "/b"}])).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let ran = scene.render(&["-f", &file]).await;
    assert_eq!(
        (ran.code, ran.error.as_str()),
        (
            Some(0),
            "warning: SecretProviderClass shop/keys: an answer of about 4194370 bytes is larger than the 4194304 bytes that a driver takes by default: select fewer secrets, or raise --max-call-recv-msg-size of the driver and --max-call-send-msg-size of the provider together\n"
        )
    );
    let file = scene.file("b.yaml", &class("keys", "phaseApp: a\nphaseAppEnvPath: /b"));
    scene.render(&["-f", &file]).await.fine();
}

#[tokio::test]
async fn an_empty_selection_that_is_allowed_shows_the_marker_file() {
    let scene = Scene::of(json!([])).await;
    let parameters = "phaseApp: a\nallowEmpty: \"true\"";
    let file = scene.file("class.yaml", &class("keys", parameters));
    let out = scene.render(&["-f", &file]).await.fine();
    assert!(
        out.contains("\n.phase-empty  0644    24  ") && out.ends_with("  no secret is selected\n"),
        "{out}"
    );
}

#[tokio::test]
async fn a_pod_gets_what_was_shown() {
    let tokens = Recording::read("tokens-service-account");
    let replay = Replay::of(&[&tokens, &Recording::read("secrets-all-paths")]).await;
    let parameters = "phaseApp: Payments-API\nphaseAppEnvPath: /backend\nrecursive: \"true\"";
    let mut render = command(&["render", "-f", "-", "-o", "json", "--show-values"]);
    render
        .args(["--allowed-host", &replay.url()])
        .env("PHASE_CSI_PHASE_HOST", replay.url())
        .env("PHASE_SERVICE_TOKEN", tokens.token("main"));
    let report = ran_with_input(render, &class("keys", parameters)).await;
    let report: Value = serde_json::from_str(&report.fine()).unwrap();
    let shown: Vec<_> = report["classes"][0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            (
                file["path"].clone(),
                file["content"].clone(),
                file["version"].clone(),
            )
        })
        .collect();
    let daemon = Daemon::start(&["--phase-host", &replay.url()]).await;
    let pod = json!({
        "phaseApp": "Payments-API", "phaseAppEnvPath": "/backend", "recursive": "true",
    });
    let answer = daemon.mount(tokens.token("main"), &pod).await.unwrap();
    let mounted: Vec<_> = answer
        .files
        .iter()
        .zip(&answer.object_version)
        .map(|(file, version)| {
            let text = String::from_utf8(file.contents.clone()).unwrap();
            (json!(file.path), json!(text), json!(version.version))
        })
        .collect();
    assert_eq!((shown.len(), shown), (5, mounted));
}

#[tokio::test]
async fn no_value_is_anywhere_unless_it_is_asked_for() {
    let tokens = Recording::read("tokens-service-account");
    let secrets = Recording::read("secrets-all-paths");
    let replay = Replay::of(&[&tokens, &secrets]).await;
    let parameters = "phaseApp: payments-api\nrecursive: \"true\"\nonSecretReferenceError: Warn";
    let mut written = String::new();
    for form in ["human", "json"] {
        let mut render = command(&["render", "-f", "-", "-o", form, "--log-level", "trace"]);
        render
            .args(["--phase-host", &replay.url()])
            .env("RUST_LOG", "trace")
            .env("PHASE_SERVICE_TOKEN", tokens.token("main"));
        let ran = ran_with_input(render, &class("keys", parameters)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.error);
        assert!(ran.error.contains("DEBUG"), "{}", ran.error);
        written += &(ran.out + &ran.error);
    }
    let token = tokens.token("main").split(':').skip(2).map(str::to_owned);
    let mut canaries: Vec<_> = token.collect();
    let values = secrets.expected()["secrets"].as_array().unwrap().iter();
    canaries.extend(values.map(|secret| secret["value"].as_str().unwrap().to_owned()));
    canaries.retain(|canary| canary.len() >= 10 && !canary.starts_with("${"));
    assert!(canaries.len() > 12);
    for canary in canaries {
        assert!(!written.contains(&canary), "{canary:?} was written");
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let scene = Scene::of(secrets()).await;
    let file = scene.file("class.yaml", &class("keys", OBJECTS));
    let mut render = scene.command(&["-f", &file]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    render.stdout(writer).stderr(std::process::Stdio::piped());
    let output = render.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut render = scene.command(&["-f", &file]);
    render
        .stdout(full.unwrap())
        .stderr(std::process::Stdio::piped());
    let output = render.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap().as_str()
        ),
        (
            Some(2),
            "error: the report cannot be written: No space left on device (os error 28): check standard output\n"
        )
    );
}
