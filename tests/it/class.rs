//! What a class may say, and the text of every mistake.

use std::time::Duration;

use phase_csi_provider::cause::Cause;
use phase_csi_provider::class::{Attributes, Class, KNOWN_PARAMETERS};
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::environment::Tag;
use phase_csi_provider::phase::host::Host;
use phase_csi_provider::phase::selection::AppSelector;
use phase_csi_provider::phase::{OnReferenceError, Selection};
use phase_csi_provider::render::encoding::Encoding;
use serde_json::{Map, Value, json};

fn parse(parameters: Value) -> Result<Class, String> {
    let hosts = AllowedHosts::new(Host::default(), &[] as &[&str]).unwrap();
    let mut attributes: Map<String, Value> = Map::new();
    attributes.insert("csi.storage.k8s.io/pod.namespace".to_owned(), json!("shop"));
    attributes.insert("secretProviderClass".to_owned(), json!("keys"));
    attributes.extend(parameters.as_object().unwrap().clone());
    let attributes = Attributes::parse(&Value::from(attributes).to_string()).unwrap();
    Class::parse(&attributes, &hosts).map_err(|error| {
        assert_eq!(error.cause(), Cause::InvalidClass);
        error.to_string()
    })
}

fn mistake(parameters: Value) -> String {
    let text = parse(parameters).unwrap_err();
    let text = text.strip_prefix("SecretProviderClass shop/keys: ");
    text.expect("every error names the class").to_owned()
}

fn only(class: &Class) -> &Selection {
    assert_eq!(class.query.selections.len(), 1);
    &class.query.selections[0]
}

#[test]
fn the_class_of_three_lines_is_complete() {
    let class = parse(json!({"phaseApp": "keyspace.cloud", "phaseAppEnv": "production"})).unwrap();
    assert_eq!(
        class.query.app,
        AppSelector::Name("keyspace.cloud".to_owned())
    );
    let selection = only(&class);
    assert_eq!(selection.environment, "production");
    assert_eq!(selection.filter.folder.as_str(), "/");
    assert!(!selection.filter.recursive && selection.filter.tags.is_empty());
    assert_eq!(class.query.host.to_string(), "https://console.phase.dev");
    assert_eq!(class.query.on_reference_error, OnReferenceError::Fail);
    assert_eq!(class.layout.objects[0].mode, 0o644);
    assert!(!class.layout.allow_empty);
}

#[test]
fn every_parameter_is_read() {
    let class = parse(json!({
        "phaseHost": "https://console.phase.dev/",
        "phaseApp": "ignored where there is an id",
        "phaseAppId": "a1",
        "maxStale": "24h",
        "phaseAppEnv": " Staging ",
        "phaseAppEnvPath": "backend//db/",
        "recursive": "true",
        "phaseAppEnvTag": "certs, DB_creds,",
        "onSecretReferenceError": "Warn",
        "filePermission": "0640",
        "allowEmpty": "true",
        "nameTransformer": "camel",
        "processors": "B: {asName: bee, type: base64}\nC_D: {nameTransformer: lower-kebab}",
        "objects": "- exclude: [X]",
    }))
    .unwrap();
    assert_eq!(class.query.app, AppSelector::Id("a1".to_owned()));
    let selection = only(&class);
    assert_eq!(selection.environment, "Staging");
    assert_eq!(selection.filter.folder.as_str(), "/backend/db");
    assert_eq!(
        selection.filter.tags,
        [Tag::parse("certs"), Tag::parse("DB_creds")]
    );
    assert!(selection.filter.recursive && class.layout.allow_empty);
    assert_eq!(class.query.on_reference_error, OnReferenceError::Warn);
    let object = &class.layout.objects[0];
    assert_eq!(object.mode, 0o640);
    assert_eq!(object.rules.name("DB_HOST"), "dbHost");
    assert_eq!(object.rules.name("B"), "bee");
    assert_eq!(object.rules.name("C_D"), "c-d");
    assert_eq!(object.encoding_of("B"), Encoding::Base64);
    assert_eq!(class.max_stale, Some(Duration::from_secs(86_400)));
    assert_eq!(KNOWN_PARAMETERS.len(), 15);
}

#[test]
fn every_mistake_has_its_text() {
    let with = |name: &str, value: &str| {
        let mut parameters = json!({"phaseApp": "a"});
        parameters[name] = json!(value);
        mistake(parameters)
    };
    assert_eq!(
        mistake(json!({})),
        "phaseApp is missing: name the app, or give its id as phaseAppId"
    );
    assert_eq!(
        with("phaseApp", " "),
        "phaseApp is empty: name the app, or leave it out and give phaseAppId"
    );
    assert_eq!(
        with("phaseAppId", ""),
        "phaseAppId is empty: give the app's id, or leave it out and give phaseApp"
    );
    assert_eq!(
        with("phaseAppEnv", ""),
        "phaseAppEnv is empty: name the environment, or leave it out for production"
    );
    assert_eq!(
        with("phaseEnv", "x"),
        "unknown parameter \"phaseEnv\": did you mean \"phaseAppEnv\"?"
    );
    assert_eq!(
        with("colour", "x"),
        "unknown parameter \"colour\": remove it"
    );
    assert_eq!(
        with("recursive", "yes"),
        "recursive \"yes\" is not one of \"false\", \"true\""
    );
    assert_eq!(
        with("allowEmpty", "True"),
        "allowEmpty \"True\" is not one of \"false\", \"true\": did you mean \"true\"?"
    );
    assert_eq!(
        with("onSecretReferenceError", "warn"),
        "onSecretReferenceError \"warn\" is not one of \"Fail\", \"Warn\": did you mean \"Warn\"?"
    );
    for value in [
        "", "0", "0000", "rw", "0888", "1777", "644o", "-644", "+644", "64",
    ] {
        assert_eq!(
            with("filePermission", value),
            format!(
                "filePermission {value:?} is not an octal permission from 0001 to 0777: write for example \"0644\""
            )
        );
    }
    for value in ["", "1d", "24", "-1h", "ever"] {
        assert_eq!(
            with("maxStale", value),
            format!(
                "maxStale is {value:?}, which is not a duration like 90s, 2m, 1h or 500ms: for example \"24h\", or \"0s\" for never"
            )
        );
    }
    let text = with("phaseHost", "https://evil.example");
    assert!(
        text.starts_with("phaseHost: ") && text.contains("--allowed-host"),
        "{text}"
    );
}

#[test]
fn a_token_in_a_class_is_never_quoted() {
    for name in [
        "phaseApp",
        "phaseAppEnv",
        "token",
        "phaseHost",
        "recursive",
        "objects",
        "processors",
    ] {
        let mut parameters = json!({"phaseApp": "a"});
        parameters[name] = json!("pss_service:v2:c0ffee");
        let text = mistake(parameters);
        assert!(
            text.contains(&format!("{name:?} holds a Phase token: remove it")),
            "{text}"
        );
        assert!(!text.contains("c0ffee"), "{text}");
        assert!(!text.contains("empty"), "{text}");
    }
}

#[test]
fn all_mistakes_of_a_class_come_together_and_stay_short() {
    let text = mistake(json!({"phaseAp": "a", "recursive": "1", "filePermission": "9"}));
    assert_eq!(
        text,
        "4 mistakes: unknown parameter \"phaseAp\": did you mean \"phaseApp\"?; \
         phaseApp is missing: name the app, or give its id as phaseAppId; \
         recursive \"1\" is not one of \"false\", \"true\"; \
         filePermission \"9\" is not an octal permission from 0001 to 0777: write for example \"0644\""
    );
    let many: Map<String, Value> = (0..50)
        .map(|n| (format!("{n}").repeat(30), json!("x")))
        .collect();
    let text = mistake(Value::from(many));
    assert!(
        text.len() < 450 && text.contains(" more"),
        "{}: {text}",
        text.len()
    );
}
