//! A person's commands: which of Phase's consoles they ask, and how (the flags that
//! `serve` has too), and the way to standard output.

use std::fs::File;
use std::io::{self, ErrorKind, Write, stdout};
use std::os::fd::AsFd;
use std::sync::Arc;

use clap::Args;

use crate::phase::allowed::AllowedHosts;
use crate::phase::args::ClientArgs;
use crate::phase::client::{CaFileError, Client};
use crate::phase::host::{Host, HostError};

/// What stands for standard input, where a command asks for a file.
pub const STANDARD_INPUT: &str = "-";

/// Which consoles may be asked, and how.
#[derive(Args, Clone, Debug)]
pub struct ConsoleArgs {
    /// Console URL of classes that name none, as the node's
    #[arg(
        long,
        env = "PHASE_CSI_PHASE_HOST",
        hide_env = true,
        value_name = "URL"
    )]
    pub phase_host: Option<Host>,

    /// Further consoles.
    #[command(flatten)]
    pub client: ClientArgs,
}

impl ConsoleArgs {
    /// The hosts that a class may name: as `serve` has them with the same flags.
    /// Without any, none but the default: whoever may write a class could else
    /// have a person's or a workflow's token sent to a host of theirs.
    ///
    /// # Errors
    /// An `--allowed-host` that is no address.
    pub fn hosts(&self) -> Result<AllowedHosts, HostError> {
        let default = self.phase_host.clone().unwrap_or_default();
        self.client.hosts(default)
    }

    /// Whether no flag says which hosts a class may name.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.phase_host.is_none() && self.client.allowed_host.is_empty()
    }

    /// A client of these flags.
    ///
    /// # Errors
    /// The CA file cannot be read, or is none.
    pub fn client(&self) -> Result<Client, CaFileError> {
        self.client.client(Arc::default())
    }
}

/// Writes past the buffer of standard output, which would keep a copy of what may be
/// secret. A reader that has seen enough is no error.
///
/// # Errors
/// When standard output does not take it.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    let descriptor = stdout().lock().as_fd().try_clone_to_owned()?;
    match File::from(descriptor).write_all(bytes) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
