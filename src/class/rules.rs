//! How keys become names: `nameTransformer` and `processors`.

use std::collections::BTreeMap;

use super::form::{Fields, document, wrong_document};
use super::mistake::{Found, Mistake, Problem, shortened};
use super::objects::file_name;
use crate::render::Processor;
use crate::render::encoding::Encoding;
use crate::render::transformer::Transformer;
use crate::yaml::{Field, Node};

const PROCESSORS: &str = "processors";
const FIELDS: [&str; 3] = ["asName", "nameTransformer", "type"];
const TYPES: [&str; 2] = ["plain", "base64"];
const KEYS: &str = "a map of keys";
const REMEDY: &str = "write a YAML map such as \"DB_PASSWORD: {asName: password}\"";

/// Reads the map of `processors`; every mistake goes into `mistakes`.
pub(super) fn processors(text: &str, mistakes: &mut Found) -> BTreeMap<String, Processor> {
    let document = match document(PROCESSORS, text, KEYS, REMEDY) {
        Ok(Some(document)) => document,
        Ok(None) => return BTreeMap::new(),
        Err(mistake) => {
            mistakes.push(*mistake);
            return BTreeMap::new();
        }
    };
    let Some(fields) = document.map() else {
        mistakes.push(wrong_document(PROCESSORS, document.kind(), KEYS, REMEDY));
        return BTreeMap::new();
    };
    let mut processors = BTreeMap::new();
    for Field { key, at, value } in fields {
        if let Some(processor) = processor(key, value, mistakes)
            && processors.insert(key.clone(), processor).is_some()
        {
            let name = shortened(key);
            mistakes.push(Mistake::at(PROCESSORS, *at, Problem::Twice { name }));
        }
    }
    processors
}

fn processor(key: &str, node: &Node, mistakes: &mut Found) -> Option<Processor> {
    let path = format!("{PROCESSORS}.{}", shortened(key));
    let mut fields = Fields::of(PROCESSORS, path, node, &FIELDS, REMEDY, mistakes)?;
    let encoding = fields.choice("type", &TYPES, |name| match name {
        "plain" => Some(Encoding::Utf8),
        "base64" => Some(Encoding::Base64),
        _ => None,
    });
    Some(Processor {
        as_name: fields
            .text("asName")
            .and_then(|name| fields.path("asName", name, file_name(name.text))),
        transformer: fields.choice("nameTransformer", &Transformer::NAMES, Transformer::parse),
        encoding: encoding.unwrap_or_default(),
    })
}
