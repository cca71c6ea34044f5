//! The way to the API server: nothing waits for it without end.

use std::time::Duration;

use futures_util::future::join_all;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::api::ListParams;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt};
use kube::runtime::watcher;
use kube::{Api, Client, Config};
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

use super::resource::PhaseSecret;

/// A watch ends after so many seconds and goes on where it was: one that shows nothing
/// any more, and does not end, is noticed a little later.
const WATCH: u32 = 30;
/// So many objects are read at once.
const PAGE: u32 = 250;
/// A connection on which an answer is awaited and nothing comes is given up. A watch
/// has ended by then; a single request has a shorter deadline of its own.
const SILENCE: Duration = Duration::from_secs(WATCH as u64 + 15);
/// How often a connection that many share is asked whether it is still there, and for how
/// long it may not answer. What waits for an answer on it then fails, and is tried again
/// on another.
const PULSE: Duration = Duration::from_secs(5);

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// What the environment names cannot be read.
    #[error(transparent)]
    Config(#[from] kube::config::InferConfigError),
    /// The certificates, or whatever proves who we are.
    #[error(transparent)]
    Client(#[from] kube::Error),
    /// `tls-server-name` is not the name of a server.
    #[error("tls-server-name is not the name of a server: correct it in the kubeconfig")]
    ServerName,
    /// A proxy is between.
    #[error(
        "a proxy to the API server is not supported: take proxy-url out of the kubeconfig, and HTTPS_PROXY out of the environment"
    )]
    Proxy,
}

/// What the environment names: `KUBECONFIG`, or the pod's service account.
///
/// Its clients of themselves try again what was answered with 429, 503 or 504: after
/// `Retry-After` where that is given, and within the deadline of whoever asks.
pub(super) struct ApiServer(Config);

impl ApiServer {
    /// Reads the environment; nothing is asked yet.
    ///
    /// # Errors
    /// There is no such thing, or it cannot be read.
    pub(super) async fn infer() -> Result<Self, ApiError> {
        let mut config = Config::infer().await?;
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        match config.proxy_url {
            Some(_) => Err(ApiError::Proxy),
            None => Ok(Self(config)),
        }
    }

    /// A client for one request at a time, over HTTP/1.1: a request that is given up takes
    /// its connection with it, so the next one has another.
    ///
    /// # Errors
    /// The certificates, or whatever proves who we are, cannot be used.
    pub(super) fn one_by_one(&self) -> Result<Client, ApiError> {
        Ok(Client::try_from(self.0.clone())?)
    }

    /// A client with one connection over HTTP/2 that all its requests share, as far as the
    /// API server speaks it: to open forty would cost both sides a tenth of a first sync. It
    /// answers a hundred or more at a time on each (`--http2-max-streams-per-connection`); what
    /// comes on top waits.
    ///
    /// # Errors
    /// As before.
    pub(super) fn side_by_side(&self) -> Result<Client, ApiError> {
        let config = &self.0;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = config.rustls_client_config()?;
        let mut https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        if let Some(name) = &config.tls_server_name {
            let name = ServerName::try_from(name.clone()).map_err(|_| ApiError::ServerName)?;
            https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let mut patient = TimeoutConnector::new(https.enable_all_versions().wrap_connector(tcp));
        patient.set_connect_timeout(config.connect_timeout);
        patient.set_read_timeout(config.read_timeout);
        patient.set_write_timeout(config.write_timeout);
        patient.set_reset_reader_on_write(config.reset_reader_on_write);
        let http: Http<_, Body> = Http::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(PULSE)
            .http2_keep_alive_timeout(PULSE)
            .http2_keep_alive_while_idle(true)
            .build(patient);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .layer(RetryLayer::new(RetryPolicy::server_retry()))
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .map_err(BoxError::from)
            .service(http);
        Ok(Client::new(service, config.default_namespace.as_str()))
    }
}

/// Opens the connection of each client, so that their first requests, which come all at
/// once, need not open one each: by a look at one resource, for which there is a right
/// anyway. What fails shows in those.
pub(super) async fn connect(clients: impl IntoIterator<Item = Api<PhaseSecret>>) {
    const WITHIN: Duration = Duration::from_secs(3);
    let one = ListParams::default().limit(1);
    let opened = clients.into_iter().map(async |resources| {
        drop(resources.list_metadata(&one).await);
    });
    drop(timeout(WITHIN, join_all(opened)).await);
}

/// How objects are watched.
pub(super) fn watching() -> watcher::Config {
    watcher::Config::default().timeout(WATCH).page_size(PAGE)
}
