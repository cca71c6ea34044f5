//! `phase-csi-provider`: flags, logging, dispatch.

use std::process::{ExitCode, exit};

use clap::{Parser, Subcommand};
use phase_csi_provider::check::{self, CheckArgs, Outcome};
use phase_csi_provider::serve::{self, ServeArgs};
use phase_csi_provider::telemetry::logs::{self, LogArgs};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

/// Phase secrets for Kubernetes pods, through the Secrets Store CSI Driver
#[derive(Parser)]
#[command(version)]
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
    /// Find every mistake in classes, and in the pods that mount them
    Check(CheckArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { serve, logs } => serve_until_stopped(serve, &logs).await,
        Command::Check(args) => checked(args).await,
    }
}

async fn checked(args: CheckArgs) -> ExitCode {
    let outcome = check::run(args).await.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        Outcome::Usage
    });
    ExitCode::from(outcome as u8)
}

async fn serve_until_stopped(args: ServeArgs, logs: &LogArgs) -> ExitCode {
    logs::start(logs);
    let result = match stop_signal() {
        Ok(stop) => serve::run(args, stop)
            .await
            .map_err(|error| error.to_string()),
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

/// Ready at the first SIGTERM or SIGINT; a second one ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        info!("stopping: running mounts may finish");
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
