//! What a text of Phase takes in memory once it is read: known before it is, since a short
//! text of many empty things takes ten times its length.

/// What one object takes at most while it is read and put in order: the largest of ours
/// with its places in lists and maps, which have room for twice as many.
const OBJECT: u64 = 512;
/// The same of one field or item.
const ITEM: u64 = 32;

/// What a JSON text takes at most, in bytes, beside the text itself. Braces and commas
/// within texts count as well: there are next to none in keys and ciphertext.
pub(super) fn footprint(json: &[u8]) -> u64 {
    let (mut objects, mut items) = (0, 0);
    for byte in json {
        objects += u64::from(*byte == b'{');
        items += u64::from(matches!(byte, b',' | b'['));
    }
    json.len() as u64 + OBJECT * objects + ITEM * items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_empty_things_take_more_than_one_long_text() {
        let long = format!("[{{\"value\":\"{}\"}}]", "x".repeat(10_000));
        let many = format!("[{}]", vec!["{}"; 10_000 / 3].join(","));
        let (long, many) = (footprint(long.as_bytes()), footprint(many.as_bytes()));
        assert!(long < 11_000, "{long}");
        assert!(many > 1_500_000, "{many}");
    }
}
