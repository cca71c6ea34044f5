//! A directory as the last process left it: whose it is, what lies in it, and
//! what does not belong there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::aside::{ASIDE, set_aside};
use super::folder::{Entry, Folder, Unusable, is_temporary};
use super::index::Index;
use super::notices::{Incident, Notices};
use super::seal::Kind;
use super::seen::{CLOCK, MOST_BYTES, Seen};

/// What a new ext4 has in its root.
const LOST_AND_FOUND: &str = "lost+found";

/// What an entry is, by its name and its type.
enum Nature<'a> {
    Clock,
    /// One that may be in a new directory.
    Known,
    /// Another directory: it is left alone.
    Directory,
    Kept(Kind, &'a str),
    Leftover(&'a str),
    Stranger,
}

/// A directory that is ours: what lies in it, and what its clock file says.
pub(super) struct Tidied {
    pub(super) folder: Folder,
    pub(super) index: Index,
    pub(super) seen: Seen,
}

/// Opens a directory, makes it private and tidies it up.
///
/// # Errors
/// When it cannot be used, or holds files and none that tells that it is ours:
/// then nothing in it is changed.
pub(super) fn tidy(path: &Path, notices: &Notices) -> Result<Tidied, Unusable> {
    let folder = Folder::open(path)?;
    let mut entries = folder.entries().map_err(Unusable::failed("list it"))?;
    let clock = folder.read(CLOCK, MOST_BYTES).ok();
    let seen = clock.and_then(|clock| Seen::read(&clock.bytes));
    refuse_strangers(&entries, seen.is_some())?;
    let private = folder.make_private();
    private.map_err(Unusable::failed("make it private with chmod 0700"))?;
    entries.sort_by_key(|entry| (entry.stat.st_mtime, entry.stat.st_mtime_nsec));
    let mut index = Index::default();
    for entry in &entries {
        match nature(entry) {
            Nature::Known | Nature::Directory => {}
            Nature::Clock if seen.is_some() => {}
            Nature::Kept(kind, name) => index.note(name, kind, Some(entry.size())),
            Nature::Leftover(name) => folder.sweep(name),
            Nature::Clock | Nature::Stranger => put_aside(&folder, entry, notices),
        }
    }
    for name in index.orphans() {
        let _ = folder.remove(Kind::Mark.file(&name).as_ref());
        index.note(&name, Kind::Mark, None);
    }
    Ok(Tidied {
        folder,
        index,
        seen: seen.unwrap_or_default(),
    })
}

/// A directory that somebody else filled, named by mistake, stays as it is.
fn refuse_strangers(entries: &[Entry], has_clock: bool) -> Result<(), Unusable> {
    let is_kept = |entry| matches!(nature(entry), Nature::Kept(..));
    if has_clock || entries.iter().any(is_kept) {
        return Ok(());
    }
    let strange = |entry: &&Entry| !matches!(nature(entry), Nature::Known | Nature::Leftover(_));
    match entries.iter().find(strange) {
        None => Ok(()),
        Some(entry) => Err(Unusable::Stranger {
            entry: String::from_utf8_lossy(&entry.name).into_owned(),
        }),
    }
}

fn nature(entry: &Entry) -> Nature<'_> {
    let Ok(name) = str::from_utf8(&entry.name) else {
        return Nature::Stranger;
    };
    let kept = Kind::of(name);
    if entry.is_directory() && kept.is_none() {
        let known = name == ASIDE || name == LOST_AND_FOUND;
        return if known {
            Nature::Known
        } else {
            Nature::Directory
        };
    }
    match kept {
        _ if !entry.is_file() => Nature::Stranger,
        Some((kind, name)) => Nature::Kept(kind, name),
        None if name == CLOCK => Nature::Clock,
        None if is_temporary(name) => Nature::Leftover(name),
        None => Nature::Stranger,
    }
}

fn put_aside(folder: &Folder, entry: &Entry, notices: &Notices) {
    let name = String::from_utf8_lossy(&entry.name);
    let text = match set_aside(folder, OsStr::from_bytes(&entry.name)) {
        Ok(()) => format!(
            "{name:?} was not written by this version of the provider: it is set aside in {ASIDE}"
        ),
        Err(error) => format!(
            "{name:?} was not written by this version of the provider and cannot be set aside: {error}: remove it"
        ),
    };
    notices.tell(Incident::Foreign, text);
}
