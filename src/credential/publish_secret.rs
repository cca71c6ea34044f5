//! The Secret that the pod's volume names in `nodePublishSecretRef`.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;

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
    let Some((key, text)) = KEYS.iter().find_map(|key| Some((*key, texts.get(*key)?))) else {
        return Err(CredentialError::NoKey {
            namespace: namespace.to_owned(),
            found: shown(texts.keys()),
        });
    };
    Token::parse(text).map_err(|error| CredentialError::Token {
        namespace: namespace.to_owned(),
        key,
        error,
    })
}

#[derive(Deserialize)]
struct Texts(Option<BTreeMap<String, SecretString>>);

fn read(secrets: &SecretString) -> Result<BTreeMap<String, SecretString>, CredentialError> {
    use secrecy::ExposeSecret;
    let text = secrets.expose_secret();
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let Texts(texts) = serde_json::from_str(text).map_err(|_| CredentialError::NotJson)?;
    Ok(texts.unwrap_or_default())
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
