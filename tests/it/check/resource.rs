//! The class as a resource.

use super::{Case, Files, class, expect_each, found};

pub fn cases() -> Vec<Case> {
    let replaced = |from: &str, to: &str| {
        let text = class("");
        assert!(text.contains(from));
        text.replacen(from, to, 1)
    };
    let case = |rule, text, line, message| Case {
        rule,
        text,
        line,
        message,
    };
    vec![
        case(
            "nothing-to-check",
            "kind: ConfigMap\n".to_owned(),
            0,
            "neither a SecretProviderClass, nor a pod with a volume of the driver, nor a PhaseSecret is in it: give the file that has one",
        ),
        case(
            "api-version",
            replaced("csi.x-k8s.io/v1", "csi.k8s.io/v1"),
            1,
            "apiVersion \"secrets-store.csi.k8s.io/v1\" has no SecretProviderClass: write secrets-store.csi.x-k8s.io/v1",
        ),
        case(
            "api-version",
            replaced("apiVersion: secrets-store.csi.x-k8s.io/v1\n", ""),
            1,
            "apiVersion is missing: write secrets-store.csi.x-k8s.io/v1",
        ),
        case(
            "api-version",
            replaced("kind: SecretProviderClass", "kind: SecretProvider"),
            2,
            "kind \"SecretProvider\" does not exist in secrets-store.csi.x-k8s.io: write SecretProviderClass",
        ),
        case(
            "deprecated-api-version",
            replaced("io/v1", "io/v1alpha1"),
            1,
            "apiVersion secrets-store.csi.x-k8s.io/v1alpha1 is deprecated: write secrets-store.csi.x-k8s.io/v1",
        ),
        case(
            "name",
            replaced("{name: keys, namespace: shop}", "{}"),
            1,
            "metadata.name is missing: name the class, as the pod's volume names it",
        ),
        case(
            "name",
            replaced("name: keys", "name: My_Keys"),
            3,
            "metadata.name \"My_Keys\" is no name in Kubernetes: use lower-case letters, digits, - and .",
        ),
        case(
            "provider",
            replaced("  provider: phase\n", ""),
            5,
            "spec.provider is missing: write provider: phase",
        ),
        case(
            "provider",
            replaced("provider: phase", "provider: Phase"),
            5,
            "spec.provider \"Phase\" is no provider's name: write phase",
        ),
        case(
            "other-provider",
            replaced("provider: phase", "provider: vault"),
            5,
            "spec.provider is \"vault\": not checked, only classes of phase are",
        ),
        case(
            "unknown-field",
            class("  secretObject: []\n"),
            8,
            "spec has no field \"secretObject\": did you mean \"secretObjects\"?",
        ),
        case(
            "unknown-field",
            class("  colour: red\n"),
            8,
            "spec has no field \"colour\": remove it; there are parameters, provider, secretObjects",
        ),
        case(
            "duplicate-field",
            class("    phaseApp: shop\n"),
            8,
            "spec.parameters has \"phaseApp\" twice, first on line 7: remove one of them",
        ),
        case(
            "wrong-type",
            class("    recursive: true\n"),
            8,
            "spec.parameters.recursive is true or false to Kubernetes, not a text: quote it: \"true\"",
        ),
        case(
            "wrong-type",
            class("    filePermission: 0644\n"),
            8,
            "spec.parameters.filePermission is a number to Kubernetes, not a text: quote it: \"0644\"",
        ),
        case(
            "wrong-type",
            class("    phaseAppEnvTag:\n"),
            8,
            "spec.parameters.phaseAppEnvTag is empty, not a text: write \"\", or remove it",
        ),
        case(
            "wrong-type",
            class("    phaseAppEnvTag: [a]\n"),
            8,
            "spec.parameters.phaseAppEnvTag is a list, not a text: put it in a block: write | after the colon",
        ),
        case(
            "wrong-type",
            class("    phaseAppEnvTag: {a: b}\n"),
            8,
            "spec.parameters.phaseAppEnvTag is a map, not a text: put it in a block: write | after the colon",
        ),
        case(
            "missing-field",
            replaced("  parameters:\n    phaseApp: payments\n", ""),
            5,
            "spec.parameters is missing: name at least phaseApp; the driver refuses a class without any",
        ),
    ]
}

#[test]
fn every_mistake_in_the_resource_is_told_at_its_line() {
    expect_each(&cases());
}

#[test]
fn a_class_without_a_spec_misses_its_provider_and_all_else() {
    let files = Files::of(&[
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: a}\n",
    ]);
    let texts: Vec<_> = found(&files.json(&[]))
        .into_iter()
        .map(|(.., text)| text)
        .collect();
    assert_eq!(
        texts,
        [
            "spec is missing: add it with provider and parameters",
            "spec.provider is missing: write provider: phase"
        ]
    );
}

#[test]
fn a_fine_class_is_fine() {
    let files = Files::of(&[&class("")]);
    let output = files.check(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "1 class and no volumes in 1 file: no errors, no warnings\n"
    );
}

#[test]
fn classes_of_one_name_are_told_across_files() {
    let files = Files::of(&[&class(""), &class("")]);
    let report = files.json(&[]);
    let first = files.path(0);
    assert_eq!(
        found(&report),
        [(
            "duplicate-class".to_owned(),
            3,
            format!(
                "a class of this name is also in {}, line 3: the later one replaces it: rename one",
                first.display()
            )
        )]
    );
}
