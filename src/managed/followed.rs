//! How far the users of a Secret have followed its content.

use std::fmt;

/// Behind a content whose users are not all restarted yet, in an annotation.
const PENDING: &str = " pending";

/// For which content the users of a Secret have been restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    /// The digest of the content that was written last.
    pub(super) content: String,
    /// Whether all have been; without it perhaps some, or none.
    pub(super) is_complete: bool,
}

impl Followed {
    /// With this content, after what was before. Without anything before, nobody has
    /// started with anything else.
    pub(super) fn towards(before: Option<&Self>, content: &str) -> Self {
        let is_so = |before: &Self| before.is_complete && before.content == content;
        Self {
            content: content.to_owned(),
            is_complete: before.is_none_or(is_so),
        }
    }

    /// As an annotation says it.
    pub(super) fn read(text: &str) -> Self {
        let (content, is_complete) = match text.strip_suffix(PENDING) {
            Some(content) => (content, false),
            None => (text, true),
        };
        Self {
            content: content.to_owned(),
            is_complete,
        }
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = if self.is_complete { "" } else { PENDING };
        write!(f, "{}{pending}", self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(text: &str) -> Followed {
        let read = Followed::read(text);
        assert_eq!(read.to_string(), text);
        read
    }

    #[test]
    fn whoever_has_not_followed_a_content_follows_whatever_comes_after_it() {
        for (before, now, after) in [
            (None, "a", "a"),
            (Some("a"), "a", "a"),
            (Some("a"), "b", "b pending"),
            (Some("a pending"), "a", "a pending"),
            // Some may have started with the one between.
            (Some("b pending"), "a", "a pending"),
        ] {
            let before = before.map(followed);
            assert_eq!(Followed::towards(before.as_ref(), now), followed(after));
        }
    }
}
