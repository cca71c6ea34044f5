//! The token of a person at a terminal, or of a job: from the environment, a
//! file, or standard input; never from an argument, which others can read.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::Path;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::cause::Cause;
use crate::console::STANDARD_INPUT;
use crate::phase::token::{Token, TokenError};

/// The variable that may hold the token.
const VARIABLE: &str = "PHASE_SERVICE_TOKEN";
/// Longer than any token by far.
const MOST_BYTES: usize = 4096;

/// Why there is no usable token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnTokenError {
    /// Neither variable nor file.
    #[error("no Phase token: set {VARIABLE}, or name a file that holds it with --token-file")]
    Absent,
    /// The file is too large to be one, or is no text.
    #[error("{place} holds no Phase token: it must hold the token and nothing else")]
    Other {
        /// Which file.
        place: String,
    },
    /// The file cannot be read.
    #[error("{place} cannot be read: {error}: check --token-file")]
    Read {
        /// Which file.
        place: String,
        /// The system's words.
        error: io::Error,
    },
    /// The text is no token.
    #[error("{error} ({place})")]
    Token {
        /// Where it comes from.
        place: String,
        /// What is wrong with it.
        error: TokenError,
    },
}

impl OwnTokenError {
    /// What exit codes follow from; nothing for a file that cannot be read.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        match self {
            Self::Absent => Some(Cause::NoCredential),
            Self::Other { .. } | Self::Token { .. } => Some(Cause::RefusedCredential),
            Self::Read { .. } => None,
        }
    }
}

/// The token in a file, or in standard input for `-`; without a file, the one
/// in the environment.
///
/// # Errors
/// When there is none, or it is not one.
pub fn own_token(file: Option<&str>) -> Result<Token, OwnTokenError> {
    let (place, text) = match file {
        None => (VARIABLE.to_owned(), of_environment()?),
        Some(path) => (shown(path), of_file(path)?),
    };
    Token::parse(&text).map_err(|error| OwnTokenError::Token { place, error })
}

fn of_environment() -> Result<SecretString, OwnTokenError> {
    match std::env::var_os(VARIABLE) {
        None => Err(OwnTokenError::Absent),
        Some(text) if text.is_empty() => Err(OwnTokenError::Absent),
        Some(text) => match text.into_string() {
            Ok(text) => Ok(SecretString::from(text)),
            Err(other) => {
                drop(Zeroizing::new(other.into_encoded_bytes()));
                let place = VARIABLE.to_owned();
                Err(OwnTokenError::Other { place })
            }
        },
    }
}

fn of_file(path: &str) -> Result<SecretString, OwnTokenError> {
    let bytes = match path {
        STANDARD_INPUT => bounded(stdin().lock()),
        path => File::open(path).and_then(bounded),
    };
    text_of(bytes, shown(path))
}

/// The text in a file of this path, whatever the path is called.
pub(super) fn of_path(path: &Path) -> Result<SecretString, OwnTokenError> {
    let bytes = File::open(path).and_then(bounded);
    text_of(bytes, path.display().to_string())
}

fn text_of(
    bytes: io::Result<Zeroizing<Vec<u8>>>,
    place: String,
) -> Result<SecretString, OwnTokenError> {
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return Err(OwnTokenError::Read { place, error }),
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) if bytes.len() <= MOST_BYTES => Ok(SecretString::from(text)),
        _ => Err(OwnTokenError::Other { place }),
    }
}

/// One byte more than allowed tells that there is more; the buffer never grows.
fn bounded(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; MOST_BYTES + 1]);
    let mut source = source.take(MOST_BYTES as u64 + 1);
    let mut filled = 0;
    loop {
        match source.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn shown(path: &str) -> String {
    match path {
        STANDARD_INPUT => "standard input".to_owned(),
        path => path.to_owned(),
    }
}
