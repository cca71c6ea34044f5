#![allow(clippy::unwrap_used, reason = "a test may stop at any surprise")]

use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;

fn inputs(name: &str, spec: &Value) -> [u8; 32] {
    let all = json!({
        "phaseApp": "shop",
        "authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": "phase"}}},
        "managedSecretReferences": [{"secretName": "out"}],
    });
    let mut object = json!({
        "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
        "metadata": {"name": name}, "spec": all,
    });
    let spec = spec.as_object().unwrap().clone();
    object["spec"].as_object_mut().unwrap().extend(spec);
    let object: PhaseSecret = serde_json::from_value(object).unwrap();
    object.inputs(&SecretName {
        namespace: "team".to_owned(),
        name: "phase".to_owned(),
    })
}

fn output(more: &Value) -> Value {
    let mut output = json!({"secretName": "out"});
    output
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"managedSecretReferences": [output]})
}

#[test]
fn resources_whose_secrets_hold_the_same_have_the_same_inputs() {
    let plain = inputs("one", &json!({}));
    for same in [
        json!({}),
        json!({"redeployLabelSelector": "tier=web"}),
        json!({"authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": "other"}}}}),
        output(&json!({"secretName": "other"})),
        output(&json!({"secretNamespace": "elsewhere"})),
        output(&json!({"template": {"metadata": {"labels": {"a": "b"}}}})),
        output(&json!({"onConflict": "Take", "onTypeChange": "Recreate", "ownerReference": true})),
    ] {
        assert_eq!(inputs("another", &same), plain, "{same}");
    }
}

#[test]
fn whatever_decides_what_secrets_hold_is_in_the_inputs() {
    let different = [
        json!({}),
        json!({"phaseApp": "other"}),
        json!({"phaseAppId": "shop"}),
        json!({"phaseAppEnv": "staging"}),
        json!({"phaseAppEnvPath": "/db"}),
        json!({"phaseAppEnvTag": "web"}),
        json!({"phaseHost": "https://phase.example"}),
        json!({"pollingInterval": 30}),
        json!({"onSecretReferenceError": "Warn"}),
        output(&json!({"secretType": "kubernetes.io/tls"})),
        output(&json!({"nameTransformer": "camel"})),
        output(&json!({"processors": {"A": {"asName": "b"}}})),
        output(&json!({"processors": {"A": {"type": "base64"}}})),
        output(&json!({"processors": {"B": {"type": "base64"}}})),
        json!({"managedSecretReferences": [{"secretName": "out"}, {"secretName": "two"}]}),
    ];
    for (number, one) in different.iter().enumerate() {
        for other in &different[number + 1..] {
            assert_ne!(inputs("one", one), inputs("one", other), "{one} {other}");
        }
    }
}

fn resource(name: &str, secrets: &[&str]) -> PhaseSecret {
    let outputs: Vec<_> = secrets
        .iter()
        .map(|name| json!({"secretName": name}))
        .collect();
    let object = json!({
        "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"phaseApp": "shop", "managedSecretReferences": outputs},
    });
    serde_json::from_value(object).unwrap()
}

fn secret() -> SecretName {
    SecretName {
        namespace: "team".to_owned(),
        name: "out".to_owned(),
    }
}

fn claim(name: &str) -> Claim {
    (PhaseSecret::ANNOTATION, format!("team/{name}"))
}

fn live(owner: &str) -> PartialObjectMeta<Secret> {
    let mut live = PartialObjectMeta::<Secret>::default();
    let annotations = live.annotations_mut();
    annotations.insert(PhaseSecret::ANNOTATION.to_owned(), format!("team/{owner}"));
    live
}

#[test]
fn of_two_that_come_at_once_the_first_keeps_a_secret() {
    let (resources, mut writer) = store();
    for name in ["first", "second"] {
        writer.apply_watcher_event(&Event::Apply(resource(name, &["out", "else"])));
    }
    let owners = Owners::new(vec![resources], Vec::new());
    let claims =
        |live: Option<&PartialObjectMeta<Secret>>, name| owners.claim(&secret(), live, claim(name));
    let kept = |name: &str| Err(format!("PhaseSecret team/{name}"));
    // Nothing of it is there yet.
    assert_eq!(claims(None, "first"), Ok(()));
    assert_eq!(claims(None, "first"), Ok(()), "again");
    assert_eq!(claims(None, "second"), kept("first"));
    // What the Secret says counts more: such as after a start.
    assert_eq!(claims(Some(&live("second")), "second"), Ok(()));
    assert_eq!(claims(Some(&live("second")), "first"), kept("second"));
    // Whoever does not name it any more has no claim.
    writer.apply_watcher_event(&Event::Apply(resource("second", &["else"])));
    assert_eq!(claims(Some(&live("second")), "first"), Ok(()));
    writer.apply_watcher_event(&Event::Delete(resource("first", &[])));
    writer.apply_watcher_event(&Event::Apply(resource("second", &["out"])));
    assert_eq!(claims(None, "second"), Ok(()));
}
