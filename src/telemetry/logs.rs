//! Log lines on standard error, as text or JSON.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{fmt, registry};

use super::lines::Bounded;

/// The target of lines that say which pod got what.
pub const AUDIT: &str = "audit";

/// How log lines are written.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Least important lines: error, warn, info, debug or trace; audit lines come above error
    #[arg(
        long,
        env = "PHASE_CSI_LOG_LEVEL",
        hide_env = true,
        value_name = "LEVEL",
        default_value = "info",
        value_enum,
        hide_possible_values = true
    )]
    pub log_level: LogLevel,

    /// Form of a line: text or json [default: text on a terminal, else json]
    #[arg(
        long,
        env = "PHASE_CSI_LOG_FORMAT",
        hide_env = true,
        value_name = "FORM",
        value_enum,
        hide_possible_values = true
    )]
    pub log_format: Option<LogFormat>,
}

/// Least important lines to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may.
    Warn,
    /// And what was done.
    Info,
    /// And how.
    Debug,
    /// And everything.
    Trace,
}

/// Form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Starts logging; to be called once.
pub fn start(args: &LogArgs) {
    let level = LevelFilter::from(args.log_level);
    // Who got what is written down also where only warnings are wanted.
    let audit = match args.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    // Libraries log requests and headers below this level; secrets are none of their business.
    let filter = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_target(AUDIT, audit)
        // Its spans are entered with each look at each resource that waits.
        .with_target("kube_runtime", level.min(LevelFilter::WARN))
        .with_default(level.min(LevelFilter::INFO));
    let text = match args.log_format {
        Some(format) => format == LogFormat::Text,
        None => stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(stderr);
    let lines = if text {
        lines.with_ansi(stderr().is_terminal()).boxed()
    } else {
        // The id of a call is `span.request_id`.
        lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed()
    };
    // One filter for all: one for each layer costs every span some more.
    registry().with(filter).with(Bounded).with(lines).init();
}

/// A length of time as a number that JSON can hold.
#[must_use]
pub fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}
