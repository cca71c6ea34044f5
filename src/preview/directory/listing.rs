//! What render wrote into a directory: a list kept beside the files, so that
//! nothing else is ever removed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::render;

/// The file that holds the list.
pub(super) const MARKER: &str = ".phase-csi-provider";
/// A thousand times what a large class needs.
const MOST_BYTES: u64 = 64 << 20;
const BY: &str = "phase-csi-provider render";

/// Files and the directories that they stand in, all relative.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) files: BTreeSet<String>,
    pub(super) directories: BTreeSet<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    written_by: String,
    files: BTreeSet<String>,
}

impl Listing {
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a str>) -> Self {
        let mut listing = Self::default();
        for file in files {
            let slashes = file.match_indices('/').map(|(at, _)| file[..at].to_owned());
            listing.directories.extend(slashes);
            listing.files.insert(file.to_owned());
        }
        listing
    }

    /// The list in a directory, if render wrote one.
    pub(super) fn read(directory: &OwnedFd) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(directory, MARKER, flags, Mode::empty()).ok()?);
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut text = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut text).ok()?;
        let marker: Marker = serde_json::from_slice(&text).ok()?;
        let fits = |file: &String| render::check(file).is_ok();
        let ours = marker.written_by == BY && marker.files.iter().all(fits);
        ours.then(|| Self::of(marker.files.iter().map(String::as_str)))
    }

    /// Written before any file is, so that a process killed half-way leaves
    /// nothing that the next one does not know.
    pub(super) fn write(&self, mut file: &File) -> std::io::Result<()> {
        let marker = Marker {
            written_by: BY.to_owned(),
            files: self.files.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&marker)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()
    }

    /// The first entry of a directory that is not in the list.
    pub(super) fn stranger(&self, directory: &OwnedFd) -> Result<Option<String>, Errno> {
        let mut left = vec![String::new()];
        while let Some(place) = left.pop() {
            let path = if place.is_empty() { "." } else { &place };
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            let entries = Dir::new(openat(directory, path, flags, Mode::empty())?)?;
            for entry in entries {
                let entry = entry?;
                let Ok(name) = entry.file_name().to_str() else {
                    return Ok(Some(entry.file_name().to_string_lossy().into_owned()));
                };
                if name == "." || name == ".." || (place.is_empty() && name == MARKER) {
                    continue;
                }
                let path = match place.as_str() {
                    "" => name.to_owned(),
                    place => format!("{place}/{name}"),
                };
                let stat = statat(directory, &path, AtFlags::SYMLINK_NOFOLLOW)?;
                let known = match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => self.directories.contains(&path),
                    FileType::RegularFile => self.files.contains(&path),
                    _ => false,
                };
                match known {
                    false => return Ok(Some(path)),
                    true if self.directories.contains(&path) => left.push(path),
                    true => {}
                }
            }
        }
        Ok(None)
    }

    /// Removes what the list names, and then the list, unless something of it stays:
    /// a list must outlive its files.
    pub(super) fn clear(&self, directory: impl AsFd) -> bool {
        let directory = directory.as_fd();
        let remove = |path: &str, flags| {
            // Of a list that was not written to its end, some were never there.
            let never = [Errno::NOENT, Errno::NOTDIR, Errno::NAMETOOLONG];
            let removed = unlinkat(directory, path, flags);
            removed.map_or_else(|error| never.contains(&error), |()| true)
        };
        let mut gone = true;
        for file in &self.files {
            gone &= remove(file, AtFlags::empty());
        }
        // Backwards: what is deeper sorts behind what it stands in.
        for place in self.directories.iter().rev() {
            gone &= remove(place, AtFlags::REMOVEDIR);
        }
        gone && remove(MARKER, AtFlags::empty())
    }
}
