//! A small Phase server for tests, demos and continuous integration.
//!
//! It keeps an organisation in plaintext, in a YAML file that people can read, and speaks Phase's client
//! protocol truly end-to-end encrypted: wrapped shares, environment keys, `ph:v1` envelopes. It is a tool for
//! tests: nothing that must stay secret belongs into it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use phase_emulator::{Emulator, Options, Seed};
//!
//! let emulator = Emulator::start(Options::new(Seed::demo())).await?;
//! let control = emulator.control();
//! let token = control.token("demo").expect("the demo has a token of this name");
//! assert!(token.starts_with("pss_service:v2:"));
//! control.put_secret("keyspace.cloud", "Production", "/", "API_KEY", "another")?;
//! emulator.stop().await;
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod address;
mod answer;
mod body;
mod clock;
mod control;
mod control_http;
mod emulator;
mod endpoint;
mod fault;
mod file;
mod organisation;
mod request;
mod seal;
mod server;
mod state;
mod throttle;
mod tls;
mod unplugged;
mod wire;

pub mod seed;

pub use control::{Control, ControlError};
pub use emulator::{Emulator, Options, StartError};
pub use fault::{BadCertificate, Endpoint, Fault, FaultKind, Garbage};
pub use file::FileError;
pub use organisation::{LookupError, SecretChange};
pub use seed::{Seed, SeedError};
pub use state::Counters;
pub use throttle::{Rate, RateError};
pub use tls::{Tls, TlsError};
pub use unplugged::{Said, Unplugged};
