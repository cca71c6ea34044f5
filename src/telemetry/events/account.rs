//! As whom events are sent, and where to: the service account that is mounted.

use std::env;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Url};
use secrecy::SecretString;

/// The mounted service account, and the address of the Kubernetes API.
pub(super) struct Account {
    directory: PathBuf,
    api: Url,
}

/// Why there is nobody to send events as.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// A file of the account is not there, or not what it should be.
    #[error(
        "--pod-events: no service account is mounted ({file}: {error}): set the chart's podEvents.enabled, which mounts one, or leave --pod-events off"
    )]
    Missing {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        error: io::Error,
    },
    /// The kubelet did not say where the API is.
    #[error(
        "--pod-events: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name the Kubernetes API: run the provider in a pod, or leave --pod-events off"
    )]
    NoApi,
}

impl Account {
    /// Where kubelet mounts it.
    pub(super) const DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

    /// The account in this directory, whose files must be there.
    pub(super) fn read(directory: PathBuf) -> Result<Self, AccountError> {
        let variable = |name| env::var(name).unwrap_or_default();
        let [host, port] = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"].map(variable);
        let account = Self {
            directory,
            api: api(&host, &port).ok_or(AccountError::NoApi)?,
        };
        let missing = |name: &'static str| {
            let file = account.directory.join(name);
            move |error| AccountError::Missing { file, error }
        };
        account.token().map_err(missing(TOKEN))?;
        let ca = account.ca().map_err(missing(CA))?;
        certificates(&ca).map_err(missing(CA))?;
        Ok(account)
    }

    /// The URL of the events of a namespace.
    pub(super) fn events_of(&self, namespace: &str) -> Option<Url> {
        let mut url = self.api.clone();
        let mut segments = url.path_segments_mut().ok()?;
        segments.extend(["api", "v1", "namespaces", namespace, "events"]);
        drop(segments);
        Some(url)
    }

    /// The token as it is now: kubelet replaces it within the hour.
    pub(super) fn token(&self) -> io::Result<SecretString> {
        let token = std::fs::read_to_string(self.directory.join(TOKEN))?;
        match token.trim() {
            "" => Err(io::Error::other("it is empty")),
            token => Ok(token.into()),
        }
    }

    /// The CA of the API as it is now.
    pub(super) fn ca(&self) -> io::Result<Vec<u8>> {
        std::fs::read(self.directory.join(CA))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// The certificates in a PEM text.
pub(super) fn certificates(pem: &[u8]) -> io::Result<Vec<Certificate>> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(io::Error::other("it holds no certificate")),
    }
}

fn api(host: &str, port: &str) -> Option<Url> {
    let port: u16 = port.parse().ok()?;
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    };
    let url = Url::parse(&format!("https://{host}:{port}/")).ok()?;
    url.has_host().then_some(url)
}

const TOKEN: &str = "token";
const CA: &str = "ca.crt";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_where_the_variables_say() {
        let url = |host, port| api(host, port).map(String::from);
        assert_eq!(
            url("10.96.0.1", "443").as_deref(),
            Some("https://10.96.0.1/")
        );
        assert_eq!(
            url("fd00::1", "6443").as_deref(),
            Some("https://[fd00::1]:6443/")
        );
        for (host, port) in [("", "443"), ("10.0.0.1", ""), ("10.0.0.1", "x")] {
            assert_eq!(url(host, port), None);
        }
    }

    #[test]
    fn a_namespace_is_one_part_of_the_path_whatever_is_in_it() {
        let account = Account {
            directory: PathBuf::new(),
            api: api("10.0.0.1", "443").expect("well-formed"),
        };
        let url = account.events_of("../a?b").map(String::from);
        let expected = "https://10.0.0.1/api/v1/namespaces/..%2Fa%3Fb/events";
        assert_eq!(url.as_deref(), Some(expected));
    }
}
