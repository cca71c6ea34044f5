//! What the pages of `docs/` show is what works.
//!
//! A YAML block is one of three: values of a chart, whose first line is
//! `# values.yaml of CHART`; manifests, each with apiVersion and kind; or
//! parameters of a class, and nothing else. One whose first line names a file of
//! `daemonset/examples` shows that file.

use std::collections::BTreeSet;

use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::blocks::{Block, Page, files, pages, root};

/// The one Phase of all pages.
pub const ORGANISATION: &str = include_str!("organisation.yaml");
/// The host that pages name.
const HOST: &str = "https://phase.example";
const VALUES: &str = "# values.yaml of ";

enum Yaml {
    Values { chart: String, values: Value },
    Manifests(Vec<Value>),
    Parameters(Map<String, Value>),
}

fn yaml(block: &Block) -> Yaml {
    let place = &block.place;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&block.text).unwrap_or_else(|error| panic!("{place}: {error}"));
    if let Some(rest) = block.text.strip_prefix(VALUES) {
        let chart = rest.lines().next().unwrap().to_owned();
        let [values] = <[Value; 1]>::try_from(documents).expect(place);
        return Yaml::Values { chart, values };
    }
    if documents.iter().any(|object| object["kind"].is_string()) {
        for object in &documents {
            for field in ["apiVersion", "kind"] {
                assert!(object[field].is_string(), "{place}: no {field}");
            }
            assert!(object["metadata"]["name"].is_string(), "{place}: no name");
        }
        return Yaml::Manifests(documents);
    }
    let [parameters] = <[Value; 1]>::try_from(documents).expect(place);
    let parameters = parameters.as_object().expect(place).clone();
    assert!(parameters.values().all(Value::is_string), "{place}");
    Yaml::Parameters(parameters)
}

fn yaml_blocks(page: &Page) -> impl Iterator<Item = Block> {
    let blocks = page.blocks().into_iter();
    blocks.filter(|block| block.language == "yaml")
}

/// The manifests of a page as one file; classes are made of bare parameters.
fn manifests(page: &Page) -> (String, usize) {
    let mut text = String::new();
    let mut classes = 0;
    for (number, block) in yaml_blocks(page).enumerate() {
        let manifest = match yaml(&block) {
            Yaml::Values { .. } => continue,
            Yaml::Manifests(objects) => {
                let is_class = |object: &&Value| object["kind"] == "SecretProviderClass";
                classes += objects.iter().filter(is_class).count();
                block.text
            }
            Yaml::Parameters(mut parameters) => {
                classes += 1;
                if !parameters.contains_key("phaseAppId") {
                    parameters
                        .entry("phaseApp")
                        .or_insert_with(|| json!("shop"));
                }
                let class = json!({
                    "apiVersion": "secrets-store.csi.x-k8s.io/v1",
                    "kind": "SecretProviderClass",
                    "metadata": {"name": format!("block-{number}"), "namespace": "default"},
                    "spec": {"provider": "phase", "parameters": parameters},
                });
                format!("{class}\n")
            }
        };
        text += &format!("---\n{manifest}");
    }
    (text, classes)
}

async fn run(arguments: &[&str], token: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
        .args(arguments)
        .env_clear()
        .env("PHASE_SERVICE_TOKEN", token)
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn every_class_and_pod_of_a_page_passes_check_and_renders() {
    let seed = Seed::from_yaml(ORGANISATION).unwrap();
    let emulator = Emulator::start(Options::new(seed)).await.unwrap();
    let token = emulator.control().token("default").unwrap();
    let url = emulator.url();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.yaml");
    let file = file.to_str().unwrap();
    let mut seen = 0;
    for page in pages() {
        let (text, classes) = manifests(&page);
        if classes == 0 {
            continue;
        }
        seen += classes;
        std::fs::write(file, &text).unwrap();
        let check = ["check", "-o", "json", "-f", file, "--allowed-host", HOST];
        let (code, said, _) = run(&check, "").await;
        assert_eq!(code, Some(0), "{}: {said}", page.path);
        let found: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(found["findings"], json!([]), "{}", page.path);
        std::fs::write(file, text.replace(HOST, &url)).unwrap();
        let asked = ["-f", file, "--phase-host", &url];
        let (code, said, _) = run(&[&["check", "--online"], &asked[..]].concat(), &token).await;
        assert_eq!(code, Some(0), "{}: {said}", page.path);
        let (code, said, error) =
            run(&[&["render", "-o", "json"], &asked[..]].concat(), &token).await;
        assert_eq!(code, Some(0), "{}: {error}", page.path);
        let rendered: Value = serde_json::from_str(&said).unwrap();
        let rendered = rendered["classes"].as_array().unwrap();
        assert_eq!(rendered.len(), classes, "{}", page.path);
        for class in rendered {
            assert_ne!(class["files"], json!([]), "{}: {class}", page.path);
        }
    }
    assert!(seen > 20, "{seen} classes");
}

#[test]
fn every_yaml_block_is_of_a_known_kind_and_shows_its_file() {
    let mut shown = BTreeSet::new();
    for block in pages().iter().flat_map(yaml_blocks) {
        yaml(&block);
        let first = block.text.lines().next().unwrap_or_default();
        if let Some(path) = first
            .strip_prefix("# ")
            .filter(|it| it.starts_with("daemonset/"))
        {
            assert_eq!(
                block.text,
                super::file(path),
                "{}: shows another {path}",
                block.place
            );
            shown.insert(path.to_owned());
        }
    }
    let recipes = files("daemonset/examples/recipes").into_iter();
    let examples = recipes.chain(["daemonset/examples/phasesecret.yaml".to_owned()]);
    assert_eq!(shown, examples.collect(), "every recipe is shown");
}

/// Values of our chart are values that it has.
#[test]
fn values_of_the_chart_are_its_own() {
    let known = super::file("daemonset/chart/values.yaml");
    let known: Value = serde_saphyr::from_str(&known).unwrap();
    for block in pages().iter().flat_map(yaml_blocks) {
        if let Yaml::Values { chart, values } = yaml(&block) {
            assert!(values.is_object(), "{}", block.place);
            if chart == "phase-csi-provider" {
                are_known(&values, &known, &block.place);
            }
        }
    }
}

/// A map that is empty in the chart takes anything.
fn are_known(values: &Value, known: &Value, place: &str) {
    let (Some(values), Some(known)) = (values.as_object(), known.as_object()) else {
        return;
    };
    for (name, value) in values.iter().filter(|_| !known.is_empty()) {
        let known = known.get(name);
        let known = known.unwrap_or_else(|| panic!("{place}: no value {name}"));
        are_known(value, known, &format!("{place}: {name}"));
    }
}

/// Both the sync controller's page and its folder have what it takes.
#[test]
fn the_sync_controllers_page_shows_its_files() {
    let page = super::file("docs/sync-controller.md");
    for name in ["values.yaml", "secretsync.yaml"] {
        let file = super::file(&format!("daemonset/examples/sync-controller/{name}"));
        let (_, objects) = file.split_once("\napiVersion").unwrap_or(("", &file));
        assert!(page.contains(objects), "{name}");
    }
}

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

#[test]
fn every_link_of_a_page_leads_somewhere_and_the_index_has_every_page() {
    let pages = pages();
    let slugs = |path: &str| -> BTreeSet<String> {
        let text = super::file(path);
        let headings = text.lines().filter_map(|line| line.split_once("# "));
        let headings = headings.filter(|(marks, _)| marks.trim_matches('#').is_empty());
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        headings
            .map(|(_, title)| {
                title
                    .to_lowercase()
                    .chars()
                    .filter(kept)
                    .collect::<String>()
            })
            .map(|title| title.replace(' ', "-"))
            .collect()
    };
    for page in &pages {
        let prose = page.prose();
        let links = prose.split("](").skip(1);
        for link in links.map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = match path.strip_prefix("../") {
                Some(path) => path.to_owned(),
                None if path.is_empty() => page.path.clone(),
                None => format!("docs/{path}"),
            };
            assert!(exists(path.trim_end_matches('/')), "{}: {link}", page.path);
            assert!(
                anchor.is_empty() || slugs(&path).contains(anchor),
                "{}: {link}",
                page.path
            );
        }
    }
    let index = super::file("docs/README.md");
    for page in pages.iter().filter(|page| page.path != "docs/README.md") {
        let name = page.path.strip_prefix("docs/").unwrap();
        assert!(
            index.contains(&format!("({name})")),
            "{name} is not in the index"
        );
    }
}

/// Programs that pages call.
const PROGRAMS: [&str; 12] = [
    "cargo",
    "cat",
    "curl",
    "etcdctl",
    "grep",
    "head",
    "helm",
    "kubectl",
    "oc",
    "phase-csi-provider",
    "jq",
    "umask",
];

/// Each command of a script: its words, without quotes, settings before it and
/// the file that it writes.
fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let lines = script.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| line.split(" # ").next().unwrap_or_default());
    let commands = lines.flat_map(|line| line.split(" | "));
    let words = commands.map(|command| {
        let command = command.split(" > ").next().unwrap_or_default();
        let words = command.split_whitespace();
        let words = words.skip_while(|word| word.contains('=') && !word.starts_with('-'));
        words
            .map(|word| word.trim_matches(['"', '\'']).to_owned())
            .collect()
    });
    words.filter(|words: &Vec<_>| !words.is_empty()).collect()
}

#[tokio::test]
async fn every_command_of_a_page_exists_with_its_flags_and_files() {
    let mut seen = 0;
    for page in pages() {
        for block in page.blocks() {
            let known = ["sh", "text", "yaml"].contains(&block.language.as_str());
            assert!(known, "{}: {:?}", block.place, block.language);
            if block.language != "sh" {
                continue;
            }
            for words in commands(&block.text) {
                seen += 1;
                let place = format!("{}: {words:?}", block.place);
                assert!(PROGRAMS.contains(&words[0].as_str()), "{place}");
                assert!(
                    !words.iter().any(|word| ["&&", ";"].contains(&&**word)),
                    "{place}"
                );
                let is_path = |word: &&String| {
                    word.starts_with("daemonset/") && *word != "daemonset/phase-csi-provider"
                };
                for word in words.iter().filter(is_path) {
                    assert!(exists(word), "{place}: {word}");
                }
                if words[0] == "phase-csi-provider" {
                    let (code, help, _) = run(&[&words[1], "--help"], "").await;
                    assert_eq!(code, Some(0), "{place}");
                    let has = |flag: &&String| {
                        help.contains(&format!("{flag} ")) || help.contains(&format!("{flag},"))
                    };
                    for flag in words
                        .iter()
                        .filter(|word| word.starts_with('-') && *word != "-")
                    {
                        assert!(has(&flag), "{place}: {flag}");
                    }
                }
            }
        }
    }
    assert!(seen > 20, "{seen} commands");
}

#[test]
fn scripts_fall_into_commands() {
    let found = commands("# a\nA=b kubectl get x \\\n  -o json | jq . > f\nhelm ls  # why\n");
    let expected = [
        vec!["kubectl", "get", "x", "-o", "json"],
        vec!["jq", "."],
        vec!["helm", "ls"],
    ];
    assert_eq!(found, expected);
}
