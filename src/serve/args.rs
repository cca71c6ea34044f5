//! The flags of `serve`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::duration;
use crate::phase::args::PhaseArgs;
use crate::provider::Endpoint;
use crate::telemetry::events::PodEvents;
use crate::telemetry::http::HttpArgs;

const EXAMPLE: &str = "\
Each flag also by environment variable: PHASE_CSI_ and its name in capitals.
Example: phase-csi-provider serve --phase-host https://phase.example --log-format json";

/// Where the driver meets the provider.
#[derive(Args, Clone, Debug)]
pub struct SocketArgs {
    /// Socket
    #[arg(
        long,
        env = "PHASE_CSI_ENDPOINT",
        hide_env = true,
        value_name = "SOCKET",
        default_value = "unix:///var/run/secrets-store-csi-providers/phase.sock"
    )]
    pub endpoint: Endpoint,
}

/// Serves pods' secrets to the Secrets Store CSI Driver on this node.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ServeArgs {
    /// Where it serves.
    #[command(flatten)]
    pub socket: SocketArgs,

    /// Health and metrics.
    #[command(flatten)]
    pub http: HttpArgs,

    /// Phase.
    #[command(flatten)]
    pub phase: PhaseArgs,

    /// Directory for ciphertext that outlives restarts; without it memory only
    #[arg(
        long,
        env = "PHASE_CSI_STATE_DIR",
        hide_env = true,
        value_name = "DIRECTORY"
    )]
    pub state_dir: Option<PathBuf>,

    /// How often each token in use is asked for change; at least 5s
    #[arg(
        long,
        env = "PHASE_CSI_POLL_INTERVAL", hide_env = true, value_name = "TIME",
        default_value = "60s",
        value_parser = duration::poll_interval
    )]
    pub poll_interval: Duration,

    /// How old an answer may be for a new volume while Phase cannot be reached
    #[arg(
        long,
        env = "PHASE_CSI_MAX_STALE", hide_env = true, value_name = "TIME",
        default_value = "1h",
        value_parser = duration::parse
    )]
    pub max_stale: Duration,

    /// Longest that a mount may take; keep it below the driver's 2 minutes
    #[arg(
        long,
        env = "PHASE_CSI_MOUNT_DEADLINE", hide_env = true, value_name = "TIME",
        default_value = "90s",
        value_parser = mount_deadline
    )]
    pub mount_deadline: Duration,

    /// Largest answer in bytes; raise it together with the driver's --max-call-recv-msg-size
    #[arg(
        long,
        env = "PHASE_CSI_MAX_CALL_SEND_MSG_SIZE", hide_env = true, value_name = "BYTES",
        default_value_t = 4 * 1024 * 1024
    )]
    pub max_call_send_msg_size: usize,

    /// File with a token of the node's own, for pods that name none
    #[arg(
        long,
        env = "PHASE_CSI_DEFAULT_TOKEN_FILE",
        hide_env = true,
        value_name = "FILE",
        requires = "default_token_namespaces"
    )]
    pub default_token_file: Option<PathBuf>,

    /// Namespaces whose pods may use it, with commas between them
    #[arg(
        long,
        env = "PHASE_CSI_DEFAULT_TOKEN_NAMESPACES",
        hide_env = true,
        value_name = "NS",
        value_delimiter = ',',
        requires = "default_token_file"
    )]
    pub default_token_namespaces: Vec<String>,

    /// Take the place of a live instance on the socket, as a rolling update does
    #[arg(long, env = "PHASE_CSI_TAKE_OVER", hide_env = true)]
    pub take_over: bool,

    /// Tell a pod by an event when its files cannot be brought up to date
    #[arg(long, env = "PHASE_CSI_POD_EVENTS", hide_env = true)]
    pub pod_events: bool,

    /// The directory of the service account that creates events. For tests only
    #[arg(long, env = "PHASE_CSI_TEST_ONLY_SERVICE_ACCOUNT", hide = true, default_value = PodEvents::ACCOUNT)]
    pub test_only_service_account: PathBuf,

    /// A poll interval of any length. For tests only
    #[arg(long, env = "PHASE_CSI_TEST_ONLY_POLL_INTERVAL", hide = true, value_parser = duration::parse)]
    pub test_only_poll_interval: Option<Duration>,

    /// Leave `:authority` as the driver sent it: drivers before 1.6 then fail. For tests only
    #[arg(long, env = "PHASE_CSI_TEST_ONLY_RAW_AUTHORITY", hide = true)]
    pub test_only_raw_authority: bool,
}

/// The driver waits 2 minutes; a mount that outlives it can start a pod with an empty volume.
fn mount_deadline(text: &str) -> Result<Duration, String> {
    let limit = duration::parse(text)?;
    if (Duration::from_millis(1)..=Duration::from_secs(115)).contains(&limit) {
        Ok(limit)
    } else {
        Err("must be between 1ms and 115s, since the driver gives up after 2 minutes".to_owned())
    }
}
