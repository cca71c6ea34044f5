//! The report for programs.

use serde_json::{Value, json};

use super::Report;
use crate::check::{Finding, Severity};

pub(super) fn write(report: &Report<'_>) -> String {
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    let summary = &report.summary;
    let value = json!({
        "findings": findings,
        "summary": {
            "errors": report.count(Severity::Error),
            "warnings": report.count(Severity::Warning),
            "files": report.files.len(),
            "classes": summary.classes,
            "volumes": summary.volumes,
            "requests": summary.requests,
        },
    });
    format!("{value:#}\n")
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity().word(),
        "rule": finding.rule.id(),
        "file": finding.file,
        "line": finding.place.map(|place| place.line),
        "column": finding.place.map(|place| place.column),
        "object": finding.object,
        "message": finding.message,
    })
}
