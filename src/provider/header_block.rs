//! One field of an HPACK header block, exchanged without decoding any string.

/// The block with its `:authority` replaced by `localhost`. `None` if it has
/// none, has that one already, or is not understood: then nothing may change.
///
/// Both sides keep a table of earlier fields and refer to it by index, counted
/// from the newest. The writer remembers the path, the reader `localhost`: they
/// stay aligned because our entry is never the larger one, so that the reader
/// never drops an entry to which the writer still refers. Hence a value that
/// might be shorter than `localhost` is left alone; an indexed field needs no
/// change, because the reader's entry is already ours.
pub(super) fn localhost(block: &[u8]) -> Option<Vec<u8>> {
    let mut at = 0;
    while at < block.len() {
        let (name, mut value) = match block[at] {
            // An indexed field, or a new table size: an integer and nothing else.
            0x80.. => {
                at = integer(block, at, 7)?.1;
                continue;
            }
            0x20..0x40 => {
                at = integer(block, at, 5)?.1;
                continue;
            }
            // A literal field that enters the table, and one that does not.
            0x40..0x80 => integer(block, at, 6)?,
            0x00..0x20 => integer(block, at, 4)?,
        };
        let mut authority = name == AUTHORITY;
        if name == 0 {
            let text = value;
            value = string(block, text)?;
            authority = [NAME, NAME_HUFFMAN].contains(&&block[text..value]);
        }
        let end = string(block, value)?;
        if authority {
            return replaceable(&block[value..end])
                .then(|| [&block[..value], LOCALHOST, &block[end..]].concat());
        }
        at = end;
    }
    None
}

/// Whether a value may give way to `localhost`: it is not shorter and not
/// already that. A Huffman text of eight bytes stands for nine or more, because
/// writers choose that form only where it is the shorter one.
fn replaceable(value: &[u8]) -> bool {
    let least = if value[0] & HUFFMAN == 0 {
        LOCALHOST.len()
    } else {
        LOCALHOST.len() - 1
    };
    value.len() >= least && value != LOCALHOST
}

/// The integer that starts at `at` with a prefix of `bits`, and where it ends.
fn integer(block: &[u8], at: usize, bits: u8) -> Option<(usize, usize)> {
    let mask = (1 << bits) - 1;
    let prefix = usize::from(*block.get(at)?) & mask;
    if prefix < mask {
        return Some((prefix, at + 1));
    }
    let mut value = mask;
    for (more, shift) in [0, 7, 14].into_iter().enumerate() {
        let byte = *block.get(at + 1 + more)?;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at + 2 + more));
        }
    }
    None
}

/// Where the string that starts at `at` ends; always past `at`.
fn string(block: &[u8], at: usize) -> Option<usize> {
    let (length, start) = integer(block, at, 7)?;
    let end = start + length;
    (end <= block.len()).then_some(end)
}

/// Index in the static table of every HTTP/2 party.
const AUTHORITY: usize = 1;
/// Marks a string in Huffman code.
const HUFFMAN: u8 = 0x80;
// Strings as they are written: one byte of length, then the text.
const LOCALHOST: &[u8] = b"\x09localhost";
const NAME: &[u8] = b"\x0a:authority";
const NAME_HUFFMAN: &[u8] = b"\x88\xb8\x3b\x53\x39\xec\x32\x7d\x7f";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &[u8] = b"/var/run/providers/phase.sock";

    fn field(head: &[u8], value: &[u8]) -> Vec<u8> {
        [head, &[u8::try_from(value.len()).expect("short")], value].concat()
    }

    /// `:method: POST` and `:scheme: http`, as indexed fields.
    const BEFORE: &[u8] = &[0x83, 0x86];
    /// `te: trailers` spelled out, which enters the table.
    const AFTER: &[u8] = b"\x40\x02te\x08trailers";

    fn around(authority: &[u8]) -> Vec<u8> {
        [BEFORE, authority, AFTER].concat()
    }

    #[test]
    fn every_way_to_write_the_name_is_recognised() {
        let plain = [b"\x40", NAME].concat();
        let huffman = [b"\x40", NAME_HUFFMAN].concat();
        let unindexed = [b"\x00", NAME].concat();
        for head in [&[0x41][..], &[0x01], &[0x11], &plain, &huffman, &unindexed] {
            let rewritten = localhost(&around(&field(head, PATH)));
            assert_eq!(
                rewritten,
                Some(around(&field(head, b"localhost"))),
                "{head:x?}"
            );
        }
    }

    #[test]
    fn a_huffman_value_is_replaced_by_a_plain_one() {
        // "/provider/phase.sock" has 20 characters and 15 bytes in Huffman code.
        let value = [&[0x80 | 15][..], &[0x62; 15]].concat();
        let block = around(&[&[0x41][..], &value].concat());
        assert_eq!(
            localhost(&block),
            Some(around(&field(&[0x41], b"localhost")))
        );
    }

    #[test]
    fn a_value_whose_length_takes_two_three_or_four_bytes_is_replaced() {
        // 300 = 127 + 173, and 20,000 = 127 + 19,873; seven bits a byte.
        let lengths: [(usize, &[u8]); 3] = [
            (200, &[0x7f, 0x49]),
            (300, &[0x7f, 0xad, 0x01]),
            (20_000, &[0x7f, 0xa1, 0x9b, 0x01]),
        ];
        for (length, written) in lengths {
            let value = [&[0x41][..], written, &vec![b'/'; length]].concat();
            let expected = around(&field(&[0x41], b"localhost"));
            assert_eq!(localhost(&around(&value)), Some(expected), "{length}");
        }
    }

    #[test]
    fn localhost_is_left_in_either_form() {
        let huffman = [0x41, 0x86, 0xa0, 0xe4, 0x1d, 0x13, 0x9d, 0x09];
        assert_eq!(localhost(&around(&huffman)), None);
        assert_eq!(localhost(&around(&field(&[0x41], b"localhost"))), None);
    }

    #[test]
    fn a_value_shorter_than_localhost_is_left_because_the_tables_would_part() {
        for value in [&b""[..], b"/a.sock", b"/ab.sock"] {
            assert_eq!(localhost(&around(&field(&[0x41], value))), None);
        }
        assert!(localhost(&around(&field(&[0x41], b"/abc.sock"))).is_some());
        let huffman =
            |length: u8| [&[0x41, 0x80 | length][..], &vec![0x62; length.into()]].concat();
        assert_eq!(localhost(&around(&huffman(7))), None);
        assert!(localhost(&around(&huffman(8))).is_some());
    }

    #[test]
    fn an_indexed_field_and_other_fields_are_left() {
        assert_eq!(localhost(&[0x81, 0x83, 0xbe]), None);
        assert_eq!(localhost(&around(&field(&[0x44], PATH))), None);
        assert_eq!(
            localhost(&around(&field(b"\x40\x0a:authoritz", PATH))),
            None
        );
        assert_eq!(localhost(b""), None);
    }

    #[test]
    fn a_new_table_size_is_passed_over() {
        let before = [&[0x3f, 0xe1, 0x1f, 0x20][..], &field(&[0x41], PATH)].concat();
        let after = [&[0x3f, 0xe1, 0x1f, 0x20][..], &field(&[0x41], b"localhost")].concat();
        assert_eq!(localhost(&before), Some(after));
    }

    #[test]
    fn only_the_first_of_two_is_replaced_and_the_reader_refuses_them() {
        let twice = [field(&[0x41], PATH), field(&[0x41], PATH)].concat();
        let once = [field(&[0x41], b"localhost"), field(&[0x41], PATH)].concat();
        assert_eq!(localhost(&twice), Some(once.clone()));
        assert_eq!(localhost(&once), None);
    }

    #[test]
    fn a_block_that_ends_too_soon_is_left() {
        let whole = field(&[0x41], PATH);
        for end in 0..whole.len() {
            assert_eq!(localhost(&whole[..end]), None, "{end}");
        }
        // An integer without end, and a length beyond the block.
        assert_eq!(localhost(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(localhost(&[0x41, 0x7f, 0xff, 0xff, 0xff, 0x7f]), None);
    }

    proptest! {
        #[test]
        fn no_block_panics_and_a_rewritten_one_is_left_the_second_time(block in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(rewritten) = localhost(&block) {
                prop_assert_eq!(localhost(&rewritten), None);
            }
        }

        #[test]
        fn what_stands_around_the_value_does_not_change(
            before in prop::collection::vec(field_of_any_kind(), 0..6),
            after in prop::collection::vec(any::<u8>(), 0..60),
            value in "/[a-z/.]{8,100}",
        ) {
            let around = |value: &[u8]| [before.concat(), field(&[0x41], value), after.clone()].concat();
            prop_assert_eq!(localhost(&around(value.as_bytes())), Some(around(b"localhost")));
        }
    }

    fn field_of_any_kind() -> impl Strategy<Value = Vec<u8>> {
        let text = || prop::collection::vec(any::<u8>(), 0..50);
        prop_oneof![
            (0x81..0xff_u8).prop_map(|indexed| vec![indexed]),
            (0x20..0x3f_u8).prop_map(|size| vec![size]),
            (0x42..0x7f_u8, text()).prop_map(|(head, value)| field(&[head], &value)),
            (prop::sample::select(vec![0x00, 0x10, 0x40]), text(), text()).prop_map(
                |(head, name, value)| [vec![head], field(&[], &name), field(&[], &value)].concat()
            ),
        ]
    }
}
