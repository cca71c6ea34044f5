//! The way to the API server: nothing waits for it without end.

use std::time::Duration;

use kube::runtime::watcher;
use kube::{Client, Config};

/// A watch ends after so many seconds and goes on where it was: one that shows nothing
/// any more, and does not end, is noticed a little later.
const WATCH: u32 = 30;
/// So many objects are read at once.
const PAGE: u32 = 250;
/// A connection on which an answer is awaited and nothing comes is given up. A watch
/// has ended by then; a single request has a shorter deadline of its own.
const SILENCE: Duration = Duration::from_secs(WATCH as u64 + 15);

/// A client for what the environment names: `KUBECONFIG`, or the pod's service account.
///
/// Of itself it tries again what was answered with 429, 503 or 504: after `Retry-After`
/// where that is given, and within the deadline of whoever asks.
///
/// # Errors
/// There is no such thing, or it cannot be read.
pub(super) async fn client() -> Result<Client, String> {
    let mut config = Config::infer().await.map_err(|error| error.to_string())?;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Client::try_from(config).map_err(|error| error.to_string())
}

/// How objects are watched.
pub(super) fn watching() -> watcher::Config {
    watcher::Config::default().timeout(WATCH).page_size(PAGE)
}
