//! The socket of the process's own probes: `--health-socket`.
//!
//! Only root and our own user can connect, and nobody else's connections stand in
//! their way, so no stranger decides whether a probe is answered.

use std::path::PathBuf;

use tokio::time::timeout;
use tracing::{debug, info};

use super::{Shared, converse};
use crate::connections::{Connections, Limits};
use crate::provider::{BindError, Endpoint, Socket};

/// A socket for probes, or none where that is off.
#[must_use = "nobody answers until this is served"]
pub struct HealthSocket {
    socket: Socket,
    endpoint: Endpoint,
}

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("--health-socket: cannot listen on {path}: {why}: choose another path, or leave it off")]
pub struct HealthSocketError {
    path: PathBuf,
    why: String,
}

impl HealthSocket {
    /// Creates the socket, if there is to be one; a file that a dead process left is
    /// replaced.
    ///
    /// # Errors
    /// [`HealthSocketError`]: there is no such directory, or something else is there.
    pub async fn bind(endpoint: Option<&Endpoint>) -> Result<Option<Self>, HealthSocketError> {
        let Some(endpoint) = endpoint else {
            return Ok(None);
        };
        let socket = Socket::bind(endpoint.clone(), false).await;
        let socket = socket.map_err(|error| HealthSocketError {
            path: endpoint.path().into(),
            why: why(&error),
        })?;
        Ok(Some(Self {
            socket,
            endpoint: endpoint.clone(),
        }))
    }

    /// Answers until it is dropped.
    pub async fn serve(self, pages: Shared) {
        info!(endpoint = %self.endpoint, "serving health to probes");
        let mut connections = Connections::new(LIMITS);
        loop {
            let stream = self.socket.accept().await;
            let pages = pages.clone();
            connections.serve((), |place| async move {
                if timeout(super::ALL_WITHIN, converse(stream, pages, place))
                    .await
                    .is_err()
                {
                    debug!("connection of a probe was cut: its time was over");
                }
            });
        }
    }
}

fn why(error: &BindError) -> String {
    match error {
        BindError::AlreadyServed(_) => "another process serves there".to_owned(),
        BindError::Bind(_, error) | BindError::Inspect(_, error) => error.to_string(),
        BindError::NoDirectory(_) => "its directory does not exist".to_owned(),
        BindError::NotASocket(_) => "a file that is no socket is there".to_owned(),
    }
}

/// Three probes need three. All of them are of one peer: root, or ourselves.
const LIMITS: Limits = Limits {
    total: 16,
    per_peer: 16,
    ends_served: true,
};
