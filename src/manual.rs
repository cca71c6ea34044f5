//! What a shell and `man` know of the program: made from its flags, on standard output.

use std::io::{self, Write};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes the completions of a shell.
///
/// # Errors
/// When `out` does not take them.
pub fn completions(mut program: Command, shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let name = program.get_name().to_owned();
    // The generator panics where it cannot write; memory always takes it.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut script);
    out.write_all(&script)
}

/// Writes the manual page of the program, or of one of its commands.
///
/// # Errors
/// When `out` does not take it.
pub fn page(mut program: Command, command: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    program.build();
    let found = command.and_then(|name| program.find_subcommand(name).cloned());
    Man::new(found.unwrap_or(program)).render(out)
}
