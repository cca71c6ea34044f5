//! The flags that say which of Phase's consoles may be asked, and how: the same for
//! every command that asks one.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::allowed::AllowedHosts;
use super::client::{CaFileError, Client, ClientConfig};
use super::host::{DEFAULT_HOST, Host, HostError};
use crate::duration;
use crate::telemetry::metrics::BackendFigures;

/// Which further consoles may be asked, and how.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Further console URL, repeatable; * for any https://
    #[arg(
        long,
        env = "PHASE_CSI_ALLOWED_HOST",
        hide_env = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub allowed_host: Vec<String>,

    /// Further CA certificates, PEM; read again after a change
    #[arg(long, env = "PHASE_CSI_CA_FILE", hide_env = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Do not verify Phase's TLS certificate
    #[arg(long, env = "PHASE_CSI_INSECURE_SKIP_TLS_VERIFY", hide_env = true)]
    pub insecure_skip_tls_verify: bool,
}

/// What a program has that asks all day, for whoever names no console.
#[derive(Args, Clone, Debug)]
pub struct PhaseArgs {
    /// Console URL where none is named
    #[arg(long, env = "PHASE_CSI_PHASE_HOST", hide_env = true, value_name = "URL", default_value = DEFAULT_HOST)]
    pub phase_host: Host,

    /// Further consoles.
    #[command(flatten)]
    pub client: ClientArgs,

    /// Address of the node, to which * must not lead; repeatable
    #[arg(
        long,
        env = "PHASE_CSI_NODE_ADDRESS",
        hide_env = true,
        value_name = "IP",
        value_delimiter = ','
    )]
    pub node_address: Vec<IpAddr>,

    /// Requests a minute that may be spent, for each account and address
    #[arg(
        long,
        env = "PHASE_CSI_REQUEST_BUDGET", hide_env = true, value_name = "NUMBER",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub request_budget: u32,

    /// How often what nothing has changed is read whole all the same; at least 10m
    #[arg(
        long,
        env = "PHASE_CSI_FULL_READ_INTERVAL", hide_env = true, value_name = "TIME",
        default_value = "24h",
        value_parser = duration::full_read_interval
    )]
    pub full_read_interval: Duration,
}

impl ClientArgs {
    /// The hosts that may be asked, beside this one.
    ///
    /// # Errors
    /// An `--allowed-host` that is no address.
    pub fn hosts(&self, default: Host) -> Result<AllowedHosts, HostError> {
        AllowedHosts::new(default, &self.allowed_host)
    }

    /// A client of these flags; its requests are counted there.
    ///
    /// # Errors
    /// The CA file cannot be read, or is none.
    pub fn client(&self, figures: Arc<BackendFigures>) -> Result<Client, CaFileError> {
        self.client_on_node(&[], figures)
    }

    fn client_on_node(
        &self,
        node: &[IpAddr],
        figures: Arc<BackendFigures>,
    ) -> Result<Client, CaFileError> {
        Client::new(ClientConfig {
            node_addresses: node.to_vec(),
            ca_file: self.ca_file.clone(),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            figures,
            ..ClientConfig::default()
        })
    }
}

impl PhaseArgs {
    /// The hosts that may be asked.
    ///
    /// # Errors
    /// An `--allowed-host` that is no address.
    pub fn hosts(&self) -> Result<AllowedHosts, HostError> {
        let hosts = self.client.hosts(self.phase_host.clone())?;
        Ok(hosts.on_node(&self.node_address))
    }

    /// A client of these flags, and a warning where it trusts everybody.
    ///
    /// # Errors
    /// The CA file cannot be read, or is none.
    pub fn client(&self, figures: Arc<BackendFigures>) -> Result<Client, CaFileError> {
        if self.client.insecure_skip_tls_verify {
            tracing::warn!(
                "--insecure-skip-tls-verify: whoever is on the way to Phase can read tokens"
            );
        }
        self.client.client_on_node(&self.node_address, figures)
    }
}
