//! The fields of an entry of `objects`, one by one.

use phase_csi_cluster::{Node, secret, tagged};
use serde_json::json;
use tonic::Code;

use crate::support::{objects, refusal, texts};

#[tokio::test]
async fn object_name_is_the_path_of_the_file_and_of_its_record() {
    let node = Node::with(
        "object-name",
        vec![secret("/", "DB_PASSWORD", "pa55"), secret("/", "REST", "x")],
    )
    .start()
    .await;
    let list = "
- objectName: db/creds/password.txt
  secretKey: DB_PASSWORD
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    assert_eq!(
        pod.volume().texts(),
        texts([("db/creds/password.txt", "pa55")])
    );
    assert_eq!(pod.volume().names(), ["db"]);
    let versions = pod.status().await.unwrap().versions();
    assert_eq!(
        versions.keys().collect::<Vec<_>>(),
        ["db/creds/password.txt"]
    );
}

#[tokio::test]
async fn secret_key_alone_is_a_file_of_that_name() {
    let node = Node::with(
        "secret-key",
        vec![secret("/", "API_KEY", "k"), secret("/", "REST", "x")],
    )
    .start()
    .await;
    let pod = node.pod("web", objects("- secretKey: API_KEY")).await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().texts(), texts([("API_KEY", "k")]));
}

#[tokio::test]
async fn one_secret_may_be_in_several_files() {
    let node = Node::with(
        "twice",
        vec![secret("/", "KEY", "v"), secret("/", "B", "w")],
    )
    .start()
    .await;
    let list = r#"
- {objectName: one, secretKey: KEY}
- {objectName: two, secretKey: KEY}
- {include: ["*"]}
"#;
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let expected = [("B", "w"), ("KEY", "v"), ("one", "v"), ("two", "v")];
    assert_eq!(pod.volume().texts(), texts(expected));
    assert_eq!(node.phase.fetched(), 1);
}

#[tokio::test]
async fn path_is_the_folder_of_an_entry() {
    let node = Node::with(
        "path",
        vec![
            secret("/", "KEY", "of the root"),
            secret("/db", "KEY", "of db"),
            secret("/db/replica", "KEY", "of the replica"),
            secret("/mail", "USER", "all of mail"),
        ],
    )
    .start()
    .await;
    let list = "
- {objectName: root, secretKey: KEY, path: /}
- {objectName: class, secretKey: KEY}
- {objectName: deep, secretKey: KEY, path: db/replica/}
- path: /mail
";
    let mut class = objects(list);
    class["phaseAppEnvPath"] = "/db".into();
    let pod = node.pod("web", class).await;
    pod.mount().await.unwrap();
    let expected = [
        ("USER", "all of mail"),
        ("class", "of db"),
        ("deep", "of the replica"),
        ("root", "of the root"),
    ];
    assert_eq!(pod.volume().texts(), texts(expected));
}

#[tokio::test]
async fn two_environments_fill_every_volume_of_a_class_and_each_is_fetched_once() {
    let node = Node::with(
        "env",
        vec![
            secret("/", "KEY", "live"),
            secret("/a", "OTHER", "live too"),
        ],
    )
    .staging(vec![secret("/", "KEY", "trial"), secret("/b", "B", "far")]);
    let node = node.without_polls().start().await;
    let list = "
- {objectName: live/key, secretKey: KEY}
- {objectName: live/again, secretKey: KEY, env: PRODUCTION}
- {path: /a, recursive: true}
- {objectName: trial/key, secretKey: KEY, env: Staging}
- {objectName: trial/b, secretKey: B, env: staging, path: /b}
- {objectName: trial/all.json, format: json, env: staging, recursive: true}
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let again = node.pod("again", objects(list)).await;
    again.mount().await.unwrap();
    let asked = (node.phase.asked(), node.phase.fetched());
    assert_eq!(
        asked,
        (1, 2),
        "two pods of six entries and two environments"
    );
    let expected = [
        ("OTHER", "live too"),
        ("live/again", "live"),
        ("live/key", "live"),
        (
            "trial/all.json",
            "{\n  \"B\": \"far\",\n  \"KEY\": \"trial\"\n}\n",
        ),
        ("trial/b", "far"),
        ("trial/key", "trial"),
    ];
    assert_eq!(pod.volume().texts(), texts(expected));
    assert_eq!(again.volume().texts(), texts(expected));
}

#[tokio::test]
async fn an_environment_that_is_not_there_is_named_with_its_neighbours() {
    let node = Node::with("env-missing", vec![secret("/", "KEY", "v")])
        .start()
        .await;
    let list = "- {secretKey: KEY}\n- {objectName: b, secretKey: KEY, env: stagign}";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::NotFound, "{said}");
    assert!(
        said.contains("\"stagign\"") && said.contains("Staging"),
        "{said}"
    );
    assert_eq!(node.phase.fetched(), 0, "no other one is fetched first");
}

#[tokio::test]
async fn tag_chooses_the_secrets_of_an_entry() {
    let node = Node::with(
        "tag",
        vec![
            tagged("A", "a", &["Web Tier"]),
            tagged("B", "b", &["batch", "Web Tier"]),
            tagged("C", "c", &["batch"]),
            secret("/", "D", "d"),
        ],
    )
    .start()
    .await;
    let list = r#"
- {objectName: web.json, format: json, tag: web_tier}
- {objectName: class.json, format: json}
- {objectName: all.json, format: json, tag: ""}
"#;
    let mut class = objects(list);
    class["phaseAppEnvTag"] = "batch".into();
    let pod = node.pod("web", class).await;
    pod.mount().await.unwrap();
    let keys = |file: &str| {
        let text = pod.volume().text(file).unwrap();
        let map: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys = map.as_object().unwrap().keys().cloned();
        keys.collect::<Vec<_>>().concat()
    };
    assert_eq!(
        ["web.json", "class.json", "all.json"].map(keys),
        ["AB", "BC", "ABCD"]
    );
}

#[tokio::test]
async fn recursive_takes_the_folders_below_an_entry() {
    let node = Node::with(
        "recursive",
        vec![
            secret("/a", "KEY", "1"),
            secret("/a/b", "KEY", "2"),
            secret("/c", "TOP", "3"),
            secret("/c/d", "KEY", "4"),
        ],
    )
    .start()
    .await;
    let list = "
- path: /a
- path: /c
  recursive: false
- {objectName: one, secretKey: KEY, path: /c/d}
";
    let mut class = objects(list);
    class["recursive"] = "true".into();
    let pod = node.pod("web", class).await;
    pod.mount().await.unwrap();
    let expected = [("KEY", "1"), ("TOP", "3"), ("b/KEY", "2"), ("one", "4")];
    assert_eq!(pod.volume().texts(), texts(expected));
}

#[tokio::test]
async fn include_and_exclude_choose_keys_by_globs() {
    let keys = ["DB_HOST", "DB_PORT", "DB_PASSWORD", "db_name", "MY_DB_HOST"];
    let secrets = keys.map(|key| secret("/", key, key));
    let node = Node::with("globs", secrets.into()).start().await;
    let list = r#"
- include: ["DB_*", "[!D]B_????"]
  exclude: ["*PASSWORD", "DB_POR?"]
- objectName: rest.json
  format: json
  exclude: ["DB_*"]
"#;
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let rest = "{\n  \"MY_DB_HOST\": \"MY_DB_HOST\",\n  \"db_name\": \"db_name\"\n}\n";
    let expected = [("DB_HOST", "DB_HOST"), ("rest.json", rest)];
    assert_eq!(pod.volume().texts(), texts(expected));
}

#[tokio::test]
async fn encoding_gives_the_exact_bytes_that_a_text_stands_for() {
    let base64 = "AAECAwT/\n/v38gIHvu78K\n";
    let bytes = b"\x00\x01\x02\x03\x04\xff\xfe\xfd\xfc\x80\x81\xef\xbb\xbf\n";
    let node = Node::with(
        "encoding",
        vec![
            secret("/", "BASE64", base64),
            secret("/", "HEX", "000102030\n4fFfefdFC8081efbbbf0A"),
            secret("/bin", "X", "AP8="),
        ],
    )
    .start()
    .await;
    let list = "
- {objectName: from.base64, secretKey: BASE64, encoding: base64}
- {objectName: from.hex, secretKey: HEX, encoding: hex}
- {objectName: stored, secretKey: BASE64, encoding: utf-8}
- {path: /bin, encoding: base64}
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let files = pod.volume().files();
    for name in ["from.base64", "from.hex"] {
        assert_eq!(files[name].bytes, bytes, "{name}");
    }
    assert_eq!(files["stored"].bytes, base64.as_bytes());
    assert_eq!(files["X"].bytes, b"\x00\xff");
}

#[tokio::test]
async fn field_is_a_part_of_a_value_that_is_json() {
    let stored = r#"{"db": {"user": "gr\u00fc\u00dfe\n", "ports": [5432, 6543]}, "key": "AP8=", "a/b": true}"#;
    let node = Node::with("field", vec![secret("/", "CONFIG", stored)])
        .start()
        .await;
    let list = "
- {objectName: user, secretKey: CONFIG, field: /db/user}
- {objectName: port, secretKey: CONFIG, field: /db/ports/1}
- {objectName: db, secretKey: CONFIG, field: /db/ports}
- {objectName: key, secretKey: CONFIG, field: /key, encoding: base64}
- {objectName: slash, secretKey: CONFIG, field: /a~1b}
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let files = pod.volume().files();
    for (name, bytes) in [
        ("user", "grüße\n".as_bytes()),
        ("port", b"6543"),
        ("db", b"[5432, 6543]"),
        ("key", b"\x00\xff"),
        ("slash", b"true"),
    ] {
        assert_eq!(files[name].bytes, bytes, "{name}");
    }
}

#[tokio::test]
async fn every_entry_may_have_a_file_permission_of_its_own() {
    let node = Node::with("permission", vec![secret("/", "KEY", "v")])
        .start()
        .await;
    let list = r#"
- {objectName: quoted, secretKey: KEY, filePermission: "0400"}
- {objectName: number, secretKey: KEY, filePermission: 0640}
- {objectName: all.env, format: dotenv, filePermission: 600}
- {objectName: class, secretKey: KEY}
"#;
    let mut class = objects(list);
    class["filePermission"] = "0440".into();
    let pod = node.pod("web", class).await;
    pod.mount().await.unwrap();
    let files = pod.volume().files();
    let modes = files.iter().map(|(name, file)| (name.as_str(), file.mode));
    let expected = [
        ("all.env", 0o600),
        ("class", 0o440),
        ("number", 0o640),
        ("quoted", 0o400),
    ];
    assert_eq!(modes.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn every_secret_that_cannot_be_what_an_entry_asks_for_is_in_one_error() {
    let node = Node::with(
        "unfit",
        vec![
            secret("/", "TEXT", "canary, and no base64"),
            secret("/", "JSON", r#"{"user": "canary"}"#),
        ],
    )
    .start()
    .await;
    let list = "
- {objectName: a, secretKey: TEXT, encoding: base64}
- {objectName: b, secretKey: JSON, field: /pass}
";
    let pod = node.pod("web", json!({"objects": list})).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "of the first mistake: {said}");
    for part in [
        r#"objects[0]: secret "TEXT" in folder "/" cannot be decoded: its value is not base64"#,
        r#"objects[1]: secret "JSON" in folder "/": its value has no field "/pass""#,
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.starts_with("2 mistakes: "), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[tokio::test]
async fn references_are_replaced_before_a_value_is_shaped() {
    let node = Node::with(
        "shaped-refs",
        vec![
            secret("/", "HALF", "AAE"),
            secret("/", "BASE64", "${HALF}C"),
            secret("/", "PIN", "7"),
            secret("/", "JSON", r#"{"pin": ${PIN}}"#),
            secret("/", "FAR", "${staging.KEY}"),
        ],
    )
    .staging(vec![secret("/", "KEY", "trial")]);
    let node = node.start().await;
    let list = "
- {objectName: bytes, secretKey: BASE64, encoding: base64}
- {objectName: pin, secretKey: JSON, field: /pin}
- {objectName: far.env, format: dotenv, include: [FAR, PIN]}
- {objectName: far.conf, template: '{{ FAR }}', include: [FAR]}
- {objectName: near, secretKey: KEY, env: staging}
";
    let pod = node.pod("web", objects(list)).await;
    pod.mount().await.unwrap();
    let expected = [
        ("bytes", "\0\u{1}\u{2}"),
        ("far.conf", "trial"),
        ("far.env", "FAR=trial\nPIN=7\n"),
        ("near", "trial"),
        ("pin", "7"),
    ];
    assert_eq!(pod.volume().texts(), texts(expected));
    assert_eq!(node.phase.fetched(), 2, "one request for an environment");
}
