//! Name rules, and names that would meet.

use phase_csi_cluster::{Node, secret};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{objects, refusal, texts};

fn with(mut class: Value, parameter: &str, text: &str) -> Value {
    class[parameter] = text.into();
    class
}

#[tokio::test]
async fn name_transformer_names_files_and_the_keys_of_formats_but_not_those_of_templates() {
    let node = Node::with(
        "transformer",
        vec![
            secret("/", "API_KEY", "k"),
            secret("/in/SIDE", "DB_URL", "u"),
        ],
    )
    .start()
    .await;
    let list = r"
- recursive: true
- {objectName: As_Written, secretKey: API_KEY}
- {objectName: all.json, format: json}
- {objectName: t, template: '{{ API_KEY }}'}
";
    let class = with(objects(list), "nameTransformer", "lower-kebab");
    let pod = node.pod("web", class).await;
    pod.mount().await.unwrap();
    let expected = [
        ("As_Written", "k"),
        ("all.json", "{\n  \"api-key\": \"k\"\n}\n"),
        ("api-key", "k"),
        ("in/SIDE/db-url", "u"),
        ("t", "k"),
    ];
    assert_eq!(pod.volume().texts(), texts(expected));
}

#[tokio::test]
async fn every_transformer_makes_the_operators_names() {
    let node = Node::with("transformers", vec![secret("/", "SECRET_KEY", "v")])
        .start()
        .await;
    let transformers = [
        ("camel", "secretKey"),
        ("lower-kebab", "secret-key"),
        ("lower-snake", "secret_key"),
        ("tf-var", "TF_VAR_secret_key"),
        ("upper-camel", "SecretKey"),
        ("upper_snake", "SECRET_KEY"),
    ];
    for (transformer, name) in transformers {
        let class = phase_csi_cluster::parameters(json!({"nameTransformer": transformer}));
        let called = transformer.replace('_', ".");
        node.namespace.class(&called, class, json!([])).await;
        let pod = node.pod_of(&node.namespace, &called, &called).await;
        pod.mount().await.unwrap();
        assert_eq!(pod.volume().texts(), texts([(name, "v")]), "{transformer}");
    }
}

#[tokio::test]
async fn processors_win_over_the_class_for_one_key() {
    let node = Node::with(
        "processors",
        vec![
            secret("/", "AS_NAME", "a"),
            secret("/", "OWN_WAY", "b"),
            secret("/", "BY_CLASS", "c"),
            secret("/", "BINARY_ONE", "AP8="),
        ],
    )
    .start()
    .await;
    let processors = "
AS_NAME: {asName: Chosen.txt, nameTransformer: camel}
OWN_WAY: {nameTransformer: upper-camel, type: plain}
BINARY_ONE: {type: base64}
NOT_THERE: {asName: whatever}
";
    let class = json!({"nameTransformer": "lower-kebab", "processors": processors});
    let pod = node.pod("web", class).await;
    pod.mount().await.unwrap();
    let files = pod.volume().files();
    let bytes = files
        .iter()
        .map(|(name, file)| (name.as_str(), &file.bytes[..]));
    let expected: [(&str, &[u8]); 4] = [
        ("Chosen.txt", b"a"),
        ("OwnWay", b"b"),
        ("binary-one", b"\x00\xff"),
        ("by-class", b"c"),
    ];
    assert_eq!(bytes.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn processors_rule_the_entries_of_objects_too() {
    let node = Node::with(
        "processors-objects",
        vec![secret("/", "USER", "dQ=="), secret("/", "PASSWORD", "p")],
    )
    .start()
    .await;
    let list = "
- secretKey: USER
- {objectName: as-stored, secretKey: USER, encoding: utf-8}
- {objectName: login.json, format: json}
- {objectName: login.conf, template: '{{ USER }}:{{ PASSWORD }}'}
";
    let processors = "USER: {asName: login, type: base64}";
    let class = with(objects(list), "processors", processors);
    let pod = node.pod("web", class).await;
    pod.mount().await.unwrap();
    let json = "{\n  \"PASSWORD\": \"p\",\n  \"login\": \"u\"\n}\n";
    let expected = [
        ("as-stored", "dQ=="),
        ("login", "u"),
        ("login.conf", "u:p"),
        ("login.json", json),
    ];
    assert_eq!(pod.volume().texts(), texts(expected));
}

#[tokio::test]
async fn two_objects_of_one_file_are_refused_before_anything_is_fetched() {
    let node = Node::with("same-object", vec![secret("/", "A", "a")])
        .start()
        .await;
    let list = "
- {objectName: etc/app, secretKey: A}
- {objectName: other, secretKey: A}
- {objectName: etc/app, format: json}
- {objectName: other/below, secretKey: B}
";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    for part in [
        r#"objects[0] and objects[2] would be one file "etc/app""#,
        r#"file "other" of objects[1] would also be a folder, for objects[3]"#,
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!((node.phase.requests(), node.phase.connections()), (0, 0));
}

#[tokio::test]
async fn two_secrets_that_a_transformer_maps_to_one_name_are_both_named() {
    let node = Node::with(
        "same-name",
        vec![
            secret("/", "API_KEY", "canary"),
            secret("/", "api-key", "canary"),
        ],
    )
    .start()
    .await;
    let pod = node
        .pod("web", json!({"nameTransformer": "lower-kebab"}))
        .await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    assert_eq!(
        said,
        r#"secret "API_KEY" in folder "/" and secret "api-key" in folder "/" would be one file "api-key": give one of them another name by asName in processors"#
    );
    let processors = "api-key: {asName: second}";
    let class = with(
        json!({"nameTransformer": "lower-kebab"}),
        "processors",
        processors,
    );
    node.edit_class(class).await;
    pod.mount_at_last().await;
    assert_eq!(pod.volume().names(), ["api-key", "second"]);
}

#[tokio::test]
async fn two_secrets_of_one_name_in_a_format_are_both_named() {
    let node = Node::with(
        "same-in-format",
        vec![secret("/a", "KEY", "canary"), secret("/b", "KEY", "canary")],
    )
    .start()
    .await;
    let list = "- {objectName: all.env, format: dotenv, recursive: true}";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    assert!(
        said.starts_with(
            r#"objects[0]: secret "KEY" in folder "/a" and secret "KEY" in folder "/b" would both be "KEY""#
        ),
        "{said}"
    );
}

#[tokio::test]
async fn a_secret_that_would_take_the_file_of_an_object_is_named_with_it() {
    let node = Node::with(
        "secret-meets",
        vec![
            secret("/", "config", "canary"),
            secret("/", "FOLDER", "canary"),
        ],
    )
    .start()
    .await;
    let list = r"
- include: ['*']
- {objectName: config, format: json}
- {objectName: FOLDER/below, secretKey: config}
";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    for part in [
        r#"secret "config" in folder "/" (objects[0]) and objects[1] would be one file "config""#,
        r#"file "FOLDER" of secret "FOLDER" in folder "/" (objects[0]) would also be a folder, for objects[2]"#,
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn names_that_differ_in_case_are_two_files() {
    let node = Node::with(
        "case",
        vec![secret("/", "KEY", "1"), secret("/", "key", "2")],
    )
    .start()
    .await;
    let list = "
- include: ['*']
- {objectName: Key, secretKey: KEY}
- {objectName: all.json, format: json}
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let json = "{\n  \"KEY\": \"1\",\n  \"key\": \"2\"\n}\n";
    let expected = [("KEY", "1"), ("Key", "1"), ("all.json", json), ("key", "2")];
    assert_eq!(pod.volume().texts(), texts(expected));
}
