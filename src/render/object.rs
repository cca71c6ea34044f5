//! The files of one object: values decoded, then written as its shape says.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};

use super::field::Pointer;
use super::format::{Format, Pair};
use super::layout::{Object, Shape};
use super::mistake::{ObjectMistake, ObjectProblem};
use super::names::{NameMistake, Source, path_of};
use super::path::shown;
use super::template::Template;
use super::{Bounds, Origin, PathProblem, RenderError};
use crate::phase::Selected;
use crate::phase::environment::Secret;

/// A file before it has its version.
pub(super) struct Draft {
    pub(super) path: String,
    pub(super) source: Source,
    pub(super) mode: u32,
    pub(super) contents: SecretSlice<u8>,
    pub(super) origin: Origin,
}

/// The files of all objects so far, and what is wrong with them.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) files: Vec<Draft>,
    pub(super) names: Vec<NameMistake>,
    pub(super) mistakes: Vec<ObjectMistake>,
    pub(super) bytes: usize,
    /// Of these, what has been paid for, and of so many files.
    paid: usize,
    paid_files: usize,
}

/// What a file takes beside its bytes, about: path, origin, and its place.
const FILE_BYTES: usize = 512;

/// One object with the secrets that it selected.
pub(super) struct Place<'a> {
    pub(super) object: &'a Object,
    pub(super) selected: &'a Selected,
    pub(super) app: &'a str,
    pub(super) allow_empty: bool,
}

impl Drafts {
    /// Adds the files of one object.
    ///
    /// # Errors
    /// When a bound is met; what is wrong with the object is kept here.
    pub(super) fn add(
        &mut self,
        place: &Place<'_>,
        bounds: &Bounds<'_>,
    ) -> Result<(), RenderError> {
        let mut secrets: Vec<_> = place.selected.secrets.iter().collect();
        secrets.sort_by(|a, b| (&a.folder, &a.key).cmp(&(&b.folder, &b.key)));
        if secrets.is_empty() {
            self.mistakes.extend(place.missing());
            return Ok(());
        }
        let made = match &place.object.shape {
            Shape::Each => return self.each(place, &secrets, bounds),
            Shape::One { path, field, .. } => {
                self.one(place, &secrets, path.as_deref(), field.as_ref());
                return self.check(bounds);
            }
            Shape::Format { path, format } => place
                .formatted(&secrets, *format)
                .map(|contents| (path, contents)),
            Shape::Template { path, template } => place
                .filled_in(&secrets, template)
                .map(|contents| (path, contents)),
        };
        match made {
            Ok((path, contents)) => {
                let source = Source::object(place.object.label.clone());
                self.push(place, Ok(path.clone()), source, contents, &secrets);
            }
            Err(problems) => self.wrong(place, problems),
        }
        self.check(bounds)
    }

    /// Pays for what was made since the last time.
    fn check(&mut self, bounds: &Bounds<'_>) -> Result<(), RenderError> {
        let new = self.bytes - self.paid;
        let files = self.files.len() - self.paid_files;
        (self.paid, self.paid_files) = (self.bytes, self.files.len());
        bounds.check(new + files * FILE_BYTES, self.bytes)
    }

    fn each(
        &mut self,
        place: &Place<'_>,
        secrets: &[&Arc<Secret>],
        bounds: &Bounds<'_>,
    ) -> Result<(), RenderError> {
        for secret in secrets {
            match place.decoded(secret) {
                Ok(contents) => {
                    let name = place.object.rules.name(&secret.key);
                    let path = path_of(secret, &place.object.folder, &name);
                    let source = Source::secret(secret, place.object.label.clone());
                    self.push(place, path, source, contents, &[secret]);
                }
                Err(problem) => self.wrong(place, vec![problem]),
            }
            self.check(bounds)?;
        }
        Ok(())
    }

    /// One key in one folder is one secret; the server keeps keys unique there.
    fn one(
        &mut self,
        place: &Place<'_>,
        secrets: &[&Arc<Secret>],
        path: Option<&str>,
        field: Option<&Pointer>,
    ) {
        for secret in secrets {
            let contents = match field {
                None => place.decoded(secret),
                Some(field) => place.decoded_field(secret, field),
            };
            let (path, source) = match path {
                Some(path) => (
                    Ok(path.to_owned()),
                    Source::object(place.object.label.clone()),
                ),
                None => {
                    let name = place.object.rules.name(&secret.key);
                    let source = Source::secret(secret, place.object.label.clone());
                    (path_of(secret, &secret.folder, &name), source)
                }
            };
            match contents {
                Ok(contents) => self.push(place, path, source, contents, &[secret]),
                Err(problem) => self.wrong(place, vec![problem]),
            }
        }
    }

    fn push(
        &mut self,
        place: &Place<'_>,
        path: Result<String, PathProblem>,
        source: Source,
        contents: SecretSlice<u8>,
        secrets: &[&Arc<Secret>],
    ) {
        let path = match path {
            Ok(path) => path,
            Err(problem) => {
                self.names.push(NameMistake::Path {
                    by: source,
                    problem,
                });
                return;
            }
        };
        self.bytes += contents.expose_secret().len();
        let named = |secret: &&Arc<Secret>| (secret.folder.clone(), secret.key.clone());
        self.files.push(Draft {
            path,
            source,
            mode: place.object.mode,
            contents,
            origin: Origin {
                environment: place.selected.environment.clone(),
                secrets: secrets.iter().map(named).collect(),
                references: secrets.iter().map(|secret| secret.references).sum(),
            },
        });
    }

    fn wrong(&mut self, place: &Place<'_>, problems: Vec<ObjectProblem>) {
        let mistakes = problems.into_iter().map(|problem| ObjectMistake {
            label: place.object.label.clone(),
            problem,
        });
        self.mistakes.extend(mistakes);
    }
}

/// What an object makes, or all that is wrong.
type Made = Result<SecretSlice<u8>, Vec<ObjectProblem>>;

impl Place<'_> {
    /// Why nothing was selected, where that is an error.
    fn missing(&self) -> Option<ObjectMistake> {
        let folder = self.object.folder.clone();
        let environment = self.selected.environment.clone();
        let app = self.app.to_owned();
        let problem = match &self.object.shape {
            _ if self.object.optional => return None,
            Shape::One { key, .. } if !self.selected.dynamic.is_empty() => ObjectProblem::Dynamic {
                key: shown(key),
                folder,
                environment,
                app,
            },
            Shape::One { key, .. } => ObjectProblem::Missing {
                key: shown(key),
                folder,
                environment,
                app,
                tagged: self.object.tagged,
            },
            _ if self.allow_empty => return None,
            _ => ObjectProblem::Empty {
                folder,
                environment,
                app,
            },
        };
        let label = self.object.label.clone();
        Some(ObjectMistake { label, problem })
    }

    fn decoded(&self, secret: &Secret) -> Result<SecretSlice<u8>, ObjectProblem> {
        self.decode(secret, secret.value.expose_secret())
    }

    fn decoded_field(
        &self,
        secret: &Secret,
        field: &Pointer,
    ) -> Result<SecretSlice<u8>, ObjectProblem> {
        let found = field.find(secret.value.expose_secret());
        let found = found.map_err(|problem| ObjectProblem::Field {
            key: shown(&secret.key),
            folder: secret.folder.clone(),
            problem,
        })?;
        self.decode(secret, found.expose_secret())
    }

    fn decode(&self, secret: &Secret, text: &str) -> Result<SecretSlice<u8>, ObjectProblem> {
        let encoding = self.object.encoding_of(&secret.key);
        encoding
            .decode(text)
            .map_err(|problem| ObjectProblem::Decode {
                key: shown(&secret.key),
                folder: secret.folder.clone(),
                problem,
            })
    }

    fn formatted(&self, secrets: &[&Arc<Secret>], format: Format) -> Made {
        let rules = &self.object.rules;
        let values = self.values(secrets, |secret| rules.name(&secret.key))?;
        format.write(&pairs(&values)).map_err(|unwritable| {
            let problems = unwritable.into_iter().map(ObjectProblem::Format);
            problems.collect()
        })
    }

    fn filled_in(&self, secrets: &[&Arc<Secret>], template: &Template) -> Made {
        let values = self.values(secrets, |secret| secret.key.clone())?;
        template
            .render(&pairs(&values))
            .map_err(|error| vec![ObjectProblem::Template(error)])
    }

    /// The decoded values by their names in one file.
    fn values<'a>(
        &self,
        secrets: &[&'a Arc<Secret>],
        name: impl Fn(&Secret) -> String,
    ) -> Result<Values<'a>, Vec<ObjectProblem>> {
        let mut values = Values::new();
        let mut problems = Vec::new();
        for secret in secrets {
            match self.decoded(secret) {
                Ok(value) => {
                    let name = name(secret);
                    if let Some((first, _)) = values.insert(name.clone(), (secret, value)) {
                        problems.push(ObjectProblem::SameName {
                            name: shown(&name),
                            both: Box::new((
                                Source::secret(first, None),
                                Source::secret(secret, None),
                            )),
                        });
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(values)
        } else {
            Err(problems)
        }
    }
}

/// Decoded values with their secrets, by their names in a file.
type Values<'a> = BTreeMap<String, (&'a Arc<Secret>, SecretSlice<u8>)>;

fn pairs<'a>(values: &'a Values<'_>) -> Vec<Pair<'a>> {
    let pair = |(name, (secret, value)): (&'a String, &'a (&Arc<Secret>, SecretSlice<u8>))| Pair {
        name,
        key: &secret.key,
        value: value.expose_secret(),
    };
    values.iter().map(pair).collect()
}
