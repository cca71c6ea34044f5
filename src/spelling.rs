//! The spelling that somebody may have meant.

/// No name that is known is longer; comparing a longer one would be work for nothing.
const LONGEST: usize = 128;

/// Of the known names, the one that `wrong` most likely means: equal but for
/// case and punctuation, or what `wrong` abbreviates, or at most two slips away.
pub(crate) fn near<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    if wrong.len() > LONGEST {
        return None;
    }
    let wrong = folded(wrong);
    let abbreviates = |name: &&&str| wrong.len() >= 3 && is_within(&wrong, &folded(name));
    let equal = known.iter().find(|name| folded(name) == wrong);
    let longer = known
        .iter()
        .filter(abbreviates)
        .min_by_key(|name| name.len());
    let slips = |name: &&&str| distance(&wrong, &folded(name));
    let close = known
        .iter()
        .filter(|name| slips(name) <= 2)
        .min_by_key(slips);
    equal.or(longer).or(close).copied()
}

fn folded(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// Whether all letters of `short` stand in `long`, in order.
fn is_within(short: &str, long: &str) -> bool {
    let mut long = long.chars();
    short.chars().all(|c| long.any(|other| other == c))
}

/// Letters to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<_> = b.chars().collect();
    let mut row: Vec<_> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = [
        "phaseApp",
        "phaseAppId",
        "phaseAppEnv",
        "phaseHost",
        "recursive",
    ];

    #[test]
    fn likely_meanings_are_found() {
        for (wrong, meant) in [
            ("phaseapp", Some("phaseApp")),
            ("phase_app", Some("phaseApp")),
            ("phaseEnv", Some("phaseAppEnv")),
            ("env", Some("phaseAppEnv")),
            ("host", Some("phaseHost")),
            ("recursiv", Some("recursive")),
            ("recrusive", Some("recursive")),
            ("phaseAppEnvv", Some("phaseAppEnv")),
            ("colour", None),
            (&format!("{}phaseApp", "_".repeat(120)), Some("phaseApp")),
            (&format!("{}phaseApp", "_".repeat(121)), None),
            ("", None),
        ] {
            assert_eq!(near(wrong, &KNOWN), meant, "{wrong}");
        }
    }
}
