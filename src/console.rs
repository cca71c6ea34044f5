//! Which consoles a person's commands ask, and how: the flags that `serve` has too.

use std::path::PathBuf;

use clap::Args;

use crate::manifest::ProviderClass;
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::{CaFileError, Client, ClientConfig};
use crate::phase::host::{Host, HostError};

/// Which consoles may be asked, and how.
#[derive(Args, Clone, Debug)]
pub struct ConsoleArgs {
    /// Console URL of classes that name none, as the node's
    #[arg(
        long,
        env = "PHASE_CSI_PHASE_HOST",
        hide_env = true,
        value_name = "URL"
    )]
    pub phase_host: Option<Host>,

    /// Further console URL that a class may name, repeatable
    #[arg(
        long,
        env = "PHASE_CSI_ALLOWED_HOST",
        hide_env = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub allowed_host: Vec<String>,

    /// Further CA certificates, PEM
    #[arg(long, env = "PHASE_CSI_CA_FILE", hide_env = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Do not verify Phase's TLS certificate
    #[arg(long, env = "PHASE_CSI_INSECURE_SKIP_TLS_VERIFY", hide_env = true)]
    pub insecure_skip_tls_verify: bool,
}

/// The parameter that names a class's console.
const HOST: &str = "phaseHost";

impl ConsoleArgs {
    /// The hosts that a class may name: as `serve` has them with the same flags;
    /// without any, the class's own, where it is `https://`. Whoever runs a
    /// command sends a token of their own, to a host that they can read.
    ///
    /// # Errors
    /// An `--allowed-host` that is no address.
    pub fn hosts(&self, class: &ProviderClass) -> Result<AllowedHosts, HostError> {
        let default = self.phase_host.clone().unwrap_or_default();
        if self.phase_host.is_some() || !self.allowed_host.is_empty() {
            return AllowedHosts::new(default, &self.allowed_host);
        }
        let own = class.parameter(HOST).map(|host| host.text.trim());
        let own = own.filter(|text| text.parse().is_ok_and(|host: Host| !host.is_plain()));
        AllowedHosts::new(default, own.as_slice())
    }

    /// A client of these flags.
    ///
    /// # Errors
    /// The CA file cannot be read, or is none.
    pub fn client(&self) -> Result<Client, CaFileError> {
        Client::new(ClientConfig {
            ca_file: self.ca_file.clone(),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            ..ClientConfig::default()
        })
    }
}
