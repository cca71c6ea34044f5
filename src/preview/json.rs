//! The report for programs.

use std::io::Write;

use secrecy::ExposeSecret;
use serde::Serialize;

use super::Rendered;
use super::args::RenderArgs;
use super::output::{Printed, Report, buffer, finish};
use crate::render::File;

#[derive(Serialize)]
struct Document<'a> {
    classes: Vec<Class<'a>>,
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    namespace: Option<&'a str>,
    app: &'a str,
    files: Vec<Item<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    path: &'a str,
    mode: String,
    size: usize,
    version: &'a str,
    environment: Option<&'a str>,
    secrets: Vec<Source<'a>>,
    references: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<&'a str>,
}

#[derive(Serialize)]
struct Source<'a> {
    folder: &'a str,
    key: &'a str,
}

pub(super) fn report(rendered: &[Rendered], args: &RenderArgs) -> Report {
    let printed = |file| args.show_values.then(|| printed(file));
    let contents: Vec<Vec<_>> = rendered
        .iter()
        .map(|one| one.files.iter().map(printed).collect())
        .collect();
    let classes = rendered.iter().zip(&contents);
    let document = Document {
        classes: classes
            .map(|(one, contents)| class(one, contents))
            .collect(),
    };
    let mut out = buffer();
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)?;
    finish(out)
}

/// JSON carries any text; what is no text goes as base64.
fn printed(file: &File) -> Printed<'_> {
    let bytes = file.contents.expose_secret();
    std::str::from_utf8(bytes).map_or_else(|_| Printed::base64(bytes), Printed::Text)
}

fn class<'a>(one: &'a Rendered, contents: &'a [Option<Printed<'a>>]) -> Class<'a> {
    let files = one.files.iter().zip(contents);
    Class {
        name: &one.name,
        namespace: one.namespace.as_deref(),
        app: &one.app,
        files: files
            .map(|(file, content)| item(file, content.as_ref()))
            .collect(),
        warnings: &one.warnings,
    }
}

fn item<'a>(file: &'a File, content: Option<&'a Printed<'a>>) -> Item<'a> {
    let origin = file.origin.as_ref();
    let secrets = origin.map_or(&[][..], |origin| &origin.secrets);
    let source = |(folder, key): &'a (crate::phase::folder::Folder, String)| Source {
        folder: folder.as_str(),
        key,
    };
    let (content, content_base64) = match content {
        None => (None, None),
        Some(Printed::Text(text)) => (Some(*text), None),
        Some(Printed::Base64(text)) => (None, Some(text.as_str())),
    };
    Item {
        path: &file.path,
        mode: format!("{:04o}", file.mode),
        size: file.contents.expose_secret().len(),
        version: &file.version,
        environment: origin.map(|origin| origin.environment.as_str()),
        secrets: secrets.iter().map(source).collect(),
        references: origin.map_or(0, |origin| origin.references),
        content,
        content_base64,
    }
}
