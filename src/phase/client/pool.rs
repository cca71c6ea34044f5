//! The connections to Phase: kept alive, rebuilt when the CA file changes.

use std::env;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Certificate, ClientBuilder, Url, redirect, retry};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::ca::{self, CaFileError, Stamp};
use super::dns::Resolver;
use super::{ClientConfig, Proxies};
use crate::phase::host::{Host, Name};

/// How this program introduces itself.
const USER_AGENT: &str = concat!("phase-csi-provider/", env!("CARGO_PKG_VERSION"));

/// The connection pools, by how far a host is trusted.
pub(super) struct Pools {
    setup: Setup,
    ca_file: Option<PathBuf>,
    plain: OnceCell<reqwest::Client>,
    current: Mutex<Generation>,
}

/// The pools that trust one state of the CA file.
#[derive(Clone)]
struct Generation {
    stamp: Option<Stamp>,
    tls: Arc<TlsPools>,
}

struct TlsPools {
    roots: Vec<Certificate>,
    open: OnceCell<reqwest::Client>,
    screened: OnceCell<reqwest::Client>,
}

/// A state of the CA file that is new to us.
struct Seen {
    stamp: Option<Stamp>,
    roots: Result<Vec<Certificate>, CaFileError>,
}

/// What all pools have in common.
#[derive(Clone)]
struct Setup {
    connect_timeout: Duration,
    idle_per_host: usize,
    insecure: bool,
    proxies: Proxies,
    proxy_names: Arc<[String]>,
    node_addresses: Arc<[IpAddr]>,
}

/// Why there is no pool for a host.
#[derive(Debug)]
pub(super) enum PoolError {
    /// Under `*`, the host is the name of the operator's own proxy.
    Local,
    /// There are no CA certificates at all.
    NoTrust,
}

impl Pools {
    /// Pools whose system certificates are read at the first use, so that
    /// the start does not wait for them.
    pub(super) fn new(config: &ClientConfig) -> Result<Self, CaFileError> {
        let stamp = config.ca_file.as_deref().and_then(ca::stamp);
        let roots = config
            .ca_file
            .as_deref()
            .map(ca::read)
            .transpose()?
            .unwrap_or_default();
        Ok(Self {
            setup: Setup::new(config),
            ca_file: config.ca_file.clone(),
            plain: OnceCell::new(),
            current: Mutex::new(Generation {
                stamp,
                tls: Arc::new(TlsPools::new(roots)),
            }),
        })
    }

    /// The pool for `host`.
    pub(super) async fn of(&self, host: &Host) -> Result<reqwest::Client, PoolError> {
        if host.is_plain() {
            return build_once(&self.plain, || self.setup.plain()).await;
        }
        let tls = self.refreshed().await;
        if !host.is_screened() {
            return build_once(&tls.open, || self.setup.tls(&tls.roots, Resolver::open())).await;
        }
        if self.is_proxy(host) {
            return Err(PoolError::Local);
        }
        let node = Arc::clone(&self.setup.node_addresses);
        let resolver = Resolver::screened(self.setup.proxy_names.clone(), node);
        build_once(&tls.screened, || self.setup.tls(&tls.roots, resolver)).await
    }

    /// The pools for the CA file as it is now; the last good ones if it is bad.
    async fn refreshed(&self) -> Arc<TlsPools> {
        let current = self.current();
        let Some(path) = self.ca_file.clone() else {
            return current.tls;
        };
        let looked = spawn_blocking(move || look_again(&path, current.stamp)).await;
        match looked {
            Ok(Some(seen)) => self.replace(seen),
            // Unchanged, or the runtime is shutting down and runs no more blocking work.
            Ok(None) | Err(_) => self.current().tls,
        }
    }

    fn replace(&self, seen: Seen) -> Arc<TlsPools> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Another mount may have been faster: its pools are in use, its line is logged.
        if current.stamp == seen.stamp {
            return current.tls.clone();
        }
        current.stamp = seen.stamp;
        match seen.roots {
            Ok(roots) => {
                info!(certificates = roots.len(), "CA file changed");
                current.tls = Arc::new(TlsPools::new(roots));
            }
            Err(error) => warn!(%error, "CA file changed and is bad, the last good one stays"),
        }
        current.tls.clone()
    }

    fn current(&self) -> Generation {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a request to this URL leaves the node through a proxy.
    pub(super) fn is_proxied(&self, url: &str) -> bool {
        let Ok(url) = url.parse::<Uri>() else {
            return false;
        };
        match self.setup.proxies {
            Proxies::Environment => Matcher::from_env().intercept(&url).is_some(),
            Proxies::None => false,
        }
    }

    fn is_proxy(&self, host: &Host) -> bool {
        matches!(host.name(), Name::Domain(name) if self.setup.proxy_names.contains(name))
    }
}

impl TlsPools {
    const fn new(roots: Vec<Certificate>) -> Self {
        Self {
            roots,
            open: OnceCell::const_new(),
            screened: OnceCell::const_new(),
        }
    }
}

impl Setup {
    fn new(config: &ClientConfig) -> Self {
        Self {
            connect_timeout: config.connect_timeout,
            idle_per_host: config.requests_per_host,
            insecure: config.insecure_skip_tls_verify,
            proxies: config.proxies,
            proxy_names: proxy_names(config.proxies).into(),
            node_addresses: config.node_addresses.as_slice().into(),
        }
    }

    /// For `http://`: trusts no certificate, because it meets none.
    fn plain(&self) -> ClientBuilder {
        self.common()
            .dns_resolver(Resolver::open())
            .tls_certs_only([])
    }

    fn tls(&self, roots: &[Certificate], resolver: Resolver) -> ClientBuilder {
        self.common()
            .dns_resolver(resolver)
            .https_only(true)
            .tls_certs_merge(roots.iter().cloned())
            .tls_danger_accept_invalid_certs(self.insecure)
    }

    fn common(&self) -> ClientBuilder {
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.idle_per_host)
            .tcp_nodelay(true)
            // A connection that a firewall forgot must not swallow the next mount's question.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .referer(false)
            .redirect(redirect::Policy::none())
            // Ours knows the deadline; a second one would multiply the attempts.
            .retry(retry::never());
        match self.proxies {
            Proxies::Environment => builder,
            Proxies::None => builder.no_proxy(),
        }
    }
}

async fn build_once(
    pool: &OnceCell<reqwest::Client>,
    setup: impl FnOnce() -> ClientBuilder,
) -> Result<reqwest::Client, PoolError> {
    // Building reads and parses the system's certificates: some ten milliseconds.
    let build = || async {
        let builder = setup();
        let built = spawn_blocking(move || builder.build()).await;
        built.ok().and_then(Result::ok).ok_or(PoolError::NoTrust)
    };
    pool.get_or_try_init(build).await.cloned()
}

/// The file as it is now, unless it is as it was.
fn look_again(path: &Path, known: Option<Stamp>) -> Option<Seen> {
    let stamp = ca::stamp(path);
    (stamp != known).then(|| Seen {
        stamp,
        roots: ca::read(path),
    })
}

/// The names of the proxies that the environment sets for `https://`.
fn proxy_names(proxies: Proxies) -> Vec<String> {
    if proxies == Proxies::None {
        return Vec::new();
    }
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .filter_map(|variable| env::var(variable).ok())
        .filter_map(|proxy| proxy_name(&proxy))
        .collect()
}

fn proxy_name(proxy: &str) -> Option<String> {
    let url = match proxy.contains("://") {
        true => Url::parse(proxy),
        false => Url::parse(&format!("http://{proxy}")),
    };
    Some(url.ok()?.host_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxys_name_is_found_with_and_without_a_scheme() {
        for text in [
            "http://me:pw@Proxy.corp:3128",
            "proxy.corp:3128",
            "https://proxy.corp/",
        ] {
            assert_eq!(proxy_name(text).as_deref(), Some("proxy.corp"), "{text}");
        }
        assert_eq!(proxy_name(""), None);
    }
}
