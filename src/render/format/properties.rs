//! What `java.util.Properties` loads. All ASCII: `load(InputStream)` takes bytes
//! for Latin-1, `load(Reader)` what its caller says.

use std::fmt::{self, Write};

use super::{Line, escaped};
use crate::render::wiped::WipedBuffer;

pub(super) fn write(line: &Line<'_>, out: &mut WipedBuffer) -> fmt::Result {
    // Anywhere in a key these would end it or begin a comment; in a value they stand for themselves.
    let ends_a_key = |character| matches!(character, ' ' | '=' | ':' | '#' | '!');
    escaped(
        line.name,
        out,
        |character| is_plain(character) && !ends_a_key(character),
        escape,
    )?;
    out.write_str("=")?;
    // Blanks that follow the separator belong to it.
    let blanks = line.value.len() - line.value.trim_start_matches(' ').len();
    line.value[..blanks]
        .chars()
        .try_for_each(|blank| escape(blank, out))?;
    escaped(&line.value[blanks..], out, is_plain, escape)?;
    out.write_str("\n")
}

fn is_plain(character: char) -> bool {
    matches!(character, ' '..='~') && character != '\\'
}

fn escape(character: char, out: &mut WipedBuffer) -> fmt::Result {
    match character {
        '\t' => out.write_str(r"\t"),
        '\n' => out.write_str(r"\n"),
        '\x0c' => out.write_str(r"\f"),
        '\r' => out.write_str(r"\r"),
        ' '..='~' => write!(out, "\\{character}"),
        _ => character
            .encode_utf16(&mut [0; 2])
            .iter()
            .try_for_each(|unit| write!(out, "\\u{unit:04X}")),
    }
}
