//! Tokens, hosts, certificates, and Phase out of reach.

use std::io::Write;
use std::process::Stdio;

use phase_emulator::{BadCertificate, Fault, FaultKind, Tls};

use super::{Phase, finding};
use crate::check::{Files, class, command, found};

#[tokio::test]
async fn tokens_that_cannot_be_used_are_told() {
    let phase = Phase::start().await;
    let old = phase.token("old");
    let damaged = format!("{}zz", &phase.token("all")[..40]);
    for (token, expected) in [
        (&old, "phase-token"),
        (&damaged, "phase-token"),
        (&phase.token("blind"), "phase-forbidden"),
    ] {
        let (report, code) = phase.json(token, &class(""), &[]).await;
        let rules: Vec<_> = found(&report).into_iter().map(|(rule, ..)| rule).collect();
        assert_eq!((rules, code), (vec![expected.to_owned()], Some(1)));
    }
}

#[tokio::test]
async fn phase_out_of_reach_has_its_own_exit_code() {
    let phase = Phase::start().await;
    let control = phase.emulator.control();
    control.set_fault(Fault::always(FaultKind::Status {
        code: 400,
        retry_after: None,
    }));
    let token = phase.token("all");
    let (report, code) = phase.json(&token, &class(""), &[]).await;
    let rules: Vec<_> = found(&report).into_iter().map(|(rule, ..)| rule).collect();
    assert_eq!(
        (rules, code),
        (vec!["phase-unreachable".to_owned()], Some(3))
    );
    // A mistake in the class is for its author to mend, whatever else there is.
    let (_, code) = phase
        .json(&token, &class("    recursive: true\n"), &[])
        .await;
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_told_with_its_reason() {
    let phase = Phase::with(Tls::SelfSigned { names: vec![] }).await;
    let control = phase.emulator.control();
    control.set_fault(Fault::always(FaultKind::Certificate(
        BadCertificate::Expired,
    )));
    let (report, code) = phase.json(&phase.token("all"), &class(""), &[]).await;
    let found = found(&report);
    assert_eq!((found[0].0.as_str(), code), ("phase-unreachable", Some(3)));
    assert!(found[0].2.starts_with("TLS certificate of "), "{found:?}");
}

#[tokio::test]
async fn a_token_is_never_sent_to_a_host_that_only_the_class_names() {
    let phase = Phase::start().await;
    let text = class("    phaseHost: https://elsewhere.example\n");
    let (found, code) = phase.found(&text).await;
    assert_eq!(
        (found, code),
        (
            vec![finding(
                "parameters",
                8,
                "phaseHost: host https://elsewhere.example is not allowed on this node: ask the cluster admin to add --allowed-host https://elsewhere.example"
            )],
            Some(1)
        )
    );
}

#[tokio::test]
async fn without_flags_the_class_alone_decides_no_host_either() {
    let phase = Phase::start().await;
    let files = Files::of(&[&class("    phaseHost: https://elsewhere.invalid\n")]);
    let mut command = files.command();
    command
        .args(["--online", "-o", "json"])
        .env("PHASE_SERVICE_TOKEN", phase.token("all"));
    let output = tokio::task::spawn_blocking(move || (command.output().unwrap(), files).0);
    let output = output.await.unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    let found = found(&report);
    assert_eq!((found[0].0.as_str(), found[0].1), ("parameters", 8));
    assert_eq!(report["summary"]["requests"], 0);
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn the_token_comes_from_a_file_or_standard_input_too() {
    let phase = Phase::start().await;
    let files = Files::of(&[&class("")]);
    let url = phase.emulator.url();
    let token = phase.token("all");
    let path = files.path(9);
    std::fs::write(&path, format!("{token}\n")).unwrap();
    let run = tokio::task::spawn_blocking(move || {
        let mut named = files.command();
        named.args(["--online", "--phase-host", &url, "--token-file"]);
        let code = named.arg(&path).output().unwrap().status.code();
        let mut piped = files.command();
        piped.args(["--online", "--phase-host", &url, "--token-file", "-"]);
        let mut child = piped
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(token.as_bytes())
            .unwrap();
        (code, child.wait().unwrap().code())
    });
    assert_eq!(run.await.unwrap(), (Some(0), Some(0)));
}

#[test]
fn without_a_token_there_is_nothing_to_ask_with() {
    let files = Files::of(&[&class("")]);
    let output = files.check(&["--online"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: no Phase token: set PHASE_SERVICE_TOKEN, or name a file that holds it with --token-file\n"
    );
    let twice = command(&["check", "-f", "-", "--online", "--token-file", "-"]).output();
    assert_eq!(twice.unwrap().status.code(), Some(2));
}
