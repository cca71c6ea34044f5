//! The line that says what is awaited: on a terminal only, and not for long.

use std::io::Read;
use std::process::Stdio;

use phase_emulator::{Fault, FaultKind};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::json;

use super::{Scene, class};

/// Everything that a terminal was sent until the last one hung up.
fn sent(mut terminal: std::fs::File) -> String {
    let mut bytes = Vec::new();
    // Linux says so by an error.
    let _ = terminal.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

async fn on_a_terminal(scene: &Scene, variables: &[(&str, &str)]) -> String {
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let theirs = ioctl_tiocgptpeer(
        &ours,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )
    .unwrap();
    let mut render = scene.command(&["-f", &file]);
    render
        .envs(variables.iter().copied())
        .stderr(theirs)
        .stdout(Stdio::null());
    let mut child = render.spawn().unwrap();
    // The command's copy keeps the other end open, too.
    drop(render);
    let reader = tokio::task::spawn_blocking(move || sent(ours.into()));
    assert!(child.wait().await.unwrap().success());
    reader.await.unwrap()
}

#[tokio::test]
async fn a_long_wait_is_shown_and_erased() {
    let scene = Scene::of(json!([{"key": "A", "value": "v"}])).await;
    let late = Fault::times(1, FaultKind::Latency { ms: 2500 });
    scene.emulator.control().set_fault(late.clone());
    let sent = on_a_terminal(&scene, &[]).await;
    let erase = "\r\x1b[K";
    let lines: Vec<_> = sent.split(erase).collect();
    let [before, lines @ .., after] = &lines[..] else {
        panic!("{sent:?}");
    };
    assert_eq!((*before, *after), ("", ""), "{sent:?}");
    // Which seconds is for the paused clock of the unit test to say.
    let begin = format!("asking {} (", scene.emulator.url());
    let counts = |line: &&str| line.starts_with(&begin) && line.ends_with(" s)");
    assert!(!lines.is_empty() && lines.iter().all(counts), "{sent:?}");
    scene.emulator.control().set_fault(late);
    assert_eq!(on_a_terminal(&scene, &[("TERM", "dumb")]).await, "");
}

#[tokio::test]
async fn nothing_is_shown_where_nobody_watches() {
    let scene = Scene::of(json!([{"key": "A", "value": "v"}])).await;
    let file = scene.file("class.yaml", &class("keys", "phaseApp: a"));
    let late = Fault::times(1, FaultKind::Latency { ms: 2500 });
    scene.emulator.control().set_fault(late);
    scene.render(&["-f", &file]).await.fine();
}
