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
    clap_complete::generate(shell, &mut program, &name, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash {
        script = with_one_name(&script, &name);
    }
    out.write_all(script.as_bytes())
}

/// clap_complete 4.6 spells the dashes of a program's name in two ways, so that its
/// script never comes to what it knows of the commands.
fn with_one_name(script: &str, name: &str) -> String {
    let other = name.replace('-', "__subcmd__");
    script.replace(&other, &name.replace('-', "__"))
}

/// Writes the manual page of the program, or of one of its commands.
///
/// # Errors
/// When `out` does not take it.
pub fn page(program: Command, command: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let version = program.get_version().unwrap_or_default();
    let source = format!("{} {version}", program.get_name());
    let found = command.and_then(|name| program.find_subcommand(name).cloned());
    let mut page = Vec::new();
    let man = Man::new(found.unwrap_or(program)).source(source);
    man.render(&mut page)?;
    out.write_all(with_examples(&String::from_utf8_lossy(&page)).as_bytes())
}

/// The generator knows no better name for the last words of a help text, and
/// would fill their lines into one.
fn with_examples(page: &str) -> String {
    let Some((before, rest)) = page.split_once(".SH EXTRA\n") else {
        return page.to_owned();
    };
    let (examples, after) = match rest.find(".SH ") {
        Some(next) => rest.split_at(next),
        None => (rest, ""),
    };
    let examples = examples.trim_end().replace('\n', "\n.br\n");
    // Formatters of the old school read bytes.
    let examples = examples.replace('…', "\\[u2026]");
    format!("{before}.SH EXAMPLES\n{examples}\n{after}")
}
