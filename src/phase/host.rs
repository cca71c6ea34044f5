//! The address of a Phase console, parsed at the door.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;
use thiserror::Error;

/// The console that is asked when nobody names another.
pub const DEFAULT_HOST: &str = "https://console.phase.dev";

/// Longest canonical address; keeps every error line that names it short.
const MAX_LENGTH: usize = 200;

/// The address of a Phase console: `https://name[:port][/prefix]`.
///
/// Two spellings of one address are equal: the name is lower-cased, the
/// scheme's own port, trailing slashes and a trailing `/service` are dropped.
#[derive(Clone)]
pub struct Host(Arc<Parts>);

struct Parts {
    canonical: String,
    name: Name,
    plain: bool,
    screened: bool,
}

/// What stands between the scheme and the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Address(IpAddr),
    Domain(String),
}

/// Why a text is not the address of a console, or may not be asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostError {
    /// No text at all.
    #[error("host is empty: write https://<name of your Phase console>")]
    Empty,
    /// A host that only `*` would allow, at an address of the node itself.
    #[error(
        "host {0} is an address of the node or of its cloud: ask the cluster admin to add --allowed-host {0}"
    )]
    Local(Host),
    /// The text cannot be read as an address.
    #[error("host {0} is not a URL: write https://<name>, with a port or a path where needed")]
    Malformed(Quoted),
    /// A host that is neither the daemon's own nor on its allow-list.
    #[error(
        "host {0} is not allowed on this node: ask the cluster admin to add --allowed-host {0}"
    )]
    NotAllowed(Host),
    /// A query or a fragment.
    #[error("host {0} has a query or a fragment: write https://<name> and nothing after the path")]
    Query(Quoted),
    /// Another scheme than http or https, or none.
    #[error("host {0} does not start with https://: write https://<name>")]
    Scheme(Quoted),
    /// Longer than any real address.
    #[error("host is {0} bytes long, more than {MAX_LENGTH}: write https://<name>")]
    TooLong(usize),
    /// A user name or a password.
    #[error("host holds a user name or a password: write https://<name> without what is before @")]
    UserInfo,
}

/// A text from outside, cut and escaped so that it fits into one line.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Host {
    /// `https://…`, or `http://…` where the operator wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.canonical
    }

    /// Whether the address is `http://`, so that everything but the
    /// end-to-end encrypted part can be read on the way.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.plain
    }

    /// Whether only `*` allows this host, so that it may not lead to the
    /// node's own or its cloud's addresses.
    #[must_use]
    pub fn is_screened(&self) -> bool {
        self.0.screened
    }

    /// The name or address alone.
    pub(super) fn name(&self) -> &Name {
        &self.0.name
    }

    /// One of `groups` groups; equal hosts are in the same.
    pub(super) fn group(&self, groups: usize) -> usize {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        usize::try_from(hasher.finish() % groups as u64).unwrap_or_default()
    }

    /// The same host, to be asked only at addresses outside the node.
    pub(super) fn screened(&self) -> Self {
        Self(Arc::new(Parts {
            canonical: self.0.canonical.clone(),
            name: self.0.name.clone(),
            plain: self.0.plain,
            screened: true,
        }))
    }
}

impl Default for Host {
    fn default() -> Self {
        DEFAULT_HOST
            .parse()
            .expect("the default host is well-formed: a test parses it")
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let text = text.trim();
        let url = url(text)?;
        let plain = url.scheme() == "http";
        let name = name(&url).ok_or_else(|| HostError::Malformed(Quoted::new(text)))?;
        let canonical = canonical(&url, &name);
        if canonical.len() > MAX_LENGTH {
            return Err(HostError::TooLong(canonical.len()));
        }
        Ok(Self(Arc::new(Parts {
            canonical,
            name,
            plain,
            screened: false,
        })))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.canonical)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.0.canonical)
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        self.0.canonical == other.0.canonical
    }
}

impl Eq for Host {}

impl Hash for Host {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.canonical.hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Domain(domain) => f.write_str(domain),
        }
    }
}

impl Quoted {
    const LONGEST: usize = 80;

    fn new(text: &str) -> Self {
        let mut escaped = text.escape_debug();
        let shown: String = escaped.by_ref().take(Self::LONGEST).collect();
        let rest = if escaped.next().is_some() { "…" } else { "" };
        Self(format!("\"{shown}{rest}\""))
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text as a URL with nothing in it that a console's address has not.
fn url(text: &str) -> Result<Url, HostError> {
    if text.is_empty() {
        return Err(HostError::Empty);
    }
    // Before anything is quoted in an error: what stands before @ may be a password.
    if text.contains('@') {
        return Err(HostError::UserInfo);
    }
    if !has_http_scheme(text) {
        return Err(HostError::Scheme(Quoted::new(text)));
    }
    // The URL standard drops tabs and line ends silently and reads \ as /.
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(HostError::Malformed(Quoted::new(text)));
    }
    let url = Url::parse(text).map_err(|_| HostError::Malformed(Quoted::new(text)))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(HostError::Query(Quoted::new(text)));
    }
    Ok(url)
}

fn has_http_scheme(text: &str) -> bool {
    let starts = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts("https://") || starts("http://")
}

/// The name, without the dot that DNS allows at its end.
fn name(url: &Url) -> Option<Name> {
    let text = url.host_str()?;
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(Name::Address(address));
    }
    let domain = text.strip_suffix('.').unwrap_or(text);
    (!domain.is_empty() && !domain.starts_with('.') && !domain.ends_with('.'))
        .then(|| Name::Domain(domain.to_owned()))
}

fn canonical(url: &Url, name: &Name) -> String {
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    let prefix = path
        .strip_suffix("/service")
        .unwrap_or(path)
        .trim_end_matches('/');
    format!("{}://{name}{port}{prefix}", url.scheme())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn host(text: &str) -> String {
        text.parse::<Host>().unwrap().to_string()
    }

    fn refusal(text: &str) -> String {
        text.parse::<Host>().unwrap_err().to_string()
    }

    #[test]
    fn the_default_host_is_phase_cloud() {
        assert_eq!(Host::default().as_str(), "https://console.phase.dev");
        assert!(!Host::default().is_plain());
    }

    #[test]
    fn spellings_of_one_address_are_equal() {
        for text in [
            "https://phase.example.com",
            "HTTPS://Phase.Example.COM",
            "  https://phase.example.com/\n",
            "https://phase.example.com:443",
            "https://phase.example.com./",
            "https://phase.example.com///",
            "https://phase.example.com/service",
            "https://phase.example.com/service/",
        ] {
            assert_eq!(host(text), "https://phase.example.com", "{text:?}");
        }
        assert_eq!(
            "https://A.test".parse::<Host>(),
            "https://a.test/service/".parse::<Host>()
        );
    }

    #[test]
    fn port_and_prefix_are_kept() {
        assert_eq!(
            host("https://a.test:8443/phase/"),
            "https://a.test:8443/phase"
        );
        assert_eq!(
            host("https://a.test/phase/service/"),
            "https://a.test/phase"
        );
        assert_eq!(
            host("https://a.test/my-service"),
            "https://a.test/my-service"
        );
        assert_eq!(host("https://[::1]:8443"), "https://[::1]:8443");
    }

    #[test]
    fn an_address_in_any_notation_is_that_address() {
        assert_eq!(host("https://127.1"), "https://127.0.0.1");
        assert_eq!(host("https://0x7f000001"), "https://127.0.0.1");
        assert_eq!(
            host("https://[::ffff:127.0.0.1]"),
            "https://[::ffff:127.0.0.1]"
        );
    }

    #[test]
    fn plain_http_is_read_and_marked() {
        let host: Host = "http://phase.test:8080".parse().unwrap();
        assert!(host.is_plain());
        assert_eq!(host.as_str(), "http://phase.test:8080");
    }

    #[test]
    fn what_is_not_a_console_is_refused_with_the_next_step() {
        let empty = "is empty: write https://<name of your Phase console>";
        let scheme = "does not start with https://: write https://<name>";
        let query = "has a query or a fragment: write https://<name> and nothing after the path";
        let malformed = "is not a URL: write https://<name>, with a port or a path where needed";
        for (text, quoted, expected) in [
            ("", "", empty),
            (" \n", "", empty),
            ("console.phase.dev", " \"console.phase.dev\"", scheme),
            ("ftp://a.test", " \"ftp://a.test\"", scheme),
            ("https:a.test", " \"https:a.test\"", scheme),
            ("https://a.test?x=1", " \"https://a.test?x=1\"", query),
            ("https://a.test/#x", " \"https://a.test/#x\"", query),
            ("https://a\n.test", " \"https://a\\n.test\"", malformed),
            ("https://a.test\\x", " \"https://a.test\\\\x\"", malformed),
            ("https://:8443", " \"https://:8443\"", malformed),
            ("https://..", " \"https://..\"", malformed),
        ] {
            assert_eq!(
                refusal(text),
                format!("host{quoted} {expected}"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        for text in [
            "https://me:hunter2@a.test",
            "me:hunter2@a.test",
            "https://me:hunter2@a b",
        ] {
            assert_eq!(
                refusal(text),
                "host holds a user name or a password: write https://<name> without what is before @"
            );
        }
    }

    #[test]
    fn an_endless_address_is_refused_in_one_short_line() {
        let long = format!("https://a.test/{}", "x".repeat(300));
        assert_eq!(
            refusal(&long),
            "host is 315 bytes long, more than 200: write https://<name>"
        );
        for odd in ["\u{202e}", "\u{1f980}", "x"] {
            let refusal = refusal(&format!("ftp://{}", odd.repeat(5000)));
            assert!(refusal.len() < 500 && refusal.contains('…'), "{refusal}");
        }
    }
}
