//! One mapping that YAML 1.1 and 1.2 readers take alike. Keys and values always
//! stand between double quotes, on one line: none can be a number (`E1` is one to
//! npm's reader of 1.1), a bool, a date or a merge, and no line end can be folded
//! or clipped.

use std::fmt::{self, Write};

use super::{Line, escaped};
use crate::render::wiped::WipedBuffer;

/// A key of more than 1,024 characters must be announced; written, this one is
/// six times as long at most.
const LONGEST: usize = 1024 / 6 - 1;

pub(super) fn write(lines: &[Line<'_>], out: &mut WipedBuffer) -> fmt::Result {
    if lines.is_empty() {
        return out.write_str("{}\n");
    }
    lines.iter().try_for_each(|line| entry(line, out))
}

fn entry(line: &Line<'_>, out: &mut WipedBuffer) -> fmt::Result {
    if line.name.len() > LONGEST {
        out.write_str("? ")?;
        quoted(line.name, out)?;
        out.write_str("\n")?;
    } else {
        quoted(line.name, out)?;
    }
    out.write_str(": ")?;
    quoted(line.value, out)?;
    out.write_str("\n")
}

fn quoted(text: &str, out: &mut WipedBuffer) -> fmt::Result {
    out.write_str("\"")?;
    escaped(text, out, is_plain, escape)?;
    out.write_str("\"")
}

/// What both versions call printable, without what either takes for a line end,
/// and without the byte order mark.
fn is_plain(character: char) -> bool {
    match character {
        '"' | '\\' | '\u{2028}' | '\u{2029}' | '\u{FEFF}' => false,
        ' '..='~' | '\u{A0}'..='\u{FFFD}' | '\u{10000}'.. => true,
        _ => false,
    }
}

fn escape(character: char, out: &mut WipedBuffer) -> fmt::Result {
    match character {
        '"' => out.write_str("\\\""),
        '\\' => out.write_str("\\\\"),
        '\t' => out.write_str("\\t"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\0'..='\u{FF}' => write!(out, "\\x{:02X}", u32::from(character)),
        _ => write!(out, "\\u{:04X}", u32::from(character)),
    }
}
