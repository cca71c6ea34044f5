//! One TOML table (1.0). Strings stay on one line: between `"""` a reader may
//! turn line ends into those of its platform.

use std::fmt::{self, Write};

use toml_writer::{TomlKeyBuilder, TomlStringBuilder, TomlWrite};

use super::Line;
use crate::render::wiped::WipedBuffer;

pub(super) fn write(line: &Line<'_>, out: &mut WipedBuffer) -> fmt::Result {
    let value = TomlStringBuilder::new(line.value);
    let value = value
        .as_basic_pretty()
        .or_else(|| value.as_literal())
        .unwrap_or_else(|| value.as_basic());
    out.key(TomlKeyBuilder::new(line.name).as_default())?;
    out.write_str(" = ")?;
    out.value(value)?;
    out.newline()
}
