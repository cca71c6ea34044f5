//! The HTTP/2 frames of one header block, rewritten as a whole.

use super::header_block::localhost;

/// The head that every frame has.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// Reads the head at the start of `frame`, which has at least its nine bytes.
    pub(super) fn read(frame: &[u8]) -> Self {
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
        let stream = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
        Self {
            length,
            kind: frame[3],
            flags: frame[4],
            stream,
        }
    }
}

/// One frame of a header block: what stands before its part of the block, that
/// part, and padding.
struct Part<'a> {
    before: &'a [u8],
    block: &'a [u8],
    padding: &'a [u8],
}

impl<'a> Part<'a> {
    /// Splits the first frame off `frames`; `None` if its padding is wrong.
    fn split_off(frames: &mut &'a [u8]) -> Option<Self> {
        let head = Head::read(frames);
        let frame = take(frames, HEAD + head.length);
        let (mut start, mut end) = (HEAD, frame.len());
        if head.kind == HEADERS && head.flags & PADDED != 0 {
            end = end.checked_sub(usize::from(*frame.get(HEAD)?))?;
            start += 1;
        }
        if head.kind == HEADERS && head.flags & PRIORITY != 0 {
            start += PRIORITY_LENGTH;
        }
        let block = frame.get(start..end)?;
        Some(Self {
            before: &frame[..start],
            block,
            padding: &frame[end..],
        })
    }
}

/// The frames of a whole header block with its `:authority` replaced; `None` if
/// nothing is to be replaced. There are as many frames as before, cut where they
/// were cut as far as the block reaches.
pub(super) fn rewrite(mut frames: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Vec::new();
    while !frames.is_empty() {
        parts.push(Part::split_off(&mut frames)?);
    }
    let whole: Vec<u8> = parts.iter().flat_map(|part| part.block).copied().collect();
    let block = localhost(&whole)?;
    let mut rest = block.as_slice();
    let mut rewritten =
        Vec::with_capacity(block.len() + parts.len() * (HEAD + PRIORITY_LENGTH + 1));
    let last = parts.len() - 1;
    for (i, part) in parts.iter().enumerate() {
        let block = take(
            &mut rest,
            if i == last {
                usize::MAX
            } else {
                part.block.len()
            },
        );
        let length =
            u32::try_from(part.before.len() - HEAD + block.len() + part.padding.len()).ok()?;
        if length > MAX_FRAME {
            return None;
        }
        rewritten.extend_from_slice(&length.to_be_bytes()[1..]);
        rewritten.extend_from_slice(&part.before[3..]);
        rewritten.extend_from_slice(block);
        rewritten.extend_from_slice(part.padding);
    }
    Some(rewritten)
}

/// Cuts at most `n` bytes off the front.
pub(super) fn take<'a>(bytes: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (front, rest) = bytes.split_at(n.min(bytes.len()));
    *bytes = rest;
    front
}

/// The largest frame that this server takes: HTTP/2's own default. A larger one
/// passes and is refused by the library.
pub(super) const MAX_FRAME: u32 = 16_384;
pub(super) const HEAD: usize = 9;
pub(super) const HEADERS: u8 = 1;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_LENGTH: usize = 5;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const PATH: &[u8] = b"/var/run/providers/phase.sock";

    pub(in super::super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a test's frame is small");
        let head = [
            &length.to_be_bytes()[1..],
            &[kind, flags],
            &stream.to_be_bytes(),
        ];
        [head.concat().as_slice(), payload].concat()
    }

    /// A header block that has `authority` between two other fields.
    pub(in super::super) fn block(authority: &[u8]) -> Vec<u8> {
        let length = u8::try_from(authority.len()).expect("a test's authority is short");
        [&[0x83, 0x41, length], authority, b"\x40\x02te\x08trailers"].concat()
    }

    #[track_caller]
    fn becomes(before: &[Vec<u8>], after: &[Vec<u8>]) {
        assert_eq!(rewrite(&before.concat()), Some(after.concat()));
    }

    #[track_caller]
    fn passes(frames: &[Vec<u8>]) {
        assert_eq!(rewrite(&frames.concat()), None);
    }

    #[test]
    fn priority_and_padding_stay_where_they_are() {
        let payload = |authority: &[u8]| [&[3][..], b"prior", &block(authority), &[0; 3]].concat();
        let flags = END_HEADERS | PADDED | PRIORITY;
        becomes(
            &[frame(HEADERS, flags, 1, &payload(PATH))],
            &[frame(HEADERS, flags, 1, &payload(b"localhost"))],
        );
    }

    #[test]
    fn wrong_padding_and_a_missing_priority_pass() {
        passes(&[frame(
            HEADERS,
            END_HEADERS | PADDED,
            1,
            &[&[200][..], &block(PATH)].concat(),
        )]);
        passes(&[frame(HEADERS, END_HEADERS | PADDED, 1, &[])]);
        passes(&[frame(HEADERS, END_HEADERS | PRIORITY, 1, b"prio")]);
        passes(&[frame(HEADERS, END_HEADERS, 1, &[])]);
    }

    #[test]
    fn a_block_cut_anywhere_into_continuations_is_rewritten_in_as_many_frames() {
        let (before, after) = (block(PATH), block(b"localhost"));
        for cut in 0..=before.len() {
            let (head, tail) = before.split_at(cut);
            let in_frames = |head: &[u8], tail: &[u8]| {
                [
                    frame(HEADERS, 0, 1, head),
                    frame(CONTINUATION, END_HEADERS, 1, tail),
                ]
            };
            let (new_head, new_tail) = after.split_at(cut.min(after.len()));
            becomes(&in_frames(head, tail), &in_frames(new_head, new_tail));
        }
    }

    #[test]
    fn a_block_of_many_frames_with_empty_ones_is_rewritten() {
        let (before, after) = (block(PATH), block(b"localhost"));
        let cut = |block: &[u8]| {
            let (a, rest) = block.split_at(1);
            let (b, c) = rest.split_at(1);
            [
                frame(HEADERS, 0, 1, a),
                frame(CONTINUATION, 0, 1, &[]),
                frame(CONTINUATION, 0, 1, b),
                frame(CONTINUATION, END_HEADERS, 1, c),
            ]
        };
        becomes(&cut(&before), &cut(&after));
    }

    #[test]
    fn a_frame_that_would_grow_above_the_limit_passes() {
        // A Huffman value of eight bytes becomes nine plain ones.
        let mut payload = [&[0x41, 0x88][..], &[0x62; 8]].concat();
        payload.resize(MAX_FRAME as usize, 0x83);
        passes(&[frame(HEADERS, END_HEADERS, 1, &payload)]);
    }
}
