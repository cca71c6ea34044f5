//! What only Phase knows: one reading of each class, as a pod would make it.
//!
//! References are read in the way that keeps their text, so that one that fails
//! hides no other mistake.

mod place;
mod size;

use std::collections::BTreeSet;
use std::time::Duration;

use super::finding::{Finding, Findings, shortened};
use super::offline::Checked;
use super::rule::Rule;
use super::{CheckArgs, Error, secret_objects};
use crate::cause::Cause;
use crate::class::Class;
use crate::credential::{OwnTokenError, own_token};
use crate::deadline::Deadline;
use crate::manifest::ProviderClass;
use crate::phase::selection::SelectionError;
use crate::phase::token::{Kind, Token};
use crate::phase::{self, Answer, OnReferenceError, Phase, Query};
use crate::quota::Allowance;
use crate::render::{self, File, Layout, RenderError};

/// Environments that are asked for one by one.
const MOST_ENVIRONMENTS: usize = 10;
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
            is_part: false,
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
    /// Whether it is a part of the class, of which no pod would get the files.
    is_part: bool,
}

impl One<'_> {
    /// How many requests it took, and the paths of its files when there are any.
    async fn ask(
        &self,
        phase: &Phase,
        token: &Token,
        findings: &mut Findings,
    ) -> (usize, Option<Vec<String>>) {
        let environments = self.environments();
        match self.fetch(phase, token).await {
            Ok(answer) => self.judge(answer, findings).await,
            Err(error) if is_of_environment(&error) && environments.len() > 1 => {
                let requests = self.ask_each(environments, phase, token, findings).await;
                (1 + requests, None)
            }
            Err(error) => {
                findings.add(
                    rule(error.cause()),
                    self.place_of(&error),
                    error.to_string(),
                );
                (1, None)
            }
        }
    }

    /// Environment by environment: one that is missing hides nothing in another.
    async fn ask_each(
        &self,
        environments: BTreeSet<&str>,
        phase: &Phase,
        token: &Token,
        findings: &mut Findings,
    ) -> usize {
        let mut requests = 0;
        for environment in environments.into_iter().take(MOST_ENVIRONMENTS) {
            let part = self.only(environment);
            requests += match part.fetch(phase, token).await {
                Ok(answer) => part.judge(answer, findings).await.0,
                Err(error) => {
                    let at = part.place_of(&error);
                    findings.add(rule(error.cause()), at, error.to_string());
                    1
                }
            };
        }
        requests
    }

    fn environments(&self) -> BTreeSet<&str> {
        let selections = self.read.query.selections.iter();
        selections
            .map(|selection| selection.environment.as_str())
            .collect()
    }

    /// What of the class is in one environment.
    fn only(&self, environment: &str) -> Self {
        let Class {
            query,
            layout,
            max_stale,
            mirrors: _,
        } = &self.read;
        let pairs = query.selections.iter().zip(&layout.objects);
        let kept = pairs.filter(|(selection, _)| selection.environment == environment);
        let (selections, objects): (Vec<_>, _) = kept.map(|(a, b)| (a.clone(), b.clone())).unzip();
        Self {
            read: Class {
                query: Query {
                    selections: selections.into(),
                    ..query.clone()
                },
                layout: Layout {
                    objects,
                    ..layout.clone()
                },
                max_stale: *max_stale,
                mirrors: Vec::new(),
            },
            is_part: true,
            ..*self
        }
    }

    async fn fetch(&self, phase: &Phase, token: &Token) -> Result<Answer, phase::Error> {
        let query = Query {
            on_reference_error: OnReferenceError::Warn,
            ..self.read.query.clone()
        };
        phase.read(token, &query, Deadline::after(LIMIT)).await
    }

    /// How many requests it took, and the paths of the files.
    async fn judge(&self, answer: Answer, findings: &mut Findings) -> (usize, Option<Vec<String>>) {
        self.references(&answer, findings);
        let requests = 1 + answer.fetched;
        let files = self.files(answer, requests, findings).await;
        let paths = files.map(|files| files.into_iter().map(|file| file.path).collect());
        (requests, paths)
    }

    fn references(&self, answer: &Answer, findings: &mut Findings) {
        let rule = match self.read.query.on_reference_error {
            OnReferenceError::Fail => Rule::PhaseReference,
            OnReferenceError::Warn => Rule::PhaseReferenceKept,
        };
        for line in answer.kept.lines() {
            findings.add(rule, self.class.at, line);
        }
        for line in answer.unserved() {
            findings.add(Rule::PhaseDynamic, self.class.at, line);
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
        let is_refused =
            self.read.query.on_reference_error == OnReferenceError::Fail && answer.kept.count > 0;
        let layout = self.read.layout.clone();
        let files = match render::files_apart(answer, layout, Allowance::alone()).await {
            Ok(files) => files,
            Err(error) => {
                self.unrendered(&error, findings);
                return None;
            }
        };
        let size = size::size(&files);
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
        if !is_refused && !self.is_part && size <= self.limit {
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
            _ => findings.add(rule(error.cause()), self.class.at, error.to_string()),
        }
    }
}

const fn is_of_environment(error: &phase::Error) -> bool {
    use SelectionError::{AmbiguousEnvironment, UnknownEnvironment};
    matches!(
        error,
        phase::Error::Selection(AmbiguousEnvironment { .. } | UnknownEnvironment { .. })
    )
}

const fn rule(cause: Cause) -> Rule {
    match cause {
        Cause::Forbidden => Rule::PhaseForbidden,
        Cause::NotFound => Rule::PhaseNotFound,
        Cause::NoCredential | Cause::RefusedCredential => Rule::PhaseToken,
        Cause::TooLarge => Rule::AnswerSize,
        Cause::InvalidClass | Cause::Undecryptable => Rule::PhaseContents,
        Cause::Busy
        | Cause::Deadline
        | Cause::Internal
        | Cause::MalformedAnswer
        | Cause::RateLimited
        | Cause::Stopping
        | Cause::Unreachable => Rule::PhaseUnreachable,
    }
}
