//! A running server and how to start it.

use crate::control::{Control, ControlError};
use crate::control_http;
use crate::file::SeedFile;
use crate::organisation::Organisation;
use crate::seed::{Seed, SeedError};
use crate::server;
use crate::state::State;
use crate::throttle::Throttle;
use crate::tls::{Certificates, Tls, TlsError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What to serve, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The organisation.
    pub seed: Seed,
    /// Where clients connect; `127.0.0.1:0` takes a free port.
    pub listen: SocketAddr,
    /// Where the control endpoint listens, on loopback only.
    pub control: SocketAddr,
    /// Plain HTTP or TLS.
    pub tls: Tls,
    /// Where the seed is kept: made-up keys and tokens at the start, every change after it.
    pub file: Option<PathBuf>,
    /// Added to every answer.
    pub latency: Duration,
}

/// A running emulator; it stops when it is dropped.
#[must_use = "the emulator stops when it is dropped"]
pub struct Emulator {
    address: SocketAddr,
    control_address: SocketAddr,
    control: Control,
    scheme: &'static str,
    tasks: JoinSet<()>,
}

/// Why the emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not ours.
    #[error("address cannot be listened on: {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The control endpoint hands out tokens, so it must stay on this machine.
    #[error("control address is not on loopback: {0}: use 127.0.0.1 or [::1]")]
    Control(SocketAddr),
    /// The seed's file cannot be read.
    #[error("seed file cannot be read: {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The seed's file cannot be written.
    #[error(transparent)]
    Save(#[from] ControlError),
    /// The seed cannot be served.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// There is no certificate to show.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Options {
    /// Plain HTTP on free loopback ports, and nothing kept.
    pub fn new(seed: Seed) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            seed,
            listen: any,
            control: any,
            tls: Tls::Off,
            file: None,
            latency: Duration::ZERO,
        }
    }

    /// The same with the seed read from `file` and kept there.
    ///
    /// # Errors
    /// The file cannot be read, or is no seed.
    pub fn from_file(file: impl Into<PathBuf>) -> Result<Self, StartError> {
        let file = file.into();
        let text = fs::read_to_string(&file).map_err(|source| StartError::Read {
            path: file.clone(),
            source,
        })?;
        Ok(Self {
            file: Some(file),
            ..Self::new(Seed::from_yaml(&text)?)
        })
    }
}

impl Emulator {
    /// Starts to serve; both ports accept connections when this returns.
    ///
    /// # Errors
    /// The seed cannot be served, an address cannot be listened on, a certificate or the file cannot be used.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.control.ip().is_loopback() {
            return Err(StartError::Control(options.control));
        }
        let throttle = Throttle::new(options.seed.rate_limit);
        let file = options.file.as_deref().map(SeedFile::at);
        let organisation = Organisation::open(options.seed)?;
        let state = Arc::new(State::new(organisation, throttle, file, options.latency));
        let certificates = Certificates::new(&options.tls)?.map(Arc::new);
        let ca_pem = certificates
            .as_ref()
            .map(|certificates| Arc::from(certificates.ca_pem.as_str()));
        let control = Control::new(state.clone(), ca_pem);
        let scheme = if certificates.is_some() {
            "https"
        } else {
            "http"
        };

        let (listener, address) = bind(options.listen).await?;
        let (control_listener, control_address) = bind(options.control).await?;
        control.save()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(listener, state, certificates));
        let router = control_http::router(control.clone());
        tasks.spawn(async move {
            let served = axum::serve(control_listener, router).await;
            tracing::debug!(?served, "control endpoint ended");
        });
        Ok(Self {
            address,
            control_address,
            control,
            scheme,
            tasks,
        })
    }

    /// Where clients connect, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where the control endpoint listens.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control_address)
    }

    /// The address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The powers of the control endpoint, within the process.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The certificate authority that clients have to trust; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.control.ca_pem()
    }

    /// Stops: both ports are closed, and every connection, when this returns.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let refuse = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(refuse)?;
    let bound = listener.local_addr().map_err(refuse)?;
    Ok((listener, bound))
}
