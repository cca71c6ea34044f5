//! Every text that `docs/troubleshooting.md` quotes can be said, and every text
//! that can be said is quoted.

use super::blocks::files;

/// Parts of the page that quote somebody else.
const OF_OTHERS: &str = "## What the driver, kubelet and Kubernetes say";

/// Texts that only name the text of another error, or that stand inside one.
fn says_nothing_itself(text: &str) -> bool {
    let mut left = String::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            c if depth == 0 => left.push(c),
            _ => {}
        }
    }
    left.chars().filter(|c| c.is_alphabetic()).count() < 5
}

/// Texts of `render` and `check`, whose user reads them at once, and those that
/// others stand in for.
const ELSEWHERE: [&str; 7] = [
    "src/check/",
    "src/credential/own.rs",
    "src/manifest/",
    "src/phase/client/dns.rs",
    "src/phase/primitives.rs",
    "src/preview/",
    "src/render/wiped.rs",
];

fn sources() -> Vec<(String, String)> {
    let paths = files("src").into_iter();
    let paths = paths.filter(|path| path.ends_with(".rs") && !path.contains("tests"));
    let read = |path: String| {
        let text = super::file(&path);
        let end = text.find("#[cfg(test)]\nmod").unwrap_or(text.len());
        (path, text[..end].to_owned())
    };
    paths.map(read).collect()
}

/// The texts in quotes of a source, in order, with where each begins.
fn literals(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = source.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let after = &source[at..];
        if after.starts_with("//") {
            while rest.next_if(|(_, c)| *c != '\n').is_some() {}
        } else if after.starts_with("'\"'") {
            rest.nth(1);
        } else if after.starts_with("r#\"") {
            let end = after.find("\"#").unwrap() + at;
            found.push((at, source[at + 3..end].to_owned()));
            while rest.next_if(|(at, _)| *at <= end + 1).is_some() {}
        } else if c == '"' {
            let mut text = String::new();
            while let Some((_, c)) = rest.next().filter(|(_, c)| *c != '"') {
                match c {
                    '\\' => match rest.next().unwrap().1 {
                        '\n' => while rest.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                        'n' => text.push('\n'),
                        c => text.push(c),
                    },
                    c => text.push(c),
                }
            }
            found.push((at, text));
        }
    }
    found
}

/// The texts of the errors of a source: what stands first in `#[error(…)]`.
fn errors(source: &str) -> Vec<String> {
    let literals = literals(source);
    let attributes = source
        .match_indices("#[error(")
        .map(|(at, found)| at + found.len());
    let own = attributes.filter(|at| !source[*at..].starts_with("transparent"));
    let text = |at: usize| {
        literals
            .iter()
            .find(|(from, _)| *from >= at)
            .unwrap()
            .1
            .clone()
    };
    own.map(text).collect()
}

/// Whether a quoted text is what a source says: its parts stand there in order.
/// `…` stands for what differs, and so does whatever stands in double quotes.
fn is_in(quoted: &str, said: &str) -> bool {
    let mut rest = said;
    let mut parts = quoted.split('…').flat_map(|part| part.split('"'));
    parts.all(|part| {
        let part = part.trim();
        let found = rest.find(part);
        rest = found.map_or(rest, |at| &rest[at + part.len()..]);
        found.is_some()
    })
}

/// The quoted texts in the tables of the page: ours, then others'.
fn quoted() -> (Vec<String>, Vec<String>) {
    let page = super::file("docs/troubleshooting.md");
    let (before, others) = page.split_once(OF_OTHERS).unwrap();
    let (others, after) = others.split_once("\n## ").unwrap();
    let of = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.map(|row| row.split(" | ").next().unwrap().to_owned());
        cells
            .flat_map(|cell| {
                let texts = cell.split('`').skip(1).step_by(2).map(str::to_owned);
                texts.collect::<Vec<_>>()
            })
            .collect()
    };
    (of(&format!("{before}\n{after}")), of(others))
}

#[test]
fn every_text_of_ours_on_the_page_can_be_said() {
    let sources = sources();
    let said: Vec<_> = sources
        .iter()
        .flat_map(|(_, source)| literals(source))
        .map(|(_, text)| text)
        .collect();
    let (ours, others) = quoted();
    assert!(ours.len() > 90, "{}", ours.len());
    assert!(others.len() > 8, "{}", others.len());
    let wrong: Vec<_> = ours
        .iter()
        .filter(|text| !said.iter().any(|said| is_in(text, said)))
        .collect();
    assert!(wrong.is_empty(), "nobody says {wrong:#?}");
    for text in others {
        let is_ours = said.iter().any(|said| is_in(&text, said));
        assert!(!is_ours, "{text} is ours");
    }
}

#[test]
fn every_error_that_a_node_can_give_is_on_the_page() {
    let (ours, _) = quoted();
    let is_long = |text: &&String| text.chars().filter(|c| c.is_alphabetic()).count() >= 5;
    let ours: Vec<_> = ours.iter().filter(is_long).collect();
    let mut missing = Vec::new();
    for (path, source) in sources() {
        if ELSEWHERE.iter().any(|start| path.starts_with(start)) {
            continue;
        }
        for said in errors(&source) {
            let is_quoted = ours.iter().any(|text| is_in(text, &said));
            if !is_quoted && !says_nothing_itself(&said) {
                missing.push(format!("{path}: {said}"));
            }
        }
    }
    assert!(missing.is_empty(), "not on the page: {missing:#?}");
}

#[test]
fn texts_are_read_from_sources_and_compared_in_order() {
    let source = "#[error(\"a {b:?} \\\"c\\\"\")]\n// \"no\"\n#[error(transparent)]\n#[error(\n  \"d \\\n   e\"\n)]\nfn f() { '\"'; r#\"g\"#; }";
    assert_eq!(errors(source), ["a {b:?} \"c\"", "d e"]);
    assert_eq!(literals(source).last().unwrap().1, "g");
    assert!(is_in(
        "app \"…\" not found: it has …",
        "app \"{name}\" not found: it has {known}"
    ));
    assert!(!is_in("not found … app", "app \"{name}\" not found"));
    assert!(says_nothing_itself("{0}") && !says_nothing_itself("{0} is empty"));
}
