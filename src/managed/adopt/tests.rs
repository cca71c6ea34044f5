#![allow(clippy::unwrap_used, reason = "a test may stop at any surprise")]

use super::*;

fn entry(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
    ManagedFieldsEntry {
        manager: Some(manager.to_owned()),
        operation: Some(operation.to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..ManagedFieldsEntry::default()
    }
}

fn data(keys: &[&str]) -> Value {
    let mut fields = json!({".": {}});
    for key in keys {
        fields[format!("f:{key}")] = json!({});
    }
    json!({"f:data": fields})
}

/// As an apply has it: without the map itself.
fn applied(keys: &[&str]) -> Value {
    let mut fields = data(keys);
    fields["f:data"].as_object_mut().unwrap().remove(".");
    fields
}

fn ours(keys: &[&str]) -> ManagedFieldsEntry {
    entry(FIELD_MANAGER, "Apply", applied(keys))
}

fn python() -> Predecessors {
    Predecessors::of(&["other".to_owned(), FINALIZER.to_owned()])
}

/// Managers with their fields, after the hand-over.
fn after(
    of: Predecessors,
    entries: &[ManagedFieldsEntry],
) -> Option<Vec<(String, Map<String, Value>)>> {
    let entries = of.handed_over(entries)?;
    let pair = |entry: &ManagedFieldsEntry| {
        (
            entry.manager.clone().unwrap(),
            fields(entry).unwrap().clone(),
        )
    };
    Some(entries.iter().map(pair).collect())
}

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

#[test]
fn all_that_the_operator_has_set_becomes_ours() {
    let theirs = entry("OpenAPI-Generator", "Update", data(&["A", "GONE"]));
    let theirs = with(
        &theirs,
        object(json!({"f:data": data(&["A", "GONE"])["f:data"],
            "f:metadata": {"f:labels": {"f:team": {}}}, "f:type": {}})),
    );
    let kubectl = entry(
        "kubectl-label",
        "Update",
        json!({"f:metadata": {"f:labels": {"f:mine": {}}}}),
    );
    let found = after(python(), &[theirs, kubectl.clone(), ours(&["A", "B"])]).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        found[0],
        (
            "kubectl-label".to_owned(),
            fields(&kubectl).unwrap().clone()
        )
    );
    let mut all = data(&["A", "B", "GONE"]);
    all["f:type"] = json!({});
    all["f:metadata"] = json!({"f:labels": {"f:team": {}}});
    assert_eq!(found[1], (FIELD_MANAGER.to_owned(), object(all)));
}

#[test]
fn who_only_may_be_the_operator_loses_what_is_ours_too_and_nothing_is_lost() {
    for of in ["manager", "OpenAPI-Generator"] {
        let theirs = object(json!({"f:data": data(&["A"])["f:data"],
            "f:metadata": {"f:labels": {".": {}, "f:team": {}}}}));
        let theirs = with(&entry(of, "Update", json!({})), theirs);
        let found = after(Predecessors::default(), &[theirs, ours(&["A", "B"])]).unwrap();
        let rest = object(json!({"f:metadata": {"f:labels": {".": {}, "f:team": {}}}}));
        assert_eq!(found[0], (of.to_owned(), rest));
        assert_eq!(
            found[1],
            (FIELD_MANAGER.to_owned(), object(applied(&["A", "B"])))
        );
        // A key that Phase does not have: the Secret may be somebody else's.
        let theirs = entry(of, "Update", data(&["A", "THEIRS"]));
        assert_eq!(
            after(Predecessors::default(), &[theirs, ours(&["A", "B"])]),
            None
        );
        // What is left is left once and for all.
        let theirs = entry(of, "Update", json!({"f:metadata": {"f:labels": {}}}));
        assert_eq!(
            after(Predecessors::default(), &[theirs, ours(&["A"])]),
            None
        );
    }
}

#[test]
fn others_keep_what_they_have() {
    let mut status = entry("phase-operator", "Update", data(&["A"]));
    status.subresource = Some("status".to_owned());
    for theirs in [
        entry("kubectl-edit", "Update", data(&["A"])),
        entry("phase-csi-provider", "Update", data(&["A"])),
        status,
    ] {
        assert_eq!(
            after(python(), &[theirs, ours(&["A"])]),
            None,
            "nothing changes"
        );
    }
    assert!(python().gives_way("kopf") && python().gives_way("phase-operator"));
    assert!(!python().gives_way("manager") && !python().gives_way("kubectl"));
    assert!(!Predecessors::default().gives_way("OpenAPI-Generator"));
}

#[test]
fn a_hand_over_counts_for_one_version_alone() {
    let metadata = ObjectMeta {
        resource_version: Some("7".to_owned()),
        managed_fields: Some(vec![
            entry("phase-operator", "Apply", data(&["A"])),
            ours(&["A"]),
        ]),
        ..ObjectMeta::default()
    };
    let patch = Predecessors::default().hand_over(&metadata).unwrap();
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    assert_eq!(
        patch["metadata"]["managedFields"].as_array().unwrap().len(),
        1
    );
    let metadata = ObjectMeta {
        managed_fields: Some(vec![ours(&["A"])]),
        ..metadata
    };
    assert_eq!(Predecessors::default().hand_over(&metadata), None);
}
