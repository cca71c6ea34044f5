//! The bare gRPC server: tonic's own, which answers every call with the same bytes.
//! It is this program again, in a process of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use phase_csi_provider::provider::grpc::csi_driver_provider_client::CsiDriverProviderClient;
use phase_csi_provider::provider::grpc::csi_driver_provider_server::{
    CsiDriverProvider, CsiDriverProviderServer,
};
use phase_csi_provider::provider::grpc::{
    MountRequest, MountResponse, VersionRequest, VersionResponse,
};
use prost::Message;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

use crate::node::client;

const DIRECTORY: &str = "BARE_SERVER";

pub(crate) struct Bare {
    client: CsiDriverProviderClient<Channel>,
    child: Child,
    _directory: TempDir,
}

impl Bare {
    pub(crate) async fn start(answer: &MountResponse) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("answer"), answer.encode_to_vec()).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .env(DIRECTORY, directory.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            client: client(&directory.path().join("bare.sock")).await,
            child,
            _directory: directory,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn mount(&self, request: &MountRequest) -> MountResponse {
        let answer = self.client.clone().mount(request.clone()).await;
        answer.unwrap().into_inner()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(DIRECTORY).is_some()
}

pub(crate) async fn serve() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let answer = std::fs::read(directory.join("answer")).unwrap();
    let answer = MountResponse::decode(&*answer).unwrap();
    let socket = UnixListener::bind(directory.join("bare.sock")).unwrap();
    Server::builder()
        .add_service(CsiDriverProviderServer::new(Constant(answer)))
        .serve_with_incoming(UnixListenerStream::new(socket))
        .await
        .unwrap();
}

struct Constant(MountResponse);

#[tonic::async_trait]
impl CsiDriverProvider for Constant {
    async fn version(
        &self,
        _: Request<VersionRequest>,
    ) -> Result<Response<VersionResponse>, Status> {
        Err(Status::unimplemented("only mounts are compared"))
    }

    async fn mount(&self, _: Request<MountRequest>) -> Result<Response<MountResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }
}
