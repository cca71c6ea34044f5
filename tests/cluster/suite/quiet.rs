//! What nobody may read anywhere.

use std::path::PathBuf;

use phase_csi_cluster::{Node, eventually, secret};
use phase_emulator::seed::Secret;
use serde_json::json;

use crate::support::{refusal, refusals, two_refused_rounds};

const VALUE: &str = "canary-in-a-value-7f3a";
const NEW_VALUE: &str = "canary-in-a-new-value-91bc";

#[tokio::test]
async fn no_value_and_no_token_is_in_any_log_event_record_or_state_file() {
    let node = Node::with(
        "quiet",
        vec![secret("/", "KEY", VALUE), secret("/", "REF", "see ${KEY}")],
    )
    .keeps_state()
    .start()
    .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    node.phase.set("/", "KEY", NEW_VALUE);
    pod.republish_until("the new value", |volume| {
        (volume.text("KEY")? == NEW_VALUE).then_some(())
    })
    .await;
    let mut kept = state(&node).await;
    node.phase.revoke_token();
    eventually("a refusal in the provider's log", async || {
        pod.publish().await.unwrap();
        node.provider
            .output()
            .contains("mount refused")
            .then_some(())
    })
    .await;
    let token = node.phase.token();
    let parts = token.split(':').filter(|part| part.len() > 20);
    kept.extend(node.state_files());
    let told = [
        node.provider.output(),
        node.driver.output(),
        node.namespace.readable().await,
        kept.iter().map(readable).collect(),
    ];
    assert!(told.iter().all(|text| !text.is_empty()));
    for forbidden in parts.chain([VALUE, NEW_VALUE]) {
        for (text, place) in told
            .iter()
            .zip(["provider", "driver", "events and records", "state"])
        {
            assert!(!text.contains(forbidden), "{place}: {forbidden}");
        }
    }
}

/// What lies in the provider's state folder, as soon as something does.
async fn state(node: &Node) -> Vec<(PathBuf, Vec<u8>)> {
    eventually("state files", async || {
        Some(node.state_files()).filter(|files| !files.is_empty())
    })
    .await
}

/// A file's path and what can be read in it.
fn readable((path, bytes): &(PathBuf, Vec<u8>)) -> String {
    format!("{} {}\n", path.display(), String::from_utf8_lossy(bytes))
}

/// Values that formats, templates, fields and encodings are made of.
fn shaped() -> Vec<Secret> {
    let text = |key, value| secret("/", key, value);
    vec![
        text("TEXT", "canary text, and no base64, hex or JSON"),
        text(
            "JSON",
            r#"{"key": "canary-field", "other": {"deep": "canary"}}"#,
        ),
        text("NUL", "canary-before-nul\0after"),
        text("BASE64", CANARY_IN_BASE64),
        text("HEX", CANARY_IN_HEX),
        text("BINARY", BINARY_CANARY_IN_BASE64),
    ]
}

const CANARY_IN_BASE64: &str = "Y2FuYXJ5LWRlY29kZWQ=";
const CANARY_IN_HEX: &str = "63616e6172792d686578";
/// `\xffcanary`.
const BINARY_CANARY_IN_BASE64: &str = "/2NhbmFyeQ==";

const ALL_WELL: &str = "
- {objectName: plain, secretKey: TEXT}
- {objectName: field, secretKey: JSON, field: /key}
- {objectName: base64, secretKey: BASE64, encoding: base64}
- {objectName: hex, secretKey: HEX, encoding: hex}
- {objectName: dotenv, format: dotenv, exclude: [NUL]}
- {objectName: json, format: json}
- {objectName: template, template: '{{ TEXT }} {{ BASE64|b64decode }} {{ JSON|json }}'}
";

/// Entries that each fail because of a value.
const FAILING: [&str; 13] = [
    "secretKey: TEXT, encoding: base64",
    "secretKey: TEXT, encoding: hex",
    "secretKey: TEXT, field: /key",
    "secretKey: JSON, field: /nothing",
    "secretKey: JSON, field: /key, encoding: hex",
    "objectName: o, format: shell",
    "objectName: o, format: json, include: [BINARY], encoding: base64",
    "objectName: o, include: [TEXT], template: '{{ TEXT|b64decode }}'",
    "objectName: o, include: [BINARY], encoding: base64, template: '{{ BINARY }}'",
    "objectName: o, include: [TEXT], template: '{{ TEXT - 1 }}'",
    "objectName: o, include: [TEXT], template: '{{ secrets[TEXT] }}'",
    "objectName: o, include: [TEXT], template: '{{ TEXT.canal }}'",
    "objectName: o, template: '{{ TEXT }}{{ MISSING }}'",
];

#[tokio::test]
async fn no_value_that_is_formatted_decoded_or_filled_in_is_told_even_when_it_fails() {
    let node = Node::with("quiet-objects", shaped()).start().await;
    node.class("well", json!({"objects": ALL_WELL}), json!([]))
        .await;
    let pod = node.pod_of(&node.namespace, "web", "well").await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().files().len(), 7);
    let mut told = Vec::new();
    for (number, entry) in FAILING.iter().enumerate() {
        let name = format!("fails-{number}");
        let class = json!({"objects": format!("- {{{entry}}}")});
        node.class(&name, class, json!([])).await;
        let pod = node.pod_of(&node.namespace, &name, &name).await;
        let (_, said) = refusal(&pod).await;
        assert!(
            said.starts_with("objects[0]: ") || said.contains(" mistakes: objects[0]: "),
            "{said}"
        );
        told.push(said);
    }
    // The same in the way of a rotation, which the driver tells on its own.
    assert_eq!(refusals(&node), FAILING.len());
    node.phase.set("/", "BASE64", "canary, no longer base64");
    two_refused_rounds(&node, &pod).await;
    told.extend([
        node.provider.output(),
        node.driver.output(),
        node.namespace.readable().await,
    ]);
    let values = [
        "canary",
        CANARY_IN_BASE64,
        CANARY_IN_HEX,
        BINARY_CANARY_IN_BASE64,
    ];
    for text in told {
        for value in values {
            assert!(!text.contains(value), "{value}: {text}");
        }
    }
}
