//! The node's own token, for namespaces that its administrator lists: pods there
//! may name no Secret of theirs. Off unless both flags are given.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::CredentialError;
use super::own::{OwnTokenError, of_path};
use crate::phase::token::Token;

/// A token file, and who may use it. The file is read for each mount, so that a
/// new token takes over at once.
#[derive(Clone, Debug)]
pub struct NodeToken {
    file: PathBuf,
    namespaces: BTreeSet<String>,
}

impl NodeToken {
    /// The token in this file, for pods of these namespaces.
    #[must_use]
    pub fn new(file: PathBuf, namespaces: impl IntoIterator<Item = String>) -> Self {
        Self {
            file,
            namespaces: namespaces.into_iter().collect(),
        }
    }

    /// The token, if pods of this namespace may use it.
    ///
    /// # Errors
    /// When they may, and the file holds none.
    pub fn of(&self, namespace: &str) -> Result<Option<Token>, CredentialError> {
        if !self.namespaces.contains(namespace) {
            return Ok(None);
        }
        let text = of_path(&self.file);
        let token = text.map_err(|error| match error {
            OwnTokenError::Read { error, .. } => error.to_string(),
            _ => "it must hold the token and nothing else".to_owned(),
        });
        let token = token.and_then(|text| Token::parse(&text).map_err(|error| error.to_string()));
        token.map(Some).map_err(|reason| CredentialError::Node {
            namespace: namespace.to_owned(),
            file: self.file.display().to_string(),
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, namespace: &str) -> Result<Option<Token>, CredentialError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("its text");
        NodeToken::new(file.path().to_owned(), ["shop".to_owned()]).of(namespace)
    }

    #[test]
    fn only_listed_namespaces_get_it() {
        let key = "0a".repeat(32);
        let text = format!("pss_service:v2:{key}:{key}:{key}:{key}\n");
        assert!(of(&text, "shop").expect("well-formed").is_some());
        for other in ["shop-2", "SHOP", "", "*"] {
            assert!(of(&text, other).expect("not asked").is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_no_token_says_whose_business_it_is() {
        for (text, reason) in [
            ("", "is empty"),
            ("canary", "of an unknown kind"),
            (&"canary".repeat(1000), "nothing else"),
        ] {
            let error = of(text, "shop").expect_err("no token").to_string();
            assert!(error.contains(reason), "{error}");
            assert!(
                error.contains("--default-token-file") && !error.contains("canary"),
                "{error}"
            );
        }
    }

    #[test]
    fn standard_input_is_no_file_of_a_daemon() {
        let token = NodeToken::new("-".into(), ["shop".to_owned()]);
        let error = token.of("shop").expect_err("no file").to_string();
        assert!(error.contains(": -: No such file"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_says_so() {
        let token = NodeToken::new("/nowhere/token".into(), ["shop".to_owned()]);
        let error = token.of("shop").expect_err("no file").to_string();
        assert_eq!(
            error,
            "token of the node for namespace \"shop\" cannot be used: /nowhere/token: No such file or directory (os error 2): \
             this is for the cluster's administrator: check --default-token-file"
        );
    }
}
