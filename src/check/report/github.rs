//! The report as annotations: commands that a GitHub workflow reads from the log.

use super::Report;
use crate::check::{Finding, Severity};

pub(super) fn write(report: &Report<'_>) -> String {
    report.findings.iter().map(annotation).collect()
}

fn annotation(finding: &Finding) -> String {
    let command = match finding.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let file = property(&finding.file);
    let place = finding.place.map_or(String::new(), |place| {
        format!(",line={},col={}", place.line, place.column)
    });
    let title = property(finding.rule.id());
    let message = data(&format!("{}: {}", finding.object, finding.message));
    format!("::{command} file={file}{place},title={title}::{message}\n")
}

/// What ends a command, or begins another.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// What ends a property, besides.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Rule;
    use crate::yaml::Place;

    #[test]
    fn nothing_in_a_finding_can_end_its_annotation() {
        let finding = Finding {
            rule: Rule::Name,
            file: "a,b:c%.yaml".to_owned(),
            place: Some(Place { line: 3, column: 7 }),
            object: "Pod x".to_owned(),
            message: "100%\n::error::forged\r".to_owned(),
        };
        assert_eq!(
            annotation(&finding),
            "::error file=a%2Cb%3Ac%25.yaml,line=3,col=7,title=name::Pod x: 100%25%0A::error::forged%0D\n"
        );
    }
}
