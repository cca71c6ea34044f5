//! The driver's side of a class.

use super::{Case, Files, class, expect_each, found};

/// A class whose files are known only by Phase, with one entry of `secretObjects`.
fn entry(text: &str) -> String {
    class(&format!("  secretObjects:\n{text}"))
}

fn typed(kind: &str, keys: &[&str]) -> String {
    let data: String = keys
        .iter()
        .map(|key| format!("        - {{objectName: FILE, key: {key}}}\n"))
        .collect();
    entry(&format!(
        "    - secretName: web\n      type: {kind}\n      data:\n{data}"
    ))
}

pub fn cases() -> Vec<Case> {
    [shapes(), contents(), types()]
        .into_iter()
        .flatten()
        .collect()
}

fn case(rule: &'static str, text: String, line: u64, message: &'static str) -> Case {
    Case {
        rule,
        text,
        line,
        message,
    }
}

fn shapes() -> Vec<Case> {
    vec![
        case(
            "wrong-type",
            class("  secretObjects: {a: b}\n"),
            8,
            "spec.secretObjects is a map, not a list: begin each entry with -",
        ),
        case(
            "wrong-type",
            entry("    - web\n"),
            9,
            "secretObjects[0] is a text, not a map: write secretName, type and data",
        ),
        case(
            "wrong-type",
            entry(
                "    - {secretName: web, type: Opaque, labels: [a], data: [{objectName: A, key: a}]}\n",
            ),
            9,
            "secretObjects[0].labels is a list, not a map: write name: text",
        ),
        case(
            "wrong-type",
            entry(
                "    - {secretName: web, type: Opaque, labels: {a: 1}, data: [{objectName: A, key: a}]}\n",
            ),
            9,
            "secretObjects[0].labels.a is a number to Kubernetes, not a text: quote it: \"1\"",
        ),
        case(
            "wrong-type",
            entry("    - {secretName: web, type: Opaque, data: [A]}\n"),
            9,
            "secretObjects[0].data[0] is a text, not a map: write objectName and key",
        ),
        case(
            "unknown-field",
            entry(
                "    - {secretName: web, typ: x, type: Opaque, data: [{objectName: A, key: a}]}\n",
            ),
            9,
            "secretObjects[0] has no field \"typ\": did you mean \"type\"?",
        ),
        case(
            "unknown-field",
            entry(
                "    - {secretName: web, type: Opaque, data: [{objectNam: B, objectName: A, key: a}]}\n",
            ),
            9,
            "secretObjects[0].data[0] has no field \"objectNam\": did you mean \"objectName\"?",
        ),
    ]
}

fn contents() -> Vec<Case> {
    vec![
        case(
            "missing-field",
            entry("    - {type: Opaque, data: [{objectName: A, key: a}]}\n"),
            9,
            "secretObjects[0].secretName is missing: add it",
        ),
        case(
            "missing-field",
            entry("    - {secretName: web, data: [{objectName: A, key: a}]}\n"),
            9,
            "secretObjects[0].type is missing: add it",
        ),
        case(
            "missing-field",
            entry("    - {secretName: web, type: Opaque}\n"),
            9,
            "secretObjects[0].data is missing: list objectName and key of each value",
        ),
        case(
            "missing-field",
            entry("    - {secretName: web, type: Opaque, data: [{objectName: A}]}\n"),
            9,
            "secretObjects[0].data[0].key is missing: add it",
        ),
        case(
            "missing-field",
            entry("    - {secretName: web, type: Opaque, data: [{key: a}]}\n"),
            9,
            "secretObjects[0].data[0].objectName is missing: add it",
        ),
        case(
            "name",
            entry("    - {secretName: web_tls, type: Opaque, data: [{objectName: A, key: a}]}\n"),
            9,
            "secretObjects[0].secretName \"web_tls\" is no name in Kubernetes: use lower-case letters, digits, - and .",
        ),
        case(
            "duplicate-secret",
            entry(
                &"    - {secretName: web, type: Opaque, data: [{objectName: A, key: a}]}\n"
                    .repeat(2),
            ),
            10,
            "secretObjects[1].secretName \"web\" is also written by the entry on line 9: they would overwrite each other: join their data",
        ),
        case(
            "secret-key",
            entry("    - {secretName: web, type: Opaque, data: [{objectName: A, key: a/b}]}\n"),
            9,
            "secretObjects[0].data[0].key \"a/b\" is no key of a Secret: use letters, digits, -, _ and ., at most 253",
        ),
        case(
            "secret-key",
            entry("    - {secretName: web, type: Opaque, data: [{objectName: A, key: ..a}]}\n"),
            9,
            "secretObjects[0].data[0].key \"..a\" is no key of a Secret: use letters, digits, -, _ and ., at most 253",
        ),
        case(
            "secret-key",
            entry("    - {secretName: web, type: Opaque, data: [{objectName: A, key: .}]}\n"),
            9,
            "secretObjects[0].data[0].key \".\" is no key of a Secret: use letters, digits, -, _ and ., at most 253",
        ),
        case(
            "secret-key",
            entry(
                "    - {secretName: web, type: Opaque, data: [{objectName: A, key: a}, {objectName: B, key: a}]}\n",
            ),
            9,
            "secretObjects[0].data[1].key \"a\" is also on line 9: one of them would be lost: give it another key",
        ),
        case(
            "object-name",
            entry("    - {secretName: web, type: Opaque, data: [{objectName: ../A, key: a}]}\n"),
            9,
            "secretObjects[0].data[0].objectName \"../A\" cannot be a file: its path holds a name that is empty, \".\" or \"..\": name a file of the volume",
        ),
        case(
            "object-name",
            entry("    - {secretName: web, type: Opaque, data: [{objectName: db/A, key: a}]}\n"),
            9,
            "secretObjects[0].data[0].objectName \"db/A\" is no file of the class: no selection takes it: mend the name, or set recursive, include or exclude",
        ),
        case(
            "dynamic-object-name",
            entry("    - {secretName: web, type: Opaque, data: [{objectName: A, key: a}]}\n"),
            9,
            "secretObjects[0].data[0].objectName \"A\" is found only if Phase has a key that makes this file: try it with --online, or list it under objects",
        ),
    ]
}

fn types() -> Vec<Case> {
    let needs =
        |kind, keys: &[&str], message| case("secret-type-keys", typed(kind, keys), 10, message);
    vec![
        needs(
            "kubernetes.io/tls",
            &["tls.key"],
            "secretObjects[0].type kubernetes.io/tls needs the key tls.crt: add an entry to data with key: tls.crt",
        ),
        case(
            "secret-type-keys",
            typed("kubernetes.io/tls", &["tls.key", "tls.crt", "ca.crt"]),
            14,
            "the driver writes only tls.crt and tls.key into a Secret of type kubernetes.io/tls, not \"ca.crt\": put it into another Secret",
        ),
        needs(
            "kubernetes.io/dockerconfigjson",
            &["a"],
            "secretObjects[0].type kubernetes.io/dockerconfigjson needs the key .dockerconfigjson: add an entry to data with key: .dockerconfigjson",
        ),
        needs(
            "kubernetes.io/dockercfg",
            &["a"],
            "secretObjects[0].type kubernetes.io/dockercfg needs the key .dockercfg: add an entry to data with key: .dockercfg",
        ),
        needs(
            "kubernetes.io/basic-auth",
            &["user"],
            "secretObjects[0].type kubernetes.io/basic-auth needs the key username or password: add an entry to data with key: username",
        ),
        needs(
            "kubernetes.io/ssh-auth",
            &["key"],
            "secretObjects[0].type kubernetes.io/ssh-auth needs the key ssh-privatekey: add an entry to data with key: ssh-privatekey",
        ),
        needs(
            "kubernetes.io/service-account-token",
            &["token"],
            "secretObjects[0].type kubernetes.io/service-account-token needs the annotation kubernetes.io/service-account.name: add it to annotations",
        ),
        case(
            "secret-type",
            typed("kubernetes.io/tsl", &["tls.key"]),
            10,
            "secretObjects[0].type \"kubernetes.io/tsl\" is unknown to Kubernetes: did you mean \"kubernetes.io/tls\"?",
        ),
        case(
            "secret-type",
            typed("kubernetes.io/certificates-of-mine", &["a"]),
            10,
            "secretObjects[0].type \"kubernetes.io/certificates-of-mine\" is unknown to Kubernetes: write Opaque, or a type of your own",
        ),
    ]
}

#[test]
fn every_mistake_in_secret_objects_is_told_at_its_line() {
    expect_each(&cases());
}

#[test]
fn what_each_type_needs_is_enough() {
    for (kind, keys) in [
        ("Opaque", &["a", "b"][..]),
        ("shop.example/own", &["a"]),
        ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
        ("kubernetes.io/basic-auth", &["password"]),
        ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
        ("kubernetes.io/dockercfg", &[".dockercfg"]),
        ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ] {
        let report = Files::of(&[&typed(kind, keys)]).json(&[]);
        assert_eq!(report["summary"]["errors"], 0, "{kind}: {report}");
        let rules = found(&report).into_iter().map(|(rule, ..)| rule);
        assert!(
            rules.into_iter().all(|rule| rule == "dynamic-object-name"),
            "{kind}"
        );
    }
}
