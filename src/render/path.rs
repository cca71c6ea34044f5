//! What the driver accepts as a path in the volume.

/// Why a path is none. The driver would fail the whole call for each of these,
/// in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum PathProblem {
    /// A character that a terminal would act on, or NUL.
    #[error("its path holds a control character")]
    Control,
    /// `.` or `..`, or an empty name.
    #[error("its path holds a name that is empty, \".\" or \"..\"")]
    Dots,
    /// The volume keeps names that begin with two dots for itself.
    #[error("its path begins with \"..\"")]
    Hidden,
    /// More than 4,096 bytes.
    #[error("its path is longer than 4096 bytes")]
    Long,
    /// More than 255 bytes between two slashes.
    #[error("its path holds a name longer than 255 bytes")]
    LongName,
    /// A slash in a key would make folders of it.
    #[error("its name holds a slash")]
    Slash,
}

/// What a file name may have in bytes (Linux, `NAME_MAX`).
const LONGEST_NAME: usize = 255;
/// What a path may have in bytes, as the driver counts.
const LONGEST_PATH: usize = 4096;

/// Whether the driver accepts a path.
///
/// # Errors
/// The first reason why not.
pub fn check(path: &str) -> Result<(), PathProblem> {
    if path.chars().any(char::is_control) {
        return Err(PathProblem::Control);
    }
    if path.len() > LONGEST_PATH {
        return Err(PathProblem::Long);
    }
    for name in path.split('/') {
        if ["", ".", ".."].contains(&name) {
            return Err(PathProblem::Dots);
        }
        if name.len() > LONGEST_NAME {
            return Err(PathProblem::LongName);
        }
    }
    if path.starts_with("..") {
        return Err(PathProblem::Hidden);
    }
    Ok(())
}

/// A key that may be anything, short enough for an error.
pub(super) fn shown(key: &str) -> String {
    crate::shown::shown(key, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_paths() {
        let longest = "x".repeat(255);
        for path in [
            "KEY",
            ".env",
            "a/b/c",
            "with space",
            "=",
            "naïve 🦀",
            "back\\slash",
            &longest,
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn what_the_driver_would_refuse_is_refused() {
        let long_name = "x".repeat(256);
        let long_path = ["y".repeat(200).as_str(); 21].join("/");
        for (path, problem) in [
            ("", PathProblem::Dots),
            (".", PathProblem::Dots),
            ("..", PathProblem::Dots),
            ("a/../b", PathProblem::Dots),
            ("/a", PathProblem::Dots),
            ("a//b", PathProblem::Dots),
            ("a/", PathProblem::Dots),
            ("..data", PathProblem::Hidden),
            ("a\0b", PathProblem::Control),
            ("a\nb", PathProblem::Control),
            (&long_name, PathProblem::LongName),
            (&long_path, PathProblem::Long),
        ] {
            assert_eq!(check(path), Err(problem), "{path:?}");
        }
    }
}
