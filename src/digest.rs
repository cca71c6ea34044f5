//! One name for several texts.

use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256 over parts, each with its length before it, which keeps them apart.
pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The first half of [`of_parts`]: enough to tell things apart.
pub(crate) fn id<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&of_parts(parts)[..16]);
    id
}

/// Of names with values, for this purpose alone.
pub(crate) fn of_texts<'a>(
    purpose: &'a str,
    texts: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> [u8; 32] {
    let texts = texts.into_iter();
    let texts = texts.flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    of_parts([purpose.as_bytes()].into_iter().chain(texts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        let of = |parts: &[&str]| of_parts(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", "c"]), of(&["ab", "c", ""]));
    }
}
