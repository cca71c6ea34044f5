//! What the memory keeps of a `PhaseSecret`: the data of each of its Secrets, or why
//! there is none.
//!
//! One text for all, so that the memory can seal it: JSON with a part for each output,
//! and what there is to say of all.

use std::io::Write;
use std::sync::Arc;

use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretSlice};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::data::{Data, DataMistake, data, data_of_files};
use super::plan::{Form, Plan};
use crate::cause::Cause;
use crate::mistakes::Mistakes;
use crate::phase::environment::Secret;
use crate::phase::{Answer, BadReferences};
use crate::quota::Allowance;
use crate::render::wiped::WipedBuffer;
use crate::render::{Bounds, Layout, RenderError, VersionKey, files_within};
use crate::snapshot::{About, Made, Recipe, Refusal};

/// How many bytes all Secrets of one resource may have: as much as a class may make.
const MOST_BYTES: usize = 64 << 20;

/// What there is of one output.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Part<'a> {
    /// Its data.
    Data {
        /// See [`Data::hash`].
        hash: String,
        /// The JSON object of keys and base64.
        #[serde(borrow)]
        json: &'a RawValue,
    },
    /// Why it has none.
    Wrong(String),
}

/// A text of ours.
#[derive(Deserialize)]
pub(super) struct Contents<'a> {
    /// References that could not be resolved and stay as text: a line each, the first few.
    pub(super) unresolved: Vec<String>,
    /// What is to be said where nothing is selected.
    pub(super) nothing: Option<String>,
    /// One for each output of the plan that it was made for.
    #[serde(borrow)]
    pub(super) parts: Vec<Part<'a>>,
}

/// Reads a text of ours.
///
/// # Errors
/// A text that is not ours.
pub(super) fn read(text: &[u8]) -> Result<Contents<'_>, serde_json::Error> {
    serde_json::from_slice(text)
}

/// How the memory gets the contents of a plan.
pub(super) fn recipe(plan: &Plan) -> Recipe {
    let forms = plan.outputs.iter().map(|output| output.form.clone());
    let wanted = Arc::new((plan.layout.clone(), forms.collect()));
    Recipe {
        query: plan.query.clone(),
        // What was written stays, whatever happens; nothing old is written anew.
        max_stale: None,
        poll_interval: plan.interval,
        bytes: plan.bytes(),
        make: Box::new(move |answer, allowance| {
            make(answer, Arc::clone(&wanted), allowance).boxed()
        }),
    }
}

type Wanted = (Option<Layout>, Vec<Form>);

async fn make(answer: Answer, wanted: Arc<Wanted>, allowance: Allowance) -> Result<Made, Refusal> {
    // Pairs of keys are compared, and much may be decoded.
    let Allowance { job, memory } = allowance;
    let made = job.run(move |turn| {
        let bounds = Bounds {
            memory: Some(&memory),
            turn: Some(turn),
            ..Bounds::default()
        };
        made(&answer, &wanted, &bounds)
    });
    made.await?
}

fn made(answer: &Answer, (layout, forms): &Wanted, bounds: &Bounds<'_>) -> Result<Made, Refusal> {
    let versions = VersionKey::new(&answer.version_key);
    let (keys, text) = match layout {
        Some(layout) => {
            let files = files_within(answer, layout, bounds).map_err(refused)?;
            let data = |form: &Form| data_of_files(form, &files, &versions);
            (files.len(), text(answer, None, forms, data))
        }
        None => {
            let secrets = answer.selected.first().map(|of| of.secrets.as_slice());
            let secrets = secrets.unwrap_or_default();
            let nothing = secrets.is_empty().then(|| nothing(answer));
            let data = |form: &Form| {
                let secrets = secrets.iter().map(|secret: &Arc<Secret>| &**secret);
                data(form, secrets, &versions)
            };
            (secrets.len(), text(answer, nothing.as_deref(), forms, data))
        }
    };
    let text = text.ok_or_else(|| Refusal {
        cause: Cause::TooLarge,
        text: format!(
            "its Secrets have more than {MOST_BYTES} bytes together: make two resources of it"
        ),
    })?;
    Ok(Made {
        about: About {
            app: answer.app.clone(),
            environments: answer.environments(),
            files: keys,
            version: versions.version("", 0, text.expose_secret()),
            ..About::default()
        },
        bytes: text,
    })
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "an error, which nobody needs afterwards"
)]
pub(super) fn refused(error: RenderError) -> Refusal {
    Refusal {
        cause: error.cause(),
        text: error.to_string(),
    }
}

/// An environment from which everything has gone is more often a mistake than a wish.
fn nothing(answer: &Answer) -> String {
    let environment = answer.selected.first().map_or("?", |of| &of.environment);
    format!(
        "no secrets selected: environment \"{environment}\" of app \"{}\" has none that match phaseAppEnvPath and phaseAppEnvTag: check them, or set allowEmpty: true; the managed Secrets stay as they are",
        answer.app
    )
}

fn text(
    answer: &Answer,
    nothing: Option<&str>,
    forms: &[Form],
    data: impl Fn(&Form) -> Result<Data, Mistakes<DataMistake>>,
) -> Option<SecretSlice<u8>> {
    let mut buffer = WipedBuffer::new(MOST_BYTES);
    let unresolved = serde_json::to_string(&some(&answer.kept)).ok()?;
    let nothing = serde_json::to_string(&nothing).ok()?;
    write!(
        buffer,
        "{{\"unresolved\":{unresolved},\"nothing\":{nothing},\"parts\":["
    )
    .ok()?;
    for (number, form) in forms.iter().enumerate() {
        if number > 0 {
            buffer.write_all(b",").ok()?;
        }
        match data(form) {
            Ok(Data { json, hash }) => {
                write!(buffer, "{{\"data\":{{\"hash\":\"{hash}\",\"json\":").ok()?;
                buffer.write_all(json.expose_secret()).ok()?;
                buffer.write_all(b"}}").ok()?;
            }
            Err(mistakes) => {
                let text = serde_json::to_string(&mistakes.to_string()).ok()?;
                write!(buffer, "{{\"wrong\":{text}}}").ok()?;
            }
        }
    }
    buffer.write_all(b"]}").ok()?;
    buffer.finish().ok()
}

/// The first few lines, and how many more there are.
fn some(kept: &BadReferences) -> Vec<String> {
    const SHOWN: usize = 3;
    let mut some: Vec<_> = kept.lines().take(SHOWN.min(kept.first.len())).collect();
    if kept.count > some.len() {
        some.push(format!("and {} more", kept.count - some.len()));
    }
    some
}
