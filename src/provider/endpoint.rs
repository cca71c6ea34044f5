//! Where to serve: the value of `--endpoint`.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// Where to serve: `unix://` and an absolute path, which is known to fit the
/// operating system's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(PathBuf);

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It ends in a slash or in dots.
    #[error("must name a file, for example unix:///var/run/providers/phase.sock")]
    NoFile,
    /// Two slashes after the scheme are followed by a host or a relative path.
    #[error(
        "must be an absolute path after unix://, for example unix:///var/run/providers/phase.sock"
    )]
    NotAbsolute,
    /// Another scheme, or none.
    #[error("must start with unix://, for example unix:///var/run/providers/phase.sock")]
    NotUnix,
    /// The path holds a NUL or another control character.
    #[error("must not contain control characters")]
    NotPrintable,
    /// The operating system holds 107 bytes.
    #[error(
        "the path has {0} bytes, but a socket's path can have at most {MAX_PATH}: choose a shorter one"
    )]
    TooLong(usize),
    /// Shorter than the text that takes its place in the header of old drivers.
    #[error(
        "the path has {0} bytes, but drivers before 1.6 need at least {MIN_PATH}: choose a longer one"
    )]
    TooShort(usize),
}

/// `sun_path` has 108 bytes, the last of which is NUL.
const MAX_PATH: usize = 107;
/// The length of `localhost`: see `authority`.
const MIN_PATH: usize = 9;
const SCHEME: &str = "unix://";

impl Endpoint {
    /// The socket's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory that holds the socket's file.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let path = text.strip_prefix(SCHEME).ok_or(EndpointError::NotUnix)?;
        if !path.starts_with('/') {
            return Err(EndpointError::NotAbsolute);
        }
        if path.contains(char::is_control) {
            return Err(EndpointError::NotPrintable);
        }
        if path.ends_with('/') || path.ends_with("/.") || !names_a_file(Path::new(path)) {
            return Err(EndpointError::NoFile);
        }
        match path.len() {
            ..MIN_PATH => Err(EndpointError::TooShort(path.len())),
            MIN_PATH..=MAX_PATH => Ok(Self(PathBuf::from(path))),
            _ => Err(EndpointError::TooLong(path.len())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.0.display())
    }
}

fn names_a_file(path: &Path) -> bool {
    let last = path.components().next_back().map(Component::as_os_str);
    last.is_some() && last == path.file_name().map(OsStr::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn refused(text: &str) -> EndpointError {
        text.parse::<Endpoint>().unwrap_err()
    }

    #[test]
    fn a_unix_url_is_an_endpoint_and_prints_as_it_was_written() {
        let endpoint: Endpoint = "unix:///run/providers/phase.sock".parse().unwrap();
        assert_eq!(endpoint.path(), Path::new("/run/providers/phase.sock"));
        assert_eq!(endpoint.directory(), Path::new("/run/providers"));
        assert_eq!(endpoint.to_string(), "unix:///run/providers/phase.sock");
    }

    #[test]
    fn other_schemes_bare_and_relative_paths_are_refused() {
        for text in [
            "",
            "/run/phase.sock",
            "tcp://127.0.0.1:1",
            "unix:/run/phase.sock",
        ] {
            assert_eq!(refused(text), EndpointError::NotUnix, "{text}");
        }
        for text in ["unix://", "unix://run/phase.sock"] {
            assert_eq!(refused(text), EndpointError::NotAbsolute, "{text}");
        }
        assert_eq!(
            refused("unix:///run/phase\n.sock"),
            EndpointError::NotPrintable
        );
    }

    #[test]
    fn a_path_that_names_no_file_is_refused() {
        for text in [
            "unix:///",
            "unix:///run/providers/",
            "unix:///run/providers/.",
            "unix:///run/a/..",
        ] {
            assert_eq!(refused(text), EndpointError::NoFile, "{text}");
        }
    }

    #[test]
    fn the_path_has_9_to_107_bytes() {
        let of = |length: usize| format!("unix:///{}", "x".repeat(length - 1)).parse::<Endpoint>();
        assert_eq!(of(8).unwrap_err(), EndpointError::TooShort(8));
        assert!(of(9).is_ok());
        assert!(of(107).is_ok());
        assert_eq!(of(108).unwrap_err(), EndpointError::TooLong(108));
    }

    #[test]
    fn each_refusal_says_what_to_write_instead() {
        let text = |endpoint: &str| refused(endpoint).to_string();
        assert_eq!(
            text("/run/x"),
            "must start with unix://, for example unix:///var/run/providers/phase.sock"
        );
        assert_eq!(
            text("unix://run/x"),
            "must be an absolute path after unix://, for example unix:///var/run/providers/phase.sock"
        );
        assert_eq!(
            text("unix:///run/"),
            "must name a file, for example unix:///var/run/providers/phase.sock"
        );
        assert_eq!(
            text("unix:///run/\0"),
            "must not contain control characters"
        );
        assert_eq!(
            text("unix:///a.sock"),
            "the path has 7 bytes, but drivers before 1.6 need at least 9: choose a longer one"
        );
        assert_eq!(
            text(&format!("unix:///{}", "x".repeat(200))),
            "the path has 201 bytes, but a socket's path can have at most 107: choose a shorter one"
        );
    }
}
