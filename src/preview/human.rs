//! The report for people: a table a class, and the values where they are wanted.

use std::collections::BTreeSet;
use std::io::{self, Write};

use secrecy::ExposeSecret;

use super::args::RenderArgs;
use super::output::{Printed, Report, buffer, finish};
use super::{Rendered, shown};
use crate::render::wiped::WipedBuffer;
use crate::render::{File, Origin};

const HEAD: [&str; 6] = ["FILE", "MODE", "SIZE", "VERSION", "REFERENCES", "FROM"];
/// Columns of numbers.
const RIGHT: [usize; 2] = [2, 4];

pub(super) fn report(rendered: &[Rendered], args: &RenderArgs) -> Report {
    let mut out = buffer();
    write(&mut out, rendered, args)?;
    finish(out)
}

fn write(out: &mut WipedBuffer, rendered: &[Rendered], args: &RenderArgs) -> io::Result<()> {
    for (number, one) in rendered.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let bytes: usize = one.files.iter().map(size).sum();
        let files = counted(one.files.len(), "file");
        let (label, app) = (&one.label, shown(&one.app));
        writeln!(
            out,
            "SecretProviderClass {label}: {files} of app {app}, {bytes} bytes\n"
        )?;
        table(out, &one.files)?;
        if args.show_values {
            values(out, &one.files)?;
        }
    }
    if let Some(path) = &args.out {
        writeln!(out, "\nwritten to {}", shown(&path.to_string_lossy()))?;
    }
    Ok(())
}

fn table(out: &mut WipedBuffer, files: &[File]) -> io::Result<()> {
    let rows: Vec<_> = files.iter().map(row).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    line(out, HEAD, &widths)?;
    for row in &rows {
        line(
            out,
            std::array::from_fn(|column| row[column].as_str()),
            &widths,
        )?;
    }
    Ok(())
}

fn line(out: &mut WipedBuffer, cells: [&str; 6], widths: &[usize; 6]) -> io::Result<()> {
    let mut text = String::new();
    for (column, (cell, width)) in cells.into_iter().zip(*widths).enumerate() {
        let cell = match RIGHT.contains(&column) {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        };
        text.push_str(&cell);
        text.push_str("  ");
    }
    writeln!(out, "{}", text.trim_end())
}

fn row(file: &File) -> [String; 6] {
    let origin = file.origin.as_ref();
    let references = origin.map_or(0, |origin| origin.references);
    [
        shown(&file.path),
        format!("{:04o}", file.mode),
        size(file).to_string(),
        file.version.clone(),
        references.to_string(),
        origin.map_or_else(|| "no secret is selected".to_owned(), from),
    ]
}

/// `API_KEY of Production /`, `12 keys of Production /`, `3 keys of Staging /a, /b`.
fn from(origin: &Origin) -> String {
    const FOLDERS: usize = 3;
    let what = match &origin.secrets[..] {
        [(_, key)] => shown(key),
        secrets => counted(secrets.len(), "key"),
    };
    let folders: BTreeSet<_> = origin.secrets.iter().map(|(folder, _)| folder).collect();
    let more = match folders.len().saturating_sub(FOLDERS) {
        0 => String::new(),
        more => format!(" and {}", counted(more, "folder")),
    };
    let folders = folders.into_iter().take(FOLDERS);
    let folders: Vec<_> = folders.map(|folder| shown(folder.as_str())).collect();
    let text = format!(
        "{what} of {} {}{more}",
        shown(&origin.environment),
        folders.join(", ")
    );
    text.trim_end().to_owned()
}

fn values(out: &mut WipedBuffer, files: &[File]) -> io::Result<()> {
    for file in files {
        let path = shown(&file.path);
        match Printed::of(file.contents.expose_secret()) {
            Printed::Text(text) => {
                let note = if text.ends_with('\n') {
                    ""
                } else {
                    " (no new line at its end)"
                };
                writeln!(out, "\n==> {path}{note} <==")?;
                out.write_all(text.as_bytes())?;
                if !text.ends_with('\n') {
                    writeln!(out)?;
                }
            }
            Printed::Base64(text) => {
                writeln!(out, "\n==> {path} (not printable: as base64) <==")?;
                out.write_all(text.as_bytes())?;
                writeln!(out)?;
            }
        }
    }
    Ok(())
}

fn size(file: &File) -> usize {
    file.contents.expose_secret().len()
}

fn counted(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
