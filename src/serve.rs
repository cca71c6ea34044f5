//! `serve`: the daemon that a node runs.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::duration;
use crate::mount::Mounter;
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::{CaFileError, Client, ClientConfig};
use crate::phase::host::{DEFAULT_HOST, Host, HostError};
use crate::provider::{self, BindError, Endpoint, Stopped};
use crate::snapshot::{Settings, Snapshot, disk};
use crate::telemetry::events::{AccountError, PodEvents};
use crate::telemetry::http::{Http, HttpListen, ListenError, Pages};
use crate::telemetry::live::Live;
use crate::telemetry::metrics::Metrics;

const EXAMPLE: &str = "\
Each flag also by environment variable: PHASE_CSI_ and its name in capitals.
Example: phase-csi-provider serve --phase-host https://phase.example --log-format json";

/// Serves pods' secrets to the Secrets Store CSI Driver on this node.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ServeArgs {
    /// Socket to serve
    #[arg(
        long,
        env = "PHASE_CSI_ENDPOINT",
        hide_env = true,
        value_name = "SOCKET",
        default_value = "unix:///var/run/secrets-store-csi-providers/phase.sock"
    )]
    pub endpoint: Endpoint,

    /// Address of /live, /ready and /metrics, or off
    #[arg(
        long,
        env = "PHASE_CSI_HTTP_LISTEN",
        hide_env = true,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8086"
    )]
    pub http_listen: HttpListen,

    /// Console URL of classes that name none
    #[arg(long, env = "PHASE_CSI_PHASE_HOST", hide_env = true, value_name = "URL", default_value = DEFAULT_HOST)]
    pub phase_host: Host,

    /// Further console URL for classes, repeatable; http:// if written out; * for any https://
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
        value_parser = poll_interval
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

    /// Requests a minute that this node may spend, for each account and address
    #[arg(
        long,
        env = "PHASE_CSI_REQUEST_BUDGET", hide_env = true, value_name = "NUMBER",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub request_budget: u32,

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

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--ca-file` or another flag of the client is wrong.
    #[error(transparent)]
    Client(#[from] CaFileError),
    /// `--allowed-host` is wrong.
    #[error("--allowed-host: {0}")]
    Host(#[from] HostError),
    /// The socket cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no service account for `--pod-events`.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The address of health and metrics cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Another instance serves in our place.
    #[error("another instance took the socket's place: this one ends")]
    Replaced,
}

/// Serves until `stop` is ready, then lets running mounts finish.
///
/// # Errors
/// [`Error`], before the socket exists or when it can no longer be served.
pub async fn run(args: ServeArgs, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
    if args.insecure_skip_tls_verify {
        warn!("--insecure-skip-tls-verify: whoever is on the way to Phase can read tokens");
    }
    let hosts = AllowedHosts::new(args.phase_host, &args.allowed_host)?;
    let metrics = Metrics::default();
    let client = Client::new(ClientConfig {
        ca_file: args.ca_file,
        insecure_skip_tls_verify: args.insecure_skip_tls_verify,
        figures: Arc::clone(&metrics.backend),
        ..ClientConfig::default()
    })?;
    let mut beside = JoinSet::new();
    let mut pod_events = None;
    if args.pod_events {
        let account = args.test_only_service_account;
        let (events, work) = PodEvents::new(account, Arc::clone(&metrics.pod_events))?;
        beside.spawn(work);
        pod_events = Some(events);
    }
    let http = Http::bind(args.http_listen).await?;
    let store = match &args.state_dir {
        Some(directory) => {
            let limits = disk::Limits::default();
            Some(disk::Store::open(directory.clone(), limits, disk::Clock::system()).await)
        }
        None => None,
    };
    let settings = Settings {
        poll_interval: args.test_only_poll_interval.unwrap_or(args.poll_interval),
        max_stale: args.max_stale,
        request_budget: args.request_budget,
        flight: args.mount_deadline,
        ..Settings::default()
    };
    let snapshot = Snapshot::new(client, settings, store);
    let mounter = Arc::new(Mounter::new(snapshot, hosts).telling(pod_events));
    let whole = Arc::clone(&mounter);
    let config = provider::Config {
        mount_deadline: args.mount_deadline,
        max_answer_bytes: args.max_call_send_msg_size,
        rewrite_authority: !args.test_only_raw_authority,
        figures: Arc::clone(&metrics.mounts),
        ..provider::Config::new(args.endpoint)
    };
    let handler = move |request, deadline| {
        let mounter = Arc::clone(&mounter);
        async move { mounter.mount(request, deadline).await }
    };
    let bound = provider::bind(config, handler).await?;
    if let Some(http) = http {
        let memory = Arc::clone(&whole);
        beside.spawn(http.serve(Pages {
            live: Live::new(bound.path()),
            ready: bound.readiness(),
            metrics: Box::new(move || metrics.text(&memory.figures())),
        }));
    }
    let stopped = bound.run(stop).await;
    whole.flush().await;
    match stopped {
        Stopped::Asked => info!("stopped"),
        Stopped::Replaced => return Err(Error::Replaced),
    }
    Ok(())
}

/// Phase limits requests by address, and a cluster may share one.
fn poll_interval(text: &str) -> Result<Duration, String> {
    let interval = duration::parse(text)?;
    if (Duration::from_secs(5)..=Duration::from_secs(24 * 3_600)).contains(&interval) {
        Ok(interval)
    } else {
        Err("must be between 5s and 24h".to_owned())
    }
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
