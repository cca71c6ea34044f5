//! `render`, `completions` and `man`, run as a person runs them.

mod directory;
mod manual;
mod refusals;
mod reports;
mod terminal;
mod usage;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Bounds a hang; nothing that passes comes near it.
const SAFETY: Duration = Duration::from_secs(60);

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

impl Ran {
    /// The lines of standard error of a command that failed with a code.
    pub fn failed(&self, code: i32) -> Vec<&str> {
        assert_eq!(
            (self.code, self.out.as_str()),
            (Some(code), ""),
            "{}",
            self.error
        );
        self.error.lines().collect()
    }

    /// Standard output of a command that said nothing else.
    pub fn fine(self) -> String {
        assert_eq!((self.code, self.error.as_str()), (Some(0), ""));
        self.out
    }
}

/// A command of the binary with nothing of this process's environment.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

pub async fn ran(mut command: Command) -> Ran {
    let output = timeout(SAFETY, command.output()).await.expect("it ends");
    let output = output.unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

pub async fn ran_with_input(mut command: Command, input: &str) -> Ran {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read it ends before it is written.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(SAFETY, child.wait_with_output())
        .await
        .expect("it ends");
    let output = output.unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A Phase of some secrets, and a directory of files.
struct Scene {
    emulator: Emulator,
    files: TempDir,
}

impl Scene {
    /// Environment `production` of app `a` with these secrets.
    async fn of(secrets: Value) -> Self {
        Self::seeded(json!({
            "apps": [{"name": "a", "environments": [
                {"name": "production", "secrets": secrets},
                {"name": "staging", "secrets": [{"key": "URL", "value": "https://staging"}]},
            ]}],
            "accounts": [{"name": "ci"}],
        }))
        .await
    }

    async fn seeded(seed: Value) -> Self {
        let seed = Seed::from_yaml(&seed.to_string()).unwrap();
        Self {
            emulator: Emulator::start(Options::new(seed)).await.unwrap(),
            files: tempfile::tempdir().unwrap(),
        }
    }

    fn token(&self) -> String {
        self.emulator.control().token("ci").unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// A file in the directory.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `render` with the token in the environment, and the emulator as the host.
    fn command(&self, arguments: &[&str]) -> Command {
        let url = self.emulator.url();
        let mut all = vec!["render", "--phase-host", &url];
        all.extend(arguments);
        let mut command = command(&all);
        command.env("PHASE_SERVICE_TOKEN", self.token());
        command
    }

    async fn render(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments)).await
    }
}

/// A class of parameters as YAML, 4 columns deep.
fn class(name: &str, parameters: &str) -> String {
    let parameters: String = parameters
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    format!(
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  provider: phase\n  parameters:\n{parameters}"
    )
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
