//! What each field does.

use serde_json::json;

use super::{Shop, bytes, file};

#[tokio::test]
async fn one_key_is_one_file_under_its_own_name_or_another() {
    let shop = Shop::open().await;
    let files = shop
        .files("- secretKey: API_KEY\n- {secretKey: API_KEY, objectName: keys/api}\n")
        .await;
    assert_eq!(
        files,
        [
            file("API_KEY", "production key"),
            file("keys/api", "production key")
        ]
    );
}

#[tokio::test]
async fn entries_reach_into_folders_and_environments_and_each_is_fetched_once() {
    let shop = Shop::open().await;
    let files = shop
        .files(
            "- {secretKey: PASSWORD, path: /db, objectName: db/password}\n\
             - {secretKey: USER_NAME, path: db/, objectName: db/user}\n\
             - {secretKey: API_KEY, env: staging, objectName: staging}\n\
             - {secretKey: API_KEY, env: STAGING, objectName: again}\n\
             - {path: /db, tag: DB_creds}\n",
        )
        .await;
    assert_eq!(
        files,
        [
            file("PASSWORD", "it's \"$ecret\""),
            file("again", "staging key"),
            file("db/password", "it's \"$ecret\""),
            file("db/user", "shop"),
            file("staging", "staging key"),
        ]
    );
    let requests = shop.emulator.control().requests();
    assert_eq!((requests.tokens, requests.secrets), (1, 2));
}

#[tokio::test]
async fn many_keys_are_chosen_by_folder_tag_and_globs() {
    let shop = Shop::open().await;
    let names = |files: Vec<(String, Vec<u8>)>| -> Vec<String> {
        files.into_iter().map(|(path, _)| path).collect()
    };
    for (entry, paths) in [
        ("{include: [\"*KEY*\"]}", vec!["API_KEY", "KEYSTORE"]),
        ("{include: [\"*KEY*\"], exclude: [API_*]}", vec!["KEYSTORE"]),
        ("{exclude: [\"[A-L]*\", URL]}", vec!["MODE"]),
        ("{path: /db}", vec!["PASSWORD", "USER_NAME"]),
        (
            "{path: /db, recursive: true, include: [PASSWORD]}",
            vec!["PASSWORD", "replica/PASSWORD"],
        ),
        ("{recursive: true, tag: \"db creds\"}", vec!["db/PASSWORD"]),
    ] {
        assert_eq!(
            names(shop.files(&format!("- {entry}")).await),
            paths,
            "{entry}"
        );
    }
    // An entry without any field takes what the class selects.
    let whole = shop
        .mount(json!({"phaseAppEnvPath": "/db", "recursive": "true", "objects": "- {}"}))
        .await
        .unwrap();
    assert_eq!(
        names(bytes(&whole)),
        ["PASSWORD", "USER_NAME", "replica/PASSWORD"]
    );
}

#[tokio::test]
async fn stored_text_is_decoded_and_fields_are_taken_out() {
    let shop = Shop::open().await;
    let files = shop
        .files(
            "- {secretKey: KEYSTORE, encoding: base64}\n\
             - {secretKey: MODE, encoding: hex}\n\
             - {secretKey: GCP, field: /key/pem, encoding: base64, objectName: pem}\n\
             - {secretKey: GCP, field: /key/id, objectName: id}\n\
             - {secretKey: GCP, field: /key, objectName: key}\n",
        )
        .await;
    assert_eq!(
        files,
        [
            ("KEYSTORE".to_owned(), vec![0, 0xff, 0x10, 0x20]),
            ("MODE".to_owned(), vec![0xde, 0xad, 0xbe, 0xef]),
            file("id", "7"),
            file("key", "{\"id\": 7, \"pem\": \"LS0t\"}"),
            file("pem", "---"),
        ]
    );
}

#[tokio::test]
async fn a_format_and_a_template_hold_many_keys() {
    let shop = Shop::open().await;
    let files = shop
        .files(
            "- {objectName: .env, format: dotenv, path: /db, include: [USER_*]}\n\
             - objectName: db.json\n  format: json\n  path: /db\n\
             - objectName: app.conf\n  path: /db\n  template: |\n    user={{ USER_NAME }}\n    password={{ PASSWORD|json }}\n",
        )
        .await;
    assert_eq!(
        files,
        [
            file(".env", "USER_NAME=shop\n"),
            file("app.conf", "user=shop\npassword=\"it's \\\"$ecret\\\"\"\n"),
            file(
                "db.json",
                "{\n  \"PASSWORD\": \"it's \\\"$ecret\\\"\",\n  \"USER_NAME\": \"shop\"\n}\n"
            ),
        ]
    );
}

#[tokio::test]
async fn references_are_resolved_before_anything_is_made_of_a_value() {
    let shop = Shop::open().await;
    let files = shop
        .files("- {objectName: url, secretKey: URL}\n- {objectName: u, template: \"{{ URL }}\"}\n")
        .await;
    assert_eq!(
        files,
        [
            file("u", "https://production key/"),
            file("url", "https://production key/")
        ]
    );
}

#[tokio::test]
async fn each_file_has_its_own_permission() {
    let shop = Shop::open().await;
    let answer = shop
        .mount(json!({
            "filePermission": "0640",
            "objects": "- secretKey: API_KEY\n- {secretKey: MODE, filePermission: 0400}\n- {secretKey: URL, filePermission: \"0444\"}\n",
        }))
        .await
        .unwrap();
    let modes: Vec<_> = answer
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.mode))
        .collect();
    assert_eq!(modes, [("API_KEY", 0o640), ("MODE", 0o400), ("URL", 0o444)]);
}
