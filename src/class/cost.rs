//! What a class takes: while it is read, and for as long as it is kept.

use super::Class;
use super::mistake::{MOST_MISTAKES, Mistake};
use super::parameters::IN_YAML;
use crate::phase::environment::Tag;
use crate::phase::{Query, Selection};
use crate::render::{Layout, NameRules, Object, Processor, Shape};
use crate::yaml::{Field, Limits};

/// What the allocator adds to a text of its own.
const A_TEXT: usize = 32;
/// Bytes of one YAML value with what is made of it, and with the room that lists keep to
/// grow; fuzzing compares.
const A_VALUE: usize = 3 * size_of::<Field>();
/// Bytes of one mistake with its texts, and with the room that lists keep to grow.
const A_MISTAKE: usize = 3 * size_of::<Mistake>() + 256;
/// What reading takes in any case.
const READING: usize = 64 << 10;

/// How many bytes reading these parameters may take at most, for their own length is
/// paid by whoever holds them.
pub(super) fn of_reading<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> usize {
    let parameters = parameters.into_iter();
    let parameters = parameters.map(|(name, value)| match IN_YAML.contains(&name) {
        true => of_yaml(value),
        // Named in mistakes, shortened.
        false => 2 * A_VALUE,
    });
    READING + parameters.sum::<usize>()
}

/// A value takes two bytes of the text at least, unless aliases stand for values.
fn of_yaml(text: &str) -> usize {
    let Limits { nodes, bytes } = Limits::CLASS;
    let has_aliases = text.contains('&') && text.contains('*');
    let (nodes, bytes) = match has_aliases {
        true => (nodes, bytes),
        false => (nodes.min(text.len()), bytes.min(text.len())),
    };
    let mistakes = (2 * nodes).min(MOST_MISTAKES);
    nodes * A_VALUE + mistakes * A_MISTAKE + 3 * bytes
}

impl Class {
    /// How many bytes it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.query.bytes() + self.layout.bytes()
    }
}

impl Query {
    /// How many bytes it keeps.
    pub(crate) fn bytes(&self) -> usize {
        let selections = self.selections.iter().map(Selection::bytes);
        size_of::<Self>() + 2 * LONGEST_NAME + selections.sum::<usize>()
    }
}

/// App and host, which are no longer.
const LONGEST_NAME: usize = 1_024;

impl Selection {
    fn bytes(&self) -> usize {
        let filter = &self.filter;
        let tags = filter
            .tags
            .iter()
            .map(|tag| size_of::<Tag>() + 2 * A_TEXT + tag.bytes());
        let texts = [self.environment.as_str(), filter.folder.as_str()];
        let texts = texts.into_iter().map(|text| A_TEXT + text.len());
        // What grows has up to twice the room.
        2 * size_of::<Self>() + texts.chain(tags).sum::<usize>() + filter.keys.bytes()
    }
}

impl Layout {
    /// How many bytes it keeps. Of templates it keeps the text alone.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rules = self
            .objects
            .first()
            .map_or(0, |object| object.rules.bytes());
        let objects = self.objects.iter().map(Object::bytes);
        size_of::<Self>() + rules + objects.sum::<usize>()
    }
}

impl Object {
    fn bytes(&self) -> usize {
        let text = |text: &str| A_TEXT + text.len();
        let shape = match &self.shape {
            Shape::Each => 0,
            Shape::One { key, path, field } => {
                let path = path.as_deref().map_or(0, text);
                // The steps of a field stand beside its text.
                let field = field.as_ref().map(|field| field.as_str());
                let steps = field.map_or(0, |field| 2 * A_TEXT * field.matches('/').count());
                text(key) + path + steps + field.map_or(0, |field| 2 * text(field))
            }
            Shape::Format { path, .. } => text(path),
            Shape::Template { path, template } => text(path) + A_TEXT + template.bytes(),
        };
        let label = self.label.as_deref().map_or(0, text);
        2 * size_of::<Self>() + label + text(self.folder.as_str()) + shape
    }
}

impl NameRules {
    /// How many bytes they keep.
    pub(crate) fn bytes(&self) -> usize {
        let processors = self.processors.iter().map(|(key, processor)| {
            let name = processor.as_name.as_deref().map_or(0, str::len);
            2 * (size_of::<(String, Processor)>() + A_TEXT) + key.len() + name
        });
        size_of::<Self>() + processors.sum::<usize>()
    }
}
