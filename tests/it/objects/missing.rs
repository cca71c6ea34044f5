//! Keys that are not there, and values that cannot be what an entry makes of them.

use phase_emulator::{Endpoint, Fault, FaultKind};
use serde_json::json;
use tonic::Code;

use super::{Shop, bytes, file};

#[tokio::test]
async fn a_missing_key_is_an_error_unless_it_is_optional() {
    let shop = Shop::attentive().await;
    let error = shop
        .error(
            Code::NotFound,
            "- secretKey: API_KEY\n- {secretKey: NEW, path: /db}\n",
        )
        .await;
    assert_eq!(
        error,
        "objects[1]: secret \"NEW\" not found: folder \"/db\" of environment \"Production\" in app \"shop\" has no such key: create it in Phase, or set optional: true"
    );
    let error = shop
        .error(Code::NotFound, "- {secretKey: API_KEY, tag: other}\n")
        .await;
    assert!(
        error.contains("has no such key with the tag: create"),
        "{error}"
    );
    let objects = "- secretKey: API_KEY\n- {secretKey: NEW, path: /db, optional: true}\n";
    assert_eq!(
        shop.files(objects).await,
        [file("API_KEY", "production key")]
    );
    let control = shop.emulator.control();
    control
        .put_secret("shop", "Production", "/db", "NEW", "now")
        .unwrap();
    let with = [file("API_KEY", "production key"), file("NEW", "now")];
    shop.becomes(objects, &with).await;
    control
        .delete_secret("shop", "Production", "/db", "NEW")
        .unwrap();
    shop.becomes(objects, &with[..1]).await;
}

#[tokio::test]
async fn a_selection_without_secrets_is_an_error_unless_it_is_optional_or_allowed() {
    let shop = Shop::open().await;
    let error = shop
        .error(
            Code::NotFound,
            "- secretKey: MODE\n- {path: /none, objectName: f, format: json}\n",
        )
        .await;
    assert_eq!(
        error,
        "objects[1]: no secrets selected: folder \"/none\" of environment \"Production\" in app \"shop\" has none that match: check path, tag, include and exclude, or set optional: true"
    );
    let objects =
        "- secretKey: MODE\n- {path: /none, objectName: f, format: json, optional: true}\n";
    assert_eq!(shop.files(objects).await.len(), 1);
    let all = "- {path: /none}\n- {path: /none, objectName: f, template: x}\n";
    let answer = shop
        .mount(json!({"allowEmpty": "true", "objects": all}))
        .await;
    assert_eq!(bytes(&answer.unwrap())[0].0, ".phase-empty");
    let error = shop
        .error(Code::NotFound, "- {secretKey: NEW, optional: true}\n")
        .await;
    assert_eq!(
        error,
        "no secrets selected: none of the keys that the class names exist in app \"shop\": create one, or set allowEmpty: \"true\""
    );
}

#[tokio::test]
async fn optional_hides_nothing_but_a_missing_key() {
    let objects = "- {secretKey: API_KEY, env: staging, optional: true}\n- secretKey: MODE\n";
    let no_access = FaultKind::Refusal {
        code: 401,
        error: "Service account cannot access this environment".to_owned(),
    };
    let status = |code| FaultKind::Status {
        code,
        retry_after: None,
    };
    for (kind, code) in [
        (no_access, Code::PermissionDenied),
        (status(404), Code::Internal),
        (status(500), Code::Internal),
    ] {
        let shop = Shop::open().await;
        let fault = Fault::always(kind).on(Endpoint::Secrets);
        shop.emulator.control().set_fault(fault);
        let error = shop.refusal(json!({ "objects": objects })).await;
        assert_eq!(error.code(), code, "{}", error.message());
    }
    let shop = Shop::open().await;
    let error = shop
        .error(
            Code::NotFound,
            "- {secretKey: A, env: nowhere, optional: true}\n",
        )
        .await;
    assert!(
        error.starts_with("environment \"nowhere\" not found"),
        "{error}"
    );
}

#[tokio::test]
async fn values_that_do_not_fit_are_named_all_at_once_and_never_quoted() {
    let shop = Shop::open().await;
    let error = shop
        .error(
            Code::InvalidArgument,
            "- {secretKey: API_KEY, encoding: base64}\n\
             - {secretKey: GCP, field: /nothing}\n\
             - {objectName: e, include: [KEYSTORE], encoding: base64, format: json}\n",
        )
        .await;
    assert_eq!(
        error,
        "3 mistakes: objects[0]: secret \"API_KEY\" in folder \"/\" cannot be decoded: its value is not base64 (standard alphabet, padded): mend its value in Phase, or the encoding; \
         objects[1]: secret \"GCP\" in folder \"/\": its value has no field \"/nothing\": mend its value in Phase, or the field; objects[2]: secret \"KEYSTORE\" cannot be written as json: its value is not UTF-8 text: mount it as a file of its own"
    );
    for (objects, text) in [
        (
            "- {objectName: e, include: [KEYSTORE], encoding: base64, format: json}\n",
            "objects[0]: secret \"KEYSTORE\" cannot be written as json: its value is not UTF-8 text: mount it as a file of its own",
        ),
        (
            "- {secretKey: MODE, field: /a}\n",
            "objects[0]: secret \"MODE\" in folder \"/\": its value is not JSON: mend its value in Phase, or the field",
        ),
        (
            "- {secretKey: URL, encoding: hex}\n",
            "objects[0]: secret \"URL\" in folder \"/\" cannot be decoded: its value is not hex (two digits a byte): mend its value in Phase, or the encoding",
        ),
    ] {
        assert_eq!(shop.error(Code::InvalidArgument, objects).await, text);
    }
    let error = shop
        .error(
            Code::NotFound,
            "- {objectName: t, template: \"a\\n{{ API_KEYS }}\"}\n",
        )
        .await;
    assert_eq!(
        error,
        "objects[0]: template: line 2: no secret \"API_KEYS\" is selected: did you mean \"API_KEY\"?"
    );
}

#[tokio::test]
async fn a_row_that_does_not_open_concerns_only_who_selects_it() {
    let shop = Shop::with_broken_row().await;
    assert_eq!(shop.files("- secretKey: API_KEY\n").await.len(), 1);
    assert_eq!(shop.files("- include: [API_*]\n").await.len(), 1);
    let error = shop.error(Code::DataLoss, "- include: [BROK*]\n").await;
    assert!(error.contains("\"BROKEN\" does not decrypt"), "{error}");
}
