//! `probe`: asks the provider on a socket who it is, as the driver reaches it.

use clap::Args;

use crate::serve::SocketArgs;
use crate::telemetry::live::{Dead, version_at};

const EXAMPLE: &str = "\
Example: phase-csi-provider probe --endpoint unix:///provider/phase.sock";

/// Asks the provider on a socket for its version, as the driver would.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ProbeArgs {
    /// Where it serves.
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// One line on who answers.
///
/// # Errors
/// [`Dead`]: nobody does, or nobody of ours.
pub async fn run(args: ProbeArgs) -> Result<String, Dead> {
    let version = version_at(args.socket.endpoint.path()).await?;
    let (name, number) = (version.runtime_name, version.runtime_version);
    Ok(format!(
        "{name} {number} answers on {}",
        args.socket.endpoint
    ))
}
