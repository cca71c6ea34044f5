//! The flags of `check`.

use clap::{Args, ValueEnum};

use crate::console::ConsoleArgs;
use crate::phase::allowed::AllowedHosts;
use crate::phase::host::{Host, HostError};

const EXAMPLE: &str = "\
Examples:
  phase-csi-provider check -f class.yaml -f deployment.yaml
  helm template shop | phase-csi-provider check -f - -o github
  phase-csi-provider check --from-phasesecret phasesecret.yaml > class.yaml
  PHASE_SERVICE_TOKEN=… phase-csi-provider check -f class.yaml --online
Exit codes: 0 fine (warnings too), 1 mistakes, 2 usage, 3 Phase not reached";

/// Finds every mistake in SecretProviderClasses, and in the pods beside them.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct CheckArgs {
    /// File of manifests, repeatable; - for standard input
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        required_unless_present = "from_phasesecret"
    )]
    pub files: Vec<String>,

    /// Print the classes in the place of an operator's PhaseSecrets
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "output"])]
    pub from_phasesecret: Option<String>,

    /// Form of the report: human, json or github
    #[arg(short, long, value_enum, default_value_t = Output::Human, hide_default_value = true, hide_possible_values = true)]
    pub output: Output,

    /// Also ask Phase: host, token, app, keys, references, sizes
    #[arg(long, conflicts_with = "from_phasesecret")]
    pub online: bool,

    /// File with the token, or - [default: $PHASE_SERVICE_TOKEN]
    #[arg(long, value_name = "FILE", requires = "online")]
    pub token_file: Option<String>,

    /// The same flag of the driver
    #[arg(long, value_name = "BYTES", default_value_t = 4 * 1024 * 1024)]
    pub max_call_recv_msg_size: usize,

    /// Which consoles, as `serve` has them.
    #[command(flatten)]
    pub console: ConsoleArgs,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
}

impl CheckArgs {
    /// As `serve` with the same flags; without any, offline, every `https://` host.
    pub(super) fn hosts(&self) -> Result<AllowedHosts, HostError> {
        if self.console.is_silent() && !self.online {
            return AllowedHosts::new(Host::default(), &["*"]);
        }
        self.console.hosts()
    }
}
