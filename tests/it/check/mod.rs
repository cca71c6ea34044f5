//! `check`, through the real binary.

mod forms;
mod hostile;
mod migration;
mod online;
mod parameters;
mod pods;
mod resource;
mod rights;
mod secret_objects;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

use phase_csi_provider::check::{Rule, Severity};
use serde_json::Value;
use tempfile::TempDir;

/// One broken rule: the files' text, where it is found, what is said.
pub struct Case {
    pub rule: &'static str,
    pub text: String,
    pub line: u64,
    pub message: &'static str,
}

/// A directory with files to check.
pub struct Files {
    directory: TempDir,
    arguments: Vec<String>,
}

impl Files {
    pub fn of(texts: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut arguments = vec!["check".to_owned()];
        for (number, text) in texts.iter().enumerate() {
            let path = directory.path().join(format!("{number}.yaml"));
            std::fs::write(&path, text).unwrap();
            arguments.extend(["-f".to_owned(), path.to_str().unwrap().to_owned()]);
        }
        Self {
            directory,
            arguments,
        }
    }

    pub fn path(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("{number}.yaml"))
    }

    pub fn command(&self) -> Command {
        command(&self.arguments)
    }

    pub fn check(&self, flags: &[&str]) -> Output {
        self.command().args(flags).output().unwrap()
    }

    /// The report for programs.
    pub fn json(&self, flags: &[&str]) -> Value {
        let output = self.check(&[flags, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

/// The binary, without what the machine's environment says.
pub fn command(arguments: &[impl AsRef<std::ffi::OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"));
    command.args(arguments).env_clear();
    command
}

/// Rule, line and message of each finding.
pub fn found(report: &Value) -> Vec<(String, u64, String)> {
    let findings = report["findings"].as_array().unwrap().iter();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .map(|finding| {
            let line = finding["line"].as_u64().unwrap_or_default();
            (text(finding, "rule"), line, text(finding, "message"))
        })
        .collect()
}

/// A class with a further text at the end, which stands in `spec`.
pub fn class(rest: &str) -> String {
    format!(
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {{name: keys, namespace: shop}}\nspec:\n  provider: phase\n  parameters:\n    phaseApp: payments\n{rest}"
    )
}

/// Each case breaks its rule alone, at its line, with its whole text.
fn expect_each(cases: &[Case]) {
    for Case {
        rule,
        text,
        line,
        message,
    } in cases
    {
        let files = Files::of(&[text]);
        let expected = ((*rule).to_owned(), *line, (*message).to_owned());
        let mut found = found(&files.json(&[]));
        // Wherever a class takes all keys, besides what the case is about.
        found.retain(|(found, ..)| found == rule || found != "dynamic-object-name");
        assert_eq!(found, [expected], "{text}");
        let severity = Rule::ALL
            .iter()
            .find(|known| known.id() == *rule)
            .unwrap()
            .severity();
        let code = files.check(&[]).status.code();
        assert_eq!(code, Some(i32::from(severity == Severity::Error)), "{text}");
    }
}

#[test]
fn every_offline_rule_has_a_case() {
    let cases = [
        resource::cases(),
        secret_objects::cases(),
        pods::cases(),
        rights::cases(),
    ];
    let mut covered: BTreeSet<_> = cases.iter().flatten().map(|case| case.rule).collect();
    // Tested alone: in `resource`, `parameters` and `forms`.
    covered.extend(["duplicate-class", "parameters", "yaml"]);
    let offline = Rule::ALL
        .iter()
        .filter(|rule| !rule.about().starts_with("Online"));
    assert_eq!(covered, offline.map(|rule| rule.id()).collect());
}
