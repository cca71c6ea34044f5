//! The report for people: cause, line, caret.

use std::fmt::Write;

use super::Report;
use crate::check::{Finding, Severity};
use crate::yaml::Place;

const BOLD: &str = "\x1b[1m";
const BLUE: &str = "\x1b[1;34m";
const RESET: &str = "\x1b[0m";
/// Longest excerpt of a line, in characters.
const WIDEST: usize = 100;

pub(super) fn write(report: &Report<'_>, colour: bool) -> String {
    let paint = Paint { colour };
    let mut text = String::new();
    for finding in &report.findings {
        one(report, finding, &paint, &mut text);
    }
    text + &summary(report) + "\n"
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn on(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("{code}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

const fn colour_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "\x1b[1;31m",
        Severity::Warning => "\x1b[1;33m",
        Severity::Note => "\x1b[1;36m",
    }
}

fn one(report: &Report<'_>, finding: &Finding, paint: &Paint, text: &mut String) {
    let severity = finding.severity();
    let head = format!("{}[{}]", severity.word(), finding.rule.id());
    let head = paint.on(colour_of(severity), &head);
    let message = paint.on(BOLD, &printable(&finding.message));
    let place = finding.place.map_or(String::new(), |place| {
        format!(":{}:{}", place.line, place.column)
    });
    let arrow = paint.on(BLUE, "-->");
    let file = printable(&finding.file);
    let object = printable(&finding.object);
    writeln!(text, "{head}: {message}\n {arrow} {file}{place} ({object})").ok();
    if let (Some(line), Some(place)) = (report.line(finding), finding.place) {
        excerpt(line, place, colour_of(severity), paint, text);
    }
    text.push('\n');
}

fn excerpt(line: &str, place: Place, colour: &str, paint: &Paint, text: &mut String) {
    let characters: Vec<char> = line.chars().map(visible).collect();
    let at = place.column.saturating_sub(1).min(characters.len());
    let from = at.saturating_sub(WIDEST / 2);
    let from = if characters.len() > WIDEST { from } else { 0 };
    let shown: String = characters[from..].iter().take(WIDEST).collect();
    let length = marked(&characters[at..]).min(WIDEST / 2);
    let number = place.line.to_string();
    let bar = paint.on(BLUE, &format!("{:width$} |", "", width = number.len()));
    let numbered = paint.on(BLUE, &format!("{number} |"));
    let marks = paint.on(colour, &"^".repeat(length));
    let shown = shown.trim_end();
    writeln!(
        text,
        "{bar}\n{numbered} {shown}\n{bar} {:at$}{marks}",
        "",
        at = at - from
    )
    .ok();
}

/// How many characters a word has: up to its closing quote, or to what ends it.
fn marked(rest: &[char]) -> usize {
    let length = match rest.first() {
        Some(quote @ ('"' | '\'')) => {
            let closing = rest[1..].iter().position(|c| c == quote);
            closing.map_or(1, |inside| inside + 2)
        }
        _ => {
            let ends = |c: &char| c.is_whitespace() || ",:]}".contains(*c);
            rest.iter().position(ends).unwrap_or(rest.len())
        }
    };
    length.max(1)
}

/// What cannot move the cursor or hide text.
fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

fn summary(report: &Report<'_>) -> String {
    let errors = counted(report.count(Severity::Error), "error", "errors");
    let warnings = counted(report.count(Severity::Warning), "warning", "warnings");
    let of = report.summary;
    let classes = counted(of.classes, "class", "classes");
    let volumes = counted(of.volumes, "volume", "volumes");
    let files = counted(report.files.len(), "file", "files");
    let requests = of.requests.map_or(String::new(), |requests| {
        format!(" ({} to Phase)", counted(requests, "request", "requests"))
    });
    format!("{classes} and {volumes} in {files}: {errors}, {warnings}{requests}")
}

fn counted(number: usize, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}
