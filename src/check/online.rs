//! What only Phase knows: one reading of each class, as a pod would make it.
//!
//! References are read in the way that keeps their text, so that one that fails
//! hides no other mistake.

use std::time::Duration;

use prost::Message;
use secrecy::ExposeSecret;
use tokio::task::spawn_blocking;

use super::finding::{Finding, Findings, shortened};
use super::offline::Checked;
use super::rule::Rule;
use super::{CheckArgs, Error, secret_objects};
use crate::cause::Cause;
use crate::class::Class;
use crate::credential::{OwnTokenError, own_token};
use crate::deadline::Deadline;
use crate::manifest::{ProviderClass, place_in_file};
use crate::phase::selection::{AppSelector, SelectionError};
use crate::phase::token::{Kind, Token};
use crate::phase::{self, Answer, OnReferenceError, Phase};
use crate::provider::grpc::{File as WireFile, MountResponse, ObjectVersion};
use crate::render::{self, File, RenderError};
use crate::yaml::{self, Place};

/// Longer than a mount may take; people wait, and see what is slow.
const LIMIT: Duration = Duration::from_secs(120);

/// Asks Phase for every class whose parameters are fine.
pub(super) async fn check(args: &CheckArgs, checked: &mut Checked<'_>) -> Result<(), Error> {
    checked.summary.requests = Some(0);
    let token = match own_token(args.token_file.as_deref()) {
        Ok(token) => token,
        Err(error @ OwnTokenError::Token { .. }) => {
            token_is_wrong(&error, checked);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let phase = Phase::new(args.console.client()?);
    for number in 0..checked.classes.len() {
        let (file, class) = checked.classes[number].clone();
        let Some(read) = checked.readings[number].class.clone() else {
            continue;
        };
        let one = One {
            class: &class,
            read,
            limit: args.max_call_recv_msg_size,
            kind: token.kind(),
        };
        let mut findings = Findings::about(file, &class.manifest);
        let (requests, files) = one.ask(&phase, &token, &mut findings).await;
        checked.summary.requests = checked.summary.requests.map(|all| all + requests);
        if let Some(paths) = files {
            let object = Findings::about(file, &class.manifest).into_object();
            checked.findings.retain(|finding| {
                let same = finding.file == file.name() && finding.object == object;
                !(same && finding.rule == Rule::DynamicObjectName)
            });
            secret_objects::found(&class, &paths, &mut findings);
        }
        let mut findings = findings.into_vec();
        findings.retain(|finding| !is_known(finding, &checked.findings));
        checked.findings.append(&mut findings);
    }
    Ok(())
}

/// A wrong `objectName` may be known before Phase is asked.
fn is_known(finding: &Finding, before: &[Finding]) -> bool {
    let whereabouts = |finding: &Finding| (finding.rule, finding.file.clone(), finding.place);
    finding.rule == Rule::ObjectName
        && before
            .iter()
            .any(|other| whereabouts(other) == whereabouts(finding))
}

fn token_is_wrong(error: &OwnTokenError, checked: &mut Checked<'_>) {
    let file = checked.files.first().map_or("", |file| file.name());
    let mut findings = Findings::named(file, "Phase token".to_owned());
    findings.push(Rule::PhaseToken, None, &error.to_string());
    let mut findings: Vec<Finding> = findings.into_vec();
    checked.findings.append(&mut findings);
}

/// One class, and with what it is asked for.
struct One<'a> {
    class: &'a ProviderClass,
    read: Class,
    limit: usize,
    kind: Kind,
}

impl One<'_> {
    /// How many requests it took, and the paths of its files when there are any.
    async fn ask(
        &self,
        phase: &Phase,
        token: &Token,
        findings: &mut Findings,
    ) -> (usize, Option<Vec<String>>) {
        let mut query = self.read.query.clone();
        query.on_reference_error = OnReferenceError::Warn;
        let deadline = Deadline::after(LIMIT);
        let answer = match phase.read(token, &query, deadline).await {
            Ok(answer) => answer,
            Err(error) => {
                let at = self.place_of(&error);
                findings.add(rule(error.cause()), at, error.to_string());
                return (1, None);
            }
        };
        self.references(&answer, findings);
        let requests = 1 + answer.fetched;
        let files = self.files(answer, requests, findings).await;
        let paths = files.map(|files| files.into_iter().map(|file| file.path).collect());
        (requests, paths)
    }

    /// Where the class says what Phase refused.
    fn place_of(&self, error: &phase::Error) -> Place {
        let app = match self.read.query.app {
            AppSelector::Id(_) => "phaseAppId",
            AppSelector::Name(_) => "phaseApp",
        };
        match error {
            phase::Error::Selection(
                SelectionError::UnknownApp { .. }
                | SelectionError::NoApps { .. }
                | SelectionError::AmbiguousApp { .. },
            ) => self.parameter(app),
            phase::Error::Selection(_) => self.environment(error),
            phase::Error::Client(_) if self.class.parameter("phaseHost").is_some() => {
                self.parameter("phaseHost")
            }
            _ => self.class.at,
        }
    }

    /// The environment may be the class's, or that of an object.
    fn environment(&self, error: &phase::Error) -> Place {
        let text = error.to_string();
        let class = self.class.parameter("phaseAppEnv");
        let named = |name: &str| text.contains(&format!("\"{name}\""));
        if class.is_some_and(|class| named(class.text.trim())) {
            return self.parameter("phaseAppEnv");
        }
        let selections = self.read.query.selections.iter();
        let mut selections = selections.zip(&self.read.layout.objects);
        let object = selections.find(|(selection, _)| named(&selection.environment));
        let label = object.and_then(|(_, object)| object.label.as_deref());
        label.map_or_else(|| self.class.parameters_at(), |label| self.object(label))
    }

    fn parameter(&self, name: &str) -> Place {
        let parameter = self.class.parameter(name);
        parameter.map_or_else(|| self.class.parameters_at(), |found| found.node.at)
    }

    /// Where an entry of `objects` stands, by its label: `objects[2]`.
    fn object(&self, label: &str) -> Place {
        let begin = self.parameter("objects");
        let number = label
            .strip_prefix("objects[")
            .and_then(|rest| rest.strip_suffix(']'));
        let entry = || {
            let parameter = self.class.parameter("objects")?;
            let documents = yaml::documents(&parameter.text).ok()?;
            let entries = documents.first()?.list()?;
            let entry = entries.get(number?.parse::<usize>().ok()?)?;
            Some(place_in_file(parameter, entry.at))
        };
        entry().unwrap_or(begin)
    }

    fn references(&self, answer: &Answer, findings: &mut Findings) {
        let rule = match self.read.query.on_reference_error {
            OnReferenceError::Fail => Rule::PhaseReference,
            OnReferenceError::Warn => Rule::PhaseReferenceKept,
        };
        for warning in &answer.warnings {
            findings.add(rule, self.class.at, warning.as_str());
        }
    }

    /// The files, when they can be made; they are dropped once counted.
    async fn files(
        &self,
        answer: Answer,
        requests: usize,
        findings: &mut Findings,
    ) -> Option<Vec<File>> {
        let note = self.note(&answer, requests);
        let is_refused = self.read.query.on_reference_error == OnReferenceError::Fail
            && !answer.warnings.is_empty();
        let layout = self.read.layout.clone();
        let rendered = spawn_blocking(move || render::files(&answer, &layout)).await;
        let files = match rendered {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                self.unrendered(&error, findings);
                return None;
            }
            // A panic in our code: let it end the command.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let size = size(&files);
        if size > self.limit {
            let message = format!(
                "the answer has {size} bytes, and the driver takes {}: select fewer secrets, make two classes, or raise --max-call-recv-msg-size of the driver",
                self.limit
            );
            findings.add(Rule::AnswerSize, self.class.at, message);
        }
        let count = match files.len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        if !is_refused && size <= self.limit {
            let note = format!("{count} in {size} bytes {note}");
            findings.add(Rule::Online, self.class.at, note);
        }
        Some(files)
    }

    fn note(&self, answer: &Answer, requests: usize) -> String {
        let mut environments: Vec<_> = answer
            .selected
            .iter()
            .map(|selected| selected.environment.as_str())
            .collect();
        environments.sort_unstable();
        environments.dedup();
        let environments = shortened(&environments.join(", "));
        let kind = match self.kind {
            Kind::LegacyService => "service token of the old kind (v1)",
            Kind::ServiceAccount => "service account's token",
            Kind::User => "user's token",
        };
        let host = self.read.query.host.as_str();
        format!(
            "of {environments} in app \"{}\" at {host}: {requests} requests, with a {kind} (Phase does not tell when it expires)",
            answer.app
        )
    }

    fn unrendered(&self, error: &RenderError, findings: &mut Findings) {
        match error {
            RenderError::Objects(mistakes) => {
                for mistake in mistakes.iter() {
                    let label = mistake.label.as_deref();
                    let at = label.map_or(self.class.at, |label| self.object(label));
                    findings.add(rule(mistake.cause()), at, mistake.to_string());
                }
            }
            RenderError::Names(mistakes) => {
                for mistake in mistakes.iter() {
                    findings.add(rule(error.cause()), self.class.at, mistake.to_string());
                }
            }
            _ => findings.add(rule(error.cause()), self.class.at, error.to_string()),
        }
    }
}

const fn rule(cause: Cause) -> Rule {
    match cause {
        Cause::Forbidden => Rule::PhaseForbidden,
        Cause::NotFound => Rule::PhaseNotFound,
        Cause::NoCredential | Cause::RefusedCredential => Rule::PhaseToken,
        Cause::TooLarge => Rule::AnswerSize,
        Cause::InvalidClass | Cause::Undecryptable => Rule::PhaseContents,
        Cause::Deadline
        | Cause::Internal
        | Cause::MalformedAnswer
        | Cause::RateLimited
        | Cause::Stopping
        | Cause::Unreachable => Rule::PhaseUnreachable,
    }
}

/// The bytes of the answer that the driver would get, without making it: the
/// files' contents stay where they are.
fn size(files: &[File]) -> usize {
    let versions = files.iter().map(|file| ObjectVersion {
        id: file.path.clone(),
        version: file.version.clone(),
    });
    let frame = MountResponse {
        object_version: versions.collect(),
        error: None,
        files: Vec::new(),
    };
    frame.encoded_len() + files.iter().map(encoded).sum::<usize>()
}

/// One file in an answer: its own length stands before it.
fn encoded(file: &File) -> usize {
    let message = WireFile {
        path: file.path.clone(),
        mode: i32::try_from(file.mode).unwrap_or_default(),
        contents: Vec::new(),
    };
    let contents = match file.contents.expose_secret().len() {
        0 => 0,
        length => 1 + prost::length_delimiter_len(length) + length,
    };
    let length = message.encoded_len() + contents;
    1 + prost::length_delimiter_len(length) + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_encoded_answer() {
        for length in [0, 1, 127, 128, 20_000] {
            let file = |path: &str| File {
                path: path.to_owned(),
                mode: 0o644,
                contents: vec![7; length].into(),
                version: "v".repeat(43),
                origin: None,
            };
            let files = [file("A"), file(&"b".repeat(200))];
            let whole = MountResponse {
                object_version: files
                    .iter()
                    .map(|file| ObjectVersion {
                        id: file.path.clone(),
                        version: file.version.clone(),
                    })
                    .collect(),
                error: None,
                files: files
                    .iter()
                    .map(|file| WireFile {
                        path: file.path.clone(),
                        mode: 0o644,
                        contents: file.contents.expose_secret().to_vec(),
                    })
                    .collect(),
            };
            assert_eq!(size(&files), whole.encoded_len(), "{length}");
        }
    }
}
