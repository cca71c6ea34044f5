//! Classes that are made to take memory: refused within 64 MiB, with a clear error.
//!
//! `check` reads a class as the node and the controller do.

use std::process::{Command, Output};

use super::{Files, class};

/// What the process may hold beside its own code, in KiB.
const MOST: u32 = 64 << 10;

/// `check` of one file, in a process that cannot have more memory than [`MOST`].
fn bounded(text: &str) -> Output {
    let files = Files::of(&[text]);
    let command = files.command();
    let limited = format!("ulimit -d {MOST} && exec \"$0\" \"$@\" -o json");
    Command::new("sh")
        .args(["-c", &limited])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .output()
        .unwrap()
}

/// What the first finding says.
fn said(text: &str) -> String {
    let output = bounded(text);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let finding = &report["findings"][0];
    assert_eq!(finding["severity"], "error", "{report}");
    finding["message"].as_str().unwrap().to_owned()
}

/// A class with a parameter that is YAML.
fn with(parameter: &str, text: &str) -> String {
    let lines = text.lines().map(|line| format!("      {line}\n"));
    class(&format!(
        "    {parameter}: |\n{}",
        lines.collect::<String>()
    ))
}

const TOO_LONG: &str =
    "more than 1048576 bytes of text, counting what aliases stand for: make it smaller";

#[test]
fn few_bytes_that_stand_for_many_are_refused() {
    let scalar = "x".repeat(300_000);
    let list = format!("- &a {scalar}\n{}", "- *a\n".repeat(2_000));
    let map = format!("? &a {scalar}\n: {{}}\n{}", "? *a\n: {}\n".repeat(2_000));
    for (parameter, text) in [("objects", &list), ("mirror", &list), ("processors", &map)] {
        let said = said(&with(parameter, text));
        assert!(said.ends_with(TOO_LONG), "{parameter}: {said}");
    }
}

#[test]
fn a_manifest_is_bounded_as_its_parameters_are() {
    let fields = (0..2_000).map(|n| format!("    b{n}: *a\n"));
    let fields: String = fields.collect();
    let said = said(&class(&format!(
        "    a: &a {}\n{fields}",
        "x".repeat(300_000)
    )));
    assert!(
        said.contains(
            "more than 33554432 bytes of text, counting what aliases stand for: make it smaller"
        ),
        "{said}"
    );
}

#[test]
fn what_every_entry_takes_over_is_short() {
    let entries = (0..2_000).map(|n| format!("      - {{secretKey: A, objectName: f{n}}}\n"));
    let entries: String = entries.collect();
    for (parameter, value, expected) in [
        (
            "phaseAppEnvPath",
            "/a".repeat(150_000),
            "phaseAppEnvPath has 300000 bytes, and may have 1024: shorten it",
        ),
        (
            "phaseAppEnv",
            "a".repeat(300_000),
            "phaseAppEnv has 300000 bytes, and may have 1024: shorten it",
        ),
        (
            "phaseAppEnvTag",
            ["a"; 500].join(","),
            "500 tags are more than 64: make two classes",
        ),
    ] {
        let text = format!("    {parameter}: {value}\n    objects: |\n{entries}");
        assert_eq!(said(&class(&text)), expected);
    }
}

#[test]
fn templates_are_counted_before_they_are_read() {
    // Each would be refused by its own mistake, if it were read.
    let wrong = "{{ A ".repeat(12_000);
    let entries = (1..100).map(|n| format!("- {{objectName: f{n}, template: *t}}\n"));
    let entries: String = entries.collect();
    let objects = format!("- {{objectName: f, template: &t \"{wrong}\"}}\n{entries}");
    assert!(said(&with("objects", &objects)).ends_with(TOO_LONG));
    let wrong = "{{ A ".repeat(1_000);
    let entries = (0..100).map(|n| format!("- {{objectName: f{n}, template: \"{wrong}\"}}\n"));
    let objects: String = entries.collect();
    assert_eq!(
        said(&with("objects", &objects)),
        "templates have 500000 bytes together, and may have 262144: make two classes"
    );
    let entries = (0..101).map(|n| format!("- {{objectName: f{n}, template: \"{{{{\"}}\n"));
    let objects: String = entries.collect();
    assert_eq!(
        said(&with("objects", &objects)),
        "101 templates are more than 100: make two classes"
    );
}

#[test]
fn globs_are_counted_before_they_are_read() {
    let globs = vec!["\"[\""; 101].join(",");
    assert_eq!(
        said(&with("objects", &format!("- {{include: [{globs}]}}\n"))),
        "101 globs of one entry are more than 100: make two classes"
    );
    let globs = vec![format!("\"{}[\"", "*a".repeat(120)); 50].join(",");
    let entry = format!("- {{include: [{globs}]}}\n");
    assert_eq!(
        said(&with("objects", &entry.repeat(4))),
        "include and exclude have 48200 bytes together, and may have 32768: make two classes"
    );
}

#[test]
fn a_class_has_a_mebibyte_and_so_many_parameters() {
    // In YAML, which may itself be long.
    let long = "# a comment\n".repeat(50_000);
    let processors: String = long.lines().map(|line| format!("      {line}\n")).collect();
    let both = format!("{}    processors: |\n{processors}", with("objects", &long));
    assert_eq!(
        said(&both),
        "parameters have 1200033 bytes together, and may have 1048576: make two classes"
    );
    let many: String = (0..30_001).map(|n| format!("    p{n}: x\n")).collect();
    assert_eq!(
        said(&class(&many)),
        "more than 30000 parameters: a class knows 15"
    );
}

/// Where a name could be told: as it is, or with its first letter escaped.
#[test]
fn a_token_in_a_name_is_never_shown() {
    let secret = "0123456789abcdef".repeat(4);
    let token = format!("pss_service:v2:{secret}");
    let hidden = format!("\"\\x70{}\"", &token[1..]);
    let bare = format!("\"{token}\"");
    let mut texts = Vec::new();
    for name in [&bare, &hidden] {
        texts.push(class(&format!("    {name}: x\n")));
        texts.push(class(&format!("    x: 1\n  {name}: x\n")));
        texts.push(class("").replace("name: keys", &format!("name: {name}")));
        texts.push(class("").replace("kind: SecretProviderClass", &format!("kind: {name}")));
        texts.push(class("").replace("csi.x-k8s.io/v1", &format!("csi.x-k8s.io/v1\n{name}: x")));
        for (parameter, text) in [
            ("objects", format!("- {{{name}: A}}\n")),
            ("objects", format!("- {{secretKey: A, encoding: {name}}}\n")),
            (
                "objects",
                format!(
                    "- {{objectName: f, template: \"{{{{ A|{} }}}}\"}}\n",
                    &hidden[1..hidden.len() - 1]
                ),
            ),
            ("objects", format!("- &{token} [*{token}x]\n")),
            ("processors", format!("{name}: {{x: 1}}\n")),
            ("processors", format!("A: {{{name}: 1}}\n")),
            ("mirror", format!("- {{{name}: 1}}\n")),
            ("mirror", format!("- {{secretName: {name}}}\n")),
        ] {
            texts.push(with(parameter, &text));
        }
        texts.push(class(&format!("  secretObjects:\n    - {{secretName: {name}, type: {name}, {name}: 1, data: [{{objectName: {name}, key: {name}}}]}}\n")));
    }
    for text in texts {
        let files = Files::of(&[&text]);
        // The form for people shows lines of the file, where nothing recognises an escape.
        let forms = [&["-o", "json"][..], &["-o", "github"], &[]];
        let forms = &forms[..3 - usize::from(!text.contains("pss_"))];
        for flags in forms {
            let output = files.check(flags);
            assert_ne!(output.status.code(), Some(0), "{text}");
            let said =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
            assert!(!said.concat().contains(&secret[..16]), "{text}\n{said:?}");
        }
    }
}
