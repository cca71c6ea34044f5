//! Where in the class stands what Phase refused.

use super::One;
use crate::manifest::place_in_file;
use crate::phase;
use crate::phase::selection::{AppSelector, SelectionError};
use crate::yaml::{self, Place};

impl One<'_> {
    /// Where the class says what Phase refused.
    pub(super) fn place_of(&self, error: &phase::Error) -> Place {
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
    pub(super) fn object(&self, label: &str) -> Place {
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
}
