//! From a name to addresses, leaving out those that nobody allowed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use tokio::net::lookup_host;

use crate::phase::allowed::is_local;

/// Resolves names by the system's rules.
pub(super) struct Resolver {
    screen: Option<Screen>,
}

/// Leaves out the addresses of the node and its cloud, except for the names
/// of the operator's own proxies.
pub(super) struct Screen {
    proxies: Arc<[String]>,
    node: Arc<[IpAddr]>,
}

/// Why a name has no address to connect to.
#[derive(Debug, Error)]
pub(super) enum DnsError {
    #[error("every address is of the node or its cloud")]
    Local,
    #[error("lookup failed")]
    Lookup(#[source] std::io::Error),
}

impl Resolver {
    /// For hosts that the operator wrote out.
    pub(super) const fn open() -> Self {
        Self { screen: None }
    }

    /// For hosts that only `*` allows.
    pub(super) const fn screened(proxies: Arc<[String]>, node: Arc<[IpAddr]>) -> Self {
        Self {
            screen: Some(Screen { proxies, node }),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let screen = self.screen.as_ref();
        let screened = screen.filter(|screen| !screen.is_proxy(&name));
        let node = screened.map(|screen| Arc::clone(&screen.node));
        Box::pin(async move {
            // Port 0 stands for "the port of the URL".
            let found = lookup_host((name, 0)).await.map_err(DnsError::Lookup)?;
            let addresses = match node {
                Some(node) => outside(found, &node)?,
                None => found.collect(),
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Screen {
    fn is_proxy(&self, name: &str) -> bool {
        self.proxies
            .iter()
            .any(|proxy| proxy.eq_ignore_ascii_case(name))
    }
}

fn outside(
    found: impl Iterator<Item = SocketAddr>,
    node: &[IpAddr],
) -> Result<Vec<SocketAddr>, DnsError> {
    let (local, outside): (Vec<_>, Vec<_>) =
        found.partition(|address| is_local(address.ip(), node));
    if outside.is_empty() && !local.is_empty() {
        return Err(DnsError::Local);
    }
    Ok(outside)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn addresses(text: &[&str]) -> impl Iterator<Item = SocketAddr> {
        text.iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn only_addresses_outside_the_node_are_left() {
        let found = ["127.0.0.1", "203.0.113.7", "169.254.169.254", "192.0.2.7"];
        let node = ["192.0.2.7".parse().unwrap()];
        let left = outside(addresses(&found), &node).unwrap();
        assert_eq!(left, addresses(&["203.0.113.7"]).collect::<Vec<_>>());
    }

    #[test]
    fn a_name_with_no_other_address_is_an_error() {
        assert!(matches!(
            outside(addresses(&["::1", "127.0.0.1"]), &[]),
            Err(DnsError::Local)
        ));
        assert!(outside(addresses(&[]), &[]).unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_operators_proxy_may_be_on_the_node() {
        let proxies: Arc<[String]> = Arc::from(["LocalHost".to_owned()]);
        let resolver = Resolver::screened(proxies, Arc::default());
        assert!(resolver.resolve("localhost".parse().unwrap()).await.is_ok());
        let strict = Resolver::screened(Arc::default(), Arc::default());
        let Err(error) = strict.resolve("localhost".parse().unwrap()).await else {
            panic!("localhost was not screened");
        };
        assert!(matches!(error.downcast_ref(), Some(DnsError::Local)));
    }
}
