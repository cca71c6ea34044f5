//! A new directory beside the old one: filled out of sight, then put in its place.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags, flock, fstat, fsync, mkdirat, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::listing::{Listing, MARKER};
use super::{Content, State};

/// What hidden directories begin with.
const HIDDEN: &str = ".phase-csi-provider.tmp-";
const TRIES: usize = 8;

/// A directory that is not yet seen; it goes when this is dropped.
pub(super) struct Fresh<'a> {
    parent: &'a OwnedFd,
    name: String,
    directory: OwnedFd,
    listing: Listing,
    /// Whether the name stands for nothing of ours any more.
    placed: bool,
}

impl<'a> Fresh<'a> {
    /// An empty one. Its lock tells other processes that it is in use.
    pub(super) fn create(parent: &'a OwnedFd) -> Result<Self, Errno> {
        for _ in 0..TRIES {
            let name = format!("{HIDDEN}{:016x}", fastrand::u64(..));
            mkdirat(parent, &name, Mode::RWXU)?;
            let directory = open(parent, name.as_ref());
            if let Ok(directory) = directory
                && flock(&directory, FlockOperation::NonBlockingLockExclusive)
                    != Err(Errno::WOULDBLOCK)
                && is_at(parent, &name, &directory)
            {
                return Ok(Self {
                    parent,
                    name,
                    directory,
                    listing: Listing::default(),
                    placed: false,
                });
            }
        }
        Err(Errno::EXIST)
    }

    /// All files on the disk, readable by nobody else.
    pub(super) fn fill(&mut self, contents: &[Content<'_>]) -> std::io::Result<()> {
        self.listing = Listing::of(contents.iter().map(|content| content.path.as_str()));
        self.listing.write(&self.file(MARKER)?)?;
        for place in &self.listing.directories {
            mkdirat(&self.directory, place, Mode::RWXU)?;
        }
        for content in contents {
            let mut file = self.file(&content.path)?;
            file.write_all(content.bytes)?;
            file.sync_all()?;
        }
        for place in &self.listing.directories {
            sync(&open(&self.directory, place.as_ref())?)?;
        }
        Ok(sync(&self.directory)?)
    }

    /// In one step, this directory stands under `name`, and what stood there
    /// is hidden.
    pub(super) fn place(&mut self, name: &OsStr, state: State) -> Result<(), Errno> {
        let (parent, own) = (self.parent, &self.name);
        match state {
            State::Free => renameat(parent, own, parent, name)?,
            State::Ours => renameat_with(parent, own, parent, name, RenameFlags::EXCHANGE)?,
        }
        self.placed = true;
        sync(parent)
    }

    /// Removes what stood there before; nothing of it is needed any more.
    pub(super) fn remove_old(self) {
        if let Ok(old) = open(self.parent, self.name.as_ref()) {
            remove(self.parent, &self.name, &old);
        }
    }

    fn file(&self, path: &str) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        openat(&self.directory, path, flags, mode).map(File::from)
    }

    /// What `kill -9` would leave: nothing is cleaned up, the lock is free.
    #[cfg(test)]
    pub(super) fn killed(mut self) {
        self.placed = true;
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if !self.placed {
            remove_cleared(self.parent, &self.name, &self.listing, &self.directory);
        }
    }
}

/// Removes what killed processes left beside a directory.
pub(super) fn sweep(parent: &OwnedFd) {
    let Ok(entries) = Dir::read_from(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if let Ok(name) = entry.file_name().to_str()
            && name.starts_with(HIDDEN)
            && let Ok(directory) = open(parent, name.as_ref())
            && flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            remove(parent, name, &directory);
        }
    }
}

/// Removes a hidden directory that is ours; anything else stays as it is.
fn remove(parent: &OwnedFd, name: &str, directory: &OwnedFd) {
    if !is_own(directory) {
        return;
    }
    // Without a whole list nothing was written but its beginning.
    let listing = Listing::read(directory).unwrap_or_default();
    if listing.stranger(directory) == Ok(None) {
        remove_cleared(parent, name, &listing, directory);
    }
}

/// What cannot be removed now is left for the next one.
fn remove_cleared(parent: &OwnedFd, name: &str, listing: &Listing, directory: &OwnedFd) {
    if listing.clear(directory) {
        let _ = unlinkat(parent, name, AtFlags::REMOVEDIR);
    }
}

/// Whether a directory belongs to this user: nobody else's list is believed.
pub(super) fn is_own(directory: &OwnedFd) -> bool {
    fstat(directory).is_ok_and(|stat| stat.st_uid == geteuid().as_raw())
}

pub(super) fn open(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// Whether a name still stands for the directory that was opened by it.
fn is_at(parent: &OwnedFd, name: &str, directory: &OwnedFd) -> bool {
    let there = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    match (there, fstat(directory)) {
        (Ok(there), Ok(opened)) => there.st_ino == opened.st_ino && there.st_dev == opened.st_dev,
        _ => false,
    }
}

/// Some file systems have no directories to flush.
fn sync(directory: &OwnedFd) -> Result<(), Errno> {
    match fsync(directory) {
        Err(Errno::INVAL) => Ok(()),
        other => other,
    }
}
