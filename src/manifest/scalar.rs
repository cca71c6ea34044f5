//! What the API server takes an unquoted word for.

use crate::yaml::{Data, Node, Style};

/// What a value is once kubectl has read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A text.
    Text,
    /// `true`, `no`, `on` and their like, unquoted.
    Switch,
    /// A number, unquoted.
    Number,
    /// Nothing, or a word for it.
    Nothing,
    /// A list.
    List,
    /// A map.
    Map,
}

/// Words that YAML 1.1, and so kubectl, takes for true or false.
const SWITCHES: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "y", "n"];

/// What kubectl makes of a value.
#[must_use]
pub fn scalar(node: &Node) -> Scalar {
    match &node.data {
        _ if node.is_null() => Scalar::Nothing,
        Data::List(_) => Scalar::List,
        Data::Map(_) => Scalar::Map,
        Data::Text { text, style } => match style {
            Style::Plain if is_switch(text) => Scalar::Switch,
            Style::Plain if is_number(text) => Scalar::Number,
            _ => Scalar::Text,
        },
    }
}

/// Small, Capitalised or CAPITALS; not mixed.
fn is_switch(text: &str) -> bool {
    let rest = text.get(1..).unwrap_or_default();
    let one_case = rest == rest.to_ascii_lowercase() || text == text.to_ascii_uppercase();
    one_case && SWITCHES.contains(&text.to_ascii_lowercase().as_str())
}

fn is_number(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(bare.to_ascii_lowercase().as_str(), ".inf" | ".nan") {
        return true;
    }
    let digits = bare.replace('_', "");
    let based = |prefix: &str, radix| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| u64::from_str_radix(rest, radix).is_ok())
    };
    based("0x", 16) || based("0o", 8) || based("0b", 2) || is_decimal(&digits)
}

/// Rust also takes words like `inf`, which are texts in YAML.
fn is_decimal(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    begins && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Scalar {
        let documents = crate::yaml::documents(&format!("x: {text}\n")).expect("is YAML");
        scalar(documents[0].get("x").expect("there"))
    }

    #[test]
    fn unquoted_words_are_what_kubectl_takes_them_for() {
        for (text, expected) in [
            ("true", Scalar::Switch),
            ("No", Scalar::Switch),
            ("ON", Scalar::Switch),
            ("y", Scalar::Switch),
            ("tRue", Scalar::Text),
            ("\"true\"", Scalar::Text),
            ("0644", Scalar::Number),
            ("-1.5e3", Scalar::Number),
            ("1_000", Scalar::Number),
            ("0x1F", Scalar::Number),
            (".inf", Scalar::Number),
            ("inf", Scalar::Text),
            ("1.2.3", Scalar::Text),
            ("2026-11-24", Scalar::Text),
            ("production", Scalar::Text),
            ("/", Scalar::Text),
            ("", Scalar::Nothing),
            ("~", Scalar::Nothing),
            ("[a]", Scalar::List),
            ("{a: b}", Scalar::Map),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
