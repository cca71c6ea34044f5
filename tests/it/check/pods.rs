//! The pod's side: volumes that name a class.

use super::{Case, Files, class, expect_each, found};

/// A volume as it should be.
const CSI: &str = "{driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: keys}, nodePublishSecretRef: {name: phase-token}}";

/// The class and a pod with this `csi`, which stands on line 16.
fn pod(csi: &str) -> String {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec:\n  containers: [{name: web, volumeMounts: [{name: secrets, mountPath: /s}]}]\n  volumes:\n    - name: secrets\n      csi: ";
    format!("{}---\n{pod}{csi}\n", class(""))
}

fn changed(from: &str, to: &str) -> String {
    let text = pod(CSI);
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn secret(namespace: &str, data: &str) -> String {
    format!(
        "{}---\nkind: Secret\nmetadata: {{name: phase-token, namespace: {namespace}}}\n{data}\n",
        pod(CSI)
    )
}

fn case(rule: &'static str, text: String, line: u64, message: &'static str) -> Case {
    Case {
        rule,
        text,
        line,
        message,
    }
}

pub fn cases() -> Vec<Case> {
    [volumes(), tokens(), containers()]
        .into_iter()
        .flatten()
        .collect()
}

fn volumes() -> Vec<Case> {
    vec![
        case(
            "driver",
            changed(
                "driver: secrets-store.csi.k8s.io",
                "driver: secrets-store.csi.x-k8s.io",
            ),
            16,
            "volume \"secrets\" has the driver \"secrets-store.csi.x-k8s.io\": write secrets-store.csi.k8s.io",
        ),
        case(
            "read-only",
            changed("readOnly: true", "readOnly: \"true\""),
            16,
            "volume \"secrets\" is not read-only, and the driver refuses it: add readOnly: true under csi",
        ),
        case(
            "read-only",
            changed("readOnly: true", "readOnly: false"),
            16,
            "volume \"secrets\" is not read-only, and the driver refuses it: add readOnly: true under csi",
        ),
        case(
            "read-only",
            changed(" readOnly: true,", ""),
            16,
            "volume \"secrets\" is not read-only, and the driver refuses it: add readOnly: true under csi",
        ),
        case(
            "missing-field",
            changed("{secretProviderClass: keys}", "{}"),
            16,
            "volume \"secrets\" names no class: add volumeAttributes: {secretProviderClass: <name>}",
        ),
        case(
            "unknown-class",
            changed("secretProviderClass: keys", "secretProviderClass: kees"),
            16,
            "volume \"secrets\" names SecretProviderClass \"kees\", which is in none of the files: did you mean \"keys\"?",
        ),
        case(
            "unknown-class",
            changed(
                "secretProviderClass: keys",
                "secretProviderClass: another-one",
            ),
            16,
            "volume \"secrets\" names SecretProviderClass \"another-one\", which is in none of the files: give its file too, with another -f",
        ),
        case(
            "other-namespace",
            changed(
                "{name: web, namespace: shop}",
                "{name: web, namespace: till}",
            ),
            16,
            "volume \"secrets\" names SecretProviderClass \"keys\", which is in namespace \"shop\": the driver looks for it in the pod's, \"till\": put both into one",
        ),
        case(
            "override",
            changed(
                "{secretProviderClass: keys}",
                "{secretProviderClass: keys, phaseAppEnv: dev}",
            ),
            16,
            "volume \"secrets\" sets phaseAppEnv, which overrides the class's for this pod: put it into the class",
        ),
        case(
            "unknown-attribute",
            changed(
                "{secretProviderClass: keys}",
                "{secretProviderClass: keys, phaseEnv: dev}",
            ),
            16,
            "volume \"secrets\" has the attribute \"phaseEnv\", which is no parameter: did you mean \"phaseAppEnv\"?",
        ),
        case(
            "unknown-attribute",
            changed(
                "{secretProviderClass: keys}",
                "{secretProviderClass: keys, colour: red}",
            ),
            16,
            "volume \"secrets\" has the attribute \"colour\", which is no parameter: remove it",
        ),
    ]
}

fn tokens() -> Vec<Case> {
    vec![
        case(
            "no-token",
            changed(", nodePublishSecretRef: {name: phase-token}", ""),
            16,
            "volume \"secrets\" names no Secret with the Phase token: store the service token in a Secret of the pod's namespace (kubectl create secret generic phase-token --from-file=token=./token.txt) and add nodePublishSecretRef: {name: phase-token}",
        ),
        case(
            "other-namespace",
            secret("till", "stringData: {token: CANARY}"),
            16,
            "volume \"secrets\" names Secret \"phase-token\", which is in namespace \"till\": kubelet looks for it in the pod's, \"shop\": put it there",
        ),
        case(
            "token-key",
            secret("shop", "data: {tokn: CANARY}\nstringData: {x: CANARY}"),
            16,
            "volume \"secrets\" names Secret \"phase-token\", which has neither key token nor PHASE_SERVICE_TOKEN: it has tokn, x: store the service token under token",
        ),
        case(
            "token-key",
            secret("shop", "type: Opaque"),
            16,
            "volume \"secrets\" names Secret \"phase-token\", which has neither key token nor PHASE_SERVICE_TOKEN: it has no key: store the service token under token",
        ),
    ]
}

fn containers() -> Vec<Case> {
    let narrow = |security: &str| {
        changed(
            "phaseApp: payments\n",
            "phaseApp: payments\n    filePermission: \"0640\"\n",
        )
        .replacen("containers: [{name: web,", security, 1)
    };
    let message = "container \"web\" does not run as root, and files of mode 0640 in volume \"secrets\" are root's (fsGroup does not apply): set filePermission: \"0644\" in SecretProviderClass keys";
    vec![
        case(
            "sub-path",
            changed("mountPath: /s", "mountPath: /s, subPath: A"),
            13,
            "container \"web\" mounts volume \"secrets\" by subPath, and never sees a changed secret: mount the whole volume",
        ),
        case(
            "file-mode",
            narrow("containers: [{name: web, securityContext: {runAsNonRoot: true},"),
            14,
            message,
        ),
        case(
            "file-mode",
            narrow("securityContext: {runAsUser: 1000}\n  containers: [{name: web,"),
            15,
            message,
        ),
    ]
}

#[test]
fn every_mistake_in_a_pod_is_told_at_its_line() {
    expect_each(&cases());
}

#[test]
fn a_pod_as_it_should_be_is_fine() {
    for text in [
        pod(CSI),
        secret("shop", "stringData: {token: CANARY}"),
        secret("shop", "data: {PHASE_SERVICE_TOKEN: CANARY}"),
        changed("readOnly: true", "readOnly: yes"),
    ] {
        assert_eq!(found(&Files::of(&[&text]).json(&[])), [], "{text}");
    }
}

#[test]
fn pods_are_found_in_every_kind_that_makes_them() {
    let volumes = "{volumes: [{name: s, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: keys}}}]}";
    for (kind, spec) in [
        ("Deployment", "{template: {spec: POD}}"),
        ("StatefulSet", "{template: {spec: POD}}"),
        ("DaemonSet", "{template: {spec: POD}}"),
        ("ReplicaSet", "{template: {spec: POD}}"),
        ("Job", "{template: {spec: POD}}"),
        ("CronJob", "{jobTemplate: {spec: {template: {spec: POD}}}}"),
        ("Pod", "POD"),
    ] {
        let spec = spec.replace("POD", volumes);
        let text = format!("kind: {kind}\nmetadata: {{name: web}}\nspec: {spec}\n");
        let report = Files::of(&[&class(""), &text]).json(&[]);
        let rules: Vec<_> = found(&report).into_iter().map(|(rule, ..)| rule).collect();
        assert_eq!(rules, ["no-token"], "{kind}");
        assert_eq!(report["findings"][0]["object"], format!("{kind} web"));
    }
}

#[test]
fn volumes_of_other_drivers_and_providers_are_left_alone() {
    let other = "kind: Pod\nmetadata: {name: web}\nspec: {volumes: [{name: s, csi: {driver: ebs.csi.aws.com}}]}\n";
    assert_eq!(found(&Files::of(&[&class(""), other]).json(&[])), []);
    let vault = pod("{driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: keys}}")
        .replace("provider: phase", "provider: vault");
    let rules: Vec<_> = found(&Files::of(&[&vault]).json(&[]))
        .into_iter()
        .map(|(rule, ..)| rule)
        .collect();
    assert_eq!(rules, ["other-provider"]);
}
