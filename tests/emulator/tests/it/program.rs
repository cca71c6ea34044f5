//! The program itself.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// The program, ended with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> (Program, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phase-emulator"));
    command
        .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .args(arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (Program(child), line)
}

#[test]
fn one_line_says_where_it_listens_and_a_signal_stops_it() {
    let (mut program, line) = start(&[]);
    let words: Vec<&str> = line.split_whitespace().collect();
    let [
        "phase-emulator",
        "ready:",
        "phase",
        phase,
        "control",
        control,
    ] = words[..]
    else {
        panic!("{line}")
    };
    for url in [phase, control] {
        TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    }
    let pid = program.0.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert!(program.0.wait().unwrap().success());
}

#[test]
fn tls_and_its_authority_are_written_for_clients() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let (_program, line) = start(&[
        "--tls-self-signed",
        "phase.example.test",
        "--ca-out",
        ca.to_str().unwrap(),
    ]);
    assert!(line.contains("phase https://127.0.0.1:"), "{line}");
    assert!(
        std::fs::read_to_string(&ca)
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
}

#[test]
fn tokens_are_printed_only_when_asked_for() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phase-emulator"));
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--print-tokens",
    ]);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    assert!(!lines.next().unwrap().unwrap().contains("pss_"));
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .starts_with("token demo pss_service:v2:")
    );
}

#[test]
fn a_mistake_is_one_line_and_an_exit_code() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phase-emulator"));
    let mut child = command
        .args(["--file", "/no/such/file"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(
        text.starts_with("phase-emulator: seed file cannot be read: /no/such/file: "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
