//! What a pod sees in its volume.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A volume's folder, as a container has it.
pub struct Volume<'a>(pub(crate) &'a Path);

/// One file of a volume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The permission bits.
    pub mode: u32,
    /// Inode and time of the last change: equal only where the file was not written again.
    pub identity: (u64, i64, i64),
}

impl Volume<'_> {
    /// Every file by its path, read through `..data`.
    pub fn files(&self) -> BTreeMap<String, Entry> {
        let mut found = BTreeMap::new();
        walk(&self.0.join("..data"), "", &mut found);
        found
    }

    /// The bytes of every file as text, by path.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let text = |(path, entry): (String, Entry)| (path, String::from_utf8(entry.bytes).unwrap());
        self.files().into_iter().map(text).collect()
    }

    /// The bytes of one file as text, by the path a container uses; none if it is not there.
    pub fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.join(path)).ok()
    }

    /// The names at the top, hidden ones left out.
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.0) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("..")).collect();
        names.sort();
        names
    }

    /// Where `..data` points: another folder after every write.
    pub fn data(&self) -> Option<PathBuf> {
        fs::read_link(self.0.join("..data")).ok()
    }

    /// Whether a file system is mounted here.
    pub fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let path = self.0.to_str().unwrap();
        mounts
            .lines()
            .any(|line| line.split(' ').nth(1) == Some(path))
    }

    /// Whether the folder is there at all.
    pub fn exists(&self) -> bool {
        self.0.exists()
    }
}

fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Entry>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{path}/"), found);
            continue;
        }
        let metadata = entry.metadata().unwrap();
        found.insert(
            path,
            Entry {
                bytes: fs::read(entry.path()).unwrap(),
                mode: metadata.permissions().mode() & 0o7777,
                identity: (metadata.ino(), metadata.mtime(), metadata.mtime_nsec()),
            },
        );
    }
}
