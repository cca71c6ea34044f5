//! `--out`: a directory of secret files that is whole at every moment.
//!
//! The files are written into a hidden directory beside it, which then takes its
//! place in one step of the kernel's. Whatever ends the process, the name stands for
//! all of the old files or all of the new ones; what a killed one leaves hidden,
//! the next one removes. Only what render itself wrote is ever replaced.

mod fresh;
mod listing;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, statat};
use rustix::io::Errno;

use fresh::Fresh;
use listing::{Listing, MARKER};

/// Where files go.
pub struct Directory {
    shown: PathBuf,
    parent: OwnedFd,
    name: OsString,
}

/// One file to write.
pub struct Content<'a> {
    /// Its path in the directory.
    pub path: String,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What stands under the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing, or an empty directory.
    Free,
    /// What render wrote.
    Ours,
}

/// Why files cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A step failed.
    #[error("--out {shown}: cannot {step}: {error}: check the file system's space and permissions")]
    Failed {
        /// The directory.
        shown: PathBuf,
        /// What was being done.
        step: &'static str,
        /// The system's words.
        error: io::Error,
    },
    /// Something in it is not ours.
    #[error(
        "--out {shown}: holds {entry:?}, which render did not write: give a new or an empty directory"
    )]
    Foreign {
        /// The directory.
        shown: PathBuf,
        /// The first such entry.
        entry: String,
    },
    /// `.`, `..` or `/`.
    #[error("--out {shown}: has no name of its own: write for example ./secrets")]
    Nameless {
        /// The directory.
        shown: PathBuf,
    },
    /// A file.
    #[error("--out {shown}: is not a directory: give another name")]
    NotDirectory {
        /// It.
        shown: PathBuf,
    },
    /// Ours by its list, but not by its owner.
    #[error("--out {shown}: belongs to another user: give a new or an empty directory")]
    OtherUser {
        /// The directory.
        shown: PathBuf,
    },
    /// The directory that it would stand in.
    #[error(
        "--out {shown}: the directory that it would stand in cannot be opened: {error}: create it first"
    )]
    Parent {
        /// The directory.
        shown: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// A file that render needs itself.
    #[error(
        "--out {shown}: the class makes a file {MARKER:?}, whose name render needs there: give it another objectName"
    )]
    Reserved {
        /// The directory.
        shown: PathBuf,
    },
    /// A symbolic link.
    #[error("--out {shown}: is a symbolic link: give the directory that it leads to")]
    Symlink {
        /// It.
        shown: PathBuf,
    },
    /// The file system has no such step.
    #[error(
        "--out {shown}: its file system cannot exchange two directories in one step: remove it first"
    )]
    Unexchangeable {
        /// The directory.
        shown: PathBuf,
    },
}

impl Directory {
    /// The directory of this path, which does not exist, is empty, or was
    /// written by render. Nothing is changed.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn at(path: &Path) -> Result<Self, DirectoryError> {
        let shown = path.to_owned();
        let Some(name) = path.file_name() else {
            return Err(DirectoryError::Nameless { shown });
        };
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let parent = match rustix::fs::open(parent, flags, Mode::empty()) {
            Ok(parent) => parent,
            Err(error) => {
                let error = error.into();
                return Err(DirectoryError::Parent { shown, error });
            }
        };
        let directory = Self {
            shown,
            parent,
            name: name.to_owned(),
        };
        directory.look()?;
        Ok(directory)
    }

    /// What stands under the name, unless it must not be touched.
    fn look(&self) -> Result<State, DirectoryError> {
        let shown = || self.shown.clone();
        let stat = match statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(State::Free),
            Err(error) => return Err(self.failed("look at it", error.into())),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {}
            FileType::Symlink => return Err(DirectoryError::Symlink { shown: shown() }),
            _ => return Err(DirectoryError::NotDirectory { shown: shown() }),
        }
        let read = |error: Errno| self.failed("read it", error.into());
        let directory = fresh::open(&self.parent, &self.name).map_err(read)?;
        let listing = Listing::read(&directory);
        let ours = listing.is_some();
        let stranger = listing.unwrap_or_default().stranger(&directory);
        match stranger.map_err(read)? {
            Some(entry) => {
                let shown = shown();
                Err(DirectoryError::Foreign { shown, entry })
            }
            None if !ours && has_marker(&directory) => Err(DirectoryError::Foreign {
                shown: shown(),
                entry: MARKER.to_owned(),
            }),
            None if !ours => Ok(State::Free),
            None if fresh::is_own(&directory) => Ok(State::Ours),
            None => Err(DirectoryError::OtherUser { shown: shown() }),
        }
    }

    /// These files and no others, in one step.
    ///
    /// # Errors
    /// When they cannot be written; then what was there still is.
    pub fn replace(&self, contents: &[Content<'_>]) -> Result<(), DirectoryError> {
        if contents.iter().any(|content| is_reserved(&content.path)) {
            let shown = self.shown.clone();
            return Err(DirectoryError::Reserved { shown });
        }
        fresh::sweep(&self.parent);
        let created = Fresh::create(&self.parent);
        let mut fresh =
            created.map_err(|error| self.failed("make a directory beside it", error.into()))?;
        let filled = fresh.fill(contents);
        filled.map_err(|error| self.failed("write the files beside it", error))?;
        // Phase was asked since it was looked at first.
        self.place(&mut fresh, self.look()?)?;
        fresh.remove_old();
        Ok(())
    }

    fn place(&self, fresh: &mut Fresh<'_>, state: State) -> Result<(), DirectoryError> {
        match fresh.place(&self.name, state) {
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::NOSYS) if state == State::Ours => {
                let shown = self.shown.clone();
                Err(DirectoryError::Unexchangeable { shown })
            }
            Err(error) => Err(self.failed("put the new files in its place", error.into())),
        }
    }

    fn failed(&self, step: &'static str, error: io::Error) -> DirectoryError {
        let shown = self.shown.clone();
        DirectoryError::Failed { shown, step, error }
    }
}

fn has_marker(directory: &OwnedFd) -> bool {
    statat(directory, MARKER, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn is_reserved(path: &str) -> bool {
    path.split('/').next() == Some(MARKER)
}

#[cfg(test)]
mod tests;
