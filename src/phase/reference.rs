//! `${…}`: the text of a reference, before anything is looked up.

use std::ops::Range;

use super::folder::Folder;

/// Where a reference points.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The app's name; nothing means the app that the value was read from.
    pub app: Option<String>,
    /// The environment's name; nothing means the one the value was read from.
    pub environment: Option<String>,
    /// The folder; a reference without one means the top folder, wherever the
    /// referring secret lies.
    pub folder: Folder,
    /// The key, case-sensitive.
    pub key: String,
}

/// One reference in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its bytes in the value, braces included.
    pub place: Range<usize>,
    /// What it names; nothing when it is malformed (`${app::KEY}` without an
    /// environment, or no key).
    pub target: Option<Reference>,
}

/// All references of a value, in order.
///
/// `${`, at least one character that is not `}`, then `}`. `${{…}}` is other
/// tools' syntax and stays as it is, as do `${}` and a `${` that never ends.
/// There is no escape.
pub fn find(value: &str) -> impl Iterator<Item = Found> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(start) = value[at..].find("${").map(|start| at + start) {
            let inner = start + 2;
            let Some(end) = value[inner..].find('}').map(|end| inner + end) else {
                break;
            };
            let name = &value[inner..end];
            // Of `${}` only the first character is consumed: what follows may begin a reference.
            at = if name.is_empty() { inner } else { end + 1 };
            if !name.is_empty() && !name.starts_with('{') {
                return Some(Found {
                    place: start..end + 1,
                    target: parse(name),
                });
            }
        }
        at = value.len();
        None
    })
}

/// Splits at the first `::`, then at the first `.`, then at the last `/`.
fn parse(name: &str) -> Option<Reference> {
    let (app, rest) = match name.split_once("::") {
        Some((app, rest)) => (Some(app), rest),
        None => (None, name),
    };
    let (environment, rest) = match rest.split_once('.') {
        Some((environment, rest)) => (Some(environment), rest),
        None => (None, rest),
    };
    let (folder, key) = rest.rsplit_once('/').unwrap_or(("", rest));
    let named = |name: Option<&str>| name.is_none_or(|name| !name.is_empty());
    let whole = !key.is_empty() && named(app) && named(environment);
    let has_environment = app.is_none() || environment.is_some();
    (whole && has_environment).then(|| Reference {
        app: app.map(str::to_owned),
        environment: environment.map(str::to_owned),
        folder: Folder::parse(folder),
        key: key.to_owned(),
    })
}

/// Whether an error may quote a reference: it is part of a secret value, and
/// what does not look like one (`${` in a password) is not to be shown.
#[must_use]
pub fn is_quotable(text: &str) -> bool {
    const LONGEST: usize = 120;
    let plain = |c: char| c.is_alphanumeric() || "_-.:/ {}$".contains(c);
    let target = find(text).next().and_then(|found| found.target);
    text.len() <= LONGEST && text.chars().all(plain) && target.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<Reference> {
        let found: Vec<_> = find(text).collect();
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].place, 0..text.len());
        found.into_iter().next().and_then(|found| found.target)
    }

    fn reference(app: &str, environment: &str, folder: &str, key: &str) -> Option<Reference> {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        Some(Reference {
            app: named(app),
            environment: named(environment),
            folder: Folder::parse(folder),
            key: key.to_owned(),
        })
    }

    #[test]
    fn all_forms_are_read() {
        for (text, expected) in [
            ("${KEY}", reference("", "", "/", "KEY")),
            ("${/a/b/KEY}", reference("", "", "/a/b", "KEY")),
            ("${a/b/KEY}", reference("", "", "/a/b", "KEY")),
            ("${env.KEY}", reference("", "env", "/", "KEY")),
            ("${env./a/b/KEY}", reference("", "env", "/a/b", "KEY")),
            ("${app::env.KEY}", reference("app", "env", "/", "KEY")),
            ("${app::env./a/KEY}", reference("app", "env", "/a", "KEY")),
            ("${env.my.key}", reference("", "env", "/", "my.key")),
            ("${ KEY }", reference("", "", "/", " KEY ")),
            (
                "${two words::prod.KEY}",
                reference("two words", "prod", "/", "KEY"),
            ),
        ] {
            assert_eq!(one(text), expected, "{text}");
        }
    }

    #[test]
    fn malformed_references_have_no_target() {
        for text in ["${app::KEY}", "${a/}", "${env.}", "${.KEY}", "${::env.KEY}"] {
            assert_eq!(one(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_reference_stays() {
        for text in [
            "",
            "$",
            "${",
            "${}",
            "${not closed",
            "$KEY",
            "${{A.B}}",
            "{KEY}",
        ] {
            assert_eq!(find(text).count(), 0, "{text}");
        }
    }

    #[test]
    fn neighbours_are_found_each_at_its_place() {
        let text = "a${A}${{B}} $${C}${}${D}";
        let places: Vec<_> = find(text).map(|f| &text[f.place]).collect();
        assert_eq!(places, ["${A}", "${C}", "${D}"]);
    }

    #[test]
    fn a_password_that_looks_like_a_reference_is_not_quoted() {
        assert!(is_quotable("${Staging.API_URL}"));
        assert!(!is_quotable("${p@ss!}"));
        assert!(!is_quotable("${app::KEY}"));
        assert!(!is_quotable(&format!("${{{}}}", "x".repeat(200))));
    }
}
