//! The flags of `controller`.

use std::time::Duration;

use clap::Args;

use crate::duration;
use crate::managed::policy::Policy;
use crate::phase::args::PhaseArgs;
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

    /// Let resources name Secrets of other namespaces
    #[arg(long, env = "PHASE_CSI_ALLOW_CROSS_NAMESPACE_REFS", hide_env = true)]
    pub allow_cross_namespace_refs: bool,

    /// Let service account and bootstrap tokens be written
    #[arg(long, env = "PHASE_CSI_ALLOW_PRIVILEGED_SECRET_TYPES", hide_env = true)]
    pub allow_privileged_secret_types: bool,

    /// Let mirror overwrite Secrets of others
    #[arg(long, env = "PHASE_CSI_ALLOW_MIRROR_OVERWRITE", hide_env = true)]
    pub allow_mirror_overwrite: bool,

    /// Health and metrics.
    #[command(flatten)]
    pub http: HttpArgs,

    /// Phase.
    #[command(flatten)]
    pub phase: PhaseArgs,

    /// How often Phase is asked for classes; that of the DaemonSet
    #[arg(
        long,
        env = "PHASE_CSI_POLL_INTERVAL",
        hide_env = true,
        value_name = "TIME",
        default_value = "60s",
        value_parser = duration::poll_interval
    )]
    pub poll_interval: Duration,

    /// Namespace of the Lease by which one of several replicas works; without it, each does
    #[arg(
        long,
        env = "PHASE_CSI_LEADER_ELECTION_NAMESPACE",
        hide_env = true,
        value_name = "NS"
    )]
    pub leader_election_namespace: Option<String>,

    /// How many resources are worked on at once
    #[arg(
        long,
        env = "PHASE_CSI_CONCURRENCY", hide_env = true, value_name = "NUMBER",
        default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    pub concurrency: u16,

    /// A poll interval of any length. For tests only
    #[arg(long, env = "PHASE_CSI_TEST_ONLY_POLL_INTERVAL", hide = true, value_parser = duration::parse)]
    pub test_only_poll_interval: Option<Duration>,
}

impl ControllerArgs {
    /// What resources may ask for.
    pub(super) const fn policy(&self) -> Policy {
        Policy {
            cross_namespace_refs: self.allow_cross_namespace_refs,
            privileged_secret_types: self.allow_privileged_secret_types,
            mirror_overwrite: self.allow_mirror_overwrite,
        }
    }
}
