//! How a value's bytes are written in Phase, whose values are text.

use base64ct::{Base64, Encoding as _};
use secrecy::SecretSlice;
use zeroize::Zeroizing;

/// How the text in Phase stands for the bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `utf-8`: the text itself.
    #[default]
    Utf8,
    /// `base64`: RFC 4648 §4, padded, as `base64` prints it.
    Base64,
    /// `hex`: two digits a byte, in either case.
    Hex,
}

/// Why a value cannot be decoded. The texts say nothing of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeProblem {
    /// Not base64.
    #[error("its value is not base64 (standard alphabet, padded)")]
    Base64,
    /// Not hexadecimal.
    #[error("its value is not hex (two digits a byte)")]
    Hex,
}

impl Encoding {
    const ALL: [Self; 3] = [Self::Utf8, Self::Base64, Self::Hex];

    /// The names of all.
    pub const NAMES: [&'static str; 3] = [Self::Utf8.name(), Self::Base64.name(), Self::Hex.name()];

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Its name in a class.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }

    /// The bytes that a text stands for. In base64 and hex, line ends and the
    /// white space around each line mean nothing; any other slip is an error.
    ///
    /// # Errors
    /// When the text is not of this encoding.
    pub fn decode(self, text: &str) -> Result<SecretSlice<u8>, DecodeProblem> {
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec().into()),
            Self::Base64 => {
                let text = without_line_ends(text);
                let mut bytes = Zeroizing::new(vec![0; text.len() / 4 * 3]);
                let bytes = Base64::decode(&*text, &mut bytes);
                exactly(bytes.map_err(|_| DecodeProblem::Base64)?)
            }
            Self::Hex => {
                let text = without_line_ends(text);
                let mut bytes = Zeroizing::new(vec![0; text.len() / 2]);
                let bytes = base16ct::mixed::decode(&*text, &mut bytes);
                exactly(bytes.map_err(|_| DecodeProblem::Hex)?)
            }
        }
    }
}

/// A copy that needs no shrinking, which would leave another one behind.
fn exactly(bytes: &[u8]) -> Result<SecretSlice<u8>, DecodeProblem> {
    Ok(bytes.to_vec().into())
}

/// The lines of a text, joined: never longer than the text, so it never grows.
fn without_line_ends(text: &str) -> Zeroizing<Vec<u8>> {
    let mut joined = Zeroizing::new(Vec::with_capacity(text.len()));
    for line in text.lines() {
        joined.extend_from_slice(line.trim_ascii().as_bytes());
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn decoded(encoding: Encoding, text: &str) -> Result<Vec<u8>, DecodeProblem> {
        let bytes = encoding.decode(text)?;
        Ok(bytes.expose_secret().to_vec())
    }

    #[test]
    fn every_name_is_read_back_and_no_other() {
        for (name, encoding) in Encoding::NAMES.into_iter().zip(Encoding::ALL) {
            assert_eq!(encoding.name(), name);
            assert_eq!(Encoding::parse(name), Some(encoding));
        }
        for name in ["", "UTF-8", "utf8", "base64url", "plain"] {
            assert_eq!(Encoding::parse(name), None, "{name}");
        }
        assert_eq!(Encoding::default(), Encoding::Utf8);
    }

    #[test]
    fn what_the_usual_tools_print_is_read() {
        for (encoding, text, bytes) in [
            (Encoding::Utf8, " a\r\n", &b" a\r\n"[..]),
            (Encoding::Utf8, "", b""),
            (Encoding::Base64, "", b""),
            (Encoding::Base64, "AAEC/w==\n", b"\0\x01\x02\xff"),
            (Encoding::Base64, "AAE\nC/w\r\n==", b"\0\x01\x02\xff"),
            (Encoding::Base64, "\n  AAEC\n  /w==\n\n", b"\0\x01\x02\xff"),
            (Encoding::Base64, "aGk+", b"hi>"),
            (Encoding::Hex, "", b""),
            (Encoding::Hex, "00fF\n7A\r\n", b"\0\xff\x7a"),
        ] {
            assert_eq!(decoded(encoding, text).as_deref(), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "AAEC/w",
            "AAEC_w==",
            "AAEC/x==",
            "AA EC",
            "A",
            "====",
            "AA==AA==",
            "AAEC/w==\0",
            "é",
            "-----BEGIN-----",
        ] {
            let problem = decoded(Encoding::Base64, text);
            assert_eq!(problem, Err(DecodeProblem::Base64), "{text:?}");
        }
        for text in ["0", "0g", "0x00", "00 ff", "00:ff", "é"] {
            assert_eq!(
                decoded(Encoding::Hex, text),
                Err(DecodeProblem::Hex),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_problem_has_its_text() {
        assert_eq!(
            DecodeProblem::Base64.to_string(),
            "its value is not base64 (standard alphabet, padded)"
        );
        assert_eq!(
            DecodeProblem::Hex.to_string(),
            "its value is not hex (two digits a byte)"
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back_however_it_is_wrapped(
            bytes: Vec<u8>, width in 1_usize..80, end in "\r?\n *",
        ) {
            let wrapped = |text: String| {
                let lines: Vec<_> = text.as_bytes().chunks(width).map(<[u8]>::to_vec).collect();
                String::from_utf8(lines.join(end.as_bytes())).expect("ASCII")
            };
            let base64 = wrapped(Base64::encode_string(&bytes));
            prop_assert_eq!(decoded(Encoding::Base64, &base64), Ok(bytes.clone()));
            let hex = wrapped(base16ct::lower::encode_string(&bytes));
            prop_assert_eq!(decoded(Encoding::Hex, &hex), Ok(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            for encoding in Encoding::ALL {
                let _ = encoding.decode(&text);
            }
        }
    }
}
