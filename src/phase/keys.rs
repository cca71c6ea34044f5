//! Which keys a selection takes: all, one, or those that match globs.

use glob::Pattern;

/// Which keys a selection takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Every key.
    #[default]
    All,
    /// One key, by its whole name.
    One(String),
    /// Those that match.
    Matching(Globs),
}

/// Globs over key names: `*` is any text, `?` one character, `[ab]` one of these,
/// `[!ab]` one other. Whole names, and capitals matter, as they do in Phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// Longer than any key.
    #[error("is longer than {LONGEST} characters: shorten it")]
    Long,
    /// Not a glob.
    #[error("is not a glob: {reason} at character {at}: use *, ? and [ab], or [*] for a * itself")]
    Syntax {
        /// Where, from 1.
        at: usize,
        /// Why.
        reason: &'static str,
    },
}

const LONGEST: usize = 256;

/// One glob.
///
/// # Errors
/// When it is none, or longer than 256 characters.
pub fn glob(text: &str) -> Result<Pattern, GlobError> {
    if text.chars().count() > LONGEST {
        return Err(GlobError::Long);
    }
    Pattern::new(text).map_err(|error| GlobError::Syntax {
        at: error.pos + 1,
        reason: error.msg,
    })
}

impl Keys {
    /// Whether a key is taken.
    #[must_use]
    pub fn take(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(name) => name == key,
            Self::Matching(globs) => globs.take(key),
        }
    }
}

impl Globs {
    /// Every key that matches one of `include`, all where there is none, and none of `exclude`.
    #[must_use]
    pub const fn new(include: Vec<Pattern>, exclude: Vec<Pattern>) -> Self {
        Self { include, exclude }
    }

    fn take(&self, key: &str) -> bool {
        let matches = |pattern: &Pattern| pattern.matches(key);
        (self.include.is_empty() || self.include.iter().any(matches))
            && !self.exclude.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(include: &[&str], exclude: &[&str], key: &str) -> bool {
        let globs = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| glob(text).expect("a glob"))
                .collect()
        };
        Keys::Matching(Globs::new(globs(include), globs(exclude))).take(key)
    }

    #[test]
    fn whole_names_match_and_what_is_excluded_is_not_taken() {
        assert!(taken(&["DB_*"], &[], "DB_HOST"));
        assert!(!taken(&["DB_*"], &[], "db_host"));
        assert!(!taken(&["DB_*"], &[], "MY_DB_HOST"));
        assert!(!taken(&["DB_*"], &["*_HOST"], "DB_HOST"));
        assert!(taken(&[], &["*_HOST"], "DB_PORT"));
        assert!(taken(&["A", "B?"], &[], "B1"));
        assert!(taken(&["[!A]*"], &[], "B1"));
        assert!(taken(&["*"], &[], "näme/with.all"));
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        let text = glob("[a").expect_err("open").to_string();
        assert!(text.starts_with("is not a glob: "), "{text}");
        assert!(
            text.contains(" at character 1: use *, ? and [ab]"),
            "{text}"
        );
        assert_eq!(glob(&"x".repeat(257)), Err(GlobError::Long));
    }

    #[test]
    fn many_stars_do_not_take_long() {
        let key = "a".repeat(256);
        assert!(!taken(
            &[&"*a".repeat(127), "*b"],
            &["c"],
            &format!("{key}c")
        ));
    }
}
