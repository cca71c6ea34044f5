//! What an administrator changes in a printed configuration, by hand.

const IDENTITY: &str = "- identity: {}";

/// Takes some lines of a configuration out, as an administrator does: the rest, and
/// they.
fn cut(configuration: &str, begin: &str, lines: usize) -> (String, String) {
    let all: Vec<_> = configuration.split_inclusive('\n').collect();
    let at = all.iter().position(|line| line.trim() == begin);
    let at = at.unwrap_or_else(|| panic!("no {begin} in the configuration"));
    let (cut, rest) = (&all[at..at + lines], [&all[..at], &all[at + lines..]]);
    (rest.concat().concat(), cut.concat())
}

pub(super) fn without_key(configuration: &str, name: &str) -> String {
    cut(configuration, &format!("- name: {name}"), 2).0
}

pub(super) fn without_identity(configuration: &str) -> String {
    cut(configuration, IDENTITY, 1).0
}

/// What other API servers start with first: `identity` at the top.
pub(super) fn with_identity_first(configuration: &str) -> String {
    let (rest, identity) = cut(configuration, IDENTITY, 1);
    rest.replace("  providers:\n", &format!("  providers:\n{identity}"))
}

/// What other API servers start with first: the new key one place down.
pub(super) fn with_the_new_key_second(configuration: &str) -> String {
    let (rest, new) = cut(configuration, "- name: key-2", 2);
    let (_, old) = cut(&rest, "- name: key-1", 2);
    rest.replace(&old, &format!("{old}{new}"))
}

pub(super) fn without_kms(configuration: &str, name: &str) -> String {
    let plugin = format!("      name: {name}\n");
    let (before, after) = configuration.split_once(&plugin).unwrap();
    let begin = before.rfind("  - kms:").unwrap();
    let (_endpoint, after) = after.split_once('\n').unwrap();
    format!("{}{after}", &before[..begin])
}
