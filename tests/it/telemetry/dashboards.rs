//! Dashboard and alerts ask for what there is: by name against the real figures, and
//! by a real Prometheus that scrapes a daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use phase_csi_provider::snapshot::Figures;
use phase_csi_provider::telemetry::metrics::ControllerMetrics;
use reqwest::Url;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::*;

fn observability(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("daemonset/observability")
        .join(file)
}

/// Every query of the dashboard, its variables filled in.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(observability("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .map(|query| {
            query
                .replace("$instance", ".*")
                .replace("$__rate_interval", "15s")
        })
        .collect();
    assert!(queries.len() > 15 && queries.iter().all(|query| !query.contains('$')));
    queries
}

/// Name and query of every alert.
fn alerts() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(observability("rules.yaml")).unwrap();
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    let keys: Vec<_> = rules.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["groups"], "it is the spec of a PrometheusRule, too");
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let alerts = rules.map(|rule| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let notes = &rule["annotations"];
        assert!(text(&notes["runbook"]).len() > 50 && !text(&notes["summary"]).is_empty());
        assert!(rule["labels"]["severity"].is_string() && rule["for"].is_string());
        (text(&rule["alert"]), text(&rule["expr"]))
    });
    alerts.collect()
}

/// What a scrape knows: by metric, the values of each label.
pub(crate) type Known = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

pub(crate) fn known(text: &str) -> Known {
    let mut known = Known::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let of_name = known.entry(name.to_owned()).or_default();
        for (label, value) in matchers(labels.trim_end_matches('}')) {
            of_name.entry(label).or_default().insert(value);
        }
    }
    known
}

/// `label="value"` pairs, whatever stands between the two.
fn matchers(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some((label, after)) = rest.split_once(['=', '!']) {
        let (_, after) = after.split_once('"').unwrap();
        let (value, after) = after.split_once('"').unwrap();
        pairs.push((label.trim_matches([',', ' ']).to_owned(), value.to_owned()));
        rest = after;
    }
    pairs
}

/// What a query asks for that nobody has.
fn unknown(query: &str, known: &Known) -> Vec<String> {
    const OF_SCRAPES: [&str; 3] = ["job", "instance", "le"];
    let mut missing = Vec::new();
    let mut labels: BTreeSet<&str> = OF_SCRAPES.into();
    for (place, _) in query.match_indices("phase_csi_") {
        if query[..place].ends_with('"') || query[..place].ends_with("job=\"") {
            continue;
        }
        let rest = &query[place..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let Some(of_name) = known.get(name) else {
            missing.push(name.to_owned());
            continue;
        };
        labels.extend(of_name.keys().map(String::as_str));
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        for (label, values) in matchers(selector.map_or("", |(selector, _)| selector)) {
            let has = |value: &str| {
                OF_SCRAPES.contains(&&*label)
                    || of_name.get(&label).is_some_and(|all| all.contains(value))
            };
            missing.extend(
                values
                    .split('|')
                    .filter(|value| !has(value))
                    .map(str::to_owned),
            );
        }
    }
    for by in query.split("by (").skip(1) {
        let (names, _) = by.split_once(')').unwrap();
        let names = names.split(',').map(str::trim);
        missing.extend(
            names
                .filter(|name| !labels.contains(name))
                .map(str::to_owned),
        );
    }
    missing
}

#[tokio::test]
async fn every_name_in_a_query_is_one_that_the_daemon_or_the_controller_serves() {
    let daemon = Daemon::start(&[]).await;
    let controllers = ControllerMetrics::default().text(&Figures::default());
    let known = known(&(daemon.page("/metrics").await.2 + &controllers));
    for query in dashboard().iter().chain(alerts().values()) {
        assert_eq!(unknown(query, &known), [""; 0], "{query}");
    }
    for (query, missing) in [
        ("rate(phase_csi_mount_total[5m])", "phase_csi_mount_total"),
        ("phase_csi_mounts_total{outcome=\"fine\"}", "fine"),
        ("sum by (pod) (phase_csi_mounts_total)", "pod"),
    ] {
        assert_eq!(unknown(query, &known), [missing]);
    }
}

#[test]
fn promtool_takes_the_rules() {
    let rules = observability("rules.yaml");
    let checked = Command::new("promtool")
        .args(["check", "rules"])
        .arg(rules)
        .output();
    let Ok(checked) = checked else {
        eprintln!("NOT CHECKED: no promtool here (Debian's package prometheus)");
        return;
    };
    let said = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert!(
        checked.status.success() && said.contains("SUCCESS"),
        "{said}"
    );
}

/// A Prometheus that scrapes one address every second.
struct Prometheus {
    url: String,
    _process: Child,
    _directory: TempDir,
}

impl Prometheus {
    async fn start(target: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [observability("rules.yaml")],
            "scrape_configs": [
                {"job_name": "phase-csi-provider", "static_configs": [{"targets": [target]}]},
            ],
        });
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let started = tokio::process::Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut process) = started else {
            eprintln!("NOT CHECKED: no prometheus here (Debian's package prometheus)");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let listens = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once("\"Listening on\" address=") {
                    return format!("http://{address}");
                }
            }
            panic!("prometheus ended");
        };
        let url = tokio::time::timeout(Duration::from_secs(60), listens)
            .await
            .unwrap();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self {
            url,
            _process: process,
            _directory: directory,
        })
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), query).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client
            .get(url)
            .timeout(Duration::from_secs(20))
            .send()
            .await
            .unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].clone()
    }

    async fn result(&self, query: &str) -> Vec<Value> {
        let data = self.get("query", &[("query", query)]).await;
        data["result"].as_array().unwrap().clone()
    }

    /// The alerts that wait to fire, by name.
    async fn pending(&self) -> BTreeSet<String> {
        let rules = self.get("rules", &[]).await;
        let groups = rules["groups"].as_array().unwrap();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let pending = rules.filter(|rule| {
            assert!(rule["health"] != "err", "{rule}");
            rule["state"] == "pending"
        });
        pending
            .map(|rule| rule["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_real_prometheus_answers_every_query_and_alerts_when_it_should() {
    let scene = Scene::start(&QUICK).await;
    let target = scene.daemon.http().await.to_string();
    let Some(prometheus) = Prometheus::start(&target).await else {
        return;
    };
    scene.publish(&class(), "a").await.unwrap();
    let up = "up{job=\"phase-csi-provider\"} == 1";
    eventually(async || (!prometheus.result(up).await.is_empty()).then_some(())).await;
    eventually(async || prometheus.pending().await.is_empty().then_some(())).await;
    // Each query has an answer once there was something to see; no controller runs here.
    let of_daemons = |query: &String| !query.contains("phase_csi_managed_");
    for query in dashboard().into_iter().filter(of_daemons) {
        eventually(async || {
            scene.publish(&class(), "a").await.unwrap();
            assert!(
                scene
                    .publish(&json!({"phaseApp": "other"}), "b")
                    .await
                    .is_err()
            );
            let result = prometheus.result(&query).await;
            (!result.is_empty()).then_some(())
        })
        .await;
    }
    for (alert, query) in alerts() {
        prometheus.result(&query).await;
        assert!(!alert.is_empty());
    }
    let until = async |alert: &str| {
        eventually(async || prometheus.pending().await.contains(alert).then_some(())).await;
    };
    until("PhaseMountsFailing").await;
    scene.fault(status(500), Endpoint::Any);
    eventually(async || {
        scene.publish(&class(), "a").await.unwrap();
        prometheus
            .pending()
            .await
            .contains("PhaseStaleAnswers")
            .then_some(())
    })
    .await;
    scene.daemon.stop().await;
    until("PhaseProviderDown").await;
}
