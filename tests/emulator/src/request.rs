//! A request as the server reads it: where it goes, who asks, what form of answer will do.

use crate::seed::AccountKind;
use http::{HeaderMap, HeaderValue, Method};
use std::net::IpAddr;

/// A request without its body.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: IpAddr,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    Health,
    /// The health check without a trailing slash, under a fixed id.
    HealthById,
    /// Exchange of a cloud identity for a token.
    Identity,
    /// A real route that this server does not have.
    NotServed,
    /// The root of the public API.
    Public,
    Secrets,
    Tokens,
    Unknown,
}

/// What the header `Authorization` says.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Credential<'a> {
    /// There is no header.
    Absent,
    /// The header is there, and empty.
    Empty,
    /// It has another form.
    Malformed,
    /// The right form; whether the bearer is known is another question.
    Token { kind: AccountKind, bearer: &'a str },
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Html,
    Json,
}

impl Ask {
    /// A header read as latin-1, as the real server does; so a header can name a folder whose letters are all of latin-1, and no other.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(value.as_bytes().iter().copied().map(char::from).collect())
    }

    pub(crate) fn credential(&self) -> Credential<'_> {
        let Some(value) = self.headers.get(http::header::AUTHORIZATION) else {
            return Credential::Absent;
        };
        match value.to_str() {
            Ok("") => Credential::Empty,
            Ok(text) => read_credential(text).unwrap_or(Credential::Malformed),
            Err(_) => Credential::Malformed,
        }
    }

    /// The form that `Accept` asks for; `None` when there is no such form.
    pub(crate) fn form(&self) -> Option<Form> {
        self.headers
            .get(http::header::ACCEPT)
            .map_or(Some(Form::Json), negotiate)
    }
}

impl Route {
    /// Where `path` leads; a leading `/service` is taken off once, and a missing trailing slash is a different path.
    pub(crate) fn of(path: &str) -> Self {
        let path = path
            .strip_prefix("/service")
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(path);
        match path {
            "/493c5048-99f9-4eac-ad0d-98c3740b491f/health" => Self::HealthById,
            "/health/" => Self::Health,
            "/public/" => Self::Public,
            "/secrets/" => Self::Secrets,
            "/secrets/tokens/" => Self::Tokens,
            other => Self::of_public(other.strip_prefix("/public").unwrap_or(other)),
        }
    }

    fn of_public(path: &str) -> Self {
        match path {
            "/identities/external/v1/aws/iam/auth/"
            | "/identities/external/v1/azure/entra/auth/" => Self::Identity,
            "/v1/secrets/" | "/v1/secrets/dynamic/" | "/v1/secrets/dynamic/leases/" => {
                Self::NotServed
            }
            _ => Self::Unknown,
        }
    }
}

fn read_credential(text: &str) -> Option<Credential<'_>> {
    let fields: Vec<&str> = text.split(' ').collect();
    let [scheme, kind, bearer] = fields[..] else {
        return None;
    };
    let kind = match kind {
        "Service" => AccountKind::Legacy,
        "ServiceAccount" => AccountKind::Service,
        "User" => AccountKind::User,
        _ => return None,
    };
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(Credential::Token { kind, bearer })
}

/// The most specific type listed wins, JSON before HTML; weights are not looked at.
fn negotiate(accept: &HeaderValue) -> Option<Form> {
    let listed: Vec<&str> = accept.to_str().ok()?.split(',').map(str::trim).collect();
    let forms = [
        (Form::Json, "application", "json"),
        (Form::Html, "text", "html"),
    ];
    let ranked = (0..=3)
        .rev()
        .flat_map(|rank| forms.map(|form| (rank, form)));
    let mut fitting = ranked.filter(|(rank, (_, kind, sub))| {
        listed
            .iter()
            .any(|entry| precedence(entry) == *rank && fits(entry, kind, sub))
    });
    fitting.next().map(|(_, (form, ..))| form)
}

fn precedence(entry: &str) -> u8 {
    let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
    let weighed = parameters.is_empty() || parameters.trim().starts_with("q=");
    match name.trim() {
        "*/*" => 0,
        name if name.ends_with("/*") => 1,
        _ if weighed => 2,
        _ => 3,
    }
}

fn fits(entry: &str, kind: &str, sub: &str) -> bool {
    let name = entry.split(';').next().unwrap_or_default().trim();
    let (left, right) = name.split_once('/').unwrap_or((name, ""));
    (left == "*" || left == kind) && (right == "*" || right == sub)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn form(accept: &str) -> Option<Form> {
        negotiate(&accept.parse().unwrap())
    }

    #[test]
    fn json_is_preferred_where_both_will_do() {
        for accept in [
            "*/*",
            "application/json",
            "application/*",
            "application/json;q=0.9, text/plain",
            "text/html, application/json",
        ] {
            assert_eq!(form(accept), Some(Form::Json), "{accept}");
        }
    }

    #[test]
    fn a_browser_gets_a_page() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(form(browser), Some(Form::Html));
        assert_eq!(form("text/html"), Some(Form::Html));
    }

    #[test]
    fn other_types_have_no_form() {
        for accept in ["application/xml", "image/*", "json"] {
            assert_eq!(form(accept), None, "{accept}");
        }
    }

    #[test]
    fn paths_lead_where_the_real_server_leads() {
        assert_eq!(Route::of("/service/secrets/"), Route::Secrets);
        assert_eq!(Route::of("/secrets/tokens/"), Route::Tokens);
        for path in [
            "/service/secrets",
            "/service/service/secrets/tokens/",
            "//service/secrets/",
            "/serviced/secrets/",
            "/",
        ] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
        for path in ["/service/public/v1/secrets/", "/v1/secrets/"] {
            assert_eq!(Route::of(path), Route::NotServed, "{path}");
        }
    }
}
