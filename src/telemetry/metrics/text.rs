//! The text format itself.

use std::fmt::{Display, Write};

use super::histogram::Histogram;

/// What kind of figure a family holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text so far. Names and label values are the program's own, so nothing in them
/// needs an escape.
#[derive(Default)]
pub(super) struct Text {
    lines: String,
    name: &'static str,
}

type Labels<'a> = &'a [(&'static str, &'a str)];

impl Text {
    /// Begins a family; the samples that follow are of it.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.suffixed("", labels, value);
    }

    pub(super) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let read = histogram.read();
        for (bound, below) in read.buckets {
            let bound = match bound {
                Some(bound) => bound.as_secs_f64().to_string(),
                None => "+Inf".to_owned(),
            };
            let labels = [labels, &[("le", &bound)]].concat();
            self.suffixed("_bucket", &labels, below);
        }
        self.suffixed("_sum", labels, read.sum.as_secs_f64());
        self.suffixed("_count", labels, read.count);
    }

    pub(super) fn into_string(self) -> String {
        self.lines
    }

    fn suffixed(&mut self, suffix: &str, labels: Labels<'_>, value: impl Display) {
        let pairs: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let name = self.name;
        match pairs.is_empty() {
            true => self.line(format_args!("{name}{suffix} {value}")),
            false => self.line(format_args!(
                "{name}{suffix}{{{}}} {value}",
                pairs.join(",")
            )),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.lines, "{line}").expect("a String takes everything");
    }
}
