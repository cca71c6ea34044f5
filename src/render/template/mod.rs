//! Files from templates: Jinja, less what a file of secrets does not need.
//!
//! A template's author is a tenant of the cluster, so a render is bounded
//! whatever the template says. minijinja counts the steps and the bytes that it
//! makes; `grammar` leaves out what it does not count.

mod filters;
mod grammar;
mod problem;
mod text;
mod values;

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use secrecy::SecretSlice;

use crate::render::format::Pair;
use crate::render::wiped::WipedBuffer;

pub use problem::{TemplateError, TemplateProblem};
use values::Secrets;

/// A template that is well-formed.
///
/// Each secret is a variable named by its key; `secrets` is the map of all, for
/// keys that are no identifiers and for loops in the order of the keys. A tag
/// that stands alone on its line leaves no line, and the last line end is kept.
///
/// Its text alone is kept: what minijinja makes of it takes many times the memory, and
/// is made for each render, of which there are few.
#[derive(Clone)]
pub struct Template(Arc<Checked>);

struct Checked {
    source: Box<str>,
    literal_subscripts: bool,
}

/// The filters that templates have:
///
/// - `b64encode`, `b64decode`: standard base64, padded; the only filter for a value that is not
///   UTF-8 is `b64encode`.
/// - `quote`: in double quotes, for JSON, YAML, TOML and JavaScript: `"`, `\` and control
///   characters are escaped, also U+007F to U+009F, U+2028, U+2029 and U+FEFF; `$` is not.
/// - `shellquote`: in single quotes, for a shell; a `'` becomes `'\''`.
/// - `json`: on one line; texts as `quote` writes them; also `secrets|json` and lists.
/// - `indent(width = 4, first = false)`: all lines but empty ones and the first.
/// - `default(other = "", empty_too = false)`: for a secret that is not selected.
/// - `upper`, `lower`, `trim`, `replace(old, new)`, `length`, `lines`: of a text.
/// - `items`: of `secrets`: pairs of key and value, in the order of the keys.
/// - `join(between = "")`, `first`, `last`, `sort`, `length`: of a list.
pub const FILTERS: [&str; 18] = filters::NAMES;

/// The tests that templates have, after `is`.
pub const TESTS: [&str; 4] = filters::TESTS;

/// How many bytes a template may have.
const LONGEST_SOURCE: usize = 64 << 10;
/// How many bytes a template may make: what the driver receives.
const MOST_OUTPUT: usize = 4 << 20;
/// The work of one render: each step costs one, 64 bytes of text cost one.
const FUEL: u64 = 128 << 10;

/// The language, for all templates.
static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_syntax(syntax());
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(values::print);
    filters::add(&mut environment);
    environment
});

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > LONGEST_SOURCE {
            return Err(TemplateProblem::LongSource.at(None));
        }
        let literal_subscripts = grammar::check(source, &syntax())?;
        compiled(source)?;
        Ok(Self(Arc::new(Checked {
            source: source.into(),
            literal_subscripts,
        })))
    }

    /// How many bytes it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Checked>() + self.0.source.len()
    }

    /// Its text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The file that it makes of secrets, which are named by their
    /// [`key`](Pair::key) here.
    ///
    /// Nothing but the result is wiped: the engine holds values as plain text
    /// while it works.
    ///
    /// # Errors
    /// The first mistake, with its line where that is known; never a value, and
    /// nothing computed from one.
    pub fn render(&self, secrets: &[Pair<'_>]) -> Result<SecretSlice<u8>, TemplateError> {
        let secrets = Arc::new(Secrets::new(secrets).map_err(|problem| problem.at(None))?);
        let template = compiled(&self.0.source)?;
        let mut output = WipedBuffer::new(MOST_OUTPUT);
        let rendered = template.render_captured_to(values::root(&secrets), &mut output);
        if let Err(error) = rendered {
            return Err(self.explained(&error, &secrets));
        }
        if let Some(problem) = secrets.trouble() {
            return Err(self.placed(problem));
        }
        output
            .finish()
            .map_err(|_| TemplateProblem::TooLarge.at(None))
    }

    /// A failed render in our words: of the engine's error only kind and line.
    fn explained(&self, error: &Error, secrets: &Secrets) -> TemplateError {
        let ours = std::error::Error::source(error)
            .and_then(|source| source.downcast_ref::<TemplateProblem>())
            .cloned();
        let problem = match error.kind() {
            _ if ours.is_some() => ours.unwrap_or(TemplateProblem::Mismatch),
            ErrorKind::OutOfFuel => TemplateProblem::TooMuchWork,
            ErrorKind::WriteFailure => TemplateProblem::TooLarge,
            ErrorKind::UndefinedError => secrets.missing(self.0.literal_subscripts),
            _ => secrets.trouble().unwrap_or(TemplateProblem::Mismatch),
        };
        problem.at(error.line())
    }

    /// A problem that showed at the end, at the first line that names its key.
    fn placed(&self, problem: TemplateProblem) -> TemplateError {
        let line = match &problem {
            TemplateProblem::NotText { key } => {
                let mut lines = self.0.source.lines();
                lines.position(|line| line.contains(key.as_str()))
            }
            _ => None,
        };
        problem.at(line.map(|before| before + 1))
    }
}

fn compiled(source: &str) -> Result<minijinja::Template<'_, '_>, TemplateError> {
    let language: &Environment<'_> = &LANGUAGE;
    let template = language.template_from_str(source);
    template.map_err(|error| malformed(&error, source))
}

fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true);
    syntax.build().unwrap_or_default()
}

/// An error that was found before there are values: its text may be shown. What
/// has no end is missed after the last line end, where no line is any more.
fn malformed(error: &Error, source: &str) -> TemplateError {
    let detail = error.detail().unwrap_or("it is no template");
    let last = source.lines().count().max(1);
    let line = error.line().map(|line| line.min(last));
    TemplateProblem::Syntax(crate::render::path::shown(detail)).at(line)
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.0.source).finish()
    }
}

#[cfg(test)]
mod tests;
