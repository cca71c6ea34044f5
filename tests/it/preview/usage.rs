//! Wrong usage: exit code 2, nothing on standard output, Phase not asked.

use std::fs;

use phase_emulator::{Fault, FaultKind};
use serde_json::json;

use super::{Scene, class, command, ran, ran_with_input};

#[tokio::test]
async fn files_that_cannot_be_read_are_all_named() {
    let scene = Scene::of(json!([])).await;
    let binary = scene.path("binary.yaml");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    let ran = scene
        .render(&["-f", "/nowhere/class.yaml", "-f", &binary])
        .await;
    assert_eq!(
        ran.failed(2),
        [
            "error: /nowhere/class.yaml cannot be read: No such file or directory (os error 2): check the path",
            &format!("error: {binary} is not UTF-8 text: save it as UTF-8"),
        ]
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_read_counts_more_than_one_that_is_wrong() {
    let scene = Scene::of(json!([])).await;
    let wrong = scene.file("wrong.yaml", "a: [1\n");
    let ran = scene.render(&["-f", &wrong, "-f", "/nowhere"]).await;
    assert_eq!(ran.failed(2).len(), 2, "{ran:?}");
}

#[tokio::test]
async fn standard_input_is_read_once() {
    let scene = Scene::of(json!([])).await;
    let begin = "error: standard input can be read once, and";
    let ran = scene.render(&["-f", "-", "-f", "-"]).await;
    assert_eq!(
        ran.failed(2),
        [format!(
            "{begin} two -f - both want it: give a file for one"
        )]
    );
    let ran = scene.render(&["-f", "-", "--token-file", "-"]).await;
    assert_eq!(
        ran.failed(2),
        [format!(
            "{begin} -f and --token-file both want it: give a file for one"
        )]
    );
}

#[tokio::test]
async fn a_file_without_a_class_of_ours_says_so() {
    let scene = Scene::of(json!([])).await;
    let foreign = class("foreign", "x: y").replace("provider: phase", "provider: vault");
    let file = scene.file("class.yaml", &foreign);
    let ran = scene.render(&["-f", &file, "-f", "-"]).await;
    assert_eq!(
        ran.failed(2),
        [format!(
            "error: no SecretProviderClass of provider phase in {file}, standard input: give the file that has one, without templates of Helm in it"
        )]
    );
}

#[tokio::test]
async fn a_choice_that_fits_no_class_lists_what_there_is() {
    let scene = Scene::of(json!([])).await;
    let text = class("keys", "phaseApp: a") + "---\n" + &class("certs", "phaseApp: a");
    let file = scene.file("class.yaml", &text);
    for (arguments, chosen) in [
        (&["--class", "key"][..], "named \"key\""),
        (&["--namespace", "bar"], "in namespace \"bar\""),
        (
            &["--class", "keys", "-n", "bar"],
            "named \"keys\" in namespace \"bar\"",
        ),
    ] {
        let ran = scene.render(&[&["-f", &file], arguments].concat()).await;
        assert_eq!(
            ran.failed(2),
            [format!(
                "error: no class of provider phase {chosen}: there is shop/keys, shop/certs: mend --class or --namespace"
            )]
        );
    }
}

#[tokio::test]
async fn flags_that_are_wrong_say_why() {
    let scene = Scene::of(json!([])).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let wrong = scene
        .render(&["-f", &file, "--allowed-host", "ftp://x"])
        .await;
    assert_eq!(
        wrong.failed(2),
        [
            "error: --allowed-host: host \"ftp://x\" does not start with https://: write https://<name>"
        ]
    );
    let no_file = scene
        .render(&["-f", &file, "--ca-file", "/nowhere/ca.pem"])
        .await;
    let [line] = no_file.failed(2)[..] else {
        panic!("{no_file:?}");
    };
    assert!(line.contains("/nowhere/ca.pem"), "{line}");
    for (arguments, part) in [
        (
            &["--deadline", "90"][..],
            "not a duration like 90s, 2m, 1h or 500ms",
        ),
        (&["--deadline", "2h"], "must be between 1ms and 1h"),
        (&["-o", "yaml"], "[possible values: human, json]"),
        (&["--token=canary"], "unexpected argument '--token' found"),
    ] {
        let ran = scene.render(&[&["-f", &file], arguments].concat()).await;
        let text = ran.failed(2).join("\n");
        assert!(text.contains(part) && !text.contains("canary"), "{text}");
    }
    let bare = ran(command(&["render"])).await;
    assert!(bare.failed(2).join("\n").contains("--file <FILE>"));
}

#[tokio::test]
async fn a_token_file_that_cannot_be_read_is_usage() {
    let scene = Scene::of(json!([])).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let ran = scene
        .render(&["-f", &file, "--token-file", "/nowhere/token"])
        .await;
    assert_eq!(
        ran.failed(2),
        [
            "error: /nowhere/token cannot be read: No such file or directory (os error 2): check --token-file"
        ]
    );
}

#[tokio::test]
async fn the_token_comes_from_a_file_or_standard_input_before_the_environment() {
    let scene = Scene::of(json!([{"key": "KEY", "value": "v"}])).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let token = scene.file("token", &format!(" {}\n", scene.token()));
    let render = |path: &str| {
        let mut render = scene.command(&["-f", &file, "--token-file", path]);
        render.env("PHASE_SERVICE_TOKEN", "junk");
        render
    };
    let out = ran(render(&token)).await.fine();
    assert!(out.contains("1 file of app a"), "{out}");
    let again = ran_with_input(render("-"), &scene.token()).await.fine();
    assert_eq!(again, out);
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_refused_before_phase_is_asked() {
    let scene = Scene::of(json!([{"key": "KEY", "value": "v"}])).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let out = scene.path("out");
    fs::create_dir(&out).unwrap();
    fs::write(scene.path("out/mine"), "x").unwrap();
    scene
        .emulator
        .control()
        .set_fault(Fault::always(FaultKind::Stall));
    let ran = scene.render(&["-f", &file, "--out", &out]).await;
    assert_eq!(
        ran.failed(2),
        [format!(
            "error: --out {out}: holds \"mine\", which render did not write: give a new or an empty directory"
        )]
    );
    assert_eq!(fs::read_to_string(scene.path("out/mine")).unwrap(), "x");
}
