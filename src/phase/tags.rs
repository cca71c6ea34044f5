//! Which tags of an environment a name means.

use super::selection::{SelectionError, clipped, listed};

/// A tag that a class names, or that a secret has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    written: String,
    /// Lower case, `_` as a space.
    folded: String,
}

impl Tag {
    /// How many bytes its two texts have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.folded.len() + self.written.len()
    }

    /// Tags are alike in any case, and `_` is like a space.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let written = text.trim();
        Self {
            folded: written.to_lowercase().replace('_', " "),
            written: written.to_owned(),
        }
    }
}

/// The tags of an environment's secrets, each once.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// As they are written, in order; the place of one is its number.
    tags: Vec<Tag>,
    /// Their numbers, in the order of their folded forms.
    folded: Vec<u32>,
}

impl Tags {
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut tags: Vec<_> = texts.map(Tag::parse).collect();
        tags.sort_unstable();
        tags.dedup();
        tags.shrink_to_fit();
        let mut folded: Vec<_> = (0..).take(tags.len()).collect();
        folded.sort_by_key(|&tag: &u32| &tags[tag as usize].folded);
        Self { tags, folded }
    }

    /// The number of the tag that is written so.
    pub(super) fn number(&self, text: &str) -> Option<u32> {
        let text = text.trim();
        let found = self
            .tags
            .binary_search_by(|one| one.written.as_str().cmp(text));
        found.ok().and_then(|place| u32::try_from(place).ok())
    }

    /// The tag that is meant: the one that is written so, else the only one like it.
    ///
    /// # Errors
    /// When several are like it, and none is written so.
    pub(super) fn find(
        &self,
        wanted: &Tag,
        environment: &str,
    ) -> Result<Option<u32>, SelectionError> {
        if let Some(tag) = self.number(&wanted.written) {
            return Ok(Some(tag));
        }
        let of = |&tag: &u32| &self.tags[tag as usize];
        let begin = self
            .folded
            .partition_point(|tag| of(tag).folded < wanted.folded);
        let rest = &self.folded[begin..];
        match &rest[..rest.partition_point(|tag| of(tag).folded == wanted.folded)] {
            [] => Ok(None),
            [tag] => Ok(Some(*tag)),
            several => Err(SelectionError::AmbiguousTag {
                environment: clipped(environment),
                name: clipped(&wanted.written),
                count: several.len(),
                tags: listed(several, |tag| &of(tag).written),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_tag_as_it_is_written_wins_over_those_like_it() {
        let tags = Tags::new(["Prod", "prod", "db_creds", "Prod", " db creds ", "One"].into_iter());
        let find = |text: &str| tags.find(&Tag::parse(text), "production");
        for tag in ["Prod", "prod", "db_creds", "db creds", "One"] {
            assert_eq!(find(tag).unwrap(), tags.number(tag), "{tag}");
            assert!(tags.number(tag).is_some(), "{tag}");
        }
        assert_ne!(tags.number("Prod"), tags.number("prod"));
        assert_eq!(find("ONE").unwrap(), tags.number("One"));
        assert_eq!(find("two").unwrap(), None);
        assert_eq!(
            find("DB CREDS").unwrap_err().to_string(),
            "2 tags of environment \"production\" are written like \"DB CREDS\": name one as it is written: db creds, db_creds"
        );
    }
}
