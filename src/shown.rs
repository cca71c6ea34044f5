//! What somebody else wrote, as an error may show it.

/// How every token of Phase begins.
pub(crate) const TOKEN: &str = "pss_";

/// A text of at most so many characters, and an ellipsis for the rest. What looks like a
/// token is the rest too.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let told = match text.find(TOKEN) {
        Some(at) => &text[..at + TOKEN.len()],
        None => text,
    };
    let end = told
        .char_indices()
        .nth(most)
        .map_or(told.len(), |(at, _)| at);
    let rest = if end < text.len() { "…" } else { "" };
    format!("{}{rest}", &told[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_and_tokens_are_cut() {
        for (text, expected) in [
            ("", ""),
            ("KEY", "KEY"),
            ("éééé", "éééé"),
            ("ééééé", "éééé…"),
            ("pss_", "pss_"),
            ("pss_service:v2:00", "pss_…"),
            ("a pss_user:v1", "a ps…"),
            ("apss_user:v1", "apss…"),
        ] {
            assert_eq!(shown(text, 4), expected, "{text}");
        }
        assert_eq!(shown("my pss_user:v1:abc", 40), "my pss_…");
    }
}
