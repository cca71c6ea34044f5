//! The `objects` list: which secrets, and what files become of them.

use std::sync::Arc;

use super::form::{Fields, Text, document, wrong_document};
use super::mistake::{Found, Mistake, Problem, Spot, shortened};
use super::parameters::GoesOn;
use super::texts::{octal, tags};
use crate::phase::Selection;
use crate::phase::environment::Filter;
use crate::phase::folder::Folder;
use crate::phase::keys::{Glob, Globs, Keys};
use crate::quota::Stopped;
use crate::render::encoding::Encoding;
use crate::render::field::Pointer;
use crate::render::format::Format;
use crate::render::template::{Template, TemplateError};
use crate::render::{NameRules, Object, PathProblem, Shape, check};
use crate::yaml::{Data, Node};

/// Every field of an entry.
pub const KNOWN_FIELDS: [&str; 14] = [
    "encoding",
    "env",
    "exclude",
    "field",
    "filePermission",
    "format",
    "include",
    "objectName",
    "optional",
    "path",
    "recursive",
    "secretKey",
    "tag",
    "template",
];

/// How many entries a class may have: no answer of the driver's size needs more.
const MOST_ENTRIES: usize = 2_000;
/// How many of them may be templates, the only entries that take real work.
const MOST_TEMPLATES: usize = 100;
/// How many bytes all templates may have: four of the longest, or a hundred of some 2,600.
const MOST_TEMPLATE_BYTES: usize = 256 << 10;
/// How many globs `include` or `exclude` of one entry may have.
const MOST_GLOBS: usize = 100;
/// How many bytes all globs may have: each byte may be compared with each of every key.
const MOST_GLOB_BYTES: usize = 32 << 10;
const OBJECTS: &str = "objects";
const LIST: &str = "a list of entries";
const REMEDY: &str =
    "write a YAML list whose entries begin with \"- \", or leave objects out for one file a key";

/// What an entry takes from the class where it says nothing itself.
pub(super) struct Defaults {
    pub(super) selection: Selection,
    pub(super) mode: u32,
    pub(super) rules: Arc<NameRules>,
}

/// One entry, and where it stands.
pub(super) struct Entry {
    pub(super) selection: Selection,
    pub(super) object: Object,
    pub(super) spot: Spot,
}

/// Reads the list; every mistake goes into `mistakes`.
pub(super) fn parse(
    text: &str,
    defaults: &Defaults,
    mistakes: &mut Found,
    goes_on: GoesOn<'_>,
) -> Result<Vec<Entry>, Stopped> {
    let Some(list) = list(text, mistakes) else {
        return Ok(Vec::new());
    };
    let problems = too_much(&list);
    if !problems.is_empty() {
        for problem in problems {
            mistakes.push(Mistake::new(OBJECTS, problem));
        }
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for (index, node) in list.iter().enumerate() {
        goes_on()?;
        let label = format!("{OBJECTS}[{index}]");
        entries.extend(entry(label, node, defaults, mistakes));
    }
    Ok(entries)
}

/// What there is too much of, before any of it is read.
fn too_much(list: &[Node]) -> Vec<Problem> {
    let templates = || list.iter().filter_map(|entry| entry.get("template"));
    let globs = list.iter().flat_map(|entry| {
        let lists = ["include", "exclude"].into_iter();
        lists.filter_map(|field| entry.get(field)?.list())
    });
    let globs: Vec<_> = globs.collect();
    let len = |node: &Node| node.text().map_or(0, str::len);
    let counts = [
        (list.len(), "entries", MOST_ENTRIES),
        (templates().count(), "templates", MOST_TEMPLATES),
        (
            globs.iter().map(|list| list.len()).max().unwrap_or(0),
            "globs of one entry",
            MOST_GLOBS,
        ),
    ];
    let bytes = [
        (templates().map(len).sum(), "templates", MOST_TEMPLATE_BYTES),
        (
            globs.into_iter().flatten().map(len).sum(),
            "include and exclude",
            MOST_GLOB_BYTES,
        ),
    ];
    let counts = counts.into_iter().filter(|(count, _, most)| count > most);
    let many = counts.map(|(count, what, most)| Problem::Many { count, what, most });
    let bytes = bytes.into_iter().filter(|(bytes, _, most)| bytes > most);
    let much = bytes.map(|(bytes, what, most)| Problem::Much { what, bytes, most });
    many.chain(much).collect()
}

fn list(text: &str, mistakes: &mut Found) -> Option<Vec<Node>> {
    let found = match document(OBJECTS, text, LIST, REMEDY) {
        Ok(Some(Node {
            data: Data::List(items),
            ..
        })) => {
            if !items.is_empty() {
                return Some(items);
            }
            "an empty list"
        }
        Ok(document) => document.map_or("nothing", |document| document.kind()),
        Err(mistake) => {
            mistakes.push(*mistake);
            return None;
        }
    };
    mistakes.push(wrong_document(OBJECTS, found, LIST, REMEDY));
    None
}

fn entry(label: String, node: &Node, defaults: &Defaults, mistakes: &mut Found) -> Option<Entry> {
    let before = mistakes.count();
    let remedy = "write fields such as \"secretKey: DB_PASSWORD\"";
    let mut fields = Fields::of(
        OBJECTS,
        label.clone(),
        node,
        &KNOWN_FIELDS,
        remedy,
        mistakes,
    )?;
    let spot = Spot {
        parameter: OBJECTS.to_owned(),
        path: label.clone(),
        at: Some(fields.at()),
    };
    refuse_pairs(&mut fields);
    let selection = selection(&mut fields, defaults);
    let encoding = fields.choice("encoding", &Encoding::NAMES, Encoding::parse);
    let optional = fields.switch("optional").unwrap_or(false);
    let mode = permission(&mut fields).unwrap_or(defaults.mode);
    let shape = shape(&mut fields, &selection.filter.keys);
    if let Some(Shape::One {
        key, path: None, ..
    }) = &shape
    {
        file_of_key(&mut fields, key, &defaults.rules);
    }
    if mistakes.count() > before {
        return None;
    }
    let object = Object {
        label: Some(label),
        folder: selection.filter.folder.clone(),
        mode,
        optional,
        tagged: !selection.filter.tags.is_empty(),
        rules: Arc::clone(&defaults.rules),
        encoding,
        shape: shape?,
    };
    Some(Entry {
        selection,
        object,
        spot,
    })
}

/// Fields that would contradict each other, or say nothing.
fn refuse_pairs(fields: &mut Fields<'_>) {
    const ONE_KEY: &str = "secretKey names one key; leave it out to select many";
    for (first, second, remedy) in [
        ("format", "template", "make two entries"),
        ("secretKey", "include", ONE_KEY),
        ("secretKey", "exclude", ONE_KEY),
        (
            "secretKey",
            "recursive",
            "secretKey names one key of one folder: give its folder by path",
        ),
        (
            "field",
            "format",
            "a field becomes a file of its own: make two entries",
        ),
        (
            "field",
            "template",
            "a field becomes a file of its own: make two entries",
        ),
    ] {
        if fields.has(first) && fields.has(second) {
            fields.wrong(Problem::Both {
                first,
                second,
                remedy,
            });
        }
    }
}

fn selection(fields: &mut Fields<'_>, defaults: &Defaults) -> Selection {
    let of_class = &defaults.selection;
    let key = fields.text("secretKey");
    let recursive = fields.switch("recursive");
    let folder = fields.text("path");
    let tag = fields.any_text("tag");
    let environment = fields.text("env");
    Selection {
        environment: environment.map_or_else(
            || of_class.environment.clone(),
            |name| name.text.trim().to_owned(),
        ),
        filter: Filter {
            folder: folder.map_or_else(
                || of_class.filter.folder.clone(),
                |folder| Folder::parse(folder.text.trim()),
            ),
            recursive: key.is_none() && recursive.unwrap_or(of_class.filter.recursive),
            tags: match tag {
                Some(Text { text, at, .. }) => tags("tag", text).unwrap_or_else(|problem| {
                    fields.wrong_at("tag", at, *problem);
                    Vec::new()
                }),
                None => of_class.filter.tags.clone(),
            },
            keys: match key {
                Some(key) => Keys::One(key.text.to_owned()),
                None => many(fields),
            },
        },
    }
}

fn many(fields: &mut Fields<'_>) -> Keys {
    if !fields.has("include") && !fields.has("exclude") {
        return Keys::All;
    }
    let include = globs(fields, "include");
    let exclude = globs(fields, "exclude");
    Keys::Matching(Globs::new(include, exclude))
}

fn globs(fields: &mut Fields<'_>, name: &'static str) -> Vec<Glob> {
    let texts = fields.list(name).unwrap_or_default();
    let globs = texts.into_iter().filter_map(|Text { text, at, .. }| {
        let wrong = |problem| {
            fields.wrong_at(
                name,
                at,
                Problem::Glob {
                    text: shortened(text),
                    problem,
                },
            )
        };
        Glob::parse(text).map_err(wrong).ok()
    });
    globs.collect()
}

fn permission(fields: &mut Fields<'_>) -> Option<u32> {
    let Text { text, at, .. } = fields.text("filePermission")?;
    let mode = octal(text);
    if mode.is_none() {
        let value = shortened(text);
        fields.wrong_at("filePermission", at, Problem::Permission { value });
    }
    mode
}

fn shape(fields: &mut Fields<'_>, keys: &Keys) -> Option<Shape> {
    let path = fields
        .text("objectName")
        .and_then(|name| fields.path("objectName", name, check(name.text)));
    let format = fields.choice("format", &Format::NAMES, Format::parse);
    let template = fields
        .text("template")
        .and_then(|text| template(fields, text));
    let field = fields.text("field").and_then(|text| pointer(fields, text));
    if let Some(by) = ["format", "template"].into_iter().find(|by| fields.has(by)) {
        if !fields.has("objectName") {
            let example = if by == "format" { ".env" } else { "app.conf" };
            fields.wrong(Problem::NoName { by, example });
        }
        let path = path?;
        return match (format, template) {
            (Some(format), _) => Some(Shape::Format { path, format }),
            (_, Some(template)) => Some(Shape::Template { path, template }),
            _ => None,
        };
    }
    if let Keys::One(key) = keys {
        let key = key.clone();
        return Some(Shape::One { key, path, field });
    }
    if fields.has("field") {
        fields.wrong(Problem::NoKey { field: "field" });
    }
    if let Some(name) = path {
        fields.wrong(Problem::NoSource {
            name: shortened(&name),
        });
    }
    Some(Shape::Each)
}

/// A key without `objectName` names its file itself.
fn file_of_key(fields: &mut Fields<'_>, key: &str, rules: &NameRules) {
    let check = file_name(&rules.name(key));
    if let Some(name) = fields.text("secretKey") {
        fields.path("secretKey", name, check);
    }
}

/// Of a block, the mistake's own line is named: it stands in the parameter as it is.
fn template(fields: &mut Fields<'_>, text: Text<'_>) -> Option<Template> {
    let wrong = |mut error: TemplateError| {
        let mut at = text.at;
        if text.is_block
            && let Some(line) = error.line.take()
        {
            at.line += line - 1;
        }
        fields.wrong_at("template", at, Problem::Template(error));
    };
    Template::parse(text.text).map_err(wrong).ok()
}

fn pointer(fields: &mut Fields<'_>, Text { text, at, .. }: Text<'_>) -> Option<Pointer> {
    let wrong = |problem| {
        let text = shortened(text);
        fields.wrong_at("field", at, Problem::Pointer { text, problem });
    };
    Pointer::parse(text).map_err(wrong).ok()
}

/// What an `asName` may be: a file's name, without folders.
pub(super) fn file_name(name: &str) -> Result<(), PathProblem> {
    if name.contains('/') {
        return Err(PathProblem::Slash);
    }
    check(name)
}
