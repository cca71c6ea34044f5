//! The Secret that the pod's volume names in `nodePublishSecretRef`.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::CredentialError;
use crate::phase::token::Token;

/// The keys that may hold the token; the first one present is used.
pub(crate) const KEYS: [&str; 2] = ["token", "PHASE_SERVICE_TOKEN"];

/// kubelet may put the pod's own identity tokens here; they are no Phase tokens.
const OF_KUBELET: &str = "csi.storage.k8s.io/";

/// The token in the `secrets` of a mount request: a JSON object of texts, which
/// is `null`, `{}` or empty when the volume names no Secret.
///
/// # Errors
/// When there is no token, or it is not one.
pub fn token(secrets: &SecretString, namespace: &str) -> Result<Token, CredentialError> {
    let mut texts = read(secrets)?;
    let absent = || CredentialError::Absent {
        namespace: namespace.to_owned(),
    };
    texts.retain(|key, _| !key.starts_with(OF_KUBELET));
    if texts.is_empty() {
        return Err(absent());
    }
    let Some((key, raw)) = KEYS.iter().find_map(|key| Some((*key, *texts.get(*key)?))) else {
        return Err(CredentialError::NoKey {
            namespace: namespace.to_owned(),
            found: shown(texts.keys()),
        });
    };
    Token::parse(&unescaped(raw)?).map_err(|error| CredentialError::Token {
        namespace: namespace.to_owned(),
        key,
        error,
    })
}

/// The texts stay where they lie, as they are written: of each that is read, a copy would
/// have to be wiped.
#[derive(Deserialize)]
struct Texts<'a>(#[serde(borrow)] Option<BTreeMap<String, &'a RawValue>>);

fn read(secrets: &SecretString) -> Result<BTreeMap<String, &RawValue>, CredentialError> {
    let text = secrets.expose_secret();
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let Texts(texts) = serde_json::from_str(text).map_err(|_| CredentialError::NotJson)?;
    let texts = texts.unwrap_or_default();
    let are_texts = texts.values().all(|raw| raw.get().starts_with('"'));
    are_texts.then_some(texts).ok_or(CredentialError::NotJson)
}

/// A text as it was before it was written in JSON, without white space around it. What
/// has no escapes within, as no token has, passes through no buffer of the JSON reader's.
fn unescaped(raw: &RawValue) -> Result<SecretString, CredentialError> {
    const WHITE: [&str; 4] = [" ", "\\n", "\\r", "\\t"];
    let quoted = raw.get().strip_prefix('"');
    let mut text = quoted.and_then(|text| text.strip_suffix('"')).unwrap_or("");
    while let Some(rest) = WHITE.iter().find_map(|white| text.strip_prefix(white)) {
        text = rest;
    }
    while let Some(rest) = WHITE.iter().find_map(|white| text.strip_suffix(white)) {
        text = rest;
    }
    match text.contains('\\') {
        false => Ok(SecretString::from(text)),
        true => serde_json::from_str(raw.get()).map_err(|_| CredentialError::NotJson),
    }
}

/// The names of a Secret's keys, the first few.
fn shown<'a>(keys: impl ExactSizeIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 5;
    let more = keys.len().saturating_sub(SHOWN);
    let names: Vec<_> = keys.take(SHOWN).map(String::as_str).collect();
    match more {
        0 => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(secrets: &str) -> Result<Token, CredentialError> {
        token(&SecretString::from(secrets), "shop")
    }

    fn text(secrets: &str) -> String {
        parsed(secrets).expect_err("no token in it").to_string()
    }

    fn well_formed() -> String {
        let key = "0a".repeat(32);
        format!("pss_service:v2:{key}:{key}:{key}:{key}")
    }

    #[test]
    fn both_keys_are_read_and_white_space_is_trimmed() {
        for key in ["token", "PHASE_SERVICE_TOKEN"] {
            let json = format!(r#"{{"{key}":" {}\n","other":"x"}}"#, well_formed());
            assert!(parsed(&json).is_ok(), "{key}");
        }
    }

    #[test]
    fn escapes_are_read_as_json_means_them() {
        let read = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).expect("it is JSON");
            let text = unescaped(&raw).expect("it is a text");
            text.expose_secret().trim().to_owned()
        };
        for text in [
            "",
            " ",
            "a",
            "a\\",
            "a\\n",
            "\\n",
            "\n\r\t a b\n\n",
            "\"",
            "a\"",
            "\u{1}é",
        ] {
            let json = serde_json::to_string(text).expect("any text is JSON");
            assert_eq!(read(&json), text.trim(), "{json}");
        }
        assert_eq!(read(r#""\u0061\/\n""#), "a/");
    }

    #[test]
    fn no_secret_at_all_says_how_to_name_one() {
        let identity = r#"{"csi.storage.k8s.io/serviceAccount.tokens":"{}"}"#;
        for json in ["null", "{}", "", identity] {
            let text = text(json);
            assert!(text.contains("csi.nodePublishSecretRef"), "{text}");
            assert!(text.contains("\"shop\""), "{text}");
        }
    }

    #[test]
    fn a_secret_without_the_key_lists_the_keys_it_has() {
        let text = text(r#"{"a":"canary","b":"2","c":"3","d":"4","e":"5","f":"6"}"#);
        assert!(text.ends_with("it has a, b, c, d, e and 1 more"), "{text}");
        assert!(!text.contains("canary"));
    }

    #[test]
    fn a_damaged_token_says_under_which_key() {
        let text = text(r#"{"token":"pss_service:v2:abc"}"#);
        assert!(
            text.starts_with("Phase token has 3 fields instead of 6")
                && text.contains("(key token"),
            "{text}"
        );
        assert!(!text.contains("abc"));
    }

    #[test]
    fn what_is_not_an_object_of_texts_is_refused() {
        for json in ["[]", "1", r#"{"token":1}"#, r#"{"token":"#] {
            assert_eq!(parsed(json).expect_err("wrong"), CredentialError::NotJson);
        }
    }
}
