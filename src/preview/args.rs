//! The flags of `render`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::console::ConsoleArgs;
use crate::duration;
use crate::telemetry::logs::LogLevel;

const EXAMPLE: &str = "\
Example: PHASE_SERVICE_TOKEN=… phase-csi-provider render -f class.yaml --out ./secrets
Exit codes: 0 fine, 1 the class or token is wrong, 2 usage, 3 Phase could not be reached";

/// Shows what a pod would get of a SecretProviderClass.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct RenderArgs {
    /// File of manifests, repeatable; - for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    pub files: Vec<String>,

    /// Only the class of this name
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,

    /// Only classes of this namespace
    #[arg(short, long)]
    pub namespace: Option<String>,

    /// Write the files, too; DIR must be new, empty, or written by render
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Form of the report: human or json
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORM",
        default_value_t = Output::Human,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub output: Output,

    /// Print the values, too
    #[arg(long)]
    pub show_values: bool,

    /// File with the token, or - [default: $PHASE_SERVICE_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<String>,

    /// The console that is asked.
    #[command(flatten)]
    pub console: ConsoleArgs,

    /// Longest that Phase may take
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = deadline)]
    pub deadline: Duration,

    /// Log to standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", value_enum, hide_possible_values = true)]
    pub log_level: Option<LogLevel>,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Human,
    /// For programs.
    Json,
}

fn deadline(text: &str) -> Result<Duration, String> {
    let limit = duration::parse(text)?;
    if (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&limit) {
        Ok(limit)
    } else {
        Err("must be between 1ms and 1h".to_owned())
    }
}
