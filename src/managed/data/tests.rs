#![allow(clippy::unwrap_used, reason = "a test may stop at any surprise")]

use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use secrecy::SecretString;

use super::*;
use crate::phase::folder::Folder;
use crate::render::encoding::Encoding;
use crate::render::transformer::Transformer;
use crate::render::{NameRules, Processor};

fn form(kind: &str, rules: NameRules) -> Form {
    Form {
        kind: kind.to_owned(),
        rules,
    }
}

fn secret(key: &str, value: &str) -> Secret {
    Secret {
        key: key.to_owned(),
        folder: Folder::root(),
        value: SecretString::from(value),
        references: 0,
    }
}

fn made(form: &Form, pairs: &[(&str, &str)]) -> Result<Data, String> {
    let secrets: Vec<_> = pairs
        .iter()
        .map(|(key, value)| secret(key, value))
        .collect();
    let data = data(form, &secrets, &VersionKey::new(&[1; 32]));
    data.map_err(|mistakes| mistakes.to_string())
}

fn json_of(form: &Form, pairs: &[(&str, &str)]) -> String {
    let data = made(form, pairs).unwrap();
    String::from_utf8(data.json.expose_secret().to_vec()).unwrap()
}

fn opaque() -> Form {
    form("Opaque", NameRules::default())
}

#[test]
fn names_and_bytes_are_sorted_base64() {
    assert_eq!(
        json_of(&opaque(), &[("B", "canary"), ("A", ""), ("C.d-e_f", "ü")]),
        r#"{"A":"","B":"Y2FuYXJ5","C.d-e_f":"w7w="}"#
    );
    assert_eq!(json_of(&opaque(), &[]), "{}");
    // Longer than one part of the encoder, at every remainder.
    for length in [767, 768, 769, 1_536, 2_000] {
        let value = "x".repeat(length);
        let json = json_of(&opaque(), &[("A", &value)]);
        let json: BTreeMap<String, String> = serde_json::from_str(&json).unwrap();
        assert_eq!(Base64::decode_vec(&json["A"]).unwrap(), value.as_bytes());
    }
}

#[test]
fn the_hash_moves_with_names_values_and_type_and_with_nothing_else() {
    let hash = |form: &Form, pairs: &[_]| made(form, pairs).unwrap().hash;
    let first = hash(&opaque(), &[("A", "1"), ("B", "2")]);
    assert_eq!(first, hash(&opaque(), &[("B", "2"), ("A", "1")]));
    for other in [
        hash(&opaque(), &[("A", "1"), ("B", "3")]),
        hash(&opaque(), &[("A", "1"), ("C", "2")]),
        hash(
            &form("kubernetes.io/service-account-token", NameRules::default()),
            &[("A", "1"), ("B", "2")],
        ),
    ] {
        assert_ne!(first, other);
    }
}

#[test]
fn every_mistake_has_its_text_and_shows_no_value() {
    let rules = |key: &str, processor: Processor| NameRules {
        transformer: None,
        processors: BTreeMap::from([(key.to_owned(), processor)]),
    };
    let base64 = Processor {
        encoding: Encoding::Base64,
        ..Processor::default()
    };
    let named = |name: &str| Processor {
        as_name: Some(name.to_owned()),
        ..Processor::default()
    };
    let camel = NameRules {
        transformer: Some(Transformer::Camel),
        processors: BTreeMap::new(),
    };
    let large = "canary".repeat(200_000);
    let (certificate, key) = pair_of();
    let (_, other) = pair_of();
    let tls = form(TLS, NameRules::default());
    for (output, pairs, expected) in [
        (
            form("Opaque", camel),
            vec![("A_B", "canary"), ("a_b", "canary")],
            "keys \"A_B\" and \"a_b\" would both be \"aB\": give one of them another name by processors and asName",
        ),
        (
            form("Opaque", rules("A", named("a/b"))),
            vec![("A", "canary")],
            "key \"A\" would be \"a/b\", which no Secret takes: give it another name by processors and asName (letters, digits, \"-\", \"_\", \".\")",
        ),
        (
            form("Opaque", rules("A", base64)),
            vec![("A", "canary!")],
            "key \"A\": its value is not base64 (standard alphabet, padded)",
        ),
        (
            form("kubernetes.io/basic-auth", NameRules::default()),
            vec![("USER", "canary")],
            "type kubernetes.io/basic-auth needs the key username or password: select it, or name one so by processors and asName",
        ),
        (
            form(DOCKER_CONFIG.0, NameRules::default()),
            vec![(DOCKER_CONFIG.1, "canary")],
            ".dockerconfigjson is no JSON object: store the registry's configuration as it is",
        ),
        (
            tls.clone(),
            vec![("tls.crt", "canary"), ("tls.key", key.as_str())],
            "tls.crt is no PEM certificate: the certificate belongs into tls.crt, its key into tls.key",
        ),
        (
            tls.clone(),
            vec![
                ("tls.crt", certificate.as_str()),
                ("tls.key", certificate.as_str()),
            ],
            "tls.key is no PEM private key: the certificate belongs into tls.crt, its key into tls.key",
        ),
        (
            tls.clone(),
            vec![
                ("tls.crt", certificate.as_str()),
                ("tls.key", other.as_str()),
            ],
            "tls.crt and tls.key do not belong together: renew both at once",
        ),
        (
            opaque(),
            vec![("A", large.as_str())],
            "it would have 1200000 bytes, and a Secret may have 1048576: select fewer secrets, or write two Secrets",
        ),
    ] {
        let text = made(&output, &pairs).err().expect("a mistake");
        assert_eq!(text, expected);
        assert!(!text.contains("canary"));
    }
    assert!(
        made(
            &tls,
            &[
                ("tls.crt", &certificate),
                ("tls.key", &key),
                ("ca.crt", "x")
            ]
        )
        .is_ok()
    );
    assert!(
        made(
            &form(DOCKER_CONFIG.0, NameRules::default()),
            &[(DOCKER_CONFIG.1, r#"{"auths":{}}"#)]
        )
        .is_ok()
    );
}

/// A certificate and its key, each time others.
fn pair_of() -> (String, String) {
    let Made { cert, signing_key } =
        generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}
