//! Texts as YAML that every reader takes for the same text, and comments.

use super::Scalar;
use super::scalar::scalar as kind;
use crate::yaml::{Data, Node, Place, Style};

/// A text as a scalar: bare where that is safe, else in double quotes.
pub(crate) fn as_scalar(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let bare = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    if begins && text.chars().all(bare) && is_text(text) {
        return text.to_owned();
    }
    let json = serde_json::Value::from(text).to_string();
    json.chars().map(escaped).collect()
}

/// What JSON leaves bare and YAML does not take, or takes for the end of a line.
fn escaped(c: char) -> String {
    let others = ['\u{2028}', '\u{2029}', '\u{feff}', '\u{fffe}', '\u{ffff}'];
    if c.is_control() || others.contains(&c) {
        format!("\\u{:04x}", u32::from(c))
    } else {
        c.into()
    }
}

fn is_text(text: &str) -> bool {
    let node = Node {
        data: Data::Text {
            text: text.to_owned(),
            style: Style::Plain,
        },
        at: Place::default(),
    };
    kind(&node) == Scalar::Text
}

/// A line of comment; nothing in it can end the line.
pub(crate) fn comment(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("# {line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_itself() {
        for text in [
            "production",
            "/",
            "/a/b",
            "yes",
            "0644",
            "a: b",
            "- a",
            "#",
            "",
            " a ",
            "a\nb",
            "\"",
            "null",
            "{{x}}",
            "é",
            "\u{7f}",
            "\u{85}\u{2028}\u{feff}",
            "🔐",
        ] {
            let source = format!("x: {}\n", as_scalar(text));
            let documents = crate::yaml::documents(&source).expect("is YAML");
            let node = documents[0].get("x").expect("there");
            assert_eq!(node.text(), Some(text), "{source}");
            assert_eq!(kind(node), Scalar::Text, "{source}");
        }
    }

    #[test]
    fn a_comment_stays_on_its_line() {
        assert_eq!(comment("a\nb: c\r"), "# a b: c \n");
    }
}
