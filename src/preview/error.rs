//! Why nothing was rendered, and the exit code of it.

use std::io;

use crate::cause::Cause;
use crate::credential::OwnTokenError;
use crate::manifest::ManifestError;
use crate::phase::client::CaFileError;
use crate::phase::host::HostError;
use crate::yaml::Place;

use super::directory::DirectoryError;

/// Why nothing was rendered: one line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The class chosen on the command line is in none of the files.
    #[error("no class of provider phase {chosen}: there is {known}: mend --class or --namespace")]
    Choice {
        /// What was asked for.
        chosen: String,
        /// What there is.
        known: String,
    },
    /// A flag of the client.
    #[error(transparent)]
    Client(#[from] CaFileError),
    /// A directory cannot be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// `--allowed-host` is wrong.
    #[error("--allowed-host: {0}")]
    Host(#[from] HostError),
    /// A file cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A mistake in a class.
    #[error("{file}:{}:{}: SecretProviderClass {class}: {text}", at.line, at.column)]
    Mistake {
        /// The file.
        file: String,
        /// Where in it.
        at: Place,
        /// The class.
        class: String,
        /// What is wrong, and what to do.
        text: String,
    },
    /// No class in the files.
    #[error(
        "no SecretProviderClass of provider phase in {files}: give the file that has one, without templates of Helm in it"
    )]
    NoClass {
        /// The files.
        files: String,
    },
    /// What a mount would be refused for.
    #[error("SecretProviderClass {class}: {text}")]
    Refused {
        /// The class.
        class: String,
        /// Why it would be.
        cause: Cause,
        /// In the words of the daemon.
        text: String,
    },
    /// Two classes that would be one directory.
    #[error("--out: there are two classes of the name {name}: choose one by --namespace")]
    SameName {
        /// The name.
        name: String,
    },
    /// Standard input is wanted twice.
    #[error("standard input can be read once, and {0} both want it: give a file for one")]
    StandardInput(&'static str),
    /// No usable token.
    #[error(transparent)]
    Token(#[from] OwnTokenError),
    /// Standard output does not take the report.
    #[error("the report cannot be written: {0}: check standard output")]
    Write(io::Error),
}

/// The exit code of wrong usage.
const USAGE: u8 = 2;

impl Error {
    fn exit_code(&self) -> u8 {
        let cause = match self {
            Self::Manifest(ManifestError::Yaml { .. }) | Self::Mistake { .. } => {
                Some(Cause::InvalidClass)
            }
            Self::Refused { cause, .. } => Some(*cause),
            Self::Token(error) => error.cause(),
            Self::Choice { .. }
            | Self::Client(_)
            | Self::Directory(_)
            | Self::Host(_)
            | Self::Manifest(_)
            | Self::NoClass { .. }
            | Self::SameName { .. }
            | Self::StandardInput(_)
            | Self::Write(_) => None,
        };
        cause.map_or(USAGE, Cause::exit_code)
    }
}

/// The exit code of several: what must be mended comes before what may pass by itself.
#[must_use]
pub fn exit_code(errors: &[Error]) -> u8 {
    let codes = errors.iter().map(Error::exit_code);
    codes
        .min_by_key(|code| match code {
            2 => 0,
            code => *code,
        })
        .unwrap_or_default()
}
