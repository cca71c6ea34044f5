#![allow(clippy::unwrap_used, reason = "a test may stop at any surprise")]

use serde_json::json;

use super::*;
use crate::managed::apply::Without;
use crate::managed::plan::{Form, Output, SecretName};
use crate::render::NameRules;

/// A Secret as the API server tells of it after it was written, changed so.
fn live(change: impl FnOnce(&mut Value)) -> PartialObjectMeta<Secret> {
    let mut metadata = json!({
        "name": "out", "namespace": "team", "resourceVersion": "7",
        "labels": {"secrets.phase.dev/managed": "true", "tier": "web", "foreign": "yes"},
        "annotations": {"secrets.phase.dev/content-hash": "1f", "secrets.phase.dev/phasesecret": "team/shop"},
        "ownerReferences": [{"apiVersion": "v", "kind": "PhaseSecret", "name": "shop", "uid": "5b1c"}],
        "managedFields": [
            {"manager": "phase-csi-provider", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {
                "f:data": {"f:A": {}, "f:B": {}}, "f:type": {},
                "f:metadata": {
                    "f:labels": {"f:secrets.phase.dev/managed": {}, "f:tier": {}},
                    "f:annotations": {"f:secrets.phase.dev/content-hash": {}, "f:secrets.phase.dev/phasesecret": {}},
                    "f:ownerReferences": {"k:{\"uid\":\"5b1c\"}": {}},
                },
            }},
            {"manager": "kubectl-label", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {"f:foreign": {}}}}},
        ],
    });
    change(&mut metadata);
    let mut metadata = serde_json::from_value(metadata).unwrap();
    brief(&mut metadata);
    PartialObjectMeta {
        metadata,
        ..PartialObjectMeta::default()
    }
}

fn is_as_wished(live: &PartialObjectMeta<Secret>, data: &str, hash: &str) -> bool {
    let output = Output {
        secret: SecretName {
            namespace: "team".to_owned(),
            name: "out".to_owned(),
        },
        form: Form {
            kind: "Opaque".to_owned(),
            rules: NameRules::default(),
        },
        labels: [("tier".to_owned(), "web".to_owned())].into(),
        annotations: BTreeMap::new(),
        takes: false,
        recreates: false,
        is_owned: true,
        may_be_empty: None,
    };
    let owner = serde_json::from_value(
        json!({"apiVersion": "v", "kind": "PhaseSecret", "name": "shop", "uid": "5b1c"}),
    );
    let owner = owner.unwrap();
    let data = serde_json::from_str(data).unwrap();
    let write = Write {
        output: &output,
        data,
        hash,
        annotations: [("secrets.phase.dev/phasesecret", "team/shop")].into(),
        owner: Some(&owner),
        predecessors: Predecessors::default(),
        is_kept: true,
        without: Without::default(),
    };
    is_so(live, &write)
}

const DATA: &str = r#"{"A":"","B":"Yg=="}"#;

#[test]
fn what_was_written_and_is_ours_still_is_as_wished() {
    assert!(is_as_wished(&live(|_| ()), DATA, "1f"));
    let more = live(|metadata| metadata["labels"]["more"] = json!("foreign"));
    assert!(is_as_wished(&more, DATA, "1f"), "what others add is theirs");
}

#[test]
fn whatever_is_other_than_wished_is_written() {
    let plain = live(|_| ());
    assert!(!is_as_wished(&plain, DATA, "2e"), "another content");
    assert!(!is_as_wished(&plain, r#"{"A":""}"#, "1f"), "a key less");
    let changes: [fn(&mut Value); 8] = [
        // Somebody has set it, so it is his.
        |it| {
            drop(
                it["managedFields"][0]["fieldsV1"]["f:data"]
                    .as_object_mut()
                    .unwrap()
                    .remove("f:A"),
            )
        },
        |it| it["managedFields"][0]["fieldsV1"]["f:data"]["f:C"] = json!({}),
        |it| it["labels"]["tier"] = json!("api"),
        |it| drop(it["labels"].as_object_mut().unwrap().remove("tier")),
        |it| it["annotations"]["secrets.phase.dev/phasesecret"] = json!("team/other"),
        |it| it["ownerReferences"] = json!([]),
        |it| it["managedFields"][0]["manager"] = json!("somebody"),
        // Phase's operator has left something.
        |it| it["managedFields"][1]["manager"] = json!("phase-operator"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(!is_as_wished(&live(change), DATA, "1f"), "{number}");
    }
    let bare = live(|it| drop(it.as_object_mut().unwrap().remove("managedFields")));
    assert!(!is_as_wished(&bare, DATA, "1f"));
}
