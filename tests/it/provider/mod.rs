//! The provider room from the outside: real sockets, a real gRPC client, and
//! clients that no library would let us be.

mod bounds;
mod connections;
mod handover;
mod mounts;
mod old_drivers;
mod raw;
mod socket_file;
mod stopping;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use phase_csi_provider::deadline::Deadline;
use phase_csi_provider::provider::grpc::csi_driver_provider_client::CsiDriverProviderClient;
use phase_csi_provider::provider::{
    self, Bound, Config, Failure, File, MountRequest, MountResponse, ObjectVersion, Stopped,
};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

type Client = CsiDriverProviderClient<Channel>;

/// Bounds a hang; nothing that passes comes near it.
const SAFETY: Duration = Duration::from_secs(60);

/// A provider that serves on a socket in a directory of its own.
struct Provider {
    path: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Stopped>,
    dir: TempDir,
}

impl Provider {
    /// With the default settings.
    async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(MountRequest, Deadline) -> F + Send + Sync + 'static,
        F: Future<Output = Result<MountResponse, Failure>> + Send + 'static,
    {
        Self::with(|_| {}, handler).await
    }

    /// With settings changed by `change`.
    async fn with<H, F>(change: impl FnOnce(&mut Config), handler: H) -> Self
    where
        H: Fn(MountRequest, Deadline) -> F + Send + Sync + 'static,
        F: Future<Output = Result<MountResponse, Failure>> + Send + 'static,
    {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&dir.path().join("phase.sock"));
        change(&mut config);
        Self::run(dir, provider::bind(config, handler).await.unwrap())
    }

    fn run(dir: TempDir, bound: Bound) -> Self {
        let path = bound.path().to_path_buf();
        let (stop, stopping) = oneshot::channel();
        let task = tokio::spawn(bound.run(async { drop(stopping.await) }));
        Self {
            path,
            stop,
            task,
            dir,
        }
    }

    async fn client(&self) -> Client {
        client(&self.path).await
    }

    /// Stops it and waits until it has stopped.
    async fn stop(self) -> Stopped {
        self.stop.send(()).unwrap();
        timeout(SAFETY, self.task).await.unwrap().unwrap()
    }
}

fn config(path: &Path) -> Config {
    Config::new(format!("unix://{}", path.display()).parse().unwrap())
}

async fn client(path: &Path) -> Client {
    let endpoint = Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
    CsiDriverProviderClient::new(endpoint.connect().await.unwrap())
        .max_decoding_message_size(usize::MAX)
}

/// One mount, as a driver asks for it.
async fn mount(mut client: Client) -> Result<MountResponse, tonic::Status> {
    let request = MountRequest::new("{}", "null");
    client.mount(request).await.map(tonic::Response::into_inner)
}

/// What [`hang`] tells.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Started,
    Dropped,
}

/// A mount that never ends, and tells when it starts and when it is dropped.
async fn hang(events: UnboundedSender<Event>) -> Result<MountResponse, Failure> {
    struct Tell(UnboundedSender<Event>);
    impl Drop for Tell {
        fn drop(&mut self) {
            drop(self.0.send(Event::Dropped));
        }
    }
    events.send(Event::Started).unwrap();
    let _tell = Tell(events);
    std::future::pending().await
}

/// An answer of one file.
fn answer(contents: impl Into<Vec<u8>>) -> MountResponse {
    MountResponse {
        object_version: vec![ObjectVersion {
            id: "KEY".into(),
            version: "1".into(),
        }],
        error: None,
        files: vec![File {
            path: "KEY".into(),
            mode: 0o644,
            contents: contents.into(),
        }],
    }
}
