//! `phase-csi-provider`: flags, logging, dispatch.

use std::io::{Write, stderr, stdout};
use std::process::{ExitCode, exit};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use phase_csi_provider::check::{self, CheckArgs, Outcome};
use phase_csi_provider::core_dumps;
use phase_csi_provider::encryption::{self, EncryptionConfigArgs};
use phase_csi_provider::managed::controller::{self, ControllerArgs};
use phase_csi_provider::managed::resource;
use phase_csi_provider::manual;
use phase_csi_provider::preview::{self, RenderArgs};
use phase_csi_provider::probe::{self, ProbeArgs};
use phase_csi_provider::serve::{self, ServeArgs};
use phase_csi_provider::telemetry::logs::{self, LogArgs, LogFormat};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

const EXAMPLE: &str = "\
Example: PHASE_SERVICE_TOKEN=… phase-csi-provider render -f class.yaml";
const COMPLETIONS: &str = "\
Example: phase-csi-provider completions bash > /etc/bash_completion.d/phase-csi-provider";
const CRD: &str = "\
Example: phase-csi-provider crd | kubectl apply --server-side -f -";
const MAN: &str = "\
Example: phase-csi-provider man render | man -l -";

/// Phase secrets for Kubernetes pods, through the Secrets Store CSI Driver
#[derive(Parser)]
#[command(version, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve pods' secrets to the driver on this node
    Serve {
        #[command(flatten)]
        serve: ServeArgs,
        #[command(flatten)]
        logs: LogArgs,
    },
    /// Keep Kubernetes Secrets as PhaseSecret resources say
    Controller {
        #[command(flatten)]
        controller: ControllerArgs,
        #[command(flatten)]
        logs: LogArgs,
    },
    /// Print the CustomResourceDefinition of PhaseSecret
    #[command(after_help = CRD)]
    Crd,
    /// Find every mistake in classes, and in the pods that mount them
    Check(CheckArgs),
    /// Show what a pod would get of a class, or write it into a directory
    Render(RenderArgs),
    /// Print a configuration that encrypts Secrets at rest, with a fresh key
    EncryptionConfig(EncryptionConfigArgs),
    /// Ask the provider on a socket who it is
    Probe(ProbeArgs),
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page of the program, or of a command
    #[command(after_help = MAN)]
    Man {
        /// The command; without it, the page of the program
        #[arg(hide_possible_values = true)]
        command: Option<Page>,
    },
}

/// Commands with a page of their own.
#[derive(Clone, Copy, ValueEnum)]
enum Page {
    Check,
    Completions,
    Controller,
    Crd,
    EncryptionConfig,
    Man,
    Probe,
    Render,
    Serve,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { serve, logs } => served(serve, &logs).await,
        Command::Controller { controller, logs } => kept(controller, &logs).await,
        Command::Crd => written(resource::print(&mut stdout())),
        Command::Check(args) => checked(args).await,
        Command::Render(args) => rendered(args).await,
        Command::EncryptionConfig(args) => encrypted(&args),
        Command::Probe(args) => probed(args).await,
        Command::Completions { shell } => {
            written(manual::completions(Cli::command(), shell, &mut stdout()))
        }
        Command::Man { command } => {
            let command = command.and_then(|page| page.to_possible_value());
            let command = command.as_ref().map(clap::builder::PossibleValue::get_name);
            written(manual::page(Cli::command(), command, &mut stdout()))
        }
    }
}

async fn served(args: ServeArgs, logs: &LogArgs) -> ExitCode {
    daemon(logs, async |stop| {
        let served = serve::run(args, stop).await;
        served.map_err(|error| error.to_string())
    })
    .await
}

async fn kept(args: ControllerArgs, logs: &LogArgs) -> ExitCode {
    daemon(logs, async |stop| {
        let kept = controller::run(args, stop).await;
        kept.map_err(|error| error.to_string())
    })
    .await
}

/// What runs until it is told to stop.
async fn daemon(
    logs: &LogArgs,
    run: impl AsyncFnOnce(BoxFuture<'static, ()>) -> Result<(), String>,
) -> ExitCode {
    logs::start(logs);
    if let Err(error) = core_dumps::off() {
        warn!(%error, "core dumps cannot be switched off: a crash may leave secrets on disk");
    }
    let result = match stop_signal() {
        Ok(stop) => run(stop.boxed()).await,
        Err(error) => Err(format!("cannot listen for signals: {error}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn probed(args: ProbeArgs) -> ExitCode {
    match probe::run(args).await {
        Ok(line) => written(writeln!(stdout(), "{line}")),
        Err(dead) => {
            complain(&dead);
            ExitCode::FAILURE
        }
    }
}

async fn checked(args: CheckArgs) -> ExitCode {
    let outcome = check::run(args).await.unwrap_or_else(|error| {
        complain(&error);
        Outcome::Usage
    });
    ExitCode::from(outcome as u8)
}

async fn rendered(args: RenderArgs) -> ExitCode {
    if let Some(log_level) = args.log_level {
        logs::start(&LogArgs {
            log_level,
            log_format: Some(LogFormat::Text),
        });
    }
    let Err(errors) = preview::run(args).await else {
        return ExitCode::SUCCESS;
    };
    for error in &errors {
        complain(error);
    }
    ExitCode::from(preview::exit_code(&errors))
}

fn encrypted(args: &EncryptionConfigArgs) -> ExitCode {
    let Err(errors) = encryption::run(args) else {
        return ExitCode::SUCCESS;
    };
    for error in &errors {
        complain(error);
    }
    ExitCode::from(encryption::exit_code(&errors))
}

/// A reader that has seen enough is no error.
fn written(result: std::io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format_args!("cannot be printed: {error}"));
            ExitCode::from(2)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// A line on standard error, if anyone reads it.
fn complain(error: &impl std::fmt::Display) {
    let _ = writeln!(stderr(), "error: {error}");
}

/// Ready at the first SIGTERM or SIGINT; a second one ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        info!("stopping: what runs may finish");
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            exit(1);
        });
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
