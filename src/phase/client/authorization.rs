//! The header that says who asks.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

/// Who asks: `Bearer <kind> <bearer>`, wiped when the last copy is dropped.
#[derive(Clone)]
pub struct Authorization(HeaderValue);

/// A bearer with bytes that no header can carry; a parsed token has none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("token holds characters that cannot be sent: copy it again from the Phase console")]
pub struct UnusableBearer;

impl Authorization {
    /// The header for a bearer of `kind`: `ServiceAccount`, `Service` or `User`.
    ///
    /// # Errors
    /// The bearer holds bytes that no header can carry.
    pub fn new(kind: &str, bearer: &SecretString) -> Result<Self, UnusableBearer> {
        let bearer = bearer.expose_secret();
        // In one piece from the start: growing would leave copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(8 + kind.len() + bearer.len()));
        for part in ["Bearer ", kind, " ", bearer] {
            text.extend_from_slice(part.as_bytes());
        }
        let mut value =
            HeaderValue::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| UnusableBearer)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The header, marked as sensitive.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization([redacted])")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_header_is_exact_and_sensitive() {
        let made = Authorization::new("ServiceAccount", &SecretString::from("0aF")).unwrap();
        assert_eq!(made.header(), "Bearer ServiceAccount 0aF");
        assert!(made.header().is_sensitive());
    }

    #[test]
    fn it_cannot_be_printed() {
        let made = Authorization::new("User", &SecretString::from("c0ffee")).unwrap();
        assert_eq!(
            format!("{made:?} {:?}", made.header()),
            "Authorization([redacted]) Sensitive"
        );
    }

    #[test]
    fn a_bearer_that_would_break_the_header_is_refused_unseen() {
        let error = Authorization::new("User", &SecretString::from("c0f\r\nfee")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "token holds characters that cannot be sent: copy it again from the Phase console"
        );
    }
}
