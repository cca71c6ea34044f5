//! `check`: what is wrong with a class, before a pod finds out.
//!
//! Files come in as [`manifest`](crate::manifest)s, each concern has its rules in a file of its own,
//! and every rule that is broken is one [`Finding`]; [`report`] writes them down.

mod args;
mod classes;
mod finding;
mod language;
pub mod migrate;
mod offline;
mod online;
pub mod report;
mod rights;
mod rule;
mod secret_objects;
mod secret_types;
mod volumes;
mod workloads;

pub use args::{CheckArgs, Output};
pub use finding::Finding;
pub use offline::Summary;
pub use rule::{Rule, Severity};

use std::io::{self, IsTerminal, Write};

use finding::Findings;
use offline::Checked;
use report::Report;

use crate::console::STANDARD_INPUT;
use crate::credential::OwnTokenError;
use crate::manifest::{File, ManifestError};
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::CaFileError;
use crate::phase::host::{Host, HostError};

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// `--allowed-host` is wrong.
    #[error("--allowed-host: {0}")]
    Host(#[from] HostError),
    /// `--ca-file` is wrong.
    #[error(transparent)]
    Client(#[from] CaFileError),
    /// No token for `--online`, or none that can be used.
    #[error(transparent)]
    Token(#[from] OwnTokenError),
    /// Standard input can be read once.
    #[error("-: given twice: standard input can be read once")]
    TwiceStandardInput,
    /// The report cannot be written.
    #[error("the report cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// How a check ended, as the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to mend.
    Fine = 0,
    /// Mistakes.
    Mistakes = 1,
    /// Nothing could be checked.
    Usage = 2,
    /// Phase could not be reached.
    Unreachable = 3,
}

/// Checks and reports on standard output.
///
/// # Errors
/// [`Error`], when a file or flag is unusable.
pub async fn run(args: CheckArgs) -> Result<Outcome, Error> {
    if let Some(path) = &args.from_phasesecret {
        return print_migrated(path);
    }
    let hosts = args.hosts()?;
    let (files, mut findings) = read(&args)?;
    let mut checked = Checked::offline(&files, &hosts);
    if args.online {
        online::check(&args, &mut checked).await?;
    }
    findings.append(&mut checked.findings);
    let summary = checked.summary;
    let report = Report::new(&files, findings, summary);
    let text = match args.output {
        Output::Human => report.human(colour()),
        Output::Json => report.json(),
        Output::Github => report.github(),
    };
    print(&text)?;
    Ok(report.outcome())
}

/// Classes on standard output, what they cannot carry over on standard error.
///
/// They are checked first: what does not pass is not printed.
fn print_migrated(path: &str) -> Result<Outcome, Error> {
    let file = File::read(path)?;
    let mut errors = io::stderr().lock();
    let migrated = match migrate::migrate(&file) {
        Ok(migrated) => migrated,
        Err(error) => {
            writeln!(errors, "error: {error}")?;
            return Ok(Outcome::Mistakes);
        }
    };
    let written = File::parse("the class for it", migrated.text.as_str())?;
    let checked = Checked::offline(std::slice::from_ref(&written), &hosts_of(&written));
    let report = Report::new(
        std::slice::from_ref(&written),
        checked.findings,
        checked.summary,
    );
    if report.outcome() == Outcome::Mistakes {
        errors.write_all(report.human(false).as_bytes())?;
        return Ok(Outcome::Mistakes);
    }
    for note in &migrated.notes {
        writeln!(errors, "note: {note}")?;
    }
    print(&migrated.text)?;
    Ok(Outcome::Fine)
}

/// Whichever hosts the classes name: the provider's flags decide, later.
fn hosts_of(file: &File) -> AllowedHosts {
    let named = file.classes();
    let named = named
        .iter()
        .filter_map(|class| class.parameter("phaseHost"));
    let mut entries: Vec<_> = named.map(|host| host.text.clone()).collect();
    entries.retain(|host| host.parse::<Host>().is_ok());
    entries.push("*".to_owned());
    AllowedHosts::new(Host::default(), &entries).expect("each was parsed")
}

/// A reader that has seen enough is no error.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Colour is for people who did not ask for none.
fn colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !unwanted
}

/// All files; one that is no YAML is a finding, so that the others are checked.
fn read(args: &CheckArgs) -> Result<(Vec<File>, Vec<Finding>), Error> {
    let paths = &args.files;
    let is_input = |path: &&String| *path == STANDARD_INPUT;
    let named = paths.iter().chain(&args.token_file);
    if named.filter(is_input).count() > 1 {
        return Err(Error::TwiceStandardInput);
    }
    let (mut files, mut findings) = (Vec::new(), Vec::new());
    for path in paths {
        match File::read(path) {
            Ok(file) => files.push(file),
            Err(ManifestError::Yaml { name, error }) => {
                let mut found = Findings::named(&name, "file".to_owned());
                let hint = "; of a Helm chart, check what `helm template` prints";
                found.add(Rule::Yaml, error.at, format!("{}{hint}", error.problem));
                findings.append(&mut found.into_vec());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((files, findings))
}
