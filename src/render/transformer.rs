//! The operator's name transformers.

/// Makes a file's name, or a format's key, of a Phase key: exactly as the
/// operator's `nameTransformer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transformer {
    /// `camel`: `secretKey`.
    Camel,
    /// `upper-camel`: `SecretKey`.
    UpperCamel,
    /// `lower-snake`: `secret_key`.
    LowerSnake,
    /// `tf-var`: `TF_VAR_secret_key`.
    TfVar,
    /// `lower-kebab`: `secret-key`.
    LowerKebab,
    /// `upper_snake`: the key unchanged, not in upper case.
    UpperSnake,
}

impl Transformer {
    const ALL: [Self; 6] = [
        Self::Camel,
        Self::UpperCamel,
        Self::LowerSnake,
        Self::TfVar,
        Self::LowerKebab,
        Self::UpperSnake,
    ];

    /// The names of all, in the order in which the operator lists them.
    pub const NAMES: [&'static str; 6] = [
        Self::Camel.name(),
        Self::UpperCamel.name(),
        Self::LowerSnake.name(),
        Self::TfVar.name(),
        Self::LowerKebab.name(),
        Self::UpperSnake.name(),
    ];

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Its name in a class.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Camel => "camel",
            Self::UpperCamel => "upper-camel",
            Self::LowerSnake => "lower-snake",
            Self::TfVar => "tf-var",
            Self::LowerKebab => "lower-kebab",
            Self::UpperSnake => "upper_snake",
        }
    }

    /// The name that it makes of a key. It may be empty, and two keys may get
    /// one name.
    #[must_use]
    pub fn apply(self, key: &str) -> String {
        let lower = || key.to_lowercase();
        match self {
            Self::Camel => match lower().split_once('_') {
                Some((first, others)) => format!("{first}{}", joined(others)),
                None => lower(),
            },
            Self::UpperCamel => joined(&lower()),
            Self::LowerSnake => lower(),
            Self::TfVar => format!("TF_VAR_{}", lower()),
            Self::LowerKebab => lower().replace('_', "-"),
            Self::UpperSnake => key.to_owned(),
        }
    }
}

/// The words of a lower-case key, each with a capital letter.
fn joined(key: &str) -> String {
    key.split('_').map(capitalised).collect()
}

/// As Python's `str.capitalize` does it, for all but a few letters that no key
/// begins with (Greek ones with an iota below, ŉ).
fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    format!("{}{}", title(first), letters.as_str())
}

/// A letter as a title has it: of `ß`, which is two letters in upper case, only
/// the first is large.
fn title(letter: char) -> String {
    // Unicode gives these letters a form of their own there.
    match letter {
        'ǆ' => return 'ǅ'.into(),
        'ǉ' => return 'ǈ'.into(),
        'ǌ' => return 'ǋ'.into(),
        'ǳ' => return 'ǲ'.into(),
        'ა'..='ჿ' => return letter.into(),
        _ => {}
    }
    let mut upper = letter.to_uppercase();
    let first = upper.next().into_iter();
    first.chain(upper.flat_map(char::to_lowercase)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_no_other() {
        for (name, transformer) in Transformer::NAMES.into_iter().zip(Transformer::ALL) {
            assert_eq!(transformer.name(), name);
            assert_eq!(Transformer::parse(name), Some(transformer));
        }
        for name in ["", "Camel", "upper-snake", "lower_snake", "dotnet-env"] {
            assert_eq!(Transformer::parse(name), None, "{name}");
        }
    }

    /// The operator also takes an unknown or empty name, and leaves the key as
    /// it is; here such a name is a mistake of the class, so two columns of the
    /// vectors have no transformer.
    #[test]
    fn every_key_gets_the_operators_name() {
        let vectors = include_str!("../../tests/vectors/name-transform.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).expect("well-formed");
        let cases = vectors["cases"].as_array().expect("a list");
        assert!(cases.len() > 25);
        for case in cases {
            let mut columns = case.as_object().expect("an object").clone();
            let key = columns.remove("key").expect("in every case");
            let key = key.as_str().expect("a text");
            for known in Transformer::ALL {
                let name = columns.remove(known.name()).expect("in every case");
                assert_eq!(known.apply(key), name, "{} of {key}", known.name());
            }
            let left: Vec<_> = columns.into_iter().collect();
            let unchanged = |name: &str| (name.to_owned(), key.into());
            assert_eq!(left, [unchanged("(empty)"), unchanged("nonexistent")]);
        }
    }

    #[test]
    fn letters_that_are_not_ascii_are_capitalised_as_in_python() {
        for (word, capital) in [
            ("ßtrasse", "Sstrasse"),
            ("ﬁle", "File"),
            ("ǆep", "ǅep"),
            ("თბილისი", "თბილისი"),
            ("ας", "Ας"),
            ("🦀", "🦀"),
        ] {
            assert_eq!(capitalised(word), capital);
        }
    }
}
