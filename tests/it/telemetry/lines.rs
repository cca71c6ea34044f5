//! Log lines: each with the id of the call it belongs to, and who got what.

use std::collections::BTreeMap;

use super::*;
use crate::phase_http::server::{Reply, Server};

/// The lines that are JSON objects, by the id of their call; none is `""`.
fn by_call(output: &str) -> BTreeMap<String, Vec<Value>> {
    let mut calls: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for line in output.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let id = line["span"]["request_id"].as_str().unwrap_or_default();
        calls.entry(id.to_owned()).or_default().push(line);
    }
    calls
}

fn with<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines
        .iter()
        .filter(|line| line["message"] == message)
        .collect()
}

#[tokio::test]
async fn every_line_of_a_call_has_its_id_and_no_other_line_has() {
    let scene = Scene::start(&[&QUICK[..], &["--log-format", "json"]].concat()).await;
    scene.publish(&class(), "a").await.unwrap();
    scene.publish(&class(), "a").await.unwrap();
    assert!(
        scene
            .publish(&json!({"phaseApp": "other"}), "b")
            .await
            .is_err()
    );
    let asked = scene.emulator.control().requests().tokens;
    let control = scene.emulator.control();
    // The last one may not have been answered when the daemon stops.
    eventually(async || (control.requests().tokens >= asked + 4).then_some(())).await;
    let output = scene.daemon.stop().await.output;
    let mut calls = by_call(&output);
    let none = calls.remove("").unwrap();
    assert_eq!(calls.len(), 3, "{output}");
    assert!(calls.keys().all(|id| id.len() == 16));
    let cold: Vec<_> = calls
        .values()
        .filter(|lines| !with(lines, "mounted").is_empty())
        .collect();
    let [cold] = cold[..] else { panic!("{output}") };
    assert_eq!(with(cold, "asked Phase").len(), 2, "{output}");
    assert_eq!(with(cold, "mount answered").len(), 1);
    let answered = calls
        .values()
        .filter(|lines| !with(lines, "mount answered").is_empty());
    assert_eq!(answered.count(), 2);
    let refused: Vec<_> = calls
        .values()
        .flat_map(|lines| with(lines, "mount refused"))
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["cause"], "not_found");
    // Polls belong to no call.
    assert!(with(&none, "asked Phase").len() >= 3, "{output}");
    for message in ["mounted", "mount answered", "mount refused"] {
        assert!(with(&none, message).is_empty());
    }
}

#[tokio::test]
async fn phase_hears_the_id_of_the_call_that_asks() {
    let answer = r#"{"wrapped_key_share": "00", "apps": []}"#;
    let server = Server::start([Reply::json(answer)]).await;
    let host = server.host().to_string();
    let daemon = Daemon::start(&["--phase-host", &host, "--log-format", "json"]).await;
    let token = Emulator::start(Options::new(seed()))
        .await
        .unwrap()
        .control()
        .token("ci")
        .unwrap();
    assert!(daemon.publish(&token, &class(), "a").await.is_err());
    let ids: Vec<_> = by_call(&daemon.stop().await.output).into_keys().collect();
    let [_, id] = &ids[..] else { panic!("{ids:?}") };
    let asked = &server.requests()[0];
    assert!(
        asked.contains(&format!("\r\nx-request-id: {id}\r\n")),
        "{asked}"
    );
}

#[tokio::test]
async fn a_person_sees_the_id_before_the_line() {
    let scene = Scene::start(&["--log-format", "text"]).await;
    scene.publish(&class(), "a").await.unwrap();
    let output = scene.daemon.stop().await.output;
    let line = output
        .lines()
        .find(|line| line.contains(" mounted "))
        .unwrap();
    assert!(line.contains("call{request_id="), "{line}");
}

#[tokio::test]
async fn what_is_new_to_a_pod_is_one_audit_line() {
    let scene = Scene::start(&["--log-format", "json", "--log-level", "warn"]).await;
    for pod in ["a", "a", "b"] {
        scene.publish(&class(), pod).await.unwrap();
    }
    let output = scene.daemon.stop().await.output;
    let calls = by_call(&output);
    let lines: Vec<_> = calls.values().flatten().collect();
    assert_eq!(lines.len(), 2, "{output}");
    assert!(!output.contains("canary value") && !output.contains("CANARY_KEY"));
    let line = lines
        .iter()
        .find(|line| line["source"] == "backend")
        .unwrap();
    for (field, value) in [
        ("level", json!("INFO")),
        ("target", json!("audit")),
        ("message", json!("mounted")),
        ("namespace", json!("shop")),
        ("pod", json!("web-0")),
        ("service_account", json!("web")),
        ("class", json!("shop/keys")),
        ("app", json!("CANARY_APP")),
        ("environments", json!("production")),
        ("folders", json!("/")),
        ("files", json!(1)),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert_eq!(line["version"].as_str().unwrap().len(), 16);
    assert!(line["milliseconds"].as_u64().is_some() && line["timestamp"].is_string());
}

#[tokio::test]
async fn who_wants_errors_alone_gets_no_audit_lines() {
    let scene = Scene::start(&["--log-level", "error"]).await;
    scene.publish(&class(), "a").await.unwrap();
    let output = scene.daemon.stop().await.output;
    assert_eq!(output, "");
}

#[tokio::test]
async fn a_namespace_that_floods_the_log_is_cut_short_and_counted_and_others_are_not() {
    let scene = Scene::start(&["--log-format", "json"]).await;
    let wrong = json!({"phaseApp": "other"});
    for _ in 0..100 {
        assert!(scene.publish(&wrong, "a").await.is_err());
    }
    let quiet = json!({"phaseApp": "other", "csi.storage.k8s.io/pod.namespace": "quiet"});
    assert!(scene.publish(&quiet, "b").await.is_err());
    for pod in ["c", "d", "e"] {
        scene.publish(&class(), pod).await.unwrap();
    }
    let output = scene.daemon.stop().await.output;
    let lines: Vec<Value> = by_call(&output).into_values().flatten().collect();
    // Of the last one nothing was left out, and who got what is always written.
    assert_eq!(with(&lines, "mount refused").len(), 60 + 1);
    assert_eq!(with(&lines, "mounted").len(), 3);
    let counted: Vec<_> = lines
        .iter()
        .filter(|line| line["left_out"].is_u64())
        .collect();
    let [counted] = counted[..] else {
        panic!("{output}")
    };
    let text = "lines of one namespace were left out: it wrote more than 60 in a minute";
    assert_eq!(
        (
            &counted["message"],
            &counted["namespace"],
            &counted["left_out"]
        ),
        (&json!(text), &json!("shop"), &json!(40))
    );
}

#[tokio::test]
async fn of_the_warnings_of_one_mount_a_few_are_written_and_the_others_counted() {
    let scene = Scene::start(&["--log-format", "json"]).await;
    let control = scene.emulator.control();
    for number in 0..50 {
        let key = format!("KEY_{number}");
        control
            .put_secret("CANARY_APP", "production", "/", &key, "${NONE}")
            .unwrap();
    }
    let class = json!({"phaseApp": "CANARY_APP", "onSecretReferenceError": "Warn"});
    scene.publish(&class, "a").await.unwrap();
    let output = scene.daemon.stop().await.output;
    let lines: Vec<Value> = by_call(&output).into_values().flatten().collect();
    let warned = lines.iter().filter(|line| line["level"] == "WARN");
    let texts: Vec<_> = warned
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    assert_eq!(texts.len(), 4, "{output}");
    assert!(
        texts[..3].iter().all(|text| text.contains("NONE")),
        "{texts:?}"
    );
    assert_eq!(texts[3], "47 more references cannot be resolved");
}
