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
    make("serviceaccount/default");
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

#[test]
fn every_manifest_of_the_pages_is_accepted() {
    for name in ["serviceaccount/default", "namespace/argocd"] {
        make(name);
    }
    kubectl(&["apply", "--server-side", "-f", "daemonset/crd.yaml"]);
    let crd = "crd/phasesecrets.secrets.phase.dev";
    kubectl(&["wait", "--for=condition=Established", crd, "--timeout=60s"]);
    let mut accepted = 0;
    for (place, manifests) in manifests_of_pages().into_iter().chain(recipes()) {
        // Of kinds that other projects bring.
        if ["SecretSync", "Kustomization"]
            .iter()
            .any(|kind| manifests.contains(&format!("kind: {kind}\n")))
        {
            continue;
        }
        let file = folder().join("manifests.yaml");
        std::fs::write(&file, &manifests).unwrap();
        let said = kubectl(&["apply", "--dry-run=server", "-f", file.to_str().unwrap()]);
        assert!(said.contains("(server dry run)"), "{place}: {said}");
        accepted += said.lines().count();
    }
    assert!(accepted >= 40, "{accepted}");
}

/// The YAML blocks of `docs/` that are manifests, with their places.
fn manifests_of_pages() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let blocks = text.split("\n```yaml\n").skip(1);
        let blocks = blocks.filter_map(|rest| Some(rest.split_once("\n```")?.0));
        let manifests = blocks.filter(|block| block.lines().any(|line| line.starts_with("kind: ")));
        found.extend(manifests.map(|block| (file.display().to_string(), format!("{block}\n"))));
    }
    found
}

/// The examples in folders of their own.
fn recipes() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join("daemonset/examples/recipes")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        (file.display().to_string(), text)
    };
    files.map(read).collect()
}

/// Makes an object that no controller makes here; the other line's pass may have.
fn make(name: &str) {
    let (kind, name) = name.split_once('/').unwrap();
    let made = Command::new(programs().join("kubectl"))
        .args(["create", kind, name])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(
        made.status.success() || said.contains("already exists"),
        "{said}"
    );
}

fn token_file() -> PathBuf {
    let file = folder().join("token.txt");
    std::fs::write(&file, "not a token").unwrap();
    file
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("SUITE_DIR").expect("run by tests/cluster/run"))
}
