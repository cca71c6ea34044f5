//! The YAML file on disk: read once, written whole.

use crate::seed::Seed;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

/// A seed's file; every write replaces it in one step.
pub(crate) struct SeedFile {
    path: PathBuf,
    /// The comment lines at its head, which survive a write.
    head: String,
    writing: Mutex<()>,
}

/// The file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("seed file cannot be written: {path}: {source}", path = path.display())]
pub struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl SeedFile {
    /// The file at `path`, which need not exist yet.
    pub(crate) fn at(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let head = text.lines().take_while(|line| line.starts_with('#'));
        let head = head.map(|line| format!("{line}\n")).collect();
        Self {
            path: path.to_owned(),
            head,
            writing: Mutex::default(),
        }
    }

    /// Replaces the file; whoever reads it meanwhile sees the old or the new one, never a part.
    ///
    /// `seed` is asked for when it is this write's turn, so the last write holds the last state.
    pub(crate) fn write(&self, seed: impl FnOnce() -> Seed) -> Result<(), FileError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("{}{}", self.head, seed().to_yaml());
        self.replace(text.as_bytes()).map_err(|source| FileError {
            path: self.path.clone(),
            source,
        })
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let beside = self.path.with_file_name(name);
        let mut file = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}
