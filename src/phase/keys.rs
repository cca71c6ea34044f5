//! Which keys a selection takes: all, one, or those that match globs.

mod glob;

use std::sync::atomic::{AtomicU64, Ordering};

pub use glob::Glob;

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
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

/// How many steps of matching are left to one mount, whatever its globs and keys are.
#[derive(Debug)]
pub struct Fuel(AtomicU64);

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// Longer than any key.
    #[error("is longer than {} characters: shorten it", glob::LONGEST)]
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

/// Steps for the globs of one mount: a second of work at most. 2,000 entries over 500 keys
/// take some 3 million.
pub const MOST_STEPS: u64 = 200_000_000;

impl Fuel {
    /// So many steps.
    #[must_use]
    pub const fn new(steps: u64) -> Self {
        Self(AtomicU64::new(steps))
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn spend(&self, steps: u64) {
        let spent = |left: u64| Some(left.saturating_sub(steps));
        // It always succeeds: there is always a new value.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
    }
}

impl Keys {
    /// Whether a key is taken.
    #[must_use]
    pub fn take(&self, key: &str) -> bool {
        self.take_within(key, &Fuel::new(MOST_STEPS))
    }

    /// Whether a key is taken; its work is taken off `fuel`, and without fuel globs take nothing.
    #[must_use]
    pub fn take_within(&self, key: &str, fuel: &Fuel) -> bool {
        match self {
            Self::All => true,
            Self::One(name) => name == key,
            Self::Matching(globs) => globs.take(key, fuel),
        }
    }

    /// How many bytes it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::All => 0,
            Self::One(name) => name.len(),
            Self::Matching(Globs { include, exclude }) => {
                let globs = include.iter().chain(exclude);
                globs.map(|glob| size_of::<Glob>() + glob.len()).sum()
            }
        }
    }
}

impl Globs {
    /// Every key that matches one of `include`, all where there is none, and none of `exclude`.
    #[must_use]
    pub const fn new(include: Vec<Glob>, exclude: Vec<Glob>) -> Self {
        Self { include, exclude }
    }

    fn take(&self, key: &str, fuel: &Fuel) -> bool {
        let had = fuel.left();
        let mut left = had;
        let mut matches = |glob: &Glob| glob.matches(key, &mut left);
        let is_taken = (self.include.is_empty() || self.include.iter().any(&mut matches))
            && !self.exclude.iter().any(&mut matches)
            && left > 0;
        fuel.spend(had - left);
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(include: &[&str], exclude: &[&str], key: &str) -> bool {
        let globs = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| Glob::parse(text).expect("a glob"))
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
        let text = Glob::parse("[a").expect_err("open").to_string();
        assert!(text.starts_with("is not a glob: "), "{text}");
        assert!(
            text.contains(" at character 1: use *, ? and [ab]"),
            "{text}"
        );
        assert_eq!(Glob::parse(&"x".repeat(257)), Err(GlobError::Long));
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

    #[test]
    fn without_fuel_nothing_is_taken_and_it_shows() {
        let keys = |include: &str, exclude: &str| {
            let globs = |text: &str| vec![Glob::parse(text).expect("a glob")];
            Keys::Matching(Globs::new(globs(include), globs(exclude)))
        };
        let fuel = Fuel::new(100);
        assert!(keys("A*", "AB").take_within("AC", &fuel));
        assert!(fuel.left() < 100);
        let costly = keys("*", "*aaaaaaaab");
        assert!(!costly.take_within(&"a".repeat(100), &fuel));
        assert_eq!(fuel.left(), 0);
        assert!(!keys("A*", "AB").take_within("AC", &fuel));
    }
}
