//! Connections that are not served: too many, of another user, silent, or more
//! than there are files for.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::set_thread_uid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;

async fn served() -> Provider {
    Provider::start(|_, _| async { Ok(answer("x")) }).await
}

/// Whether the connection is closed instead of being greeted with settings.
async fn closed(mut stream: UnixStream) -> bool {
    !greeted(&mut stream).await
}

/// Whether the connection is greeted with settings.
async fn greeted(stream: &mut UnixStream) -> bool {
    drop(stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await);
    timeout(SAFETY, stream.read_u8()).await.unwrap().is_ok()
}

async fn open(provider: &Provider) -> UnixStream {
    UnixStream::connect(&provider.path).await.unwrap()
}

#[tokio::test]
async fn silent_connections_make_room_and_served_ones_do_not() {
    let provider = served().await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(open(&provider).await);
    }
    // Each served one takes the place of a silent one, until all are served.
    let mut others = Vec::new();
    for _ in 0..64 {
        let mut stream = open(&provider).await;
        assert!(greeted(&mut stream).await);
        others.push(stream);
    }
    assert!(closed(open(&provider).await).await);
    for stream in &mut silent {
        assert_eq!(
            timeout(SAFETY, stream.read(&mut [0; 1]))
                .await
                .unwrap()
                .unwrap(),
            0
        );
    }
    others.pop();
    let room = async {
        while closed(open(&provider).await).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SAFETY, room).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let provider = served().await;
    let mut silent = open(&provider).await;
    assert_eq!(
        timeout(SAFETY, silent.read(&mut [0; 1]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
}

/// Only root can become somebody else; `may_call` is tested for everybody.
#[tokio::test]
async fn a_connection_of_another_user_is_closed_even_if_the_file_lets_it_in() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root can become somebody else");
        return;
    }
    let provider = served().await;
    for (path, mode) in [(provider.dir.path(), 0o755), (&provider.path, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let path = provider.path.clone();
    let call = move |uid| {
        set_thread_uid(rustix::process::Uid::from_raw(uid)).unwrap();
        let mut stream = StdStream::connect(path).unwrap();
        drop(std::io::Write::write_all(
            &mut stream,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ));
        stream.read(&mut [0; 1]).unwrap_or(0)
    };
    let (nobody, root) = (call.clone(), call);
    // Threads of their own: the user changes for one thread only.
    let read =
        tokio::task::spawn_blocking(|| std::thread::spawn(move || nobody(65534)).join().unwrap());
    assert_eq!(timeout(SAFETY, read).await.unwrap().unwrap(), 0);
    let read = tokio::task::spawn_blocking(|| std::thread::spawn(move || root(0)).join().unwrap());
    assert_eq!(timeout(SAFETY, read).await.unwrap().unwrap(), 1);
}

/// Runs in a process of its own, because the limit is the process's.
#[test]
fn without_free_files_it_waits_without_spinning_and_serves_when_there_are_some() {
    const CHILD: &str = "PHASE_TEST_WITHOUT_FILES";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(run_out_of_files());
    }
    let me = "provider::connections::without_free_files_it_waits_without_spinning_and_serves_when_there_are_some";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", me, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

async fn run_out_of_files() {
    let log = Log::default();
    let lines = log.clone();
    let logger = tracing_subscriber::fmt()
        .with_writer(move || lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(logger);
    let dir = tempfile::tempdir().unwrap();
    let bound = provider::bind(config(&dir.path().join("phase.sock")), |_, _| async {
        Ok(answer("x"))
    })
    .await
    .unwrap();
    // They wait in the queue: nobody accepts yet.
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(UnixStream::connect(bound.path()).await.unwrap());
    }
    let before = getrlimit(Resource::Nofile);
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(used + 3),
            ..before
        },
    )
    .unwrap();
    let provider = Provider::run(dir, bound);
    // However slow this machine is, there are no more of them than pauses in between.
    let begun = std::time::Instant::now();
    let complaints = || log.count("cannot accept a connection");
    let some = async {
        while complaints() < 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SAFETY, some).await.unwrap();
    let complaints = complaints() as u128;
    let pauses = begun.elapsed().as_millis() / 50;
    assert!(
        complaints <= pauses + 1,
        "{complaints} complaints in {pauses} pauses"
    );
    setrlimit(Resource::Nofile, before).unwrap();
    for client in clients {
        assert!(!closed(client).await);
    }
    assert_eq!(provider.stop().await, Stopped::Asked);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap())
            .matches(text)
            .count()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
