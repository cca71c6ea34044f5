//! The program `phase-emulator`.

use clap::Parser;
use phase_emulator::{Emulator, Options, Seed, StartError, Tls};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// A small Phase server, end-to-end encrypted, for tests, demos and CI. Keep no real secret in it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// YAML file of the organisation; keys and tokens it lacks are added to it, and changes kept. Without it, a demo is served.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:8200")]
    listen: SocketAddr,
    /// Where the control endpoint listens, on loopback only.
    #[arg(long, default_value = "127.0.0.1:8201")]
    control: SocketAddr,
    /// Serve TLS with a fresh authority, for these DNS names or addresses and for localhost.
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with_all = ["tls_cert", "tls_key"])]
    tls_self_signed: Option<Vec<String>>,
    /// Where to write the fresh authority's certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_self_signed")]
    ca_out: Option<PathBuf>,
    /// Serve TLS with this certificate chain, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Milliseconds added to every answer.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Print every token, too.
    #[arg(long)]
    print_tokens: bool,
}

/// Why the program ends.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("certificate cannot be written: {path}: {source}", path = path.display())]
    CaOut {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("signals cannot be waited for: {0}")]
    Signal(std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "phase-emulator: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let (ca_out, print_tokens) = (arguments.ca_out.clone(), arguments.print_tokens);
    let emulator = Emulator::start(arguments.options()?).await?;
    if let (Some(path), Some(pem)) = (ca_out, emulator.ca_pem()) {
        std::fs::write(&path, pem).map_err(|source| Failure::CaOut { path, source })?;
    }
    // Before the line that others wait for: whoever has read it may signal at once.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signal)?;
    announce(&emulator, print_tokens);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    emulator.stop().await;
    Ok(())
}

impl Arguments {
    fn options(self) -> Result<Options, StartError> {
        let options = match self.file {
            Some(file) => Options::from_file(file)?,
            None => Options::new(Seed::demo()),
        };
        let tls = match (self.tls_self_signed, self.tls_cert, self.tls_key) {
            (Some(names), ..) => Tls::SelfSigned { names },
            (None, Some(cert), Some(key)) => Tls::Files { cert, key },
            _ => Tls::Off,
        };
        let latency = Duration::from_millis(self.latency_ms);
        Ok(Options {
            listen: self.listen,
            control: self.control,
            tls,
            latency,
            ..options
        })
    }
}

/// One line that says where, for people and for scripts that wait for it.
fn announce(emulator: &Emulator, print_tokens: bool) {
    let mut out = std::io::stdout();
    let _ = writeln!(
        out,
        "phase-emulator ready: phase {} control {}",
        emulator.url(),
        emulator.control_url()
    );
    let tokens = emulator.control().tokens();
    for (name, token) in tokens.iter().filter(|_| print_tokens) {
        let _ = writeln!(out, "token {name} {token}");
    }
    let _ = out.flush();
}
