//! Kubernetes Secrets that the driver makes of the files.

use std::collections::BTreeMap;

use phase_csi_cluster::{Line, Node, Pod, eventually, secret};
use serde_json::{Value, json};

/// A certificate and its key for `shop.test`, made once by openssl for this suite.
const CERTIFICATE: &str = include_str!("tls.crt");
const KEY: &str = include_str!("tls.key");

async fn pod(node: &Node, extra: Value, secret_objects: Value) -> Pod {
    node.class("synced", extra, secret_objects).await;
    node.pod_of(&node.namespace, "web", "synced").await
}

async fn data(node: &Node, name: &str) -> BTreeMap<String, Vec<u8>> {
    eventually("the synced Secret", async || {
        node.namespace.secret_data(name).await
    })
    .await
}

#[tokio::test]
async fn secret_objects_become_a_secret_with_the_right_bytes() {
    let node = Node::with(
        "synced",
        vec![
            secret("/", "USER", "shop"),
            secret("/db", "PASSWORD", "Grüße\n\u{1}"),
            secret("/", "NOT_LISTED", "x"),
        ],
    );
    let node = node.start().await;
    let objects = json!([{
        "secretName": "database", "type": "Opaque",
        "labels": {"team": "shop"}, "annotations": {"note": "made by the driver"},
        "data": [
            {"objectName": "USER", "key": "username"},
            {"objectName": "db/PASSWORD", "key": "password"},
        ],
    }]);
    let pod = pod(&node, json!({"recursive": "true"}), objects).await;
    pod.mount().await.unwrap();
    let expected = [("password", "Grüße\n\u{1}"), ("username", "shop")];
    let expected: BTreeMap<_, _> = expected
        .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
        .into();
    assert_eq!(data(&node, "database").await, expected);
    let made = node.namespace.secret("database").await.unwrap();
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    let labels = made.metadata.labels.unwrap();
    assert_eq!(labels["secrets-store.csi.k8s.io/managed"], "true");
    assert_eq!(labels["team"], "shop");
    assert_eq!(
        made.metadata.annotations.unwrap()["note"],
        "made by the driver"
    );
}

#[tokio::test]
async fn a_synced_secret_follows_a_change() {
    let node = Node::with("sync-change", vec![secret("/", "KEY", "one")])
        .start()
        .await;
    let objects = json!([{"secretName": "copy", "type": "Opaque", "data": [{"objectName": "KEY", "key": "KEY"}]}]);
    let pod = pod(&node, json!({}), objects).await;
    pod.mount().await.unwrap();
    assert_eq!(data(&node, "copy").await["KEY"], b"one");
    node.phase.set("/", "KEY", "two");
    eventually("the Secret's new bytes", async || {
        pod.publish().await.unwrap();
        (data(&node, "copy").await["KEY"] == b"two").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_secret_belongs_to_the_record_of_a_bare_pod() {
    let node = Node::with("owners", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let objects = json!([{"secretName": "copy", "type": "Opaque", "data": [{"objectName": "KEY", "key": "KEY"}]}]);
    let pod = pod(&node, json!({}), objects).await;
    pod.mount().await.unwrap();
    let owners = eventually("an owner", async || {
        node.namespace
            .secret("copy")
            .await?
            .metadata
            .owner_references
    })
    .await;
    assert_eq!(owners.len(), 1);
    assert_eq!(owners[0].kind, "SecretProviderClassPodStatus");
    assert_eq!(owners[0].name, "web-owners-synced");
}

#[tokio::test]
async fn a_secret_of_two_deployments_belongs_to_both() {
    let node = Node::with("two-owners", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let objects = json!([{"secretName": "shared", "type": "Opaque", "data": [{"objectName": "KEY", "key": "KEY"}]}]);
    node.class("synced", json!({}), objects).await;
    for name in ["shop", "cart"] {
        node.pod_of_replica_set(name, &format!("{name}-1"), "synced")
            .await
            .mount()
            .await
            .unwrap();
    }
    eventually("both owners", async || {
        let owners = node
            .namespace
            .secret("shared")
            .await?
            .metadata
            .owner_references?;
        let mut names: Vec<_> = owners
            .iter()
            .map(|owner| format!("{}/{}", owner.kind, owner.name))
            .collect();
        names.sort();
        (names == ["ReplicaSet/cart", "ReplicaSet/shop"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_overwritten_by_1_6_and_left_alone_before() {
    let node = Node::with(
        "foreign",
        vec![secret("/", "KEY", "from phase"), secret("/", "OTHER", "x")],
    )
    .start()
    .await;
    node.namespace
        .foreign_secret("taken", "KEY", "by hand")
        .await;
    let object = |name| json!({"secretName": name, "type": "Opaque", "data": [{"objectName": "KEY", "key": "KEY"}]});
    // They are made in this order: once the second is there, the first was dealt with.
    let pod = pod(&node, json!({}), json!([object("taken"), object("free")])).await;
    pod.mount().await.unwrap();
    assert_eq!(data(&node, "free").await["KEY"], b"from phase");
    match node.line() {
        Line::From16 => assert_eq!(data(&node, "taken").await["KEY"], b"from phase"),
        Line::UpTo15 => {
            let failed = "failed to patch secret taken with new data";
            eventually("a rotation to pass it by", async || {
                let events = node.namespace.events().await;
                events
                    .iter()
                    .any(|(_, text)| text.contains(failed))
                    .then_some(())
            })
            .await;
            assert_eq!(data(&node, "taken").await["KEY"], b"by hand");
        }
    }
}

#[tokio::test]
async fn a_tls_secret_is_made_of_one_file_or_of_two() {
    let node = Node::with(
        "tls",
        vec![
            secret("/", "BUNDLE", &format!("{KEY}{CERTIFICATE}")),
            secret("/", "CERTIFICATE", CERTIFICATE),
            secret("/", "KEY", KEY),
        ],
    );
    let node = node.start().await;
    let object = |name: &str, certificate: &str, key: &str| {
        json!({"secretName": name, "type": "kubernetes.io/tls", "data": [
            {"objectName": certificate, "key": "tls.crt"}, {"objectName": key, "key": "tls.key"},
        ]})
    };
    let objects = json!([
        object("one", "BUNDLE", "BUNDLE"),
        object("two", "CERTIFICATE", "KEY")
    ]);
    let pod = pod(&node, json!({}), objects).await;
    pod.mount().await.unwrap();
    for name in ["one", "two"] {
        let data = data(&node, name).await;
        assert_eq!(
            String::from_utf8_lossy(&data["tls.crt"]),
            CERTIFICATE,
            "{name}"
        );
        let key = String::from_utf8_lossy(&data["tls.key"]);
        assert!(
            key.starts_with("-----BEGIN EC PRIVATE KEY-----") && key.len() > 150,
            "{name}"
        );
    }
}

#[tokio::test]
async fn docker_credentials_become_a_secret_of_their_type() {
    let credentials = r#"{"auths":{"registry.test":{"auth":"dTpw"}}}"#;
    let node = Node::with("docker", vec![secret("/", "PULL", credentials)])
        .start()
        .await;
    let objects = json!([{"secretName": "pull", "type": "kubernetes.io/dockerconfigjson",
        "data": [{"objectName": "PULL", "key": ".dockerconfigjson"}]}]);
    let pod = pod(&node, json!({}), objects).await;
    pod.mount().await.unwrap();
    assert_eq!(
        data(&node, "pull").await[".dockerconfigjson"],
        credentials.as_bytes()
    );
    let made = node.namespace.secret("pull").await.unwrap();
    assert_eq!(
        made.type_.as_deref(),
        Some("kubernetes.io/dockerconfigjson")
    );
}

#[tokio::test]
async fn an_object_that_is_not_mounted_is_told_as_an_event() {
    let node = Node::with("not-mounted", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    let objects = json!([{"secretName": "copy", "type": "Opaque", "data": [{"objectName": "KYE", "key": "KEY"}]}]);
    let pod = pod(&node, json!({}), objects).await;
    pod.mount().await.unwrap();
    eventually("the event", async || {
        let events = node.namespace.events().await;
        events
            .iter()
            .any(|(reason, text)| {
                reason == "FailedToCreateSecret"
                    && text.contains("file matching objectName KYE not found in the pod")
            })
            .then_some(())
    })
    .await;
    assert!(node.namespace.secret("copy").await.is_none());
}

#[tokio::test]
async fn decoded_values_and_custom_names_are_exact_in_the_secret() {
    let node = Node::with(
        "sync-decoded",
        vec![
            secret("/", "KEYSTORE", "AAH//oCB"),
            secret("/", "SALT", "00ff80"),
            secret("/", "LOGIN", r#"{"user": "shop", "pin": 7}"#),
            secret("/", "TOKEN", "/w=="),
        ],
    );
    let node = node.start().await;
    let list = "
- {objectName: java/keystore.p12, secretKey: KEYSTORE, encoding: base64}
- {objectName: salt.bin, secretKey: SALT, encoding: hex}
- {objectName: user, secretKey: LOGIN, field: /user}
- {secretKey: TOKEN}
- {objectName: app.json, format: json, include: [LOGIN, SALT]}
";
    let class = json!({"objects": list, "processors": "TOKEN: {asName: token, type: base64}"});
    let named = |object: &str, key: &str| json!({"objectName": object, "key": key});
    let objects = json!([{"secretName": "app", "type": "Opaque", "data": [
        named("java/keystore.p12", "keystore"), named("salt.bin", "salt"), named("user", "user"),
        named("token", "token"), named("app.json", "config.json"),
    ]}]);
    let pod = pod(&node, class, objects).await;
    pod.mount().await.unwrap();
    let json = "{\n  \"LOGIN\": \"{\\\"user\\\": \\\"shop\\\", \\\"pin\\\": 7}\",\n  \"SALT\": \"00ff80\"\n}\n";
    let expected: [(&str, &[u8]); 5] = [
        ("config.json", json.as_bytes()),
        ("keystore", b"\x00\x01\xff\xfe\x80\x81"),
        ("salt", b"\x00\xff\x80"),
        ("token", b"\xff"),
        ("user", b"shop"),
    ];
    let expected = expected.map(|(key, bytes)| (key.to_owned(), bytes.to_vec()));
    assert_eq!(data(&node, "app").await, expected.into());
}

#[tokio::test]
async fn a_synced_secret_follows_the_value_that_a_template_is_made_of() {
    let node = Node::with(
        "sync-template",
        vec![secret("/", "USER", "u"), secret("/", "PASSWORD", "one")],
    );
    let node = node.start().await;
    let list = "
- objectName: pull/config.json
  template: '{\"auths\":{\"registry.test\":{\"auth\":\"{{ (USER ~ \":\" ~ PASSWORD)|b64encode }}\"}}}'
";
    let objects = json!([{"secretName": "pull", "type": "kubernetes.io/dockerconfigjson",
        "data": [{"objectName": "pull/config.json", "key": ".dockerconfigjson"}]}]);
    let pod = pod(&node, json!({"objects": list}), objects).await;
    pod.mount().await.unwrap();
    let credentials = |login: &str| {
        format!(r#"{{"auths":{{"registry.test":{{"auth":"{login}"}}}}}}"#).into_bytes()
    };
    let first = data(&node, "pull").await;
    assert_eq!(first[".dockerconfigjson"], credentials("dTpvbmU="));
    node.phase.set("/", "PASSWORD", "two");
    eventually("the Secret's new bytes", async || {
        pod.publish().await.unwrap();
        let now = data(&node, "pull").await;
        (now[".dockerconfigjson"] == credentials("dTp0d28=")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_tls_secret_is_made_of_a_bundle_from_a_template() {
    let node = Node::with(
        "tls-template",
        vec![
            secret("/tls", "TLS_CERT", &format!("\n{CERTIFICATE}\n")),
            secret("/tls", "TLS_KEY", KEY.trim_end()),
        ],
    );
    let node = node.start().await;
    let list = "
- objectName: tls/bundle.pem
  path: /tls
  filePermission: 0400
  template: |
    {{ TLS_KEY|trim }}
    {{ TLS_CERT|trim }}
";
    let objects = json!([{"secretName": "edge", "type": "kubernetes.io/tls", "data": [
        {"objectName": "tls/bundle.pem", "key": "tls.crt"},
        {"objectName": "tls/bundle.pem", "key": "tls.key"},
    ]}]);
    let pod = pod(&node, json!({"objects": list}), objects).await;
    pod.mount().await.unwrap();
    let bundle = format!("{KEY}{CERTIFICATE}");
    assert_eq!(pod.volume().text("tls/bundle.pem"), Some(bundle));
    let data = data(&node, "edge").await;
    assert_eq!(String::from_utf8_lossy(&data["tls.crt"]), CERTIFICATE);
    assert!(data["tls.key"].starts_with(b"-----BEGIN EC PRIVATE KEY-----"));
}
