//! Findings as people, programs and GitHub read them.

mod github;
mod human;
mod json;

use super::{Finding, Outcome, Rule, Severity, Summary};
use crate::manifest::File;

/// All findings, with the files that they are about.
pub struct Report<'a> {
    files: &'a [File],
    findings: Vec<Finding>,
    summary: Summary,
}

impl<'a> Report<'a> {
    /// Puts findings into the order of the files and their lines.
    #[must_use]
    pub fn new(files: &'a [File], mut findings: Vec<Finding>, summary: Summary) -> Self {
        let number = |finding: &Finding| {
            let named = |file: &File| file.name() == finding.file;
            files.iter().position(named)
        };
        findings.sort_by_key(|finding| (number(finding), finding.place, finding.rule));
        Self {
            files,
            findings,
            summary,
        }
    }

    /// For people: each finding with the line it is about.
    #[must_use]
    pub fn human(&self, colour: bool) -> String {
        human::write(self, colour)
    }

    /// For programs: an object with `findings` and `summary`.
    #[must_use]
    pub fn json(&self) -> String {
        json::write(self)
    }

    /// Annotations of a GitHub workflow, one a line.
    #[must_use]
    pub fn github(&self) -> String {
        github::write(self)
    }

    /// What the exit code follows from.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let errors = self.count(Severity::Error);
        let unreachable = |finding: &&Finding| finding.rule == Rule::PhaseUnreachable;
        match errors {
            0 => Outcome::Fine,
            _ if errors == self.findings.iter().filter(unreachable).count() => Outcome::Unreachable,
            _ => Outcome::Mistakes,
        }
    }

    fn count(&self, severity: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity() == severity;
        self.findings.iter().filter(of).count()
    }

    /// The line of a finding, unless something secret may stand in it.
    fn line(&self, finding: &Finding) -> Option<&str> {
        let file = self.files.iter().find(|file| file.name() == finding.file)?;
        file.line(finding.place?.line)
    }
}
