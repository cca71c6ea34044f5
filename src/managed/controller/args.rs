//! The flags of `controller`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::duration;
use crate::phase::host::{DEFAULT_HOST, Host};
use crate::telemetry::http::HttpArgs;

const EXAMPLE: &str = "\
Each flag also by environment variable: PHASE_CSI_ and its name in capitals.
Example: phase-csi-provider controller --namespace shop --phase-host https://phase.example";

/// Keeps Kubernetes Secrets as `PhaseSecret` resources say.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ControllerArgs {
    /// Namespace to look after, repeatable; without it, the whole cluster
    #[arg(
        long,
        env = "PHASE_CSI_NAMESPACE",
        hide_env = true,
        value_name = "NS",
        value_delimiter = ','
    )]
    pub namespace: Vec<String>,

    /// Refuse resources that name a Secret of another namespace
    #[arg(long, env = "PHASE_CSI_NO_CROSS_NAMESPACE_REFS", hide_env = true)]
    pub no_cross_namespace_refs: bool,

    /// Health and metrics.
    #[command(flatten)]
    pub http: HttpArgs,

    /// Console URL of resources that name none
    #[arg(long, env = "PHASE_CSI_PHASE_HOST", hide_env = true, value_name = "URL", default_value = DEFAULT_HOST)]
    pub phase_host: Host,

    /// Further console URL for resources, repeatable; http:// if written out; * for any https://
    #[arg(
        long,
        env = "PHASE_CSI_ALLOWED_HOST",
        hide_env = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    pub allowed_host: Vec<String>,

    /// Further CA certificates, PEM; read again when the file changes
    #[arg(long, env = "PHASE_CSI_CA_FILE", hide_env = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Do not verify Phase's TLS certificate
    #[arg(long, env = "PHASE_CSI_INSECURE_SKIP_TLS_VERIFY", hide_env = true)]
    pub insecure_skip_tls_verify: bool,

    /// Requests a minute that may be spent, for each account and address
    #[arg(
        long,
        env = "PHASE_CSI_REQUEST_BUDGET", hide_env = true, value_name = "NUMBER",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub request_budget: u32,

    /// Namespace of the Lease by which one of several replicas works; without it, each does
    #[arg(
        long,
        env = "PHASE_CSI_LEADER_ELECTION_NAMESPACE",
        hide_env = true,
        value_name = "NS"
    )]
    pub leader_election_namespace: Option<String>,

    /// How many resources are worked on at once, in each namespace or in the whole cluster
    #[arg(
        long,
        env = "PHASE_CSI_CONCURRENCY", hide_env = true, value_name = "NUMBER",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    pub concurrency: u16,

    /// A poll interval of any length. For tests only
    #[arg(long, env = "PHASE_CSI_TEST_ONLY_POLL_INTERVAL", hide = true, value_parser = duration::parse)]
    pub test_only_poll_interval: Option<Duration>,
}
