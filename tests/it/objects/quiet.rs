//! Nothing that is made of a secret is written anywhere but into its file.

use serde_json::json;

use super::Shop;

const OBJECTS: &str = "\
- {secretKey: GCP, field: /key/pem, objectName: pem}
- {objectName: .env, format: dotenv, path: /db}
- {objectName: conf, path: /db, template: \"{{ PASSWORD|b64encode }}\"}
- {secretKey: KEYSTORE, encoding: base64}
";

/// Objects that fail over their values, each in its own way.
const FAILING: [&str; 8] = [
    "- {secretKey: API_KEY, encoding: base64}",
    "- {secretKey: API_KEY, encoding: hex}",
    "- {secretKey: API_KEY, field: /a}",
    "- {secretKey: GCP, field: /key/none}",
    "- {objectName: e, include: [KEYSTORE], encoding: base64, format: dotenv}",
    "- {objectName: t, template: \"{{ API_KEY|indent(900) }}\"}",
    "- {objectName: t, template: \"{{ secrets[API_KEY] }}\"}",
    "- {objectName: t, template: \"{{ API_KEY|b64decode }}\"}",
];

#[tokio::test]
async fn no_value_is_in_any_log_or_error() {
    let shop = Shop::open().await;
    let answer = shop.mount(json!({ "objects": OBJECTS })).await.unwrap();
    assert_eq!(answer.files.len(), 4);
    let mut written = String::new();
    for objects in FAILING {
        written += shop.refusal(json!({ "objects": objects })).await.message();
    }
    let ended = shop.daemon.stop().await;
    assert!(ended.output.contains("DEBUG"), "{}", ended.output);
    written += &ended.output;
    let canaries = [
        "production key",
        "staging key",
        "$ecret",
        "deadbeef",
        "AP8Q",
        "LS0t",
    ];
    for canary in canaries {
        assert!(!written.contains(canary), "{canary:?} was written");
    }
    for file in answer.files {
        let text = String::from_utf8_lossy(&file.contents).into_owned();
        assert!(!written.contains(&text), "{} was written", file.path);
    }
}
