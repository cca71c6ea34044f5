//! What a pod would be refused for: exit code 1 where the class or the token must be
//! mended, 3 where Phase gave no usable answer.

use phase_emulator::{Fault, FaultKind, Garbage};
use serde_json::{Value, json};

use super::{Scene, class, command, ran};

fn one() -> Value {
    json!([{"key": "KEY", "value": "canary-value"}])
}

/// `class.yaml`'s errors without the directory that it is in.
async fn errors(scene: &Scene, text: &str, code: i32) -> Vec<String> {
    let file = scene.file("class.yaml", text);
    let ran = scene.render(&["-f", &file]).await;
    let lines = ran.failed(code).into_iter();
    lines
        .map(|line| line.replace(&file, "class.yaml"))
        .collect()
}

#[tokio::test]
async fn every_mistake_of_every_class_has_its_line() {
    let scene = Scene::of(one()).await;
    let first = class(
        "keys",
        "phaseAp: a\nrecursive: true\nrecursive: \"true\"\nfilePermission: 0644\nphaseAppEnv:\ntags: [a]\nobjects: |\n  - secretKey: KEY\n    encoding: hexx",
    );
    let second = class("No_Name", "phaseApp: a\nphaseHost: http://x.test");
    let errors = errors(&scene, &(first + "---\n" + &second), 1).await;
    let begin = "error: class.yaml:";
    assert_eq!(
        errors,
        [
            "6:3: SecretProviderClass shop/keys: phaseApp is missing: name the app, or give its id as phaseAppId",
            "7:5: SecretProviderClass shop/keys: unknown parameter \"phaseAp\": did you mean \"phaseApp\"?",
            "8:16: SecretProviderClass shop/keys: recursive: true or false stands where a text belongs: put it into quotes",
            "9:5: SecretProviderClass shop/keys: recursive stands here twice: remove one",
            "10:21: SecretProviderClass shop/keys: filePermission: a number stands where a text belongs: put it into quotes",
            "11:16: SecretProviderClass shop/keys: phaseAppEnv: nothing stands where a text belongs: give it a text, or remove it",
            "12:11: SecretProviderClass shop/keys: tags: a list stands where a text belongs: write it as a text: \"|\" after the name",
            "15:19: SecretProviderClass shop/keys: objects[0].encoding: encoding \"hexx\" is not one of \"utf-8\", \"base64\", \"hex\": did you mean \"hex\"?",
            "19:18: SecretProviderClass shop/No_Name: metadata.name \"No_Name\" is not a name: use lower-case letters, digits, \"-\" and \".\"",
            "24:16: SecretProviderClass shop/No_Name: phaseHost: host http://x.test is not allowed on this node: ask the cluster admin to add --allowed-host http://x.test",
        ]
        .map(|line| format!("{begin}{line}"))
    );
    assert_eq!(scene.emulator.control().requests().tokens, 0);
}

#[tokio::test]
async fn mistakes_are_not_cut_off_as_in_an_event() {
    let scene = Scene::of(one()).await;
    let parameters: String = (0..200).map(|n| format!("p{n}: x\n")).collect();
    let errors = errors(
        &scene,
        &class("keys", &format!("phaseApp: a\n{parameters}")),
        1,
    )
    .await;
    assert_eq!(errors.len(), 200);
    let missing: String = (0..200)
        .map(|n| format!("\n  - secretKey: MISSING_{n}"))
        .collect();
    let text = class("keys", &format!("phaseApp: a\nobjects: |{missing}"));
    let errors = self::errors(&scene, &text, 1).await;
    assert_eq!(errors.len(), 200);
    assert_eq!(
        errors[199],
        "error: SecretProviderClass shop/keys: objects[199]: secret \"MISSING_199\" not found: folder \"/\" of environment \"production\" in app \"a\" has no such key: create it in Phase, or set optional: true"
    );
}

#[tokio::test]
async fn what_is_no_yaml_is_a_wrong_class() {
    let scene = Scene::of(one()).await;
    let errors = errors(&scene, "a: [1\n", 1).await;
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("error: class.yaml, line 1, column ")
            || errors[0].starts_with("error: class.yaml, line 2, column "),
        "{errors:?}"
    );
}

#[tokio::test]
async fn a_token_that_is_none_or_not_there_says_where_it_was_looked_for() {
    let scene = Scene::of(one()).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let with = async |token: Option<&str>, arguments: &[&str]| {
        let mut render = scene.command(&[&["-f", &file], arguments].concat());
        match token {
            Some(token) => render.env("PHASE_SERVICE_TOKEN", token),
            None => render.env_remove("PHASE_SERVICE_TOKEN"),
        };
        let ran = ran(render).await;
        ran.failed(1).join("\n")
    };
    let absent = "error: no Phase token: set PHASE_SERVICE_TOKEN, or name a file that holds it with --token-file";
    assert_eq!(with(None, &[]).await, absent);
    assert_eq!(with(Some(""), &[]).await, absent);
    let damaged = with(Some("pss_service:v2:canary"), &[]).await;
    assert_eq!(
        damaged,
        "error: Phase token has 3 fields instead of 6: copy it again, whole, from Phase (PHASE_SERVICE_TOKEN)"
    );
    let path = scene.file("token", "junk\n");
    let other = with(None, &["--token-file", &path]).await;
    assert!(
        other.starts_with("error: Phase token is of an unknown kind: ")
            && other.ends_with(&format!(" ({path})")),
        "{other}"
    );
    let path = scene.file("token", &"x".repeat(5000));
    assert_eq!(
        with(None, &["--token-file", &path]).await,
        format!("error: {path} holds no Phase token: it must hold the token and nothing else")
    );
}

#[tokio::test]
async fn a_refused_token_is_the_persons_to_mend() {
    let scene = Scene::of(one()).await;
    let token = scene.token();
    scene.emulator.control().revoke_token("ci").unwrap();
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let mut render = scene.command(&["-f", &file]);
    render.env("PHASE_SERVICE_TOKEN", &token);
    let ran = ran(render).await;
    let [line] = ran.failed(1)[..] else {
        panic!("{ran:?}");
    };
    assert!(
        line.starts_with("error: SecretProviderClass shop/keys: ")
            && line.contains("token is expired, deleted or unknown"),
        "{line}"
    );
}

#[tokio::test]
async fn what_phase_does_not_have_is_the_classs_to_mend() {
    let scene = Scene::of(json!([
        {"key": "BROKEN", "stored_value": "no envelope"},
        {"key": "BASE", "value": "canary!", "path": "/b"},
        {"key": "SAME", "value": "1", "path": "/c"},
    ]))
    .await;
    for (parameters, text) in [
        ("phaseApp: b", "app \"b\" not found: the token can read a"),
        (
            "phaseApp: a\nphaseAppEnv: prod",
            "environment \"prod\" not found in app \"a\"",
        ),
        (
            "phaseApp: a\nphaseAppEnvPath: /x",
            "no secrets selected: folder \"/x\"",
        ),
        ("phaseApp: a", "secret \"BROKEN\""),
        (
            "phaseApp: a\nobjects: |\n  - {secretKey: BASE, path: /b, encoding: base64}",
            "objects[0]: secret \"BASE\" in folder \"/b\" cannot be decoded: ",
        ),
        (
            "phaseApp: a\nphaseAppEnvPath: /c\nobjects: |\n  - {secretKey: SAME, objectName: a}\n  - {path: /c, include: [SAME]}\n  - {secretKey: SAME, path: /c}",
            "SAME",
        ),
    ] {
        let errors = errors(&scene, &class("keys", parameters), 1).await;
        let begin = format!("error: SecretProviderClass shop/keys: {text}");
        let about = errors[0].starts_with(&begin) || (text == "SAME" && errors[0].contains(text));
        assert!(errors.len() == 1 && about, "{errors:?}");
        assert!(!errors[0].contains("canary"));
    }
}

#[tokio::test]
async fn a_phase_that_gives_no_usable_answer_is_worth_another_try() {
    let scene = Scene::of(one()).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    for (kind, text) in [
        (FaultKind::Stall, "time of this mount ran out"),
        (FaultKind::Refuse, ""),
        (
            FaultKind::Status {
                code: 429,
                retry_after: Some("3600".to_owned()),
            },
            "limits the rate of requests",
        ),
        (
            FaultKind::Status {
                code: 503,
                retry_after: None,
            },
            "failed with status 503",
        ),
        (
            FaultKind::Garbage(Garbage::Html),
            "answered with something other than JSON",
        ),
    ] {
        scene.emulator.control().set_fault(Fault::always(kind));
        let ran = scene.render(&["-f", &file, "--deadline", "2s"]).await;
        let lines = ran.failed(3);
        assert!(lines.len() == 1 && lines[0].contains(text), "{lines:?}");
        assert!(lines[0].starts_with("error: SecretProviderClass shop/keys: "));
        scene.emulator.control().clear_faults();
    }
}

#[tokio::test]
async fn a_host_of_the_class_is_asked_only_where_a_flag_admits_it() {
    let scene = Scene::of(one()).await;
    // The emulator speaks no TLS: that it was asked is what counts.
    let secure = scene.emulator.url().replace("http://", "https://");
    let render = async |host: &str, flags: &[&str]| {
        let text = class("keys", &format!("phaseApp: a\nphaseHost: {host}"));
        let file = scene.file("class.yaml", &text);
        let mut render = command(&["render", "-f", &file, "--deadline", "1s"]);
        render.args(flags).env("PHASE_SERVICE_TOKEN", scene.token());
        ran(render).await
    };
    for host in [&scene.emulator.url(), &secure] {
        let refused = render(host, &[]).await;
        let line = &refused.failed(1)[0];
        assert!(line.contains(" is not allowed on this node: "), "{line}");
    }
    assert_eq!(scene.emulator.control().requests().connections, 0);
    let asked = render(&secure, &["--allowed-host", &secure]).await;
    assert!(!asked.failed(3)[0].contains("not allowed"), "{asked:?}");
    let any = render("\"*\"", &[]).await;
    assert!(
        any.failed(1)[0].contains("phaseHost: host \"*\" "),
        "{any:?}"
    );
}

#[tokio::test]
async fn one_wrong_class_of_two_is_named_and_nothing_is_written() {
    let scene = Scene::of(one()).await;
    let text = class("good", "phaseApp: a") + "---\n" + &class("bad", "phaseApp: b");
    let file = scene.file("class.yaml", &text);
    let out = scene.path("out");
    let ran = scene.render(&["-f", &file, "--out", &out]).await;
    assert!(ran.failed(1)[0].starts_with("error: SecretProviderClass shop/bad: app \"b\""));
    assert!(!std::path::Path::new(&out).exists());
}

#[tokio::test]
async fn an_unreachable_phase_is_said_once_and_a_mistake_counts_more() {
    let scene = Scene::of(one()).await;
    let away = "http://127.0.0.1:1";
    let at = |name: &str, host: &str, app: &str| {
        class(name, &format!("phaseApp: {app}\nphaseHost: {host}")) + "---\n"
    };
    let here = scene.emulator.url();
    let render = async |classes: &[String]| {
        let file = scene.file("class.yaml", &classes.concat());
        let hosts = ["--allowed-host", away, "--deadline", "3s"];
        scene.render(&[&["-f", &file], &hosts[..]].concat()).await
    };
    let ran = render(&[
        at("one", away, "a"),
        at("two", away, "a"),
        at("three", &here, "b"),
    ])
    .await;
    let [line] = ran.failed(3)[..] else {
        panic!("{ran:?}");
    };
    assert!(
        line.starts_with("error: SecretProviderClass shop/one: "),
        "{line}"
    );
    let ran = render(&[at("one", &here, "b"), at("two", away, "a")]).await;
    assert_eq!(ran.failed(1).len(), 2, "{ran:?}");
}
