//! Names: transformers, processors, and files that would stand in each other's place.

use serde_json::json;
use tonic::Code;

use super::{Shop, bytes, file};

#[tokio::test]
async fn keys_become_names_by_the_rules_of_the_class() {
    let shop = Shop::open().await;
    let answer = shop
        .mount(json!({
            "nameTransformer": "camel",
            "processors": "API_KEY: {asName: the-key}\nKEYSTORE: {nameTransformer: lower-kebab, type: base64}\nGCP: {nameTransformer: upper_snake}\nNO_SUCH_KEY: {asName: x}\n",
        }))
        .await
        .unwrap();
    let files = bytes(&answer);
    let names: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["GCP", "keystore", "mode", "the-key", "url"]);
    assert_eq!(files[1].1, [0, 0xff, 0x10, 0x20]);
}

#[tokio::test]
async fn the_rules_name_objects_and_the_keys_of_formats_but_not_of_templates() {
    let shop = Shop::open().await;
    let answer = shop
        .mount(json!({
            "nameTransformer": "lower-snake",
            "processors": "USER_NAME: {asName: user}",
            "phaseAppEnvPath": "/db",
            "objects": "- secretKey: USER_NAME\n- {secretKey: USER_NAME, objectName: Own}\n- {objectName: a.json, format: json}\n- {objectName: t, template: \"{{ USER_NAME }}\"}\n",
        }))
        .await
        .unwrap();
    assert_eq!(
        bytes(&answer),
        [
            file("Own", "shop"),
            file(
                "a.json",
                "{\n  \"password\": \"it's \\\"$ecret\\\"\",\n  \"user\": \"shop\"\n}\n"
            ),
            file("t", "shop"),
            file("user", "shop"),
        ]
    );
}

#[tokio::test]
async fn known_collisions_are_refused_before_anything_is_fetched() {
    let shop = Shop::open().await;
    for (objects, text) in [
        (
            "- {secretKey: A, objectName: x}\n- {objectName: x, format: json}\n",
            "objects[1] (line 2, column 3): objects[0] and objects[1] would be one file \"x\": give one of them another name by objectName",
        ),
        (
            "- {secretKey: x}\n- {secretKey: B, objectName: x/y}\n",
            "objects[0] (line 1, column 3): file \"x\" of objects[0] would also be a folder, for objects[1]: rename one of them",
        ),
    ] {
        let error = shop.error(Code::InvalidArgument, objects).await;
        assert_eq!(error, format!("SecretProviderClass shop/keys: {text}"));
    }
    let requests = shop.emulator.control().requests();
    assert_eq!((requests.tokens, requests.secrets), (0, 0));
}

#[tokio::test]
async fn collisions_that_show_later_name_both_sides() {
    let shop = Shop::open().await;
    for (objects, text) in [
        (
            "- {}\n- {secretKey: API_KEY, env: staging}\n",
            "secret \"API_KEY\" in folder \"/\" (objects[0]) and secret \"API_KEY\" in folder \"/\" (objects[1]) would be one file \"API_KEY\": give one of them another name by asName in processors",
        ),
        (
            "- {}\n- {objectName: MODE, format: json}\n",
            "secret \"MODE\" in folder \"/\" (objects[0]) and objects[1] would be one file \"MODE\": give one of them another name by objectName",
        ),
        (
            "- {path: /db, recursive: true}\n- {secretKey: MODE, objectName: replica}\n",
            "file \"replica\" of objects[1] would also be a folder, for secret \"PASSWORD\" in folder \"/db/replica\" (objects[0]): rename one of them",
        ),
        (
            "- {objectName: f, path: /db, recursive: true, format: yaml}\n",
            "objects[0]: secret \"PASSWORD\" in folder \"/db\" and secret \"PASSWORD\" in folder \"/db/replica\" would both be \"PASSWORD\" in one file: give one another name by asName in processors, or select one",
        ),
    ] {
        assert_eq!(shop.error(Code::InvalidArgument, objects).await, text);
    }
}

#[tokio::test]
async fn two_keys_that_a_transformer_makes_one_name_are_named() {
    let shop = Shop::open().await;
    let control = shop.emulator.control();
    control
        .put_secret("shop", "Staging", "/", "Api_Key", "x")
        .unwrap();
    let error = shop
        .refusal(json!({"phaseAppEnv": "staging", "nameTransformer": "camel"}))
        .await;
    assert_eq!(
        error.message(),
        "secret \"API_KEY\" in folder \"/\" and secret \"Api_Key\" in folder \"/\" would be one file \"apiKey\": give one of them another name by asName in processors"
    );
}
