//! `probe`: asks the provider on a socket who it is, as the driver reaches it; or asks a
//! process on its own socket whether it lives, or takes work, as kubelet's probes do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::provider::Endpoint;
use crate::serve::SocketArgs;
use crate::telemetry::live::{Dead, version_at};

const EXAMPLE: &str = "\
Example: phase-csi-provider probe --endpoint unix:///provider/phase.sock
Example: phase-csi-provider probe --ready unix:///run/phase-csi-provider/health.sock";

/// Asks the provider on a socket for its version, as the driver would; or a process for its health.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ProbeArgs {
    /// Where it serves.
    #[command(flatten)]
    pub socket: SocketArgs,

    /// Ask at a --health-socket whether its process does its work
    #[arg(long, value_name = "SOCKET", conflicts_with = "ready")]
    pub live: Option<Endpoint>,

    /// Ask at a --health-socket whether work may come
    #[arg(long, value_name = "SOCKET")]
    pub ready: Option<Endpoint>,
}

/// Why a probe fails.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody of ours answers where the driver asks.
    #[error(transparent)]
    Dead(#[from] Dead),
    /// Nobody can connect to the socket of health.
    #[error("cannot connect to {0}: {1}: is it the --health-socket of the process?")]
    Connect(PathBuf, std::io::Error),
    /// It was connected to, and nothing came back.
    #[error("no answer on {0} within {limit} s", limit = WITHIN.as_secs())]
    Silent(PathBuf),
    /// What came back is no answer to the question.
    #[error("wrong answer on {0}: is it a --health-socket?")]
    Wrong(PathBuf),
    /// The process says what is not well.
    #[error("{0}")]
    Unhealthy(String),
}

/// One line on who answers, or on how it is.
///
/// # Errors
/// [`ProbeError`]: nobody does, nobody of ours, or it is not well.
pub async fn run(args: ProbeArgs) -> Result<String, ProbeError> {
    if let Some(socket) = args.live {
        return health("/live", socket.path()).await;
    }
    if let Some(socket) = args.ready {
        return health("/ready", socket.path()).await;
    }
    let version = version_at(args.socket.endpoint.path()).await?;
    let (name, number) = (version.runtime_name, version.runtime_version);
    Ok(format!(
        "{name} {number} answers on {}",
        args.socket.endpoint
    ))
}

async fn health(page: &str, path: &Path) -> Result<String, ProbeError> {
    let asked = async {
        let stream = UnixStream::connect(path).await;
        let stream = stream.map_err(|error| ProbeError::Connect(path.into(), error))?;
        let answer = answer(stream, page).await;
        answer.ok_or_else(|| ProbeError::Wrong(path.into()))
    };
    let answer = timeout(WITHIN, asked).await;
    match answer.map_err(|_| ProbeError::Silent(path.into()))?? {
        (StatusCode::OK, line) => Ok(line),
        (StatusCode::SERVICE_UNAVAILABLE, line) => Err(ProbeError::Unhealthy(line)),
        _ => Err(ProbeError::Wrong(path.into())),
    }
}

/// The status and the line of a page.
async fn answer(stream: UnixStream, page: &str) -> Option<(StatusCode, String)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = Request::get(page).header(header::HOST, "localhost");
    let request = request.body(Empty::<Bytes>::new()).ok()?;
    let answer = sender.send_request(request).await.ok()?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_LINE).collect().await;
    let text = String::from_utf8(body.ok()?.to_bytes().into()).ok()?;
    Some((status, text.trim_end().to_owned()))
}

/// Longer than the process takes to ask itself; kubelet is to wait a little longer.
const WITHIN: Duration = Duration::from_secs(3);
const MAX_LINE: usize = 4 * 1024;
