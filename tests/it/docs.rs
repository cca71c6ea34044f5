//! What the README, the pages and the examples say is what the program does.

pub mod blocks;
mod managed;
mod modules;
pub mod pages;
mod texts;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::check::Rule;
use phase_csi_provider::class::{Attributes, Class, KNOWN_FIELDS, KNOWN_PARAMETERS};
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::host::Host;
use phase_csi_provider::render::format::Format;
use phase_csi_provider::render::template::FILTERS;
use phase_csi_provider::snapshot::Figures;
use phase_csi_provider::telemetry::metrics::ControllerMetrics;
use serde_json::Value;

use crate::objects::mistakes::OBJECTS;
use crate::support::daemon::{Daemon, attributes};
use crate::telemetry::dashboards::known;

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names in back quotes in the first column of the README's table below a heading.
fn first_column(heading: &str) -> BTreeSet<String> {
    first_column_of("README.md", heading)
}

fn first_column_of(path: &str, heading: &str) -> BTreeSet<String> {
    let readme = file(path);
    let (_, section) = readme.split_once(&format!("# {heading}\n")).expect(heading);
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap().to_owned());
    let names: BTreeSet<_> = cells
        .flat_map(|cell| {
            let quoted = cell.split('`').skip(1).step_by(2).map(str::to_owned);
            quoted.collect::<Vec<_>>()
        })
        .collect();
    assert!(!names.is_empty(), "{heading} has a table");
    names
}

#[test]
fn the_readme_lists_exactly_the_parameters() {
    let known = KNOWN_PARAMETERS.map(str::to_owned);
    assert_eq!(first_column("Parameters of a class"), BTreeSet::from(known));
}

#[test]
fn the_readme_lists_exactly_the_fields_of_objects_formats_and_filters() {
    let fields = KNOWN_FIELDS.map(str::to_owned);
    assert_eq!(first_column("Objects"), BTreeSet::from(fields));
    let formats = Format::NAMES.map(str::to_owned);
    assert_eq!(first_column("Formats"), BTreeSet::from(formats));
    let filters = FILTERS.map(str::to_owned);
    assert_eq!(first_column("Templates"), BTreeSet::from(filters));
}

#[test]
fn the_rules_of_check_are_listed_as_they_are() {
    let rules = Rule::ALL.iter().map(|rule| rule.id().to_owned());
    let listed = first_column_of("docs/check.md", "What `check` finds");
    assert_eq!(listed, rules.collect());
    let page = file("docs/check.md");
    for rule in Rule::ALL {
        let row = format!(
            "| `{}` | {} | {} |",
            rule.id(),
            rule.severity().word(),
            rule.about()
        );
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn the_readme_lists_exactly_the_flags() {
    for command in ["serve", "controller"] {
        let listed = first_column(&format!("Flags of `{command}`"));
        assert_eq!(listed, flags(command), "{command}");
    }
}

/// The flags that the help of a command shows.
fn flags(command: &str) -> BTreeSet<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
        .args([command, "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    words
        .map(|word| {
            word.trim_end_matches(|c: char| !c.is_ascii_lowercase())
                .to_owned()
        })
        .filter(|flag| flag != "--help" && flag != "--max-call-recv-msg-size")
        .collect()
}

#[tokio::test]
async fn the_metrics_that_are_documented_are_those_that_are_served() {
    let daemon = Daemon::start(&[]).await;
    let (_, _, text) = daemon.page("/metrics").await;
    let mut served = documented(&text);
    let outcomes = Cause::ALL.iter().map(|cause| cause.label().to_owned());
    served.extend(outcomes.chain(["ok".to_owned(), "outcome".to_owned()]));
    let daemons = first_column_of("docs/telemetry.md", "Metrics");
    assert_eq!(daemons, served);
    let text = ControllerMetrics::default().text(&Figures::default());
    let mut served = documented(&text);
    served.retain(|name| !daemons.contains(name));
    let listed = first_column_of("docs/telemetry.md", "Metrics of the controller");
    assert_eq!(listed, served);
}

/// The names of all families of a text, each with its kind and labels on the page.
fn documented(text: &str) -> BTreeSet<String> {
    let page = file("docs/telemetry.md");
    let known = known(text);
    let mut served = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        served.insert(name.to_owned());
        let labels = known
            .get(name)
            .or_else(|| known.get(&format!("{name}_count")));
        let labels = labels.unwrap().keys().map(|label| format!(" `{label}`"));
        let labels = labels.collect::<Vec<_>>().join(",");
        let row = format!("| `{name}` | {kind} |{labels} |");
        assert!(page.contains(&row), "{row}");
    }
    served
}

#[test]
fn every_example_class_parses() {
    let hosts = AllowedHosts::new(Host::default(), &[] as &[&str]).unwrap();
    for example in [
        "class.yaml",
        "class-all.yaml",
        "jdbc-properties.yaml",
        "nginx.yaml",
        "tls-bundle.yaml",
    ] {
        let text = file(&format!("daemonset/examples/{example}"));
        let class: Value = serde_saphyr::from_str(&text).unwrap();
        let parameters = &class["spec"]["parameters"];
        let attributes = Attributes::parse(&attributes(parameters)).unwrap();
        Class::parse(&attributes, &hosts).unwrap_or_else(|error| panic!("{example}: {error}"));
        if example == "class-all.yaml" {
            let named: BTreeSet<_> = parameters.as_object().unwrap().keys().cloned().collect();
            let mut known = BTreeSet::from(KNOWN_PARAMETERS.map(str::to_owned));
            known.remove("phaseApp");
            assert_eq!(named, known, "all, but for the name that the id stands for");
            for field in KNOWN_FIELDS {
                assert!(text.contains(&format!(" {field}:")), "{field}");
            }
        }
    }
}

#[test]
fn the_class_in_the_readme_is_the_example() {
    let example = file("daemonset/examples/class.yaml");
    let (_, class) = example.split_once('\n').unwrap();
    assert!(file("README.md").contains(class));
}

/// Every text that the troubleshooting table quotes is one that the program can say.
#[test]
fn the_troubleshooting_table_quotes_real_texts() {
    let mut sources = String::new();
    gather(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut sources,
    );
    let sources = sources.replace("\\\"", "\"");
    // The last row is what the driver says, not we.
    let quoted = first_column("Troubleshooting");
    let ours = quoted
        .iter()
        .filter(|text| !text.starts_with("stream terminated"));
    for text in ours {
        for part in text
            .split('…')
            .flat_map(|part| part.split('"'))
            .map(str::trim)
        {
            let part = part.trim_matches(|c: char| !c.is_alphanumeric() && c != '-');
            let part = part.trim_start_matches("2 ").trim_end_matches(" 5");
            assert!(sources.contains(part), "{part:?} of {text:?}");
        }
    }
    assert!(quoted.len() > 20);
}

/// What a user can read about `objects` is in the table, under some row.
#[test]
fn every_mistake_in_objects_has_a_row_in_the_troubleshooting_table() {
    let rows = first_column("Troubleshooting");
    for (_, said) in OBJECTS {
        let is_in = |row: &&String| {
            let mut rest = said;
            let parts = row.split('…').flat_map(|part| part.split('"'));
            parts.map(str::trim).all(|part| {
                let found = rest.find(part);
                rest = found.map_or(rest, |at| &rest[at + part.len()..]);
                found.is_some()
            })
        };
        assert!(rows.iter().any(|row| is_in(&row)), "{said}");
    }
}

fn gather(directory: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, sources);
        } else {
            sources.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}
