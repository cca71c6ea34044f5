//! The socket's file: private before it is visible, and ours alone.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_fd, listen, socket_with,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::Endpoint;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody accepts connections there.
    #[error("another instance is serving on {0}: stop it first, or choose another --endpoint")]
    AlreadyServed(PathBuf),
    /// The operating system refuses to create the socket.
    #[error(
        "cannot serve on {0}: {1}: check the directory's owner and mode, or choose another --endpoint"
    )]
    Bind(PathBuf, #[source] io::Error),
    /// The operating system refuses to look at what is there, or to remove it.
    #[error("cannot replace {0}: {1}: remove it, or choose another --endpoint")]
    Inspect(PathBuf, #[source] io::Error),
    /// The directory is not there, or is no directory.
    #[error("directory {0} does not exist: create or mount it, the driver looks for sockets there")]
    NoDirectory(PathBuf),
    /// A file or directory that is not ours to delete.
    #[error("{0} exists and is not a socket: remove it, or choose another --endpoint")]
    NotASocket(PathBuf),
}

/// A listening socket and its file, which is removed on drop if it is still ours.
pub(crate) struct Socket {
    listener: UnixListener,
    endpoint: Endpoint,
    id: FileId,
    /// Whether the last attempt to create the file anew failed, so that it is
    /// logged once.
    lost: bool,
}

/// Whose file stands at the socket's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Ours,
    Theirs,
}

/// Device and inode. They cannot be reused while the listener lives, because it
/// holds on to its inode.
type FileId = (u64, u64);

impl Socket {
    /// Creates the socket; a file that a dead instance left behind is replaced. With
    /// `take_over`, so is that of a live one: in one step, so that whoever connects
    /// reaches one of the two.
    pub(crate) async fn bind(endpoint: Endpoint, take_over: bool) -> Result<Self, BindError> {
        let directory = endpoint.directory();
        if !directory.is_dir() {
            return Err(BindError::NoDirectory(directory.into()));
        }
        let made = match make_room(endpoint.path()).await {
            Err(BindError::AlreadyServed(_)) if take_over => {
                info!(%endpoint, "taking the place of another instance");
                listen_in_place_of(endpoint.path())
            }
            room => {
                room?;
                listen_at(endpoint.path())
            }
        };
        let (listener, id) = made.map_err(|e| BindError::Bind(endpoint.path().into(), e))?;
        Ok(Self {
            listener,
            endpoint,
            id,
            lost: false,
        })
    }

    /// The next connection of root or of our own user.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if admitted(&stream) => return stream,
                Ok(_) => {}
                // Too many open files, usually: it passes when a connection closes.
                Err(error) => {
                    warn!(%error, "cannot accept a connection: trying again");
                    sleep(ACCEPT_BACK_OFF).await;
                }
            }
        }
    }

    /// Creates the file anew if it vanished; says whose file is there now.
    pub(super) async fn watch(&mut self) -> Place {
        match id_of(self.endpoint.path()) {
            Ok(id) if id == self.id => Place::Ours,
            Ok(_) => {
                warn!(endpoint = %self.endpoint, "another instance has taken the socket's place");
                Place::Theirs
            }
            Err(_) => self.rebind().await,
        }
    }

    async fn rebind(&mut self) -> Place {
        let endpoint = self.endpoint.clone();
        match Self::bind(endpoint.clone(), false).await {
            Ok(new) => {
                warn!(%endpoint, "the socket had vanished and was created anew");
                *self = new;
            }
            Err(error @ (BindError::AlreadyServed(_) | BindError::NotASocket(_))) => {
                error!(%error, "the socket was replaced");
                return Place::Theirs;
            }
            Err(error) if !self.lost => {
                error!(%error, "the socket has vanished and cannot be created anew: trying every second");
                self.lost = true;
            }
            Err(_) => {}
        }
        Place::Ours
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let path = self.endpoint.path();
        if id_of(path).is_ok_and(|id| id == self.id) {
            match std::fs::remove_file(path) {
                Ok(()) => info!(path = %path.display(), "socket removed"),
                Err(error) => warn!(%error, path = %path.display(), "cannot remove the socket"),
            }
        }
    }
}

/// Removes a socket that nobody answers on; anything else stays and is an error.
async fn make_room(path: &Path) -> Result<(), BindError> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::Inspect(path.into(), error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket(path.into()));
    }
    match timeout(CONNECT_LIMIT, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| BindError::Inspect(path.into(), error))?;
            info!(path = %path.display(), "stale socket removed");
            Ok(())
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(BindError::Inspect(path.into(), error))
        }
        // Connected; or its queue is full, which also means that somebody listens.
        _ => Err(BindError::AlreadyServed(path.into())),
    }
}

/// Binds with mode 0600 from the first moment: on Linux the file takes the mode
/// of the unbound socket. (The umask would do, but it belongs to the whole
/// process: a directory made by another thread meanwhile could not be entered.)
fn listen_at(path: &Path) -> io::Result<(UnixListener, FileId)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&fd, Mode::RUSR | Mode::WUSR)?;
    bind_fd(&fd, &SocketAddrUnix::new(path)?)?;
    listen(&fd, BACKLOG)?;
    let listener = UnixListener::from_std(StdListener::from(fd))?;
    Ok((listener, id_of(path)?))
}

/// The same under another name, which then becomes `path` in one step.
fn listen_in_place_of(path: &Path) -> io::Result<(UnixListener, FileId)> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = listen_at(&new)?;
    std::fs::rename(&new, path)?;
    Ok(made)
}

fn id_of(path: &Path) -> io::Result<FileId> {
    let found = path.symlink_metadata()?;
    Ok((found.dev(), found.ino()))
}

/// Whether the other side is root or our own user. The file's mode says the
/// same; this holds even if somebody changes the mode.
fn admitted(stream: &UnixStream) -> bool {
    let uid = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(error) => {
            warn!(%error, "connection refused: its user is unknown");
            return false;
        }
    };
    let admitted = may_call(uid, rustix::process::geteuid().as_raw());
    if !admitted {
        warn!(
            uid,
            "connection refused: only root and the provider's own user may call"
        );
    }
    admitted
}

const fn may_call(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

/// Connections that wait to be accepted: far more than a node's drivers make.
const BACKLOG: i32 = 128;
/// How long an instance may take to be recognised as alive.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::may_call;

    #[test]
    fn root_and_our_own_user_may_call_and_nobody_else() {
        assert!(may_call(0, 0) && may_call(0, 1000) && may_call(1000, 1000));
        assert!(!may_call(1000, 0) && !may_call(1001, 1000) && !may_call(65534, 1000));
    }
}
