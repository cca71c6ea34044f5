//! `docs/managed-secrets.md` has every field of a `PhaseSecret` with its default, and
//! every reason of its conditions; and what pages and examples show of it is taken.

use std::collections::{BTreeMap, BTreeSet};

use phase_csi_provider::class::KNOWN_MIRROR_FIELDS;
use phase_csi_provider::managed::plan::Plan;
use phase_csi_provider::managed::resource::PhaseSecret;
use phase_csi_provider::managed::status::Reason;
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::host::Host;
use serde_json::{Value, json};

use super::blocks::pages;
use super::{file, first_column_of};

const PAGE: &str = "docs/managed-secrets.md";
const OUTPUTS: &str = "managedSecretReferences";

/// The schema of `spec`.
fn schema() -> Value {
    let crd: Value = serde_saphyr::from_str(&file("daemonset/crd.yaml")).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// The fields below a schema that hold no further fields: their paths and defaults.
fn leaves(schema: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    };
    if let Some(fields) = schema["properties"].as_object() {
        for (name, field) in fields {
            leaves(field, &below(name), found);
        }
    } else if schema["additionalProperties"]["properties"].is_object() {
        leaves(&schema["additionalProperties"], &below("<KEY>"), found);
    } else {
        found.insert(path.to_owned(), schema["default"].clone());
    }
}

#[test]
fn the_page_has_every_field_with_its_default() {
    let schema = schema();
    let page = file(PAGE);
    let tables = [
        ("Fields of `spec`", &schema),
        (
            "Fields of an entry of `managedSecretReferences`",
            &schema["properties"][OUTPUTS]["items"],
        ),
    ];
    for (heading, schema) in tables {
        let mut fields = BTreeMap::new();
        leaves(schema, "", &mut fields);
        let names = fields.keys().cloned().collect();
        assert_eq!(first_column_of(PAGE, heading), names, "{heading}");
        for (name, default) in fields {
            let default = match default {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| `{name}` ")));
            let shown = row.unwrap().rsplit('|').nth(1).unwrap();
            assert!(shown.contains(&format!("`{default}`")), "{name}: {default}");
        }
    }
}

#[test]
fn the_page_has_every_field_of_a_mirror() {
    let fields = KNOWN_MIRROR_FIELDS.map(str::to_owned).into();
    assert_eq!(first_column_of(PAGE, "Mirror of a class"), fields);
}

#[test]
fn the_page_has_every_reason() {
    let source = file("src/managed/status.rs");
    let arms = source.lines().filter_map(|line| {
        let (name, text) = line.trim().strip_prefix("Self::")?.split_once(" => \"")?;
        (text.strip_suffix("\",")? == name).then(|| name.to_owned())
    });
    let reasons: BTreeSet<_> = arms.collect();
    assert!(reasons.len() > 15, "{reasons:?}");
    assert_eq!(first_column_of(PAGE, "Reasons"), reasons);
    // Those that have a figure of their own, too.
    let counted = Reason::ALL.map(|reason| reason.as_str().to_owned());
    assert_eq!(BTreeSet::from(counted), reasons);
}

/// Whether a value has no field but those of its schema.
fn is_known(value: &Value, schema: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let known = match schema["properties"].as_object() {
                Some(known) => known.get(name),
                None => Some(&schema["additionalProperties"]),
            };
            known.is_some_and(|known| is_known(value, known))
        }),
        Value::Array(items) => items.iter().all(|item| is_known(item, &schema["items"])),
        _ => true,
    }
}

#[test]
fn every_resource_that_is_shown_is_taken() {
    let schema = schema();
    let hosts = AllowedHosts::new(Host::default(), &["*"]).unwrap();
    let mut seen = 0;
    for page in pages() {
        for block in page.blocks() {
            if !block.text.contains("kind: PhaseSecret\n") {
                continue;
            }
            let documents: Vec<Value> = serde_saphyr::from_multiple(&block.text).unwrap();
            for object in documents
                .iter()
                .filter(|object| object["kind"] == json!("PhaseSecret"))
            {
                assert!(is_known(&object["spec"], &schema), "{}", block.place);
                let resource: PhaseSecret = serde_json::from_value(object.clone()).unwrap();
                let namespace = resource.metadata.namespace.unwrap();
                let plan = Plan::of(&namespace, &resource.spec, &hosts);
                plan.unwrap_or_else(|mistakes| panic!("{}: {mistakes}", block.place));
                seen += 1;
            }
        }
    }
    assert!(seen > 1, "{seen}");
}
