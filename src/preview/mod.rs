//! `render`: what a pod would get of a class, for the person who writes it.
//!
//! The same way as a mount's, from a file instead of the driver and with the
//! person's own token. Names, sizes and versions are shown; values only when they
//! are asked for.

mod args;
mod classes;
pub mod directory;
mod error;
mod human;
mod json;
mod output;
mod progress;

pub use args::{Output, RenderArgs};
pub use error::{Error, exit_code};

use std::collections::HashSet;
use std::io::{Write, stderr};

use secrecy::ExposeSecret;
use tokio::task::spawn_blocking;

use crate::cause::Cause;
use crate::console::STANDARD_INPUT;
use crate::credential::own_token;
use crate::deadline::Deadline;
use crate::phase::token::Token;
use crate::phase::{self, Phase};
use crate::quota::Allowance;
use crate::render::{self, RenderError};

use classes::{Choice, Wanted};
use directory::{Content, Directory};

/// A class with what a pod would get of it.
struct Rendered {
    name: String,
    namespace: Option<String>,
    label: String,
    app: String,
    warnings: Vec<String>,
    files: Vec<render::File>,
}

/// Renders and reports on standard output.
///
/// # Errors
/// Everything that is wrong, one line each; then nothing was written.
pub async fn run(args: RenderArgs) -> Result<(), Vec<Error>> {
    let is_input = |path: &String| path == STANDARD_INPUT;
    if args.files.iter().any(is_input) && args.token_file.as_ref().is_some_and(is_input) {
        return Err(one(Error::StandardInput("-f and --token-file")));
    }
    let choice = Choice {
        class: args.class.as_deref(),
        namespace: args.namespace.as_deref(),
    };
    let wanted = classes::wanted(&args.files, &choice, &args.console)?;
    let out = match &args.out {
        Some(path) => Some(out(path, &wanted).map_err(one)?),
        None => None,
    };
    let token = own_token(args.token_file.as_deref()).map_err(one)?;
    let phase = Phase::new(args.console.client().map_err(one)?);
    if args.console.client.insecure_skip_tls_verify {
        warn("--insecure-skip-tls-verify: whoever is on the way to Phase can read the token");
    }
    let rendered = all(wanted, &phase, &token, Deadline::after(args.deadline)).await?;
    if let Some(directory) = out {
        let written = spawn_blocking(move || write(&directory, &rendered).map(|()| rendered));
        let written = written.await.unwrap_or_else(|error| {
            std::panic::resume_unwind(error.into_panic());
        });
        return report(&args, &written.map_err(one)?);
    }
    report(&args, &rendered)
}

fn one(error: impl Into<Error>) -> Vec<Error> {
    vec![error.into()]
}

/// The directory to write, before Phase is asked for what goes into it.
fn out(path: &std::path::Path, wanted: &[Wanted]) -> Result<Directory, Error> {
    let mut names = HashSet::new();
    if let Some(twice) = wanted.iter().find(|one| !names.insert(&one.name)) {
        let name = twice.name.clone();
        return Err(Error::SameName { name });
    }
    Ok(Directory::at(path)?)
}

/// All classes, or all errors: one that Phase has no answer for ends it, since the
/// others would wait for the same.
async fn all(
    wanted: Vec<Wanted>,
    phase: &Phase,
    token: &Token,
    deadline: Deadline,
) -> Result<Vec<Rendered>, Vec<Error>> {
    let (mut rendered, mut errors) = (Vec::new(), Vec::new());
    for one in wanted {
        let label = one.label();
        match each(one, phase, token, deadline).await {
            Ok(one) => rendered.push(one),
            Err(refusals) => {
                let unanswered = refusals.iter().any(|(cause, _)| cause.exit_code() == 3);
                let error = |(cause, text)| Error::Refused {
                    class: label.clone(),
                    cause,
                    text,
                };
                errors.extend(refusals.into_iter().map(error));
                if unanswered {
                    break;
                }
            }
        }
    }
    if errors.is_empty() {
        Ok(rendered)
    } else {
        Err(errors)
    }
}

type Refusals = Vec<(Cause, String)>;

async fn each(
    wanted: Wanted,
    console: &Phase,
    token: &Token,
    deadline: Deadline,
) -> Result<Rendered, Refusals> {
    let label = wanted.label();
    let Wanted {
        name,
        namespace,
        class,
    } = wanted;
    let asking = console.read(token, &class.query, deadline);
    let answer = progress::shown(&class.query.host, asking).await;
    let answer = answer.map_err(|error| match &error {
        phase::Error::References(bad) => bad.lines().map(|line| (error.cause(), line)).collect(),
        _ => vec![(error.cause(), error.to_string())],
    })?;
    let (app, mut warnings) = (answer.app.clone(), answer.warnings());
    for warning in &warnings {
        warn(&format!("SecretProviderClass {label}: {}", shown(warning)));
    }
    let files = render::files_apart(answer, class.layout, Allowance::alone())
        .await
        .map_err(|error| refusals(&error))?;
    if let Some(warning) = large(&files) {
        warn(&format!("SecretProviderClass {label}: {warning}"));
        warnings.push(warning);
    }
    Ok(Rendered {
        name,
        namespace,
        label,
        app,
        warnings,
        files,
    })
}

/// What a node takes unless its `--max-call-send-msg-size` says otherwise.
const USUAL_ANSWER: usize = 4 << 20;
/// What a file's fields take in an answer beside its bytes and twice its path.
const FRAME: usize = 64;

/// A warning of files that a node refuses as it is usually set up.
fn large(files: &[render::File]) -> Option<String> {
    let sizes = files
        .iter()
        .map(|file| file.contents.expose_secret().len() + 2 * file.path.len() + FRAME);
    let bytes: usize = sizes.sum();
    (bytes > USUAL_ANSWER).then(|| {
        format!(
            "an answer of about {bytes} bytes is larger than the {USUAL_ANSWER} bytes that a driver takes by default: select fewer secrets, or raise --max-call-recv-msg-size of the driver and --max-call-send-msg-size of the provider together"
        )
    })
}

/// Each mistake a line of its own, where the daemon's one line has no room for all.
fn refusals(error: &RenderError) -> Refusals {
    let cause = error.cause();
    match error {
        RenderError::Objects(mistakes) => {
            let texts = mistakes
                .iter()
                .map(|mistake| (mistake.cause(), mistake.to_string()));
            texts.collect()
        }
        other => vec![(cause, other.to_string())],
    }
}

/// One class's files at the top, several classes' in a directory of its name each.
fn write(directory: &Directory, rendered: &[Rendered]) -> Result<(), Error> {
    let several = rendered.len() > 1;
    let contents = rendered.iter().flat_map(|one| {
        one.files.iter().map(move |file| Content {
            path: match several {
                true => format!("{}/{}", one.name, file.path),
                false => file.path.clone(),
            },
            bytes: file.contents.expose_secret(),
        })
    });
    let contents: Vec<_> = contents.collect();
    Ok(directory.replace(&contents)?)
}

fn report(args: &RenderArgs, rendered: &[Rendered]) -> Result<(), Vec<Error>> {
    let text = match args.output {
        Output::Human => human::report(rendered, args),
        Output::Json => json::report(rendered, args),
    };
    output::write(&text).map_err(one)
}

/// A line on standard error, if anyone reads it.
fn warn(text: &str) {
    let _ = writeln!(stderr(), "warning: {text}");
}

/// A text from outside without what a terminal would act on.
fn shown(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !is_direction(c);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    let escaped = text.chars().map(|c| match is_plain(c) {
        true => c.to_string(),
        false => c.escape_unicode().to_string(),
    });
    escaped.collect()
}

/// Marks that turn the direction of the rest of a line.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
