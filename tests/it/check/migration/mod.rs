//! `check --from-phasesecret`: an operator's resource as a class.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use phase_csi_provider::manifest;
use serde_json::{Value, json};

use super::{Files, command, found};

fn migrate(resource: &str) -> Output {
    let files = Files::of(&[resource]);
    let path = files.path(0);
    command(&["check", "--from-phasesecret", path.to_str().unwrap()])
        .output()
        .unwrap()
}

/// The classes that are printed, which pass `check`.
fn migrated(resource: &str) -> (String, String) {
    let output = migrate(resource);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let checked = Files::of(&[&printed]);
    // Plain HTTP, as the emulator's, is for the provider's flags to admit.
    let class = manifest::File::parse("x", printed.as_str()).unwrap();
    let classes = class.classes();
    let host = classes[0].parameter("phaseHost");
    let host = host.map_or("https://console.phase.dev", |host| host.text.as_str());
    let report = checked.json(&["--allowed-host", host]);
    assert_eq!(report["summary"]["errors"], 0, "{report}\n{printed}");
    let rules: BTreeSet<_> = found(&report).into_iter().map(|(rule, ..)| rule).collect();
    assert!(
        rules.iter().all(|rule| rule == "dynamic-object-name"),
        "{rules:?}"
    );
    (printed, String::from_utf8(output.stderr).unwrap())
}

/// The parameters of each printed class, as the driver would send them.
fn parameters(printed: &str) -> BTreeMap<String, Value> {
    let file = manifest::File::parse("x", printed).unwrap();
    let classes = file.classes();
    let pairs = |class: &manifest::ProviderClass| -> Value {
        let pairs = class.pairs();
        pairs
            .map(|(name, text)| (name.to_owned(), json!(text)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let classes = classes.iter();
    classes
        .map(|class| (class.name.clone(), pairs(class)))
        .collect()
}

/// A resource that uses every field there is.
const WHOLE: &str = r#"
apiVersion: secrets.phase.dev/v1alpha1
kind: PhaseSecret
metadata: {name: payments, namespace: shop}
spec:
  phaseApp: payments-api
  phaseAppId: 3f1c9a52
  phaseAppEnv: "yes"
  phaseAppEnvPath: /backend
  phaseAppEnvTag: db,web
  phaseHost: https://phase.example.com
  pollingInterval: 30
  onSecretReferenceError: Warn
  redeployLabelSelector: app=web
  colour: red
  authentication:
    serviceToken:
      serviceTokenSecretReference: {secretName: phase-token, secretNamespace: ops}
  managedSecretReferences:
    - secretName: web
      secretNamespace: shop
      template: {metadata: {labels: {tier: "1"}, annotations: {note: "a: b"}}}
      processors: {DB_PASSWORD: {asName: password}}
    - secretName: web-tls
      secretNamespace: till
      secretType: kubernetes.io/tls
      processors: {CRT: {asName: tls.crt}, KEY: {asName: tls.key}, CA: {asName: ca.crt}}
    - secretName: env
      secretNamespace: shop
"#;

#[test]
fn a_whole_resource_becomes_a_class_for_each_kind_of_names() {
    let (printed, notes) = migrated(WHOLE);
    let file = manifest::File::parse("x", printed.as_str()).unwrap();
    let classes = file.classes();
    let named: Vec<_> = classes
        .iter()
        .map(|class| (class.namespace_or_default(), class.name.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            ("shop", "payments-web"),
            ("till", "payments-web-tls"),
            ("shop", "payments-env")
        ]
    );
    assert_eq!(
        parameters(&printed)["payments-web"],
        json!({
            "phaseHost": "https://phase.example.com",
            "phaseApp": "payments-api",
            "phaseAppId": "3f1c9a52",
            "phaseAppEnv": "yes",
            "phaseAppEnvPath": "/backend",
            "phaseAppEnvTag": "db,web",
            "onSecretReferenceError": "Warn",
            "processors": "DB_PASSWORD:\n  asName: password\n",
        })
    );
    assert!(
        printed.contains(
            r#"  secretObjects:
    - secretName: web
      type: Opaque
      labels:
        tier: "1"
      annotations:
        note: "a: b"
      data:
        - objectName: password
          key: password
        # and every further key that the Secret must have: the driver copies no other
"#
        ),
        "{printed}"
    );
    assert!(
        printed.contains(
            r"  secretObjects:
    - secretName: web-tls
      type: kubernetes.io/tls
      data:
        - objectName: tls.crt
          key: tls.crt
        - objectName: tls.key
          key: tls.key
# In the pod"
        ),
        "{printed}"
    );
    for note in [
        "phaseAppEnv is a whole name here, in any case: the operator also takes a part of one",
        "phaseAppEnvTag is a whole tag here, in any case: the operator also takes a part of one",
        "phaseAppEnvTag has a comma, which separates tags here: each part selects on its own",
        "phaseHost must be admitted by the provider: start it with --allowed-host, or with --phase-host",
        "pollingInterval is left out: how often pods' files are renewed is the driver's --rotation-poll-interval",
        "redeployLabelSelector is left out: files change in place, and nothing is restarted",
        "secretNamespace of another namespace: the controller refuses this PhaseSecret unless started with --allow-cross-namespace-refs",
        "Secret \"web-tls\" is in another namespace: its class is in \"till\" too, where the pod must be",
        "the token's Secret \"phase-token\" is in namespace \"ops\": copy it to \"shop\", a pod can name only its own",
        "the token's Secret \"phase-token\" is in namespace \"ops\": copy it to \"till\", a pod can name only its own",
        "a Secret of secretObjects exists only while a pod mounts the class, holds only the keys that are listed, and needs the driver's syncSecret.enabled=true",
        "the driver takes tls.crt and tls.key apart itself, and writes the private key anew (RSA or EC, not Ed25519)",
        "\"ca.crt\" is not in Secret \"web-tls\": the driver writes no key but tls.crt and tls.key into one of type kubernetes.io/tls; it stays a file",
        "labels and annotations replace those of the Secret: the operator keeps what others have set",
        "two keys that get one name are an error here: with the operator one of them wins",
        "spec.colour is no field of a PhaseSecret, and is left out",
    ] {
        let line = format!("note: PhaseSecret shop/payments: {note}\n");
        assert_eq!(notes.matches(&line).count(), 1, "{note}: {notes}");
        assert_eq!(
            printed.matches(&format!("# - {note}\n")).count(),
            1,
            "{note}"
        );
    }
    assert_eq!(notes.lines().count(), 16, "{notes}");
}

/// What is commented out becomes YAML when the # is removed.
#[test]
fn commented_lines_are_yaml_once_uncommented() {
    let (printed, _) = migrated(WHOLE);
    let (_, last) = printed.rsplit_once("---\n").unwrap();
    let uncommented: String = last
        .lines()
        .map(|line| {
            format!(
                "{}\n",
                line.strip_prefix("#  ")
                    .map_or_else(|| line.to_owned(), |rest| format!("  {rest}"))
            )
        })
        .collect();
    let until_volume = uncommented.split("# In the pod").next().unwrap();
    let uncommented = until_volume.replace("<key>", "DB_HOST");
    let report = Files::of(&[&uncommented]).json(&[]);
    let rules: Vec<_> = found(&report).into_iter().map(|(rule, ..)| rule).collect();
    assert_eq!(rules, ["dynamic-object-name"], "{uncommented}");
    let volume: String = printed
        .split("# In the pod")
        .nth(1)
        .unwrap()
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('#'))
        .map(|line| format!("{}\n", &line[1..]))
        .collect();
    let pod = format!("kind: Pod\nmetadata: {{name: web, namespace: shop}}\nspec:\n{volume}");
    let report = Files::of(&[&printed, &pod]).json(&[]);
    assert_eq!(report["summary"]["errors"], 0, "{report}\n{pod}");
    assert_eq!(report["summary"]["volumes"], 1);
}

#[test]
fn outputs_of_equal_names_share_a_class() {
    let (printed, notes) = migrated(
        "apiVersion: secrets.phase.dev/v1alpha1\nkind: PhaseSecret\nmetadata: {name: web}\nspec:\n  phaseApp: payments\n  managedSecretReferences:\n    - {secretName: a, secretType: kubernetes.io/dockerconfigjson}\n    - {secretName: b, secretType: kubernetes.io/basic-auth, processors: {}}\n    - {secretName: c, secretType: kubernetes.io/tls}\n",
    );
    assert_eq!(parameters(&printed).keys().collect::<Vec<_>>(), ["web"]);
    for line in [
        "        - objectName: .dockerconfigjson\n",
        "        - objectName: tls.key\n",
        "#    - secretName: b\n",
    ] {
        let line = line
            .replace(" .docker", " \".docker")
            .replace("json\n", "json\"\n");
        assert!(printed.contains(&line), "{line}: {printed}");
    }
    assert_eq!(
        notes.lines().next(),
        Some(
            "note: PhaseSecret web: phaseApp and phaseAppEnv are whole names here, in any case: the operator also takes a part of one"
        )
    );
}

#[test]
fn what_cannot_become_a_class_says_why() {
    let resource = |name: &str, spec: &str| {
        format!(
            "apiVersion: secrets.phase.dev/v1alpha1\nkind: PhaseSecret\nmetadata: {name}\nspec: {spec}\n"
        )
    };
    for (text, begins) in [
        (
            resource("{name: web}", "{phaseAppEnv: x}"),
            "error: PhaseSecret web names no app: add spec.phaseApp or spec.phaseAppId\n",
        ),
        (
            resource("{}", "{phaseApp: x}"),
            "error: a PhaseSecret on line 1 has no metadata.name: add it, the class is named after it\n",
        ),
        (
            resource("{name: web}", "{phaseApp: x, phaseHost: x.test}"),
            "error[parameters]: phaseHost: host \"x.test\" does not start with https://: write https://<name>\n",
        ),
    ] {
        let output = migrate(&text);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with(begins), "{error}");
    }
    let files = Files::of(&["kind: ConfigMap\n"]);
    let path = files.path(0);
    let output = command(&["check", "--from-phasesecret", path.to_str().unwrap()]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: {} holds no PhaseSecret of secrets.phase.dev/v1alpha1: give the file that has one\n",
            path.display()
        )
    );
}
