//! Each parameter of a class: its name, its values, its default.

use std::collections::BTreeMap;

use super::{Attributes, Class};
use crate::mistakes::Mistakes;
use crate::phase::allowed::AllowedHosts;
use crate::phase::environment::{Filter, Tag};
use crate::phase::folder::Folder;
use crate::phase::host::HostError;
use crate::phase::selection::AppSelector;
use crate::phase::{OnReferenceError, Query};
use crate::spelling::near;

const ALLOW_EMPTY: &str = "allowEmpty";
const APP: &str = "phaseApp";
const APP_ID: &str = "phaseAppId";
const ENVIRONMENT: &str = "phaseAppEnv";
const FILE_PERMISSION: &str = "filePermission";
const FOLDER: &str = "phaseAppEnvPath";
const HOST: &str = "phaseHost";
const ON_REFERENCE_ERROR: &str = "onSecretReferenceError";
const RECURSIVE: &str = "recursive";
const TAG: &str = "phaseAppEnvTag";

/// Every parameter there is.
pub const KNOWN_PARAMETERS: [&str; 10] = [
    ALLOW_EMPTY,
    APP,
    APP_ID,
    ENVIRONMENT,
    FILE_PERMISSION,
    FOLDER,
    HOST,
    ON_REFERENCE_ERROR,
    RECURSIVE,
    TAG,
];

const DEFAULT_ENVIRONMENT: &str = "production";
const DEFAULT_MODE: u32 = 0o644;

/// One mistake in a class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// A parameter without text.
    #[error("{parameter} is empty: {remedy}")]
    Empty {
        /// Which.
        parameter: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The host is not one that this node talks to.
    #[error("phaseHost: {0}")]
    Host(HostError),
    /// No app is named.
    #[error("phaseApp is missing: name the app, or give its id as phaseAppId")]
    NoApp,
    /// A permission that is none.
    #[error(
        "filePermission {value:?} is not an octal permission from 0001 to 0777: write for example \"0644\""
    )]
    Permission {
        /// What was given.
        value: String,
    },
    /// A token where none belongs; anyone who may read the class could use it.
    #[error(
        "{name:?} holds a Phase token: remove it, replace that token in Phase, and name a Secret with nodePublishSecretRef on the pod's volume"
    )]
    Token {
        /// The parameter's name.
        name: String,
    },
    /// A parameter that does not exist.
    #[error("unknown parameter {name:?}{}", hint(*meant))]
    Unknown {
        /// Its name.
        name: String,
        /// What may have been meant.
        meant: Option<&'static str>,
    },
    /// A value that the parameter does not take.
    #[error("{parameter} {value:?} is not one of {allowed}")]
    Value {
        /// Which parameter.
        parameter: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        allowed: &'static str,
    },
}

pub(super) fn parse(
    attributes: &Attributes,
    hosts: &AllowedHosts,
) -> Result<Class, Mistakes<Mistake>> {
    let mut form = Form::new(attributes);
    form.refuse_tokens();
    form.refuse_unknown();
    let host = hosts.admit(form.get(HOST));
    let app = form.app();
    let class = Class {
        query: Query {
            environment: form.environment(),
            filter: Filter {
                folder: form.get(FOLDER).map_or_else(Folder::root, Folder::parse),
                recursive: form.switch(RECURSIVE),
                tags: form.tags(),
            },
            on_reference_error: form.on_reference_error(),
            host: host
                .map_err(|error| form.mistakes.push(Mistake::Host(error)))
                .unwrap_or_default(),
            app,
        },
        file_mode: form.file_mode(),
        allow_empty: form.switch(ALLOW_EMPTY),
    };
    Mistakes::none_or(form.mistakes).map(|()| class)
}

/// The parameters and the mistakes found so far.
struct Form<'a> {
    values: BTreeMap<&'a str, &'a str>,
    mistakes: Vec<Mistake>,
}

impl<'a> Form<'a> {
    fn new(attributes: &'a Attributes) -> Self {
        Self {
            values: attributes.parameters().collect(),
            mistakes: Vec::new(),
        }
    }

    fn get(&self, parameter: &str) -> Option<&'a str> {
        self.values.get(parameter).map(|value| value.trim())
    }

    /// Takes tokens out, so that no other error can quote one.
    fn refuse_tokens(&mut self) {
        for (name, value) in &mut self.values {
            if value.contains("pss_") {
                let name = shortened(name);
                self.mistakes.push(Mistake::Token { name });
                *value = "a token";
            }
        }
    }

    fn refuse_unknown(&mut self) {
        let unknown = self
            .values
            .keys()
            .filter(|name| !KNOWN_PARAMETERS.contains(name));
        self.mistakes.extend(unknown.map(|name| Mistake::Unknown {
            name: shortened(name),
            meant: near(name, &KNOWN_PARAMETERS),
        }));
    }

    /// The text of a parameter that may be absent but not empty.
    fn text(&mut self, parameter: &'static str, remedy: &'static str) -> Option<&'a str> {
        let value = self.get(parameter)?;
        if value.is_empty() {
            self.mistakes.push(Mistake::Empty { parameter, remedy });
        }
        Some(value)
    }

    fn app(&mut self) -> AppSelector {
        let name = self.text(APP, "name the app, or leave it out and give phaseAppId");
        let id = self.text(
            APP_ID,
            "give the app's id, or leave it out and give phaseApp",
        );
        match (id, name) {
            (Some(id), _) => AppSelector::Id(id.to_owned()),
            (None, Some(name)) => AppSelector::Name(name.to_owned()),
            (None, None) => {
                self.mistakes.push(Mistake::NoApp);
                AppSelector::Name(String::new())
            }
        }
    }

    fn environment(&mut self) -> String {
        let remedy = "name the environment, or leave it out for production";
        let name = self.text(ENVIRONMENT, remedy);
        name.unwrap_or(DEFAULT_ENVIRONMENT).to_owned()
    }

    /// An empty text means all secrets, as it does in a `PhaseSecret`.
    fn tags(&self) -> Vec<Tag> {
        let tags = self.get(TAG).unwrap_or_default().split(',').map(str::trim);
        tags.filter(|tag| !tag.is_empty()).map(Tag::parse).collect()
    }

    fn switch(&mut self, parameter: &'static str) -> bool {
        match self.get(parameter) {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                self.mistakes.push(Mistake::Value {
                    parameter,
                    value: shortened(other),
                    allowed: "\"true\", \"false\"",
                });
                false
            }
        }
    }

    fn on_reference_error(&mut self) -> OnReferenceError {
        match self.get(ON_REFERENCE_ERROR) {
            None | Some("Fail") => OnReferenceError::Fail,
            Some("Warn") => OnReferenceError::Warn,
            Some(other) => {
                self.mistakes.push(Mistake::Value {
                    parameter: ON_REFERENCE_ERROR,
                    value: shortened(other),
                    allowed: "\"Fail\", \"Warn\"",
                });
                OnReferenceError::Fail
            }
        }
    }

    fn file_mode(&mut self) -> u32 {
        let Some(text) = self.get(FILE_PERMISSION) else {
            return DEFAULT_MODE;
        };
        octal(text).unwrap_or_else(|| {
            self.mistakes.push(Mistake::Permission {
                value: shortened(text),
            });
            DEFAULT_MODE
        })
    }
}

/// Three octal digits, with or without one or more zeros before them. Zero is
/// refused: the driver would write a file that nobody can read.
fn octal(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits)?;
    (text.len() >= 3 && (1..=0o777).contains(&mode)).then_some(mode)
}

/// What a pod author wrote, short enough for an error.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(
        || ": remove it".to_owned(),
        |meant| format!(": did you mean \"{meant}\"?"),
    )
}
