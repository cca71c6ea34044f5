//! The directory in use. Everything here blocks; [`Store`](super::Store) calls it
//! on threads that may.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::aside::{ASIDE, set_aside};
use super::folder::{Folder, Unread, Unusable};
use super::format::{Image, MOST_VOLUMES, Mark};
use super::index::Index;
use super::moment::{Clock, Moment};
use super::notices::{Incident, Notices};
use super::queue::Job;
use super::seal::{DiskKey, Flaw, Kind, OVERHEAD, open, seal};
use super::seen::{CLOCK, Seen};
use super::tidy::{Tidied, tidy};
use super::{Limits, Loaded};

/// Longest mark in bytes.
const MOST_MARK: u64 = (OVERHEAD + 16 + 2 * 32 + 4 + 16 * MOST_VOLUMES) as u64;

/// Files of a key.
const FILES: usize = 2;

/// The directory, and what is known about it.
pub(super) struct Shelf {
    path: PathBuf,
    limits: Limits,
    clock: Clock,
    notices: Notices,
    folder: Mutex<Arc<Folder>>,
    index: Mutex<Index>,
    seen: Mutex<Seen>,
}

impl Shelf {
    /// The directory of this path, tidied up and within its limits.
    ///
    /// # Errors
    /// As [`tidy`].
    pub(super) fn open(path: PathBuf, limits: Limits, clock: Clock) -> Result<Self, Unusable> {
        let notices = Notices::new(path.clone());
        let Tidied {
            folder,
            index,
            seen,
        } = tidy(&path, &notices)?;
        let shelf = Self {
            path,
            limits,
            clock,
            notices,
            folder: Mutex::new(Arc::new(folder)),
            index: Mutex::new(index),
            seen: Mutex::new(seen),
        };
        shelf.make_room("", 0, 0);
        shelf.tell_of_clock();
        Ok(shelf)
    }

    fn tell_of_clock(&self) {
        if !locked(&self.index).is_empty() && locked(&self.seen).is_ahead_of(self.clock.now()) {
            self.notices.tell(
                Incident::Clock,
                format_args!(
                    "the clock stands before a time that was seen: what was kept before a reboot is not used until it passes that; if the clock is right now, remove the file {CLOCK}"
                ),
            );
        }
    }

    pub(super) fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Files and bytes that are kept.
    pub(super) fn usage(&self) -> (usize, u64) {
        locked(&self.index).usage("")
    }

    /// What is kept under a key, if it is whole.
    pub(super) fn load(&self, key: &DiskKey) -> Option<Loaded> {
        let (image, own) = self.read(key, Kind::Image, Image::decode)?;
        let mark = self.read(key, Kind::Mark, Mark::decode);
        locked(&self.folder).touch(&Kind::Image.file(key.name()));
        let mut witnesses: Vec<Moment> = locked(&self.seen).moments().collect();
        witnesses.push(own);
        if let Some((mark, written)) = &mark {
            witnesses.extend([mark.confirmed, *written]);
        }
        let now = self.clock.now();
        let mark = mark.filter(|(mark, _)| mark.image == image.id);
        let confirmed = mark.as_ref().map_or(own, |(mark, _)| mark.confirmed);
        let mark = mark.filter(|(_, written)| written.boot == now.boot);
        Some(Loaded {
            id: image.id,
            tokens: image.tokens,
            environments: image.environments,
            pins: image.pins,
            confirmed,
            age: confirmed.age(now, &witnesses),
            volumes: mark.map_or_else(Vec::new, |(mark, _)| mark.volumes),
        })
    }

    /// A file, opened and decoded; one that is not what was written is set aside.
    fn read<T>(
        &self,
        key: &DiskKey,
        kind: Kind,
        decode: impl FnOnce(&[u8]) -> Result<T, Flaw>,
    ) -> Option<T> {
        let most = match kind {
            Kind::Image => self.limits.image_bytes,
            Kind::Mark => MOST_MARK,
        };
        let file = kind.file(key.name());
        let folder = self.folder();
        let (flaw, inode) = match folder.read(&file, most) {
            // Marks are not flushed: this is what a power cut leaves of one.
            Ok(whole) if kind == Kind::Mark && whole.bytes.is_empty() => return None,
            Ok(whole) => {
                let (size, inode) = (whole.bytes.len() as u64, whole.inode);
                let opened = open(key, kind, whole.bytes);
                match opened.and_then(|opened| decode(&opened)) {
                    Ok(decoded) => {
                        self.note(key, kind, size);
                        return Some(decoded);
                    }
                    Err(flaw) => (flaw, Some(inode)),
                }
            }
            Err(Unread::Absent) => return None,
            Err(Unread::NotAFile) => (Flaw::Foreign, None),
            Err(Unread::TooLong) => (Flaw::TooLong, None),
            Err(Unread::Failed(error)) => {
                let text = format_args!("{file:?} cannot be read: {error}: Phase is asked again");
                self.notices.tell(Incident::Unreadable, text);
                return None;
            }
        };
        self.put_aside(&folder, key.name(), kind, flaw, inode);
        None
    }

    /// Sets aside what was read, unless it was replaced meanwhile.
    fn put_aside(&self, folder: &Folder, name: &str, kind: Kind, flaw: Flaw, inode: Option<u64>) {
        let file = kind.file(name);
        let there = folder.stat(OsStr::new(&file)).map(|stat| stat.st_ino);
        if inode.is_some_and(|inode| there.is_ok_and(|there| there != inode)) {
            return;
        }
        let moved = set_aside(folder, OsStr::new(&file));
        let incident = match flaw {
            Flaw::Damaged => Incident::Damaged,
            Flaw::Foreign | Flaw::TooLong => Incident::Foreign,
        };
        match moved {
            Ok(()) => {
                locked(&self.index).note(name, kind, None);
                let text = format_args!(
                    "{file:?}: {flaw}: it is set aside in {ASIDE} and Phase is asked again"
                );
                self.notices.tell(incident, text);
            }
            Err(error) => {
                let text = format_args!(
                    "{file:?}: {flaw}, and cannot be set aside: {error}: Phase is asked again; remove it"
                );
                self.notices.tell(incident, text);
            }
        }
    }

    /// Does jobs, all of which then survive a power cut. Says what is left of them, and the
    /// first reason.
    pub(super) fn work(&self, jobs: Vec<Job>) -> (Vec<Job>, io::Result<()>) {
        let folder = match self.standing() {
            Ok(folder) => folder,
            Err(error) => return (jobs, Err(error)),
        };
        let (mut left, mut written) = (Vec::new(), Vec::new());
        let mut done = Ok(());
        for job in jobs {
            let mut rest = job.clone();
            match self.work_one(&folder, &mut rest) {
                Ok(()) => written.push(job),
                Err(error) => {
                    left.push(rest);
                    done = done.and(Err(error));
                }
            }
        }
        // Marks alone are not worth it: they are written each minute.
        let is_durable = |job: &Job| job.forget || job.image.is_some();
        if written.iter().any(is_durable)
            && let Err(error) = folder.sync()
        {
            left.append(&mut written);
            done = done.and(Err(error));
        }
        (left, done)
    }

    /// Does a job; what is done is taken out of it.
    fn work_one(&self, folder: &Folder, job: &mut Job) -> io::Result<()> {
        let name = job.key.name();
        if job.forget {
            self.remove(folder, name)?;
            folder.sync()?;
            job.forget = false;
        }
        if let Some((image, confirmed)) = &job.image {
            let buffer = image
                .encode(*confirmed)
                .ok_or(io::ErrorKind::FileTooLarge)?;
            self.write(folder, &job.key, Kind::Image, buffer)?;
            job.image = None;
        }
        if let Some((mark, written)) = &job.mark {
            self.write(folder, &job.key, Kind::Mark, mark.encode(*written))?;
        }
        job.mark = None;
        Ok(())
    }

    fn write(
        &self,
        folder: &Folder,
        key: &DiskKey,
        kind: Kind,
        buffer: Zeroizing<Vec<u8>>,
    ) -> io::Result<()> {
        let image = locked(&self.index).size(key.name(), Kind::Image);
        let beside = match (kind, image) {
            (Kind::Image, _) => 0,
            (Kind::Mark, Some(image)) => image,
            // A mark without its image says nothing.
            (Kind::Mark, None) => return Ok(()),
        };
        let sealed = seal(key, kind, buffer);
        let sealed = sealed.ok_or_else(|| io::Error::other("it cannot be sealed"))?;
        let size = sealed.len() as u64;
        self.make_room(key.name(), FILES, size.saturating_add(beside));
        folder.replace(&kind.file(key.name()), &sealed, kind == Kind::Image)?;
        self.note(key, kind, size);
        Ok(())
    }

    fn note(&self, key: &DiskKey, kind: Kind, size: u64) {
        let mut index = locked(&self.index);
        index.note(key.name(), kind, Some(size));
        index.own(key.name(), key.tenant());
    }

    /// Removes what was least recently used of whoever keeps most, until so many files and
    /// bytes fit beside the others. What cannot be removed stays, and counts.
    fn make_room(&self, but: &str, files: usize, bytes: u64) {
        let folder = self.folder();
        loop {
            let least = {
                let index = locked(&self.index);
                let (kept, size) = index.usage(but);
                let fits = kept.saturating_add(files) <= self.limits.files
                    && size.saturating_add(bytes) <= self.limits.bytes;
                if fits { None } else { index.gives_way(but) }
            };
            let Some(name) = least else { return };
            if self.remove(&folder, &name).is_err() {
                return;
            }
        }
    }

    /// The image goes first: a mark alone is harmless.
    fn remove(&self, folder: &Folder, name: &str) -> io::Result<()> {
        for kind in [Kind::Image, Kind::Mark] {
            folder.remove(OsStr::new(&kind.file(name)))?;
            locked(&self.index).note(name, kind, None);
        }
        Ok(())
    }

    /// Writes down what the clocks say, once a minute; says whether it did.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note_time(&self) -> io::Result<bool> {
        let seen = *locked(&self.seen);
        if locked(&self.index).is_empty() && seen != Seen::default() {
            return Ok(false);
        }
        let Some(seen) = seen.with(self.clock.now()) else {
            return Ok(false);
        };
        let folder = self.standing()?;
        folder.replace(CLOCK, seen.text().as_bytes(), true)?;
        folder.sync()?;
        *locked(&self.seen) = seen;
        Ok(true)
    }

    fn folder(&self) -> Arc<Folder> {
        Arc::clone(&locked(&self.folder))
    }

    /// The directory that the path stands for; made anew if it vanished.
    fn standing(&self) -> io::Result<Arc<Folder>> {
        let folder = self.folder();
        if folder.is_at(&self.path) {
            return Ok(folder);
        }
        let tidied = tidy(&self.path, &self.notices).map_err(io::Error::other)?;
        let text = "the directory had vanished and was made anew: what was in it is not kept";
        self.notices.tell(Incident::Vanished, text);
        let folder = Arc::new(tidied.folder);
        *locked(&self.folder) = Arc::clone(&folder);
        *locked(&self.index) = tidied.index;
        Ok(folder)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
