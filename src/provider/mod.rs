//! The room at the door: the gRPC service that the Secrets Store CSI Driver
//! calls on a unix socket.
//!
//! A call passes, from the outside in: `socket` (private, ours alone, root or
//! our own user on the other side), `authority` (lets drivers before 1.6 in),
//! `server` (connections, streams, stopping), `status` (five gRPC codes never
//! leave), `service` (time limit, panics, the size of the answer), and then the
//! handler that this room is given. It knows nothing of Phase.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use phase_csi_provider::cause::Cause;
//! use phase_csi_provider::provider::{self, Config, Failure, MountAnswer};
//!
//! let config = Config::new("unix:///run/providers/phase.sock".parse()?);
//! let stopped = provider::serve(
//!     config,
//!     |_request, _deadline| async { Err::<MountAnswer, _>(Failure::new(Cause::NotFound, "nothing here")) },
//!     async { drop(tokio::signal::ctrl_c().await) },
//! )
//! .await?;
//! # drop(stopped); Ok(())
//! # }
//! ```

mod answer;
mod authority;
mod checked_body;
mod endpoint;
mod failure;
mod filter;
mod frames;
pub mod grpc;
mod header_block;
mod limit;
mod server;
mod service;
mod socket;
mod status;
mod wiped;

pub use answer::MountAnswer;
pub use endpoint::{Endpoint, EndpointError};
pub use failure::Failure;
#[doc(hidden)]
pub use filter::filtered;
pub use grpc::{File, MountRequest, MountResponse, ObjectVersion};
pub use server::{Bound, Config, Readiness, Stopped, bind, serve};
pub use socket::BindError;
pub(crate) use socket::Socket;
