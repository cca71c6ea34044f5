//! One glob: its text alone is kept, and each step of matching is counted.

use glob::Pattern;

use super::GlobError;

/// How many characters a glob may have.
pub(super) const LONGEST: usize = 256;

/// A glob over key names. It takes no more memory than its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// What stands at one place of a glob.
enum Token<'a> {
    /// One character.
    One(char),
    /// `?`.
    Any,
    /// `*`.
    Run,
    /// `**`: nothing, or a text that ends in a slash.
    Folders,
    /// `[…]` or `[!…]`.
    Class { inside: &'a str, is_negated: bool },
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// When it is none, or longer than 256 characters.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.chars().nth(LONGEST).is_some() {
            return Err(GlobError::Long);
        }
        match Pattern::new(text) {
            Ok(_) => Ok(Self(text.into())),
            Err(error) => Err(GlobError::Syntax {
                at: error.pos + 1,
                reason: error.msg,
            }),
        }
    }

    /// How many bytes its text has.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a whole key matches. Every step is taken off `fuel`; without fuel nothing
    /// matches.
    pub(super) fn matches(&self, key: &str, fuel: &mut u64) -> bool {
        let (mut at, mut rest) = (0, key);
        // Where the last `*` or `**` ends in the glob, what of the key it left, and which.
        let mut wild: Option<(usize, &str, bool)> = None;
        loop {
            if *fuel == 0 {
                return false;
            }
            *fuel -= 1;
            match self.token(at) {
                None if rest.is_empty() => return true,
                Some((Token::Run | Token::Folders, next)) if next == self.0.len() => return true,
                Some((token @ (Token::Run | Token::Folders), next)) => {
                    wild = Some((next, rest, matches!(token, Token::Folders)));
                    at = next;
                    continue;
                }
                Some((token, next)) => {
                    let Some(first) = rest.chars().next() else {
                        return false;
                    };
                    if token.takes(first, fuel) {
                        (at, rest) = (next, &rest[first.len_utf8()..]);
                        continue;
                    }
                }
                None => {}
            }
            let Some((after, left, of_folders)) = &mut wild else {
                return false;
            };
            let Some(more) = shorter(left, *of_folders) else {
                return false;
            };
            *left = more;
            (at, rest) = (*after, more);
        }
    }

    /// What stands at a place of the glob, and where it ends.
    fn token(&self, at: usize) -> Option<(Token<'_>, usize)> {
        let text = &self.0[at..];
        let first = text.chars().next()?;
        let (token, length) = match first {
            '?' => (Token::Any, 1),
            '*' if text.starts_with("**/") => (Token::Folders, 3),
            '*' if text.starts_with("**") => (Token::Folders, 2),
            '*' => (Token::Run, 1),
            '[' => class(text)?,
            one => (Token::One(one), one.len_utf8()),
        };
        Some((token, at + length))
    }
}

/// What is left of a key when `*` takes one character more, or `**` one folder more.
fn shorter(key: &str, of_folders: bool) -> Option<&str> {
    if of_folders {
        return Some(&key[key.find('/')? + 1..]);
    }
    let first = key.chars().next()?;
    Some(&key[first.len_utf8()..])
}

/// The class at the beginning of a text. Its first character may be a `]` itself.
fn class(text: &str) -> Option<(Token<'_>, usize)> {
    let is_negated = text.starts_with("[!");
    let begin = if is_negated { 2 } else { 1 };
    let first = text[begin..].chars().next()?.len_utf8();
    let end = begin + first + text[begin + first..].find(']')?;
    let inside = &text[begin..end];
    Some((Token::Class { inside, is_negated }, end + 1))
}

impl Token<'_> {
    fn takes(&self, one: char, fuel: &mut u64) -> bool {
        match self {
            Self::One(own) => *own == one,
            Self::Any => true,
            Self::Run | Self::Folders => false,
            Self::Class { inside, is_negated } => {
                *fuel = fuel.saturating_sub(inside.len() as u64);
                lists(inside, one) != *is_negated
            }
        }
    }
}

/// Whether a character is one of `abc` or between the two of `a-c`.
fn lists(inside: &str, one: char) -> bool {
    let mut rest = inside.chars();
    while let Some(first) = rest.next() {
        let mut ahead = rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) => {
                if (first..=last).contains(&one) {
                    return true;
                }
                rest = ahead;
            }
            _ if first == one => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        /// As the crate decides that reads it, whose patterns take 60 times the memory.
        #[test]
        fn it_matches_what_the_crate_matches(
            text in "([ab?*]|\\*\\*/|/|/\\*\\*|\\[!?[]ab-]{1,3}\\]){0,7}",
            key in "[ab/é-]{0,7}",
        ) {
            if let Ok(pattern) = Pattern::new(&text) {
                let glob = Glob::parse(&text).expect("the crate takes it");
                let mut fuel = u64::MAX;
                prop_assert_eq!(glob.matches(&key, &mut fuel), pattern.matches(&key));
            }
        }
    }

    #[test]
    fn the_work_is_counted_and_ends_with_the_fuel() {
        let glob = Glob::parse(&format!("*{}b", "a".repeat(100))).expect("a glob");
        let key = "a".repeat(10_000);
        let mut fuel = u64::MAX;
        assert!(!glob.matches(&key, &mut fuel));
        assert!(u64::MAX - fuel > 900_000, "a step for each comparison");
        let mut fuel = 1_000;
        assert!(!glob.matches(&key, &mut fuel));
        assert_eq!(fuel, 0);
        // A class costs what it lists.
        let class = Glob::parse(&format!("[{}]", "b".repeat(200))).expect("a glob");
        let mut fuel = 1_000;
        assert!(!class.matches("a", &mut fuel));
        assert!(fuel < 800, "{fuel}");
    }
}
