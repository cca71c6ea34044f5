//! `check --online`, against an emulator of Phase.

mod access;

use std::collections::BTreeSet;
use std::process::Output;

use phase_csi_provider::check::Rule;
use phase_emulator::{Emulator, Options, Seed, Tls};
use serde_json::Value;

use super::{Files, class, command, found};

/// Every value holds the canary that no report may show.
const ORGANISATION: &str = r#"
organisation: Shop
apps:
- name: payments
  environments:
  - name: Production
    secrets:
    - {key: DB_HOST, value: CANARY-host}
    - {key: DB_PASSWORD, value: CANARY-word}
    - {key: JSON, value: '{"user": "CANARY"}'}
    - {key: BAD, value: "CANARY ${MISSING} ${Nowhere.KEY}", path: /broken}
    - {key: WORSE, value: "CANARY ${GONE}", path: /broken}
    - {key: STATIC, value: CANARY, path: /leased}
    dynamic:
    - {name: deploy, path: /leased, keys: [AWS_USER]}
  - name: Staging
    secrets: []
accounts:
- name: all
  tokens: [{name: all}, {name: old, status: expired}]
- name: blind
  may_read_secrets: false
  tokens: [{name: blind}]
"#;

struct Phase {
    emulator: Emulator,
}

/// Findings beside which a pod gets its files.
const NOT_IN_THE_WAY: [&str; 2] = ["object-name", "phase-reference-kept"];

/// A rule, a line, a text.
type Found = (String, u64, String);

impl Phase {
    async fn start() -> Self {
        Self::with(Tls::Off).await
    }

    async fn with(tls: Tls) -> Self {
        let seed = Seed::from_yaml(ORGANISATION).unwrap();
        let mut options = Options::new(seed);
        options.tls = tls;
        let emulator = Emulator::start(options).await.unwrap();
        Self { emulator }
    }

    fn token(&self, name: &str) -> String {
        self.emulator.control().token(name).unwrap()
    }

    /// The report in one form; whatever it is, it shows no value and no token.
    async fn check(&self, token: &str, text: &str, flags: &[&str]) -> Output {
        let files = Files::of(&[text]);
        let url = self.emulator.url();
        let mut command = files.command();
        command
            .args(["--online", "--phase-host", &url])
            .args(flags)
            .env("PHASE_SERVICE_TOKEN", token);
        let output = tokio::task::spawn_blocking(move || {
            let output = command.output().unwrap();
            drop(files);
            output
        });
        let output = output.await.unwrap();
        let shown = format!("{output:?}");
        assert!(!shown.contains("CANARY"), "{shown}");
        assert!(!shown.contains("pss_"), "{shown}");
        output
    }

    async fn json(&self, token: &str, text: &str, flags: &[&str]) -> (Value, Option<i32>) {
        for form in ["human", "github"] {
            self.check(token, text, &[flags, &["-o", form]].concat())
                .await;
        }
        let output = self
            .check(token, text, &[flags, &["-o", "json"]].concat())
            .await;
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (report, output.status.code())
    }

    /// All that is found but the note of what a pod would get.
    async fn found(&self, text: &str) -> (Vec<Found>, Option<i32>) {
        let (report, code) = self.json(&self.token("all"), text, &[]).await;
        let mut found = found(&report);
        found.retain(|(rule, ..)| rule != "online");
        let notes = report["findings"].as_array().unwrap().len() - found.len();
        assert_eq!(
            notes,
            usize::from(
                found
                    .iter()
                    .all(|(rule, ..)| NOT_IN_THE_WAY.contains(&rule.as_str()))
            ),
            "{report}"
        );
        (found, code)
    }
}

fn finding(rule: &str, line: u64, text: &str) -> Found {
    (rule.to_owned(), line, text.to_owned())
}

#[tokio::test]
async fn a_fine_class_is_told_with_what_a_pod_would_get() {
    let phase = Phase::start().await;
    let (report, code) = phase.json(&phase.token("all"), &class(""), &[]).await;
    assert_eq!(code, Some(0));
    let url = phase.emulator.url();
    assert_eq!(
        found(&report),
        [finding(
            "online",
            3,
            &format!(
                "3 files in 225 bytes of Production in app \"payments\" at {url}: 2 requests, with a service account's token (Phase does not tell when it expires)"
            )
        )]
    );
    assert_eq!(report["summary"]["requests"], 2);
}

#[tokio::test]
async fn what_does_not_exist_is_told_at_its_line_with_what_there_is() {
    let phase = Phase::start().await;
    let cases = [
        (
            class("").replace("phaseApp: payments", "phaseApp: payment"),
            finding(
                "phase-not-found",
                7,
                "app \"payment\" not found: the token can read payments (names match whole, any case)",
            ),
        ),
        (
            class("    phaseAppEnv: prod\n"),
            finding(
                "phase-not-found",
                8,
                "environment \"prod\" not found in app \"payments\": it has Production, Staging (names match whole, any case)",
            ),
        ),
        (
            class(
                "    objects: |\n      - secretKey: DB_HOST\n      - secretKey: X\n        env: prod\n",
            ),
            finding(
                "phase-not-found",
                10,
                "environment \"prod\" not found in app \"payments\": it has Production, Staging (names match whole, any case)",
            ),
        ),
        (
            class("    phaseAppEnvPath: /nowhere\n"),
            finding(
                "phase-not-found",
                3,
                "no secrets selected: folder \"/nowhere\" of environment \"Production\" in app \"payments\" has none that match: check phaseAppEnvPath and phaseAppEnvTag, or set allowEmpty: \"true\"",
            ),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            phase.found(&text).await,
            (vec![expected], Some(1)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn every_missing_key_is_told_at_once_beside_every_other_mistake_of_contents() {
    let phase = Phase::start().await;
    let text = class(
        "    objects: |\n      - secretKey: DB_HOSTS\n      - secretKey: DB_HOST\n      - secretKey: DB_PASSWORD\n        encoding: base64\n      - secretKey: JSON\n        field: /nothing\n      - secretKey: QUEUE\n",
    );
    let (found, code) = phase.found(&text).await;
    let rules: Vec<_> = found
        .iter()
        .map(|(rule, line, _)| (rule.as_str(), *line))
        .collect();
    assert_eq!(
        rules,
        [
            ("phase-not-found", 9),
            ("phase-contents", 11),
            ("phase-contents", 13),
            ("phase-not-found", 15)
        ]
    );
    assert!(
        found[0]
            .2
            .starts_with("objects[0]: secret \"DB_HOSTS\" not found: "),
        "{found:?}"
    );
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_missing_environment_hides_nothing_in_another() {
    let phase = Phase::start().await;
    let text = class(
        "    objects: |\n      - secretKey: DB_HOSTS\n      - {secretKey: A, env: prod}\n      - {secretKey: B, env: Staging}\n      - {secretKey: C, env: test}\n",
    );
    let (found, code) = phase.found(&text).await;
    let starts: Vec<_> = found
        .iter()
        .map(|(rule, line, text)| {
            let words = text.splitn(5, ' ').take(4).collect::<Vec<_>>();
            (rule.as_str(), *line, words.join(" "))
        })
        .collect();
    let expected = [
        (9, "objects[0]: secret \"DB_HOSTS\" not"),
        (10, "environment \"prod\" not found"),
        (11, "objects[2]: secret \"B\" not"),
        (12, "environment \"test\" not found"),
    ];
    let expected = expected.map(|(line, text)| ("phase-not-found", line, text.to_owned()));
    assert_eq!((starts, code), (expected.to_vec(), Some(1)));
}

/// What the page on moving from Phase's operator says to do before.
#[tokio::test]
async fn text_that_looks_like_a_reference_is_found_before_an_operator_is_left() {
    let phase = Phase::start().await;
    let resources = |mode: &str| {
        format!(
            "apiVersion: v1
kind: List
items:
- apiVersion: secrets.phase.dev/v1alpha1
  kind: PhaseSecret
  metadata: {{name: broken, namespace: shop}}
  spec:
    phaseApp: payments
    phaseAppEnvPath: /broken
    {mode}
    authentication: {{serviceToken: {{serviceTokenSecretReference: {{secretName: t, secretNamespace: shop}}}}}}
    managedSecretReferences: [{{secretName: out, secretNamespace: shop}}]
"
        )
    };
    let classes = |resources: String| {
        let files = Files::of(&[&resources]);
        let path = files.path(0);
        let mut migrate = command(&["check", "--from-phasesecret", path.to_str().unwrap()]);
        let output = migrate.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let of = async |mode: &str, rule: &str| {
        let (found, code) = phase.found(&classes(resources(mode))).await;
        let texts = found.into_iter().filter(|(found, ..)| found == rule);
        let texts: Vec<_> = texts.map(|(_, _, text)| text).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        let literal = "${MISSING} in secret \"BAD\" of folder \"/broken\" cannot be resolved";
        assert!(texts[0].starts_with(literal), "{texts:?}");
        code
    };
    assert_eq!(of("", "phase-reference").await, Some(1));
    let kept = "onSecretReferenceError: Warn";
    assert_eq!(of(kept, "phase-reference-kept").await, Some(0));
}

#[tokio::test]
async fn every_reference_that_does_not_resolve_is_told() {
    let phase = Phase::start().await;
    let broken = class("    phaseAppEnvPath: /broken\n");
    let (failed, code) = phase.found(&broken).await;
    assert_eq!(code, Some(1));
    assert!(
        failed
            .iter()
            .all(|(rule, line, _)| rule == "phase-reference" && *line == 3),
        "{failed:?}"
    );
    for part in [
        "${GONE} in secret \"WORSE\"",
        "${MISSING} in secret \"BAD\"",
        "${Nowhere.KEY} in secret \"BAD\"",
    ] {
        let with = |(.., text): &&Found| text.starts_with(part);
        assert_eq!(failed.iter().filter(with).count(), 1, "{failed:?}");
    }
    assert_eq!(failed.len(), 3);
    let kept = class("    phaseAppEnvPath: /broken\n    onSecretReferenceError: Warn\n");
    let (warned, code) = phase.found(&kept).await;
    assert_eq!(code, Some(0));
    assert!(
        warned.len() >= 2
            && warned
                .iter()
                .all(|(rule, ..)| rule == "phase-reference-kept")
    );
}

#[tokio::test]
async fn a_dynamic_secret_is_told_to_be_left_out() {
    let phase = Phase::start().await;
    let (report, code) = phase
        .json(
            &phase.token("all"),
            &class("    phaseAppEnvPath: /leased\n"),
            &[],
        )
        .await;
    let told = "dynamic secret \"deploy\" in folder \"/leased\" of environment \"Production\" is not served yet: its keys are left out";
    let found = found(&report);
    assert!(
        found.contains(&finding("phase-dynamic", 3, told)),
        "{found:?}"
    );
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn secret_objects_are_held_against_the_files_that_there_are() {
    let phase = Phase::start().await;
    let text = class(
        "  secretObjects:\n    - secretName: web\n      type: Opaque\n      data:\n        - {objectName: DB_HOST, key: a}\n        - {objectName: DB_HOSTS, key: b}\n        - {objectName: db/x, key: c}\n",
    );
    let (found, code) = phase.found(&text).await;
    assert_eq!(
        found[..1],
        [finding(
            "object-name",
            13,
            "objectName \"DB_HOSTS\" is none of the 3 files: did you mean \"DB_HOST\"?"
        )]
    );
    assert_eq!((found.len(), found[1].1), (2, 14), "{found:?}");
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn an_answer_that_the_driver_would_not_take_is_told() {
    let phase = Phase::start().await;
    let flags = ["--max-call-recv-msg-size", "100"];
    let (report, code) = phase.json(&phase.token("all"), &class(""), &flags).await;
    assert_eq!(
        found(&report)[0],
        finding(
            "answer-size",
            3,
            "the answer has 225 bytes, and the driver takes 100: select fewer secrets, make two classes, or raise --max-call-recv-msg-size of the driver"
        )
    );
    assert_eq!(code, Some(1));
}

#[test]
fn every_online_rule_has_a_test_here() {
    let covered = BTreeSet::from([
        "answer-size",
        "online",
        "phase-contents",
        "phase-dynamic",
        "phase-forbidden",
        "phase-not-found",
        "phase-reference",
        "phase-reference-kept",
        "phase-token",
        "phase-unreachable",
    ]);
    let online = Rule::ALL
        .iter()
        .filter(|rule| rule.about().starts_with("Online"));
    assert_eq!(covered, online.map(|rule| rule.id()).collect());
}
