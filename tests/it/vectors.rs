//! The cryptography, by vectors that libsodium made. A case says itself whether
//! it must open (`ok`) and, if not, why.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use phase_csi_provider::phase::envelope;
use phase_csi_provider::phase::keyring::{EnvironmentKeys, Keyring};
use phase_csi_provider::phase::primitives::{KeyPair, keyed_digest, open_blob};
use phase_csi_provider::phase::token::{Kind, Token};
use phase_csi_provider::phase::wire::TokensAnswer;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::support::{bytes, bytes32, cases, json, text};

#[test]
fn blobs_open_with_the_nonce_last() {
    for case in cases("xchacha20poly1305.json") {
        let blob = Zeroizing::new(bytes(text(&case, "blob_hex")));
        let opened = open_blob(&bytes32(text(&case, "key")), blob);
        if case["ok"] == true {
            assert_eq!(
                *opened.unwrap(),
                bytes(text(&case, "plaintext_hex")),
                "{case}"
            );
        } else {
            assert!(opened.is_err(), "{case}");
        }
    }
}

#[test]
fn the_reader_uses_the_second_half_of_the_session_digest() {
    for case in cases("kx-session-keys.json") {
        let reader = KeyPair::new(&bytes32(text(&case, "server_private"))).unwrap();
        assert_eq!(reader.public(), &bytes32(text(&case, "server_public")));
        let key = reader
            .receiving_key(&bytes32(text(&case, "client_public")))
            .unwrap();
        assert_eq!(*key, bytes32(text(&case, "server_rx")));
    }
}

#[test]
fn low_order_public_keys_are_refused() {
    let points = json("vectors/kx-session-keys.json")["low_order_client_public_keys"].clone();
    let points = points.as_array().unwrap();
    assert_eq!(points.len(), 7);
    let reader = KeyPair::new(&[9; 32]).unwrap();
    for point in points {
        let public = bytes32(text(point, "client_public"));
        assert!(reader.receiving_key(&public).is_err(), "{point}");
    }
}

#[test]
fn seeds_give_the_key_pairs_of_libsodium() {
    for case in cases("env-keypair.json") {
        let pair = KeyPair::from_seed(&bytes32(text(&case, "seed"))).unwrap();
        assert_eq!(pair.public(), &bytes32(text(&case, "public_key")));
        let private =
            PrivateKey::from_private_key(&X25519, &bytes(text(&case, "private_key"))).unwrap();
        assert_eq!(
            private.compute_public_key().unwrap().as_ref(),
            pair.public()
        );
    }
}

#[test]
fn envelopes_open_or_are_refused_as_their_case_says() {
    let file = json("vectors/ph-v1.json");
    let reader = KeyPair::new(&bytes32(text(&file, "recipient_private"))).unwrap();
    assert_eq!(reader.public(), &bytes32(text(&file, "recipient_public")));
    for case in cases("ph-v1.json") {
        let opened = envelope::open(text(&case, "ciphertext"), &reader);
        if case["ok"] == true {
            assert_eq!(
                opened.unwrap().expose_secret(),
                text(&case, "plaintext"),
                "{case}"
            );
        } else {
            assert!(opened.is_err(), "{case}");
        }
    }
}

#[test]
fn key_digests_are_keyed_with_the_text_of_the_salt() {
    for case in cases("key-digest.json") {
        let salt = text(&case, "salt").as_bytes();
        let digest = keyed_digest(salt, text(&case, "key").as_bytes()).unwrap();
        assert_eq!(
            base16ct::lower::encode_string(&digest),
            text(&case, "digest")
        );
    }
}

#[test]
fn tokens_parse_or_are_refused_as_their_case_says() {
    for case in cases("token-parse.json") {
        let parsed = Token::parse(&SecretString::from(text(&case, "token")));
        if case["ok"] == true {
            let kind: Kind = parsed.unwrap().kind();
            assert_eq!(kind.word(), text(&case, "authorization_type"), "{case}");
        } else {
            let error = parsed.expect_err(text(&case, "why")).to_string();
            for field in text(&case, "token")
                .split(':')
                .filter(|field| field.len() > 12)
            {
                assert!(!error.contains(field), "{error}");
            }
        }
    }
}

#[test]
fn both_key_shares_make_the_private_key() {
    for case in cases("key-share.json") {
        let public = case["public_key"]
            .as_str()
            .map_or_else(|| "0".repeat(64), str::to_owned);
        let token = format!(
            "pss_service:v2:{}:{public}:{}:{}",
            "0".repeat(64),
            text(&case, "share0"),
            text(&case, "wrap_key")
        );
        let token = Token::parse(&SecretString::from(token)).unwrap();
        let keyring = Keyring::unlock(&token, text(&case, "wrapped_key_share"));
        assert_eq!(keyring.is_ok(), case["ok"] == true, "{case}");
    }
}

#[test]
fn the_whole_chain_opens_a_secret() {
    for case in cases("chain.json") {
        let token = Token::parse(&SecretString::from(text(&case, "token"))).unwrap();
        let answer: TokensAnswer = serde_json::from_value(case["tokens_body"].clone()).unwrap();
        let keyring = Keyring::unlock(&token, &answer.wrapped_key_share).unwrap();
        let app = &answer.apps[0];
        let keys = keyring
            .environment(&app.name, &app.environment_keys[0])
            .unwrap();
        let rows = case["secrets_body"].as_array().unwrap();
        let plain = case["expected"]["secrets"].as_array().unwrap();
        assert_eq!(rows.len(), plain.len());
        for (row, plain) in rows.iter().zip(plain) {
            check_row(&keys, row, plain);
        }
    }
}

fn check_row(keys: &EnvironmentKeys, row: &serde_json::Value, plain: &serde_json::Value) {
    for field in ["key", "value", "comment"] {
        let sealed = text(row, field);
        if !sealed.is_empty() {
            let opened = keys.open(sealed).unwrap();
            assert_eq!(opened.expose_secret(), text(plain, field), "{field}");
        }
    }
    assert_eq!(keys.key_digest(text(plain, "key")), text(row, "key_digest"));
}
