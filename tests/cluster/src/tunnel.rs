//! A way to the API server that looks into nothing: bytes go through as they are, until a
//! connection is dead.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::config::Kubeconfig;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use crate::Programs;

/// A way to the API server, with the administrator's own certificate.
pub struct Tunnel {
    opened: Arc<AtomicUsize>,
    death: Arc<Notify>,
    server: JoinHandle<()>,
    /// For programs: it names the tunnel.
    pub kubeconfig: PathBuf,
}

impl Tunnel {
    /// Opens one.
    pub async fn open(programs: &Programs, folder: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut config = Kubeconfig::read_from(&programs.kubeconfig).unwrap();
        let cluster = config.clusters[0].cluster.as_mut().unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let server = cluster.server.replace(address).unwrap();
        let server = server.strip_prefix("https://").unwrap().parse().unwrap();
        let kubeconfig = folder.join("tunnel.kubeconfig");
        std::fs::write(&kubeconfig, serde_json::to_string(&config).unwrap()).unwrap();
        let (opened, death) = (Arc::default(), Arc::default());
        let accepted = accept(listener, server, Arc::clone(&opened), Arc::clone(&death));
        Self {
            opened,
            death,
            server: tokio::spawn(accepted),
            kubeconfig,
        }
    }

    /// How many connections were opened so far.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Nothing goes through any connection that is open now, and none of them ends, as if
    /// the machine at the other end had lost its power. Further ones are as they should be.
    pub fn die(&self) {
        self.death.notify_waiters();
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    opened: Arc<AtomicUsize>,
    death: Arc<Notify>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        opened.fetch_add(1, Ordering::SeqCst);
        let death = Arc::clone(&death);
        connections.spawn(async move {
            let mut far = TcpStream::connect(server).await.unwrap();
            tokio::select! {
                // Either end may leave as it likes.
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = death.notified() => std::future::pending().await,
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
