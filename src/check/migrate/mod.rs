//! `check --from-phasesecret`: the class that gives the files an operator's
//! `PhaseSecret` gives as keys.
//!
//! `resource` reads what the operator would read, `class` writes it down as
//! classes, `notes` says what cannot be carried over.

mod class;
mod notes;
mod resource;

use std::fmt::Write;

use resource::{Output, PhaseSecret};

use super::finding::object;
use crate::manifest::{self, File};

/// Classes in the place of a file's `PhaseSecret`s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The manifests, with comments.
    pub text: String,
    /// What they cannot carry over, one line each.
    pub notes: Vec<String>,
}

/// Why no class can be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// No app is named.
    #[error("{object} names no app: add spec.phaseApp or spec.phaseAppId")]
    NoApp {
        /// The resource.
        object: String,
    },
    /// It has no name that the class could have.
    #[error(
        "a PhaseSecret on line {line} has no metadata.name: add it, the class is named after it"
    )]
    NoName {
        /// Where it begins.
        line: usize,
    },
    /// No such resource.
    #[error(
        "{file} holds no PhaseSecret of secrets.phase.dev/v1alpha1: give the file that has one"
    )]
    NoPhaseSecret {
        /// The file.
        file: String,
    },
}

/// The classes for all `PhaseSecret`s of a file.
///
/// # Errors
/// When there is none, or one names no app.
pub fn migrate(file: &File) -> Result<Migrated, MigrateError> {
    let resources: Vec<_> = file
        .manifests()
        .iter()
        .filter_map(PhaseSecret::of)
        .collect();
    if resources.is_empty() {
        let file = file.name().to_owned();
        return Err(MigrateError::NoPhaseSecret { file });
    }
    let mut migrated = Migrated {
        text: String::new(),
        notes: Vec::new(),
    };
    for resource in &resources {
        one(resource, &mut migrated)?;
    }
    Ok(migrated)
}

fn one(resource: &PhaseSecret<'_>, migrated: &mut Migrated) -> Result<(), MigrateError> {
    let name = object(resource.manifest);
    if resource.manifest.name.is_empty() {
        let line = resource.manifest.node.at.line;
        return Err(MigrateError::NoName { line });
    }
    if resource.text("phaseApp").is_none() && resource.text("phaseAppId").is_none() {
        return Err(MigrateError::NoApp { object: name });
    }
    let outputs = resource.outputs();
    let notes = notes::of(resource, &outputs);
    if !migrated.text.is_empty() {
        migrated.text += "---\n";
    }
    writeln!(migrated.text, "# {name} as SecretProviderClass.").ok();
    if !notes.is_empty() {
        migrated.text += "# What cannot be carried over, or differs:\n";
    }
    for note in notes {
        migrated.text += &manifest::comment(&format!("- {note}"));
        migrated.notes.push(format!("{name}: {note}"));
    }
    let groups = grouped(&outputs);
    for (number, group) in groups.iter().enumerate() {
        if number > 0 {
            migrated.text += "---\n";
        }
        migrated.text += &class::write(resource, group, groups.len() == 1);
    }
    Ok(())
}

/// Outputs that one class can make: of one namespace and with equal names.
fn grouped<'a>(outputs: &'a [Output<'a>]) -> Vec<Vec<&'a Output<'a>>> {
    let mut groups: Vec<Vec<&Output<'_>>> = Vec::new();
    for output in outputs {
        let fits = |group: &&mut Vec<&Output<'_>>| {
            group[0].namespace == output.namespace && group[0].names == output.names
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(output),
            None => groups.push(vec![output]),
        }
    }
    groups
}
