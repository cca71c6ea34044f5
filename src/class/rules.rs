//! How keys become names: `nameTransformer` and `processors`.

use std::collections::BTreeMap;

use super::form::Fields;
use super::mistake::{Mistake, Problem, shortened};
use super::objects::{file_name, not_yaml};
use crate::render::Processor;
use crate::render::encoding::Encoding;
use crate::render::transformer::Transformer;
use crate::yaml::{self, Field, Node, Place};

const PROCESSORS: &str = "processors";
const FIELDS: [&str; 3] = ["asName", "nameTransformer", "type"];
const TYPES: [&str; 2] = ["plain", "base64"];
const REMEDY: &str = "write a YAML map such as \"DB_PASSWORD: {asName: password}\"";

/// Reads the map of `processors`; every mistake goes into `mistakes`.
pub(super) fn processors(text: &str, mistakes: &mut Vec<Mistake>) -> BTreeMap<String, Processor> {
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            mistakes.push(not_yaml(PROCESSORS, error));
            return BTreeMap::new();
        }
    };
    let map = match &documents[..] {
        [] => return BTreeMap::new(),
        [document] => document.map().ok_or_else(|| document.kind()),
        _ => Err("more than one document"),
    };
    let fields = match map {
        Ok(fields) => fields,
        Err(found) => {
            let (expected, remedy) = ("a map of keys", REMEDY);
            let problem = Problem::Kind {
                found,
                expected,
                remedy,
            };
            let mut mistake = Mistake::new(PROCESSORS, problem);
            mistake.place.at = Some(Place { line: 1, column: 1 });
            mistakes.push(mistake);
            return BTreeMap::new();
        }
    };
    let mut processors = BTreeMap::new();
    for Field { key, at, value } in fields {
        if let Some(processor) = processor(key, value, mistakes)
            && processors.insert(key.clone(), processor).is_some()
        {
            let mut mistake = Mistake::new(
                PROCESSORS,
                Problem::Twice {
                    name: shortened(key),
                },
            );
            mistake.place.at = Some(*at);
            mistakes.push(mistake);
        }
    }
    processors
}

fn processor(key: &str, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<Processor> {
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
