//! How the secrets of a class become files.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::encoding::Encoding;
use super::field::Pointer;
use super::format::Format;
use super::template::Template;
use super::transformer::Transformer;
use crate::phase::folder::Folder;

/// How the secrets of a class become files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// One object for each selection of the query, in its order.
    pub objects: Vec<Object>,
    /// Whether a selection without secrets is no error: without any file, one
    /// marker file is mounted.
    pub allow_empty: bool,
}

/// What becomes of the secrets of one selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// How errors name it: `objects[2]`; nothing for a class without `objects`.
    pub label: Option<String>,
    /// The folder that is the volume's root for this selection.
    pub folder: Folder,
    /// The permission bits of its files.
    pub mode: u32,
    /// Whether a missing key, or a selection without secrets, is no error.
    pub optional: bool,
    /// Whether only secrets with certain tags are selected.
    pub tagged: bool,
    /// How keys become names; one for the whole class.
    pub rules: Arc<NameRules>,
    /// How stored text becomes bytes; where it is not given, the rules say it.
    pub encoding: Option<Encoding>,
    /// What files are made.
    pub shape: Shape,
}

/// What files are made of a selection.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Every secret is a file named by the rules.
    Each,
    /// One key is one file.
    One {
        /// The key.
        key: String,
        /// The file's path; where it is not given, the rules name it.
        path: Option<String>,
        /// Which part of a JSON value.
        field: Option<Pointer>,
    },
    /// All secrets stand in one file of a format.
    Format {
        /// The file's path.
        path: String,
        /// The format.
        format: Format,
    },
    /// One file is made by a template.
    Template {
        /// The file's path.
        path: String,
        /// The template.
        template: Template,
    },
}

impl Eq for Shape {}

/// How keys become names, and which values are encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// For every key without a processor of its own.
    pub transformer: Option<Transformer>,
    /// For single keys; one for a key that does not exist is ignored.
    pub processors: BTreeMap<String, Processor>,
}

/// What is done with one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// Its name; wins over transformers.
    pub as_name: Option<String>,
    /// Its transformer; wins over the class's.
    pub transformer: Option<Transformer>,
    /// How its stored text becomes bytes.
    pub encoding: Encoding,
}

impl NameRules {
    /// The name that a key gets.
    #[must_use]
    pub fn name(&self, key: &str) -> String {
        let processor = self.processors.get(key);
        if let Some(name) = processor.and_then(|processor| processor.as_name.clone()) {
            return name;
        }
        let own = processor.and_then(|processor| processor.transformer);
        match own.or(self.transformer) {
            Some(transformer) => transformer.apply(key),
            None => key.to_owned(),
        }
    }

    /// How the stored text of a key becomes bytes.
    #[must_use]
    pub fn encoding(&self, key: &str) -> Encoding {
        let processor = self.processors.get(key);
        processor.map_or_else(Encoding::default, |processor| processor.encoding)
    }
}

impl Object {
    /// The one path it has, where that is known without Phase.
    #[must_use]
    pub fn known_path(&self) -> Option<String> {
        match &self.shape {
            Shape::Each => None,
            Shape::One { key, path, .. } => {
                Some(path.clone().unwrap_or_else(|| self.rules.name(key)))
            }
            Shape::Format { path, .. } | Shape::Template { path, .. } => Some(path.clone()),
        }
    }

    /// How the stored text of a key becomes bytes.
    #[must_use]
    pub fn encoding_of(&self, key: &str) -> Encoding {
        self.encoding.unwrap_or_else(|| self.rules.encoding(key))
    }
}
