//! `check`: what is wrong with a class, before a pod finds out.
//!
//! Files come in as [`manifest`]s, each concern has its rules in a file of its own,
//! and every rule that is broken is one [`Finding`]; [`report`] writes them down.

mod classes;
mod finding;
mod language;
pub mod migrate;
mod online;
pub mod report;
mod rule;
mod secret_objects;
mod secret_types;
mod volumes;
mod workloads;

pub use finding::Finding;
pub use rule::{Rule, Severity};

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};

use finding::Findings;
use language::Reading;
use report::Report;
use volumes::Around;

use crate::console::ConsoleArgs;
use crate::credential::OwnTokenError;
use crate::manifest::{self, File, Manifest, ManifestError, ProviderClass};
use crate::phase::allowed::AllowedHosts;
use crate::phase::client::CaFileError;
use crate::phase::host::{Host, HostError};

const EXAMPLE: &str = "\
Examples:
  phase-csi-provider check -f class.yaml -f deployment.yaml
  helm template shop | phase-csi-provider check -f - -o github
  phase-csi-provider check --from-phasesecret phasesecret.yaml > class.yaml
  PHASE_SERVICE_TOKEN=… phase-csi-provider check -f class.yaml --online

Exit codes: 0 fine (warnings too), 1 mistakes, 2 usage, 3 Phase not reached";

/// Finds every mistake in SecretProviderClasses, and in the pods beside them.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct CheckArgs {
    /// File of manifests, repeatable; - for standard input
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        required_unless_present = "from_phasesecret"
    )]
    pub files: Vec<String>,

    /// Print the classes in the place of an operator's PhaseSecrets, instead of checking
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "output"])]
    pub from_phasesecret: Option<String>,

    /// Form of the report: human, json or github
    #[arg(short, long, value_enum, default_value_t = Output::Human, hide_possible_values = true)]
    pub output: Output,

    /// Also ask Phase: host, TLS, token, app, environments, keys, references, sizes
    #[arg(long, conflicts_with = "from_phasesecret")]
    pub online: bool,

    /// File with the token for --online, - for standard input; else PHASE_SERVICE_TOKEN
    #[arg(long, value_name = "FILE", requires = "online")]
    pub token_file: Option<String>,

    /// Largest answer in bytes that the driver takes, as its flag of this name says
    #[arg(long, value_name = "BYTES", default_value_t = 4 * 1024 * 1024)]
    pub max_call_recv_msg_size: usize,

    /// Which consoles, as `serve` has them.
    #[command(flatten)]
    pub console: ConsoleArgs,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
}

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
    let hosts = hosts(&args)?;
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

/// As `serve` with the same flags. Without any, offline, every `https://` host;
/// online none but the default, since whoever may write a class could else have
/// the token sent to a host of theirs.
fn hosts(args: &CheckArgs) -> Result<AllowedHosts, HostError> {
    let ConsoleArgs {
        phase_host,
        allowed_host,
        ..
    } = &args.console;
    let default = phase_host.clone().unwrap_or_default();
    if phase_host.is_none() && allowed_host.is_empty() && !args.online {
        return AllowedHosts::new(default, &["*"]);
    }
    AllowedHosts::new(default, allowed_host)
}

/// All files; one that is no YAML is a finding, so that the others are checked.
fn read(args: &CheckArgs) -> Result<(Vec<File>, Vec<Finding>), Error> {
    let paths = &args.files;
    let is_input = |path: &&String| *path == manifest::STANDARD_INPUT;
    if paths
        .iter()
        .chain(&args.token_file)
        .filter(is_input)
        .count()
        > 1
    {
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

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Classes of phase.
    pub classes: usize,
    /// Volumes of pods.
    pub volumes: usize,
    /// Requests to Phase, when it was asked.
    pub requests: Option<usize>,
}

/// What is found so far, and what it is found in.
struct Checked<'a> {
    files: &'a [File],
    classes: Vec<(&'a File, ProviderClass)>,
    /// One for each class.
    readings: Vec<Reading>,
    findings: Vec<Finding>,
    summary: Summary,
}

impl<'a> Checked<'a> {
    /// Everything that can be known without a network.
    fn offline(files: &'a [File], hosts: &AllowedHosts) -> Self {
        let of = |file: &'a File| file.classes().into_iter().map(move |class| (file, class));
        let mut checked = Self {
            files,
            classes: files.iter().flat_map(of).collect(),
            readings: Vec::new(),
            findings: Vec::new(),
            summary: Summary::default(),
        };
        for number in 0..checked.classes.len() {
            let (file, class) = checked.classes[number].clone();
            let reading = checked.class(file, &class, hosts);
            checked.readings.push(reading);
        }
        checked.duplicates();
        checked.pods();
        checked.nothing();
        checked
    }

    fn class(&mut self, file: &File, class: &ProviderClass, hosts: &AllowedHosts) -> Reading {
        let mut findings = Findings::about(file, &class.manifest);
        let mut reading = Reading::default();
        if classes::is_ours(class, &mut findings) {
            self.summary.classes += 1;
            classes::resource(class, &mut findings);
            if !class.parameters.is_empty() {
                reading = language::read(class, hosts, &mut findings);
            }
            secret_objects::check(class, &reading, &mut findings);
        }
        self.findings.append(&mut findings.into_vec());
        reading
    }

    fn duplicates(&mut self) {
        let mut seen = HashMap::new();
        for (file, class) in self
            .classes
            .iter()
            .filter(|(_, class)| !class.name.is_empty())
        {
            let key = (class.namespace_or_default(), class.name.as_str());
            if let Some((first, at)) = seen.insert(key, (file.name(), class.at)) {
                let mut findings = Findings::about(file, &class.manifest);
                let message = format!(
                    "a class of this name is also in {first}, line {}: the later one replaces it: rename one",
                    at.line
                );
                findings.add(Rule::DuplicateClass, class.at, message);
                self.findings.append(&mut findings.into_vec());
            }
        }
    }

    fn pods(&mut self) {
        let is_secret = |manifest: &&Manifest| manifest.kind == "Secret";
        let manifests = self.files.iter().flat_map(File::manifests);
        let classes = self.classes.iter().map(|(_, class)| class);
        let around = Around {
            classes: classes.zip(&self.readings).collect(),
            secrets: manifests.filter(is_secret).collect(),
        };
        for file in self.files {
            for manifest in file.manifests() {
                let mut findings = Findings::about(file, manifest);
                if classes::is_nearly_class(manifest) {
                    classes::kind(manifest, &mut findings);
                }
                for volume in workloads::volumes(manifest) {
                    self.summary.volumes += 1;
                    volumes::check(manifest, &volume, &around, &mut findings);
                }
                self.findings.append(&mut findings.into_vec());
            }
        }
    }

    /// A check of nothing must not look like success.
    fn nothing(&mut self) {
        if self.classes.len() + self.summary.volumes > 0 || !self.findings.is_empty() {
            return;
        }
        for file in self.files {
            let mut findings = Findings::named(file.name(), "file".to_owned());
            let message = "neither a SecretProviderClass nor a pod with a volume of the driver is in it: give the file that has one";
            findings.push(Rule::NothingToCheck, None, message.to_owned());
            self.findings.append(&mut findings.into_vec());
        }
    }
}
