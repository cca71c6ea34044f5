//! `--out`: whole or not at all.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use super::{Scene, class, names, ran};

const MARKER: &str = ".phase-csi-provider";

async fn scene() -> (Scene, String, String) {
    let scene = Scene::of(json!([
        {"key": "A", "value": "old"},
        {"key": "B", "value": "old", "path": "/deep/er"},
    ]))
    .await;
    let file = scene.file(
        "class.yaml",
        &class("keys", "phaseApp: a\nrecursive: \"true\""),
    );
    let out = scene.path("out");
    (scene, file, out)
}

fn set(scene: &Scene, value: &str) {
    let control = scene.emulator.control();
    for (path, key) in [("/", "A"), ("/deep/er", "B")] {
        control
            .put_secret("a", "production", path, key, value)
            .unwrap();
    }
}

fn texts(out: &str) -> [String; 2] {
    ["A", "deep/er/B"].map(|file| fs::read_to_string(Path::new(out).join(file)).unwrap())
}

fn mode(path: &str) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn files_are_written_for_nobody_else_and_written_again() {
    let (scene, file, out) = scene().await;
    let report = scene.render(&["-f", &file, "--out", &out]).await.fine();
    assert!(
        report.ends_with(&format!("\nwritten to {out}\n")),
        "{report}"
    );
    assert_eq!(names(Path::new(&out)), [MARKER, "A", "deep"]);
    assert_eq!(
        ["", "A", "deep/er", "deep/er/B"].map(|path| mode(&format!("{out}/{path}"))),
        [0o700, 0o600, 0o700, 0o600]
    );
    set(&scene, "new");
    scene
        .emulator
        .control()
        .delete_secret("a", "production", "/", "A")
        .unwrap();
    scene.render(&["-f", &file, "--out", &out]).await.fine();
    assert_eq!(names(Path::new(&out)), [MARKER, "deep"]);
    assert_eq!(
        fs::read_to_string(format!("{out}/deep/er/B")).unwrap(),
        "new"
    );
    assert_eq!(names(scene.files.path()), ["class.yaml", "out"]);
}

#[tokio::test]
async fn several_classes_have_a_directory_each() {
    let (scene, _, out) = scene().await;
    let text =
        class("one", "phaseApp: a") + "---\n" + &class("two", "phaseApp: a\nphaseAppEnv: staging");
    let file = scene.file("class.yaml", &text);
    scene.render(&["-f", &file, "--out", &out]).await.fine();
    assert_eq!(names(Path::new(&out)), [MARKER, "one", "two"]);
    assert_eq!(names(Path::new(&format!("{out}/two"))), ["URL"]);
    // One class of the same files takes the place of both.
    scene
        .render(&["-f", &file, "--out", &out, "--class", "two"])
        .await
        .fine();
    assert_eq!(names(Path::new(&out)), [MARKER, "URL"]);
    let twice = text + "---\n" + &class("one", "phaseApp: a").replace("shop", "bar");
    let file = scene.file("class.yaml", &twice);
    let ran = scene.render(&["-f", &file, "--out", &out]).await;
    assert_eq!(
        ran.failed(2),
        ["error: --out: there are two classes of the name one: choose one by --namespace"]
    );
}

#[tokio::test]
async fn a_link_in_its_place_is_refused_and_one_on_the_way_is_followed() {
    let (scene, file, out) = scene().await;
    fs::create_dir(&out).unwrap();
    let link = scene.path("link");
    symlink(&out, &link).unwrap();
    let ran = scene.render(&["-f", &file, "--out", &link]).await;
    assert_eq!(
        ran.failed(2),
        [format!(
            "error: --out {link}: is a symbolic link: give the directory that it leads to"
        )]
    );
    let below = format!("{link}/below");
    scene.render(&["-f", &file, "--out", &below]).await.fine();
    assert_eq!(texts(&format!("{out}/below")), ["old", "old"]);
}

#[tokio::test]
async fn a_failed_run_leaves_the_last_files_as_they_are() {
    let (scene, file, out) = scene().await;
    scene.render(&["-f", &file, "--out", &out]).await.fine();
    scene
        .emulator
        .control()
        .put_secret("a", "production", "/", "A", "${NOWHERE}")
        .unwrap();
    let ran = scene.render(&["-f", &file, "--out", &out]).await;
    assert!(ran.failed(1)[0].contains("cannot be resolved"));
    assert_eq!(texts(&out), ["old", "old"]);
}

/// The kernel kills whoever writes more than 1,024 bytes into a file.
#[tokio::test]
async fn a_process_killed_while_it_writes_leaves_the_last_files_whole() {
    let (scene, file, out) = scene().await;
    scene.render(&["-f", &file, "--out", &out]).await.fine();
    set(&scene, &"n".repeat(100_000));
    let render = scene.command(&["-f", &file, "--out", &out]);
    let render = render.as_std();
    let mut limited = tokio::process::Command::new("bash");
    limited
        .args(["-c", "ulimit -c 0; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(render.get_program())
        .args(render.get_args())
        .env("PHASE_SERVICE_TOKEN", scene.token())
        .kill_on_drop(true);
    let killed = ran(limited).await;
    assert_eq!(killed.code, None, "a signal ends it: {killed:?}");
    assert_eq!(texts(&out), ["old", "old"]);
    assert_eq!(names(scene.files.path()).len(), 3, "the hidden directory");
    scene.render(&["-f", &file, "--out", &out]).await.fine();
    assert_eq!(texts(&out), ["n".repeat(100_000), "n".repeat(100_000)]);
    assert_eq!(names(scene.files.path()), ["class.yaml", "out"]);
}

/// Killed as soon as it is seen to write, so at another step each time.
#[tokio::test]
async fn a_process_killed_at_whatever_moment_leaves_old_or_new_files_whole() {
    let (scene, file, out) = scene().await;
    scene.render(&["-f", &file, "--out", &out]).await.fine();
    let mut last = "old".to_owned();
    for round in 0..12 {
        let next = format!("new-{round}");
        set(&scene, &next);
        let mut render = scene.command(&["-f", &file, "--out", &out]);
        let mut child = render.stdout(std::process::Stdio::null()).spawn().unwrap();
        let writes = || names(scene.files.path()).len() > 2;
        let mut turns = 0;
        while child.try_wait().unwrap().is_none() && (turns < round * 20) {
            turns += u32::from(turns > 0 || writes());
            tokio::task::yield_now().await;
        }
        child.kill().await.unwrap();
        let found = texts(&out);
        assert!(
            found == [last.as_str(); 2] || found == [next.as_str(); 2],
            "{found:?}"
        );
        last.clone_from(&found[0]);
    }
    scene.render(&["-f", &file, "--out", &out]).await.fine();
    assert_eq!(names(scene.files.path()), ["class.yaml", "out"]);
}
