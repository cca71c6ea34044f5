//! Where files go that cannot be used: kept for whoever looks into it, but not many.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::folder::Folder;

/// The directory in the directory.
pub(super) const ASIDE: &str = "set-aside";
const MOST_FILES: usize = 16;
const MOST_BYTES: u64 = 64 << 20;
/// Bytes that are kept of a name that is taken; with 17 more it stays below 255.
const MOST_NAME: usize = 200;

/// Moves an entry out of the way; the oldest that were moved go for it.
pub(super) fn set_aside(folder: &Folder, name: &OsStr) -> io::Result<()> {
    let aside = folder.inner(ASIDE)?;
    folder.hand_over(name, &aside, &free_name(&aside, name))?;
    prune(&aside)
}

fn free_name(aside: &Folder, name: &OsStr) -> OsString {
    if aside.stat(name).is_err() {
        return name.to_owned();
    }
    let bytes = name.as_bytes();
    let kept = &bytes[bytes.len().saturating_sub(MOST_NAME)..];
    let number = format!("{:016x}-", fastrand::u64(..));
    OsString::from_vec([number.as_bytes(), kept].concat())
}

fn prune(aside: &Folder) -> io::Result<()> {
    let mut entries = aside.entries()?;
    // Moving an entry changes its status, so the newest have waited shortest.
    entries.sort_by_key(|entry| (entry.stat.st_ctime, entry.stat.st_ctime_nsec));
    let (mut files, mut bytes) = (0, 0_u64);
    for entry in entries.iter().rev() {
        files += 1;
        bytes = bytes.saturating_add(entry.size());
        if files > MOST_FILES || bytes > MOST_BYTES {
            // What cannot be removed is tried again with the next one.
            let _ = aside.remove(OsStr::from_bytes(&entry.name));
        }
    }
    Ok(())
}
