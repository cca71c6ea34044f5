#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "a test may stop at any surprise, and json! makes values"
)]

use serde_json::{Value, json};

use super::*;
use crate::phase::host::Host;

/// A resource as the API server stores it: with its defaults.
fn planned(changes: Value) -> Result<Plan, String> {
    let mut spec = json!({
        "phaseApp": "shop",
        "authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": "phase"}}},
        "managedSecretReferences": [{"secretName": "out"}],
    });
    spec.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    let spec = serde_json::from_value(spec).unwrap();
    let hosts = AllowedHosts::new(Host::default(), &[] as &[&str]).unwrap();
    Plan::of("team", &spec, &hosts).map_err(|mistakes| mistakes.to_string())
}

fn mistake(changes: Value) -> String {
    planned(changes).expect_err("a mistake")
}

fn outputs(outputs: Value) -> Value {
    json!({"managedSecretReferences": outputs})
}

#[test]
fn what_is_not_given_is_as_the_operator_has_it() {
    let plan = planned(json!({})).unwrap();
    assert_eq!(plan.token.to_string(), "team/phase");
    assert_eq!(plan.interval, Some(Duration::from_secs(60)));
    assert_eq!(plan.query.selections.len(), 1);
    assert_eq!(plan.query.selections[0].environment, "production");
    let output = &plan.outputs[0];
    assert_eq!(
        (output.secret.to_string(), output.form.kind.as_str()),
        ("team/out".to_owned(), "Opaque")
    );
    assert!(!output.takes && !output.recreates && !output.is_owned);
    assert_eq!(plan.redeploy, None);
}

#[test]
fn without_authentication_the_token_is_where_the_operator_has_it() {
    for authentication in [json!({}), json!({"serviceToken": {}})] {
        let plan = planned(json!({"authentication": authentication})).unwrap();
        assert_eq!(plan.token.to_string(), "team/phase-service-token");
    }
}

#[test]
fn empty_texts_are_none() {
    let plan = planned(json!({
        "phaseAppId": "", "phaseAppEnvTag": " ", "phaseHost": "", "redeployLabelSelector": " ",
        "managedSecretReferences": [{"secretName": "out", "secretNamespace": "", "nameTransformer": "",
            "processors": {"A": {"asName": "", "nameTransformer": "", "type": ""}}}],
    }));
    let plan = plan.unwrap();
    assert_eq!(plan.outputs[0].secret.namespace, "team");
    assert_eq!(plan.outputs[0].form.rules.name("A"), "A");
}

#[test]
fn every_mistake_says_where_it_is_and_what_to_do() {
    for (changes, expected) in [
        (
            json!({"phaseApp": null}),
            "spec.phaseApp is missing: name the app, or give its id as phaseAppId",
        ),
        (
            outputs(json!([])),
            "spec.managedSecretReferences is empty: name the Secret to write",
        ),
        (
            outputs(json!([{"secretName": "Out"}])),
            "spec.managedSecretReferences[0].secretName \"Out\" is no name of a Kubernetes object: use lower-case letters, digits, \"-\" and \".\"",
        ),
        (
            outputs(json!([{"secretName": "out", "secretNamespace": "a.b"}])),
            "spec.managedSecretReferences[0].secretNamespace \"a.b\" is no name of a Kubernetes object: use lower-case letters, digits, \"-\" and \".\"",
        ),
        (
            outputs(json!([{"secretName": "out", "secretType": "tls"}])),
            "spec.managedSecretReferences[0].secretType \"tls\" is unknown: write one of Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg, kubernetes.io/basic-auth, kubernetes.io/ssh-auth, kubernetes.io/service-account-token, bootstrap.kubernetes.io/token",
        ),
        (
            outputs(json!([{"secretName": "out", "nameTransformer": "Camel"}])),
            "spec.managedSecretReferences[0].nameTransformer \"Camel\" is unknown: write one of camel, upper-camel, lower-snake, tf-var, lower-kebab, upper_snake",
        ),
        (
            outputs(json!([{"secretName": "out", "processors": {"A": {"type": "hex"}}}])),
            "spec.managedSecretReferences[0].processors.A.type \"hex\" is unknown: write one of plain, base64",
        ),
        (
            outputs(json!([{"secretName": "out", "onConflict": "Force"}])),
            "spec.managedSecretReferences[0].onConflict \"Force\" is unknown: write one of Report, Take",
        ),
        (
            outputs(
                json!([{"secretName": "out"}, {"secretName": "b"}, {"secretName": "out", "secretNamespace": "team"}]),
            ),
            "spec.managedSecretReferences[0] and [2] both write the Secret team/out: make them one",
        ),
        (
            outputs(json!([{"secretName": "phase"}])),
            "spec.managedSecretReferences[0] would write the Secret that holds the token: name another",
        ),
        (
            outputs(
                json!([{"secretName": "out", "secretNamespace": "other", "ownerReference": true}]),
            ),
            "spec.managedSecretReferences[0].ownerReference needs a Secret in the resource's own namespace: leave one of the two out",
        ),
        (
            json!({"pollingInterval": 4}),
            "spec.pollingInterval 4 is below 5 seconds: ask less often",
        ),
        (
            json!({"pollingInterval": 99_999_999_999_i64}),
            "spec.pollingInterval 99999999999 is above 86400 seconds, which is a day: ask more often",
        ),
        (
            json!({"redeployLabelSelector": "((("}),
            "spec.redeployLabelSelector \"(((\" is no label selector: write for example \"tier=web\"",
        ),
        (
            json!({"phaseAppEnvTag": " , ,,"}),
            "spec.phaseAppEnvTag is empty: name a tag between its commas, or leave it out to select all secrets",
        ),
    ] {
        assert_eq!(mistake(changes), expected);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = mistake(
        json!({"phaseHost": "https://other.example", "pollingInterval": 1, "managedSecretReferences": []}),
    );
    assert!(text.starts_with("3 mistakes: spec.phaseHost"), "{text}");
}

#[test]
fn what_is_elsewhere_is_found() {
    let elsewhere = json!({"authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": "phase", "secretNamespace": "other"}}}});
    let told = |changes| {
        let found = planned(changes).unwrap().elsewhere("team");
        let told: Vec<_> = found.iter().map(ToString::to_string).collect();
        told
    };
    assert_eq!(told(json!({})), [""; 0]);
    let own = json!([{"secretName": "out", "secretNamespace": "team"}]);
    assert_eq!(told(outputs(own)), [""; 0]);
    assert_eq!(
        told(elsewhere),
        [
            "spec.authentication.serviceToken.serviceTokenSecretReference.secretNamespace names \"other\", which is not its own: leave it out, or start the controller with --allow-cross-namespace-refs"
        ]
    );
    let said = told(outputs(
        json!([{"secretName": "a"}, {"secretName": "b", "secretNamespace": "other"}]),
    ));
    assert!(
        said[0].starts_with("spec.managedSecretReferences[1].secretNamespace names \"other\""),
        "{said:?}"
    );
}
