//! The directory itself: private, reached by its descriptor, and every file in
//! it whole. Symbolic links in it are never followed.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat, Timestamps, UTIME_NOW, fchmod,
    flock, fstat, fsync, openat, renameat, statat, unlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::time::Timespec;
use zeroize::Zeroizing;

/// What files begin with that are not yet written.
const TEMPORARY: &str = ".tmp-";
const TRIES: usize = 8;
/// Most entries that are looked at.
const MOST_ENTRIES: usize = 10_000;

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("cannot {step}: {error}: check its file system, owner and permissions")]
    Failed {
        step: &'static str,
        error: io::Error,
    },
    #[error("is not a directory: give a new or an empty directory")]
    NotDirectory,
    #[error("belongs to another user: give a new or an empty directory")]
    OtherUser,
    #[error("holds {entry:?}, which the provider did not write: give a new or an empty directory")]
    Stranger { entry: String },
}

impl Unusable {
    /// A step that the system refused.
    pub(super) fn failed<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |error| {
            let error = error.into();
            Self::Failed { step, error }
        }
    }
}

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Unread {
    Absent,
    Failed(io::Error),
    /// A link, a directory, a pipe.
    NotAFile,
    TooLong,
}

/// A file's bytes, and which file it was.
pub(super) struct Whole {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) inode: u64,
}

/// An entry of a directory.
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) stat: Stat,
}

impl Entry {
    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0)
    }

    pub(super) fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::RegularFile
    }

    pub(super) fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }
}

/// An open directory.
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// The directory of this path, made if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, Unusable> {
        if path.symlink_metadata().is_err() {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(path);
            made.map_err(Unusable::failed("make it"))?;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(Unusable::NotDirectory),
            Err(error) => return Err(Unusable::failed("open it")(error)),
        };
        let stat = fstat(&directory).map_err(Unusable::failed("look at it"))?;
        if stat.st_uid != geteuid().as_raw() {
            return Err(Unusable::OtherUser);
        }
        Ok(Self(directory))
    }

    /// A directory in this one, made if there is none.
    pub(super) fn inner(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let inner = Self(openat(&self.0, name, flags, Mode::empty())?);
        inner.make_private()?;
        Ok(inner)
    }

    /// Lets nobody else in.
    pub(super) fn make_private(&self) -> io::Result<()> {
        if Mode::from_raw_mode(fstat(&self.0)?.st_mode) != Mode::RWXU {
            fchmod(&self.0, Mode::RWXU)?;
        }
        Ok(())
    }

    /// Whether the path still stands for this directory.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        match (rustix::fs::lstat(path), fstat(&self.0)) {
            (Ok(there), Ok(opened)) => {
                there.st_ino == opened.st_ino && there.st_dev == opened.st_dev
            }
            _ => false,
        }
    }

    /// What is in it, the first 10,000.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)?.take(MOST_ENTRIES) {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // What vanishes meanwhile is of no interest.
            if let Ok(stat) = self.stat(OsStr::from_bytes(name)) {
                let name = name.to_owned();
                entries.push(Entry { name, stat });
            }
        }
        Ok(entries)
    }

    pub(super) fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// A whole file of at most so many bytes.
    pub(super) fn read(&self, name: &str, most: u64) -> Result<Whole, Unread> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Err(Unread::Absent),
            Err(Errno::LOOP | Errno::NXIO) => return Err(Unread::NotAFile),
            Err(error) => return Err(Unread::Failed(error.into())),
        };
        let about = file.metadata().map_err(Unread::Failed)?;
        if !about.is_file() {
            return Err(Unread::NotAFile);
        }
        let length = usize::try_from(about.len()).unwrap_or(usize::MAX);
        if about.len() > most {
            return Err(Unread::TooLong);
        }
        // Files are replaced and never changed: a length that does not hold is a flaw.
        let mut bytes = Zeroizing::new(vec![0; length]);
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => bytes.clear(),
            Err(error) => return Err(Unread::Failed(error)),
        }
        let inode = about.ino();
        Ok(Whole { bytes, inode })
    }

    /// In one step, the name stands for these bytes; if `durable`, also after a power cut
    /// once the directory was [flushed](Self::sync). Whatever fails, the name stands for
    /// what it stood for.
    pub(super) fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        let mut temporary = Temporary::create(self)?;
        temporary.file.write_all(bytes)?;
        if durable {
            temporary.file.sync_all()?;
        }
        temporary.place(name)
    }

    /// Removes a file; one that is not there is removed.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?),
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves an entry, whatever it is, to another directory.
    pub(super) fn hand_over(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, name, &to.0, new)?)
    }

    /// Notes that a file is in use.
    pub(super) fn touch(&self, name: &str) {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        // A directory that cannot be written keeps its order.
        let _ = utimensat(&self.0, name, &times, AtFlags::SYMLINK_NOFOLLOW);
    }

    /// Some file systems have no directories to flush.
    pub(super) fn sync(&self) -> io::Result<()> {
        match fsync(&self.0) {
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what a killed process left, unless a live one still writes it.
    pub(super) fn sweep(&self, name: &str) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(file) = openat(&self.0, name, flags, Mode::empty())
            && flock(&file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
        {
            let _ = unlinkat(&self.0, name, AtFlags::empty());
        }
    }
}

/// Whether a name is one of [`Folder::replace`]'s own.
pub(super) fn is_temporary(name: &str) -> bool {
    let digits = name.strip_prefix(TEMPORARY);
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A file that is not yet seen; it goes when this is dropped.
struct Temporary<'a> {
    folder: &'a Folder,
    name: String,
    file: File,
    placed: bool,
}

impl<'a> Temporary<'a> {
    /// An empty one. Its lock tells other processes that it is in use.
    fn create(folder: &'a Folder) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..TRIES {
            let name = format!("{TEMPORARY}{:016x}", fastrand::u64(..));
            match openat(&folder.0, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => {
                    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
                    return Ok(Self {
                        folder,
                        name,
                        file: file.into(),
                        placed: false,
                    });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    fn place(&mut self, name: &str) -> io::Result<()> {
        renameat(&self.folder.0, &self.name, &self.folder.0, name)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            let _ = unlinkat(&self.folder.0, &self.name, AtFlags::empty());
        }
    }
}
