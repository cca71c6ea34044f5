//! The class's parameters as the provider reads them, and the files they make.

use super::finding::Findings;
use super::rule::Rule;
use crate::class::Class;
use crate::manifest::ProviderClass;
use crate::phase::allowed::AllowedHosts;
use crate::phase::environment::Filter;
use crate::render::{NameRules, Object, Shape};

/// What a class makes, as far as that is known without Phase.
#[derive(Default)]
pub(super) struct Reading {
    /// The class, when nothing is wrong with its parameters.
    pub(super) class: Option<Class>,
    /// Paths of files that are made, or fail the mount.
    pub(super) known: Vec<String>,
}

/// Reads the parameters as the provider does; every mistake is a finding.
pub(super) fn read(
    class: &ProviderClass,
    hosts: &AllowedHosts,
    findings: &mut Findings,
) -> Reading {
    match Class::read(class.pairs(), hosts) {
        Ok(class) => Reading {
            known: known(&class),
            class: Some(class),
        },
        Err(mistakes) => {
            for mistake in mistakes {
                if findings.is_full(Rule::Parameters) {
                    break;
                }
                let at = class.place_of(&mistake);
                findings.add(Rule::Parameters, at, mistake.to_string_in_place());
            }
            Reading::default()
        }
    }
}

fn known(class: &Class) -> Vec<String> {
    let objects = class.layout.objects.iter();
    objects.filter_map(Object::known_path).collect()
}

impl Reading {
    fn objects(&self) -> impl Iterator<Item = (&Object, Option<&Filter>)> {
        let class = self.class.iter();
        class.flat_map(|class| {
            let filters = class.query.selections.iter();
            let mut filters = filters.map(|selection| &selection.filter);
            let objects = class.layout.objects.iter();
            objects.map(move |object| (object, filters.next()))
        })
    }

    /// Whether files are made of whatever keys Phase has.
    pub(super) fn is_dynamic(&self) -> bool {
        self.objects()
            .any(|(object, _)| matches!(object.shape, Shape::Each))
    }

    /// Whether some key of Phase could become this file.
    pub(super) fn may_make(&self, path: &str) -> bool {
        self.objects().any(|(object, filter)| {
            let dynamic = matches!(object.shape, Shape::Each);
            dynamic && filter.is_none_or(|filter| selects(object, filter, path))
        })
    }

    /// The first permission that lets only owner and group read.
    pub(super) fn narrow_mode(&self) -> Option<u32> {
        let modes = self.objects().map(|(object, _)| object.mode);
        modes.into_iter().find(|mode| mode & 0o004 == 0)
    }
}

/// Whether a selection takes a key that becomes this file. Where names are
/// transformed, the key is not known.
fn selects(object: &Object, filter: &Filter, path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let by_key = *object.rules == NameRules::default();
    (filter.recursive || folder.is_empty()) && (!by_key || filter.keys.take(name))
}
