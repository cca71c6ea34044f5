//! One JSON object of strings (RFC 8259).

use std::fmt;

use serde::ser::{SerializeMap, Serializer};
use serde_json::ser::PrettyFormatter;

use super::Line;
use crate::render::wiped::WipedBuffer;

pub(super) fn write(lines: &[Line<'_>], out: &mut WipedBuffer) -> fmt::Result {
    object(lines, out).map_err(|_| fmt::Error)?;
    fmt::Write::write_str(out, "\n")
}

fn object(lines: &[Line<'_>], out: &mut WipedBuffer) -> serde_json::Result<()> {
    let mut json = serde_json::Serializer::with_formatter(out, PrettyFormatter::with_indent(b"  "));
    let mut object = json.serialize_map(Some(lines.len()))?;
    for line in lines {
        object.serialize_entry(line.name, line.value)?;
    }
    object.end()
}
