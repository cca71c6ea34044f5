//! The published vectors, in the directions that have one right answer.

#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::Value;

fn cases(name: &str) -> Vec<Value> {
    let path = format!("{}/../vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{name} holds no case");
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} is text"))
}

fn key(case: &Value, field: &str) -> Key {
    unhex(text(case, field)).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    base16ct::mixed::decode_vec(text).unwrap()
}

fn nonce_of(blob: &[u8]) -> Nonce {
    blob[blob.len() - 24..].try_into().unwrap()
}

#[test]
fn key_digests_equal_the_vectors() {
    for case in cases("key-digest") {
        let salt = text(&case, "salt");
        assert_eq!(key_digest(salt, text(&case, "key")), text(&case, "digest"));
    }
}

#[test]
fn blobs_equal_the_vectors() {
    let good = cases("xchacha20poly1305")
        .into_iter()
        .filter(|case| case["ok"] == true);
    for case in good {
        let nonce = bytes(text(&case, "nonce")).try_into().unwrap();
        let sealed = blob(
            &key(&case, "key"),
            &nonce,
            &bytes(text(&case, "plaintext_hex")),
        );
        assert_eq!(hex(&sealed), text(&case, "blob_hex"));
    }
}

#[test]
fn the_writers_key_equals_the_vectors() {
    for case in cases("kx-session-keys") {
        let writer = KeyPair::from_private(key(&case, "client_private"));
        assert_eq!(hex(&writer.public), text(&case, "client_public"));
        let session = writer_key(&writer, &key(&case, "server_public"));
        assert_eq!(hex(&session), text(&case, "client_tx"));
    }
}

#[test]
fn environment_key_pairs_equal_the_vectors() {
    for case in cases("env-keypair") {
        let pair = KeyPair::from_seed(&key(&case, "seed"));
        assert_eq!(hex(&pair.private), text(&case, "private_key"));
        assert_eq!(hex(&pair.public), text(&case, "public_key"));
    }
}

#[test]
fn key_shares_equal_the_vectors() {
    let good = cases("key-share")
        .into_iter()
        .filter(|case| case["ok"] == true);
    for case in good {
        let share = other_share(&key(&case, "private_key"), &key(&case, "share0"));
        assert_eq!(hex(&share), text(&case, "share1"));
        let stored = text(&case, "wrapped_key_share");
        let wrapped = wrapped_share(&key(&case, "wrap_key"), &nonce_of(&bytes(stored)), &share);
        assert_eq!(wrapped, stored);
    }
}

#[test]
fn the_whole_chain_is_sealed_as_in_the_vector() {
    let chain = cases("chain").remove(0);
    let expected = &chain["expected"];
    let account = KeyPair::from_private(key(expected, "private_key"));
    let fields: Vec<&str> = text(&chain, "token").split(':').collect();
    assert_eq!(hex(&account.public), fields[3]);

    let stored = text(&chain["tokens_body"], "wrapped_key_share");
    let share = other_share(&account.private, &unhex(fields[4]).unwrap());
    let wrapped = wrapped_share(
        &unhex(fields[5]).unwrap(),
        &nonce_of(&bytes(stored)),
        &share,
    );
    assert_eq!(wrapped, stored);

    let environment = KeyPair::from_seed(&key(&expected["environment"], "seed"));
    let identity = &chain["tokens_body"]["apps"][0]["environment_keys"][0]["identity_key"];
    assert_eq!(&hex(&environment.public), identity.as_str().unwrap());

    let salt = text(&expected["environment"], "salt");
    for (row, secret) in chain["secrets_body"]
        .as_array()
        .unwrap()
        .iter()
        .zip(expected["secrets"].as_array().unwrap())
    {
        assert_eq!(
            key_digest(salt, text(secret, "key")),
            text(row, "key_digest")
        );
    }
}

#[test]
fn two_envelopes_of_one_text_share_nothing_but_their_form() {
    let reader = KeyPair::random();
    let [one, two] = [
        envelope(&reader.public, "same"),
        envelope(&reader.public, "same"),
    ];
    assert_ne!(one, two);
    for sealed in [one, two] {
        let parts: Vec<&str> = sealed.split(':').collect();
        assert_eq!(parts[..2], ["ph", "v1"]);
        assert_eq!(parts[2].len(), 64);
        assert_eq!(
            Base64::decode_vec(parts[3]).unwrap().len(),
            "same".len() + 40
        );
    }
}

#[test]
fn labels_that_join_to_the_same_text_are_kept_apart() {
    assert_ne!(derive(b"k", &["a", "bc"]), derive(b"k", &["ab", "c"]));
}
