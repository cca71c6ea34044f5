//! Help, completions and manual pages.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Ran, command, ran, ran_with_input};

const COMMANDS: [&str; 9] = [
    "serve",
    "controller",
    "crd",
    "check",
    "render",
    "encryption-config",
    "probe",
    "completions",
    "man",
];

async fn out(arguments: &[&str]) -> String {
    ran(command(arguments)).await.fine()
}

#[tokio::test]
async fn help_is_one_screen_with_an_example() {
    let commands = COMMANDS.iter().map(std::slice::from_ref);
    for command in [&[][..]].into_iter().chain(commands) {
        let help = out(&[command, &["--help"]].concat()).await;
        // A daemon has more flags than a person types.
        let is_daemon = ["serve", "controller"]
            .iter()
            .any(|of| command.contains(of));
        let screen = if is_daemon { 30 } else { 24 };
        assert!(help.lines().count() <= screen, "{help}");
        assert!(help.contains("\nExample"), "{help}");
        let wide = help.lines().filter(|line| line.chars().count() > 100);
        assert!(is_daemon || wide.count() == 0, "{help}");
    }
}

#[tokio::test]
async fn completions_know_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = out(&["completions", shell]).await;
        for word in COMMANDS
            .iter()
            .chain(&["show-values", "allowed-host", "token-file"])
        {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let ran = ran(command(&["completions", "tcsh"])).await;
    assert!(ran.failed(2)[0].contains("invalid value 'tcsh'"));
}

#[tokio::test]
async fn bash_takes_its_completions() {
    let script = out(&["completions", "bash"]).await;
    for (command, begun, whole) in [
        ("render", "--show", "--show-values\n"),
        ("encryption-config", "--rot", "--rotate\n"),
    ] {
        let complete = format!(
            "{script}\nCOMP_WORDS=(phase-csi-provider {command} {begun})\nCOMP_CWORD=2\n_phase__csi__provider phase-csi-provider {begun} {command}\necho \"${{COMPREPLY[@]}}\""
        );
        let mut bash = tokio::process::Command::new("bash");
        bash.arg("-s").env_clear().kill_on_drop(true);
        let Ran { out, error, .. } = ran_with_input(bash, &complete).await;
        assert_eq!((out.as_str(), error.as_str()), (whole, ""));
    }
}

#[tokio::test]
async fn every_command_has_a_manual_page() {
    let whole = out(&["man"]).await;
    for command in COMMANDS {
        let title = format!("phase-csi-provider-{command}");
        let listed = format!("{}(1)", title.replace('-', "\\-"));
        assert!(whole.contains(&listed), "{whole}");
        let page = out(&["man", command]).await;
        for part in [
            &format!(".TH {title} 1"),
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SH EXAMPLES",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(page.is_ascii(), "{page}");
    }
    assert_eq!(whole.matches("(1)\n").count(), COMMANDS.len());
    let render = out(&["man", "render"]).await;
    for part in [
        "\\-\\-show\\-values",
        "\n.br\nExit codes: 0 fine",
        "phase-csi-provider 0.",
    ] {
        assert!(render.contains(part), "{part} in {render}");
    }
}

#[tokio::test]
async fn a_formatter_has_nothing_to_say_against_the_pages() {
    for command in COMMANDS {
        let page = out(&["man", command]).await;
        let groff = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut groff = groff.expect("groff formats the page: .ci/install installs it");
        groff
            .stdin
            .take()
            .unwrap()
            .write_all(page.as_bytes())
            .unwrap();
        let output = groff.wait_with_output().unwrap();
        let (text, error) = (output.stdout, String::from_utf8(output.stderr).unwrap());
        assert!(!text.is_empty() && error.is_empty(), "{error}");
    }
}
