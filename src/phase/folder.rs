//! Phase's folders.

use std::fmt;

/// The path of a folder as the server writes it: `/`, or `/a/b` without a
/// slash at the end. Folders are compared whole and case-sensitively.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Folder(String);

impl Folder {
    /// The top folder.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The folder of a text, normalised as the server does: repeated slashes
    /// are one, a leading slash is added, one at the end removed.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let names: Vec<_> = text.split('/').filter(|name| !name.is_empty()).collect();
        Self(format!("/{}", names.join("/")))
    }

    /// What is below this folder in `other`: `""` for the folder itself, `b/c`
    /// for `/a/b/c` seen from `/a`, nothing for a folder elsewhere.
    #[must_use]
    pub fn below<'a>(&self, other: &'a Self) -> Option<&'a str> {
        let rest = if self.0 == "/" {
            other.0.as_str()
        } else {
            other.0.strip_prefix(&self.0)?
        };
        match rest {
            "" | "/" => Some(""),
            _ => rest.strip_prefix('/'),
        }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_normalised_as_the_server_does() {
        for (text, folder) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("a", "/a"),
            ("/a/", "/a"),
            ("//a///b/", "/a/b"),
            ("/a/../b", "/a/../b"),
            ("/two words/café", "/two words/café"),
        ] {
            assert_eq!(Folder::parse(text).as_str(), folder, "{text:?}");
        }
    }

    #[test]
    fn only_whole_names_count_as_below() {
        let a = Folder::parse("/a");
        assert_eq!(a.below(&Folder::parse("/a")), Some(""));
        assert_eq!(a.below(&Folder::parse("/a/b/c")), Some("b/c"));
        assert_eq!(a.below(&Folder::parse("/ab")), None);
        assert_eq!(a.below(&Folder::parse("/")), None);
        assert_eq!(Folder::root().below(&Folder::root()), Some(""));
        assert_eq!(Folder::root().below(&Folder::parse("/a/b")), Some("a/b"));
    }
}
