//! The token string that Phase gives to an account.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use secrecy::{ExposeSecret, SecretString};

use super::client::{Authorization, UnusableBearer};
use super::primitives::{SecretKey, derive};

/// A Phase token: what goes over the wire, and the key material that does not.
///
/// `pss_service:v2:<bearer>:<public key>:<share>:<wrap key>` for a service
/// account, `pss_service:v1:…` for a legacy service token of one app,
/// `pss_user:v1:…` for a person; each of the four fields is 64 hex digits.
pub struct Token {
    kind: Kind,
    bearer: SecretString,
    pub(super) public_key: [u8; 32],
    pub(super) share: SecretKey,
    pub(super) wrap_key: SecretKey,
}

/// Whom a token belongs to, which is also the word sent before the bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `pss_service:v1`: bound to one app.
    LegacyService,
    /// `pss_service:v2`.
    ServiceAccount,
    /// `pss_user:v1`.
    User,
}

/// Why a text is not a Phase token. No variant holds any part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Nothing but white space.
    #[error("Phase token is empty: store a service token (pss_service:v2:…) in the Secret")]
    Empty,
    /// Not six fields between colons.
    #[error("Phase token has {found} fields instead of 6: copy it again, whole, from Phase")]
    Fields {
        /// How many there are.
        found: usize,
    },
    /// A field of the right length with something else than hex digits in it.
    #[error("Phase token is damaged: its {field} is not hexadecimal: copy it again from Phase")]
    Hex {
        /// Which field.
        field: &'static str,
    },
    /// Not a token of any known kind.
    #[error(
        "Phase token is of an unknown kind: it must begin with pss_service:v2, pss_service:v1 or pss_user:v1"
    )]
    Kind,
    /// A field too short or too long.
    #[error(
        "Phase token is damaged: its {field} has {found} characters instead of 64: copy it again from Phase"
    )]
    Length {
        /// Which field.
        field: &'static str,
        /// Its length in characters.
        found: usize,
    },
    /// The `ServiceAccount <bearer>` form, which has no key material.
    #[error(
        "Phase token is in its REST form, which cannot decrypt: copy the form that begins with pss_service:v2"
    )]
    RestForm,
    /// A known kind in a version that this program does not know.
    #[error(
        "Phase token has a version this provider does not know: it knows pss_service:v1 and pss_service:v2"
    )]
    Version,
    /// White space or a quotation mark within the token.
    #[error(
        "Phase token has white space or quotation marks in it: store the bare token, on one line"
    )]
    WhiteSpace,
}

impl Token {
    /// Reads a token; white space around it is ignored, since Secrets made from
    /// files usually end in a new line.
    ///
    /// # Errors
    /// [`TokenError`], which says what is wrong and quotes nothing.
    pub fn parse(text: &SecretString) -> Result<Self, TokenError> {
        let text = text.expose_secret().trim_ascii();
        refuse_other_shapes(text)?;
        let mut fields = [""; 6];
        let found = text.split(':').count();
        let kind = kind(text)?;
        if found != fields.len() {
            return Err(TokenError::Fields { found });
        }
        for (slot, field) in fields.iter_mut().zip(text.split(':')) {
            *slot = field;
        }
        let [_, _, bearer, public_key, share, wrap_key] = fields;
        key(bearer, "bearer")?;
        Ok(Self {
            kind,
            bearer: SecretString::from(bearer),
            public_key: *key(public_key, "public key")?,
            share: key(share, "key share")?,
            wrap_key: key(wrap_key, "wrap key")?,
        })
    }

    /// Whom the token belongs to.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// 32 bytes for one purpose, which only a holder of this very token can make
    /// (HKDF-SHA256 over the digest of all its fields).
    #[must_use]
    pub fn derive(&self, purpose: &str) -> SecretKey {
        derive(&self.digest(""), purpose)
    }

    /// A digest that names this very token, for keys in memory: one hash, where
    /// [`derive`](Self::derive) takes several, and nothing that it makes follows from it.
    #[must_use]
    pub fn name(&self) -> SecretKey {
        self.digest("phase-csi-provider token name v1")
    }

    fn digest(&self, label: &str) -> SecretKey {
        let mut context = Context::new(&SHA256);
        context.update(label.as_bytes());
        context.update(self.kind.word().as_bytes());
        context.update(self.bearer.expose_secret().as_bytes());
        for field in [&self.public_key, &*self.share, &*self.wrap_key] {
            context.update(field);
        }
        let mut digest = SecretKey::default();
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// The account's public key: equal for all its tokens.
    #[must_use]
    pub const fn account(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// The header that goes over the wire. The bearer is sent as it was given.
    ///
    /// # Errors
    /// Never for a parsed token, whose bearer is hexadecimal.
    pub fn authorization(&self) -> Result<Authorization, UnusableBearer> {
        Authorization::new(self.kind.word(), &self.bearer)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Kind {
    /// The authorization type of this kind, as the server compares it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::LegacyService => "Service",
            Self::ServiceAccount => "ServiceAccount",
            Self::User => "User",
        }
    }
}

fn refuse_other_shapes(text: &str) -> Result<(), TokenError> {
    if text.is_empty() {
        return Err(TokenError::Empty);
    }
    if ["ServiceAccount ", "Service ", "User ", "Bearer "]
        .iter()
        .any(|word| text.starts_with(word))
    {
        return Err(TokenError::RestForm);
    }
    if text.contains(|c: char| c.is_whitespace() || c == '"' || c == '\'') {
        return Err(TokenError::WhiteSpace);
    }
    Ok(())
}

fn kind(text: &str) -> Result<Kind, TokenError> {
    let mut fields = text.split(':');
    match (fields.next(), fields.next()) {
        (Some("pss_service"), Some("v1")) => Ok(Kind::LegacyService),
        (Some("pss_service"), Some("v2")) => Ok(Kind::ServiceAccount),
        // Later versions of personal tokens keep their type; of service tokens they need not.
        (Some("pss_user"), Some(version)) if is_version(version) => Ok(Kind::User),
        (Some("pss_service"), Some(version)) if is_version(version) => Err(TokenError::Version),
        (Some("pss_service" | "pss_user"), _) => Err(TokenError::Fields {
            found: text.split(':').count(),
        }),
        _ => Err(TokenError::Kind),
    }
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

fn key(text: &str, field: &'static str) -> Result<SecretKey, TokenError> {
    let found = text.chars().count();
    if found != 64 {
        return Err(TokenError::Length { field, found });
    }
    let mut key = SecretKey::default();
    base16ct::mixed::decode(text, &mut *key).map_err(|_| TokenError::Hex { field })?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Token::parse(&SecretString::from(text))
            .expect_err("not a token")
            .to_string()
    }

    fn with(fields: [&str; 4]) -> String {
        format!("pss_service:v2:{}", fields.join(":"))
    }

    #[test]
    fn every_mistake_has_its_own_text() {
        let key = "ab".repeat(32);
        let short = "c".repeat(63);
        let not_hex = "xy".repeat(32);
        let cases = [
            (" \n".to_owned(), "Phase token is empty"),
            ("pss_env:v1:a:b:c:d".to_owned(), "is of an unknown kind"),
            ("pss_service:v3:a:b:c:d".to_owned(), "has a version this"),
            ("pss_service:v2:a:b".to_owned(), "has 4 fields instead of 6"),
            ("pss_service".to_owned(), "has 1 fields instead of 6"),
            (format!("Bearer {key}"), "is in its REST form"),
            (format!("\"pss_service:v2:{key}\""), "quotation marks"),
            (
                with([&short, &key, &key, &key]),
                "its bearer has 63 characters instead of 64",
            ),
            (
                with([&key, &not_hex, &key, &key]),
                "its public key is not hexadecimal",
            ),
            (
                with([&key, &key, &not_hex, &key]),
                "its key share is not hexadecimal",
            ),
            (
                with([&key, &key, &key, &short]),
                "its wrap key has 63 characters",
            ),
        ];
        for (text, expected) in cases {
            let error = error(&text);
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("abab") && !error.contains("xyxy") && !error.contains("ccc"));
        }
    }

    #[test]
    fn what_is_derived_differs_with_every_field_and_purpose() {
        let (a, b) = ("ab".repeat(32), "cd".repeat(32));
        let derived = |fields, purpose| {
            let token = Token::parse(&SecretString::from(with(fields))).expect("well-formed");
            token.derive(purpose)
        };
        let named = |fields| {
            let token = Token::parse(&SecretString::from(with(fields))).expect("well-formed");
            token.name()
        };
        let same = [&a, &a, &a, &a].map(String::as_str);
        let first = derived(same, "one");
        assert_eq!(first, derived(same, "one"));
        assert_ne!(first, derived(same, "two"));
        for fields in [
            [&b, &a, &a, &a],
            [&a, &b, &a, &a],
            [&a, &a, &b, &a],
            [&a, &a, &a, &b],
        ] {
            let fields = fields.map(String::as_str);
            assert_ne!(first, derived(fields, "one"));
            assert_ne!(named(same), named(fields));
        }
    }

    #[test]
    fn a_token_cannot_be_printed() {
        let key = "ab".repeat(32);
        let text = SecretString::from(with([&key, &key, &key, &key]));
        let token = Token::parse(&text).expect("well-formed");
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
