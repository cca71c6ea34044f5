//! A KMS plugin as kube-apiserver asks it (v2), with keys in its own memory.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::use_self,
    unused_qualifications,
    reason = "generated code"
)]

tonic::include_proto!("v2");

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use futures_util::stream::unfold;
use key_management_service_server::{KeyManagementService, KeyManagementServiceServer};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

const NONCE: usize = 24;

/// A plugin that serves until it is dropped.
pub struct KmsPlugin {
    keys: Arc<Mutex<Keys>>,
    server: JoinHandle<()>,
}

/// The last one encrypts, all of them decrypt.
struct Keys {
    name: String,
    all: Vec<XChaCha20Poly1305>,
    encrypted: usize,
}

struct Service(Arc<Mutex<Keys>>);

impl KmsPlugin {
    /// Serves on a socket. The ids of its keys begin with `name`.
    pub fn start(name: &str, socket: &Path) -> Self {
        let keys = Arc::new(Mutex::new(Keys {
            name: name.to_owned(),
            all: vec![fresh_key()],
            encrypted: 0,
        }));
        let listener = UnixListener::bind(socket).unwrap();
        let incoming = unfold(listener, |listener| async {
            let stream = listener.accept().await.map(|(stream, _)| stream);
            Some((stream, listener))
        });
        let service = KeyManagementServiceServer::new(Service(keys.clone()));
        let server = tokio::spawn(async move {
            let server = Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Self { keys, server }
    }

    /// Encrypts with a new key from now on.
    pub fn rotate(&self) {
        self.keys.lock().unwrap().all.push(fresh_key());
    }

    /// The id of the key that encrypts.
    pub fn key_id(&self) -> String {
        self.keys.lock().unwrap().id()
    }

    /// How often it has encrypted.
    pub fn encrypted(&self) -> usize {
        self.keys.lock().unwrap().encrypted
    }
}

impl Drop for KmsPlugin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Keys {
    fn id(&self) -> String {
        format!("{}-{}", self.name, self.all.len())
    }

    fn of(&self, id: &str) -> Option<&XChaCha20Poly1305> {
        let number: usize = id
            .strip_prefix(&self.name)?
            .strip_prefix('-')?
            .parse()
            .ok()?;
        self.all.get(number.checked_sub(1)?)
    }
}

#[tonic::async_trait]
impl KeyManagementService for Service {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse {
            version: "v2".to_owned(),
            healthz: "ok".to_owned(),
            key_id: self.0.lock().unwrap().id(),
        }))
    }

    async fn encrypt(
        &self,
        request: Request<EncryptRequest>,
    ) -> Result<Response<EncryptResponse>, Status> {
        let mut keys = self.0.lock().unwrap();
        keys.encrypted += 1;
        let id = keys.id();
        let nonce: [u8; NONCE] = random();
        let payload = Payload {
            msg: &request.get_ref().plaintext,
            aad: id.as_bytes(),
        };
        let key = keys.of(&id).unwrap();
        let sealed = key.encrypt(&XNonce::from(nonce), payload).unwrap();
        Ok(Response::new(EncryptResponse {
            ciphertext: [&nonce[..], &sealed].concat(),
            key_id: id,
            annotations: HashMap::new(),
        }))
    }

    async fn decrypt(
        &self,
        request: Request<DecryptRequest>,
    ) -> Result<Response<DecryptResponse>, Status> {
        let DecryptRequest {
            ciphertext, key_id, ..
        } = request.get_ref();
        let keys = self.0.lock().unwrap();
        let key = keys.of(key_id);
        let key = key.ok_or_else(|| Status::not_found("no key of this id"))?;
        let (nonce, sealed) = ciphertext.split_first_chunk::<NONCE>().unwrap();
        let payload = Payload {
            msg: sealed,
            aad: key_id.as_bytes(),
        };
        let plaintext = key.decrypt(&XNonce::from(*nonce), payload);
        let plaintext = plaintext.map_err(|_| Status::data_loss("it does not decrypt"))?;
        Ok(Response::new(DecryptResponse { plaintext }))
    }
}

fn fresh_key() -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&random::<32>().into())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut source = File::open("/dev/urandom").unwrap();
    source.read_exact(&mut bytes).unwrap();
    bytes
}
