//! The README's commands, against the real API server (as server-side dry runs:
//! nothing of them stays).

use std::path::{Path, PathBuf};
use std::process::Command;

/// `kubectl` with an empty home, in the repository's root.
fn kubectl(arguments: &[&str]) -> String {
    let output = Command::new(programs().join("kubectl"))
        .args(arguments)
        .current_dir(root())
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn programs() -> PathBuf {
    PathBuf::from(std::env::var_os("BIN").expect("run by tests/cluster/run"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The `kubectl` commands of the README.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with("kubectl ") && line.len() > 20)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_readmes_commands_are_accepted() {
    // No controller runs here that would make it; the other line's pass may have.
    let account = Command::new(programs().join("kubectl"))
        .args(["create", "serviceaccount", "default"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&account.stderr);
    assert!(
        account.status.success() || said.contains("AlreadyExists"),
        "{said}"
    );
    let token = token_file();
    let commands = commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in commands {
        let command = command.replace("./token.txt", token.to_str().unwrap());
        let arguments: Vec<_> = command
            .split(' ')
            .skip(1)
            .chain(["--dry-run=server"])
            .collect();
        let said = kubectl(&arguments);
        assert!(said.contains("(server dry run)"), "{said}");
    }
    std::fs::remove_file(token).unwrap();
}

#[test]
fn every_example_of_a_class_is_accepted() {
    let mut classes = 0;
    for entry in std::fs::read_dir(root().join("daemonset/examples")).unwrap() {
        let file = entry.unwrap().path();
        if file.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        if !text.contains("kind: SecretProviderClass\n") {
            continue;
        }
        let said = kubectl(&["apply", "--dry-run=server", "-f", file.to_str().unwrap()]);
        assert!(said.contains(" created (server dry run)"), "{said}");
        classes += 1;
    }
    assert!(classes >= 5, "{classes}");
}

fn token_file() -> PathBuf {
    let folder = PathBuf::from(std::env::var_os("SUITE_DIR").expect("run by tests/cluster/run"));
    let file = folder.join("token.txt");
    std::fs::write(&file, "not a token").unwrap();
    file
}
