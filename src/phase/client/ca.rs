//! The file of further CA certificates.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

/// More than any bundle of CA certificates; a wrong path must not fill the memory.
const MAX_SIZE: u64 = 8 << 20;

/// Why the file of further CA certificates cannot be used.
#[derive(Debug, Error)]
pub enum CaFileError {
    /// A block of the file is not a certificate.
    #[error("--ca-file {}: certificate {number} is not valid: export the CA's certificate as PEM", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which block, from 1.
        number: usize,
    },
    /// The file holds no certificate.
    #[error("--ca-file {}: no certificate in it: give a PEM file with BEGIN CERTIFICATE lines", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("--ca-file {}: {source}: check the path and that the provider may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is larger than any bundle of certificates.
    #[error("--ca-file {}: larger than {MAX_SIZE} bytes: give a PEM file with the CA's certificates only", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    device: u64,
    size: u64,
    changed: (i64, i64),
}

/// The stamp of the file; none if there is no such file.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|metadata| Stamp {
        inode: metadata.ino(),
        device: metadata.dev(),
        size: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// The certificates of the file, each proven to be one.
pub(super) fn read(path: &Path) -> Result<Vec<Certificate>, CaFileError> {
    let failed = |source| CaFileError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_SIZE {
        return Err(CaFileError::TooLarge {
            path: path.to_owned(),
        });
    }
    let pem = fs::read(path).map_err(failed)?;
    let mut certificates = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let certificate =
            der.ok()
                .and_then(|der| usable(&der))
                .ok_or_else(|| CaFileError::Certificate {
                    path: path.to_owned(),
                    number: index + 1,
                })?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(CaFileError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(certificates)
}

fn usable(der: &CertificateDer<'_>) -> Option<Certificate> {
    RootCertStore::empty().add(der.clone().into_owned()).ok()?;
    Certificate::from_der(der).ok()
}
