//! Lines for `sh` (POSIX): between single quotes every byte stands for itself.

use std::fmt::{self, Write};

use super::{Line, escaped};
use crate::render::wiped::WipedBuffer;

pub(super) fn write(line: &Line<'_>, out: &mut WipedBuffer) -> fmt::Result {
    write!(out, "export {}='", line.name)?;
    escaped(
        line.value,
        out,
        |character| character != '\'',
        |_, out| out.write_str(r"'\''"),
    )?;
    out.write_str("'\n")
}

/// Variables that bash or dash set themselves: an assignment is dropped, refused,
/// or taken for arithmetic, which can run commands. Sorted.
const RESERVED: [&str; 27] = [
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OPTIND",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
    "_",
];

pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&name).is_ok()
}
