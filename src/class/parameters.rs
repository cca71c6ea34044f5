//! Each parameter of a class: its name, its values, its default.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Class;
use super::mirror;
use super::mistake::{Found, Mistake, Problem, quoted, shortened};
use super::objects::{self, Defaults, Entry};
use super::rules::processors;
use super::texts::{counted, octal, tags};
use crate::duration;
use crate::phase::allowed::AllowedHosts;
use crate::phase::environment::{Filter, Tag};
use crate::phase::folder::Folder;
use crate::phase::keys::Keys;
use crate::phase::selection::AppSelector;
use crate::phase::{OnReferenceError, Query, Selection};
use crate::quota::Stopped;
use crate::render::transformer::Transformer;
use crate::render::{Layout, NameMistake, NameRules, Object, Shape, Source, collisions};
use crate::shown::TOKEN;
use crate::spelling::near;

const ALLOW_EMPTY: &str = "allowEmpty";
const APP: &str = "phaseApp";
const APP_ID: &str = "phaseAppId";
const ENVIRONMENT: &str = "phaseAppEnv";
const FILE_PERMISSION: &str = "filePermission";
const FOLDER: &str = "phaseAppEnvPath";
const HOST: &str = "phaseHost";
const MAX_STALE: &str = "maxStale";
const MIRROR: &str = "mirror";
const NAME_TRANSFORMER: &str = "nameTransformer";
const OBJECTS: &str = "objects";
const ON_REFERENCE_ERROR: &str = "onSecretReferenceError";
const PROCESSORS: &str = "processors";
const RECURSIVE: &str = "recursive";
const TAG: &str = "phaseAppEnvTag";

/// Every parameter there is.
pub const KNOWN_PARAMETERS: [&str; 15] = [
    ALLOW_EMPTY,
    APP,
    APP_ID,
    ENVIRONMENT,
    FILE_PERMISSION,
    FOLDER,
    HOST,
    MAX_STALE,
    MIRROR,
    NAME_TRANSFORMER,
    OBJECTS,
    ON_REFERENCE_ERROR,
    PROCESSORS,
    RECURSIVE,
    TAG,
];

/// Those whose text is YAML, or holds much.
pub(super) const IN_YAML: [&str; 3] = [MIRROR, OBJECTS, PROCESSORS];

/// How many bytes a parameter may have that is no YAML: no name in Phase has more.
const LONGEST_TEXT: usize = 1_024;

const DEFAULT_ENVIRONMENT: &str = "production";
const DEFAULT_MODE: u32 = 0o644;

/// Whether reading goes on; it is asked from time to time.
pub(super) type GoesOn<'a> = &'a dyn Fn() -> Result<(), Stopped>;

/// Reads the parameters, or ends when it is told so.
pub(super) fn parse<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    hosts: &AllowedHosts,
    goes_on: GoesOn<'_>,
) -> Result<Result<Class, Vec<Mistake>>, Stopped> {
    let values = match counted(parameters) {
        Ok(values) => values,
        Err(mistake) => return Ok(Err(vec![*mistake])),
    };
    let mut form = Form {
        values,
        mistakes: Found::default(),
    };
    form.refuse_tokens();
    form.refuse_long();
    form.refuse_unknown();
    let host = hosts.admit(form.get(HOST));
    let host = host.map_err(|error| form.wrong(HOST, Problem::Host(error)));
    let app = form.app();
    let on_reference_error = form.on_reference_error();
    let allow_empty = form.switch(ALLOW_EMPTY);
    let max_stale = form.max_stale();
    let defaults = form.defaults();
    let (selections, objects): (Vec<_>, _) = form.objects(defaults, goes_on)?.into_iter().unzip();
    let mirrors = form
        .untrimmed(MIRROR)
        .map(|text| mirror::parse(text, &mut form.mistakes));
    if form.mistakes.count() > 0 {
        return Ok(Err(form.mistakes.finish()));
    }
    Ok(Ok(Class {
        query: Query {
            host: host.unwrap_or_default(),
            app,
            selections: selections.into(),
            on_reference_error,
        },
        layout: Layout {
            objects,
            allow_empty,
        },
        max_stale,
        mirrors: mirrors.unwrap_or_default(),
    }))
}

/// The parameters and the mistakes found so far.
struct Form<'a> {
    values: BTreeMap<&'a str, &'a str>,
    mistakes: Found,
}

impl<'a> Form<'a> {
    fn get(&self, parameter: &str) -> Option<&'a str> {
        self.values.get(parameter).map(|value| value.trim())
    }

    /// The text of a parameter that is YAML: its places count from its first line,
    /// and its first line is indented as the others are.
    fn untrimmed(&self, parameter: &str) -> Option<&'a str> {
        self.values.get(parameter).copied()
    }

    /// Takes tokens out, so that no other error can quote one.
    fn refuse_tokens(&mut self) {
        for (name, value) in &mut self.values {
            let problem = match shortened(name) {
                name if name.contains(TOKEN) => Problem::TokenName { name },
                name if value.contains(TOKEN) => Problem::Token { name },
                _ => continue,
            };
            self.mistakes.push(Mistake::new(name, problem));
            *value = "";
        }
    }

    /// Takes texts out that are longer than any name: each entry takes some of them over.
    fn refuse_long(&mut self) {
        let short = KNOWN_PARAMETERS
            .iter()
            .filter(|name| !IN_YAML.contains(name));
        for &name in short {
            let bytes = self.get(name).map_or(0, str::len);
            if bytes > LONGEST_TEXT {
                let most = LONGEST_TEXT;
                self.wrong(name, Problem::Long { name, bytes, most });
                self.values.insert(name, "");
            }
        }
    }

    fn refuse_unknown(&mut self) {
        let unknown = self
            .values
            .keys()
            .filter(|name| !KNOWN_PARAMETERS.contains(name));
        for name in unknown {
            let problem = Problem::Unknown {
                what: "parameter",
                name: shortened(name),
                meant: near(name, &KNOWN_PARAMETERS),
            };
            self.mistakes.push(Mistake::new(name, problem));
        }
    }

    fn wrong(&mut self, parameter: &str, problem: Problem) {
        self.mistakes.push(Mistake::new(parameter, problem));
    }

    /// The text of a parameter that may be absent but not empty.
    fn text(&mut self, parameter: &'static str, remedy: &'static str) -> Option<&'a str> {
        let value = self.get(parameter)?;
        if value.is_empty() {
            let name = parameter;
            self.wrong(parameter, Problem::Empty { name, remedy });
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
                self.wrong(APP, Problem::NoApp);
                AppSelector::Name(String::new())
            }
        }
    }

    fn environment(&mut self) -> String {
        let remedy = "name the environment, or leave it out for production";
        let name = self.text(ENVIRONMENT, remedy);
        name.unwrap_or(DEFAULT_ENVIRONMENT).to_owned()
    }

    fn switch(&mut self, parameter: &'static str) -> bool {
        let choices = [("false", false), ("true", true)];
        self.choice(parameter, &choices).unwrap_or(false)
    }

    fn on_reference_error(&mut self) -> OnReferenceError {
        let choices = [
            ("Fail", OnReferenceError::Fail),
            ("Warn", OnReferenceError::Warn),
        ];
        let chosen = self.choice(ON_REFERENCE_ERROR, &choices);
        chosen.unwrap_or_default()
    }

    /// One of some words; a mistake where the text is none of them.
    fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.get(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == text);
        if chosen.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            let problem = Problem::Value {
                name,
                value: shortened(text),
                allowed: quoted(&words),
                meant: near(text, &words),
            };
            self.wrong(name, problem);
        }
        chosen.map(|(_, value)| *value)
    }

    fn max_stale(&mut self) -> Option<Duration> {
        let text = self.get(MAX_STALE)?;
        let parsed = duration::parse(text).map_err(|reason| Problem::Duration {
            name: MAX_STALE,
            value: shortened(text),
            reason,
        });
        parsed
            .map_err(|problem| self.wrong(MAX_STALE, problem))
            .ok()
    }

    fn file_mode(&mut self) -> u32 {
        let Some(text) = self.get(FILE_PERMISSION) else {
            return DEFAULT_MODE;
        };
        octal(text).unwrap_or_else(|| {
            let value = shortened(text);
            self.wrong(FILE_PERMISSION, Problem::Permission { value });
            DEFAULT_MODE
        })
    }

    fn defaults(&mut self) -> Defaults {
        let transformers = Transformer::NAMES.map(|name| (name, Transformer::parse(name)));
        let transformer = self.choice(NAME_TRANSFORMER, &transformers).flatten();
        let processors = match self.untrimmed(PROCESSORS) {
            Some(text) => processors(text, &mut self.mistakes),
            None => BTreeMap::new(),
        };
        Defaults {
            selection: Selection {
                environment: self.environment(),
                filter: Filter {
                    folder: self.get(FOLDER).map_or_else(Folder::root, Folder::parse),
                    recursive: self.switch(RECURSIVE),
                    tags: self.tags(),
                    keys: Keys::All,
                },
            },
            mode: self.file_mode(),
            rules: Arc::new(NameRules {
                transformer,
                processors,
            }),
        }
    }

    fn tags(&mut self) -> Vec<Tag> {
        let found = tags(TAG, self.get(TAG).unwrap_or_default());
        found.unwrap_or_else(|problem| {
            self.wrong(TAG, *problem);
            Vec::new()
        })
    }

    /// One selection with its object for each entry; without `objects` one for all.
    fn objects(
        &mut self,
        defaults: Defaults,
        goes_on: GoesOn<'_>,
    ) -> Result<Vec<(Selection, Object)>, Stopped> {
        let Some(text) = self.untrimmed(OBJECTS) else {
            return Ok(vec![whole_class(defaults)]);
        };
        let entries = objects::parse(text, &defaults, &mut self.mistakes, goes_on)?;
        goes_on()?;
        self.refuse_collisions(&entries);
        let entries = entries.into_iter();
        let pairs = entries.map(|entry| (entry.selection, entry.object));
        Ok(pairs.collect())
    }

    /// Files that would stand in each other's place, as far as names are known.
    fn refuse_collisions(&mut self, entries: &[Entry]) {
        let known = entries.iter().filter_map(|entry| {
            let path = entry.object.known_path()?;
            Some((path, Source::object(entry.object.label.clone())))
        });
        let known: Vec<_> = known.collect();
        let mistakes = collisions(known.iter().map(|(path, source)| (path, source)));
        let spots = entries
            .iter()
            .map(|entry| (&entry.object.label, &entry.spot));
        let spots: BTreeMap<_, _> = spots.collect();
        for mistake in mistakes {
            let label = match &mistake {
                NameMistake::Same { second, .. } => second.label.clone(),
                NameMistake::FileAndFolder { file, .. } => file.label.clone(),
                _ => None,
            };
            let place = spots.get(&label).map(|spot| (*spot).clone());
            let fallback = Mistake::new(OBJECTS, Problem::Names(mistake));
            self.mistakes.push(Mistake {
                place: place.unwrap_or_else(|| fallback.place.clone()),
                ..fallback
            });
        }
    }
}

fn whole_class(defaults: Defaults) -> (Selection, Object) {
    let Defaults {
        selection,
        mode,
        rules,
    } = defaults;
    let object = Object {
        label: None,
        folder: selection.filter.folder.clone(),
        mode,
        optional: false,
        tagged: !selection.filter.tags.is_empty(),
        rules,
        encoding: None,
        shape: Shape::Each,
    };
    (selection, object)
}
