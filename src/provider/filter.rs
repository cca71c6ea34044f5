//! A client's byte stream, cut into HTTP/2 frames; header blocks are held until
//! they are whole.

use super::frames::{CONTINUATION, END_HEADERS, HEAD, HEADERS, Head, MAX_FRAME, rewrite, take};
use super::wiped::Passing;

/// What stands between a client's bytes and the HTTP/2 library.
pub(super) struct Filter {
    /// What may be read.
    pub(super) ready: Passing,
    state: State,
    /// The frames of a header block as far as they have arrived.
    held: Vec<u8>,
    /// Where in `held` the frame that is arriving begins.
    frame: usize,
}

#[derive(Clone, Copy)]
enum State {
    /// This many bytes of the connection preface have been seen.
    Preface(usize),
    /// In a frame's head, or in a header block.
    Frame,
    /// This many bytes of a frame's payload pass unseen.
    Payload(usize),
    /// Everything passes.
    Open,
}

impl Filter {
    /// Rewrites what a client says from its first byte on.
    pub(super) fn new() -> Self {
        Self::at(State::Preface(0))
    }

    /// Lets everything pass.
    pub(super) fn open() -> Self {
        Self::at(State::Open)
    }

    fn at(state: State) -> Self {
        Self {
            ready: Passing::default(),
            state,
            held: Vec::new(),
            frame: 0,
        }
    }

    /// Takes the client's next bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state {
                State::Preface(seen) => self.preface(seen, &mut bytes),
                State::Frame => self.collect(&mut bytes),
                State::Payload(left) => {
                    let n = left.min(bytes.len());
                    self.ready.extend(take(&mut bytes, n));
                    self.state = payload(left - n);
                }
                State::Open => self.ready.extend(take(&mut bytes, usize::MAX)),
            }
        }
    }

    /// Whether the client has said whole frames so far, and nothing of a next one.
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Frame) && self.held.is_empty()
    }

    /// The client says no more: what is held passes as it is.
    pub(super) fn end(&mut self) {
        self.release();
    }

    /// A client that does not begin as HTTP/2 does is none of our business.
    fn preface(&mut self, seen: usize, bytes: &mut &[u8]) {
        let part = take(bytes, PREFACE.len() - seen);
        self.ready.extend(part);
        let seen = seen + part.len();
        self.state = if !PREFACE[..seen].ends_with(part) {
            State::Open
        } else if seen == PREFACE.len() {
            State::Frame
        } else {
            State::Preface(seen)
        };
    }

    /// Holds the bytes of a frame's head, and of a header block's frames until
    /// the block is complete.
    fn collect(&mut self, bytes: &mut &[u8]) {
        let Some(head) = self
            .hold(HEAD, bytes)
            .then(|| Head::read(&self.held[self.frame..]))
        else {
            return;
        };
        if !self.continues(head) {
            self.release();
            self.state = payload(head.length);
            return;
        }
        if !self.hold(HEAD + head.length, bytes) {
            return;
        }
        if head.flags & END_HEADERS == 0 {
            self.frame = self.held.len();
            return;
        }
        if let Some(rewritten) = rewrite(&self.held) {
            self.held = rewritten;
        }
        self.release();
    }

    /// Whether the frame belongs to a header block that we want to see whole.
    fn continues(&self, head: Head) -> bool {
        let first = Head::read(&self.held);
        let kind = if self.frame == 0 {
            HEADERS
        } else {
            CONTINUATION
        };
        let total = self.frame + HEAD + head.length;
        let fits = head.length <= MAX_FRAME as usize && total <= MAX_BLOCK;
        head.kind == kind && head.stream == first.stream && fits
    }

    /// Moves bytes in until the frame that is arriving has `length` of them;
    /// says whether it has.
    fn hold(&mut self, length: usize, bytes: &mut &[u8]) -> bool {
        let missing = (self.frame + length).saturating_sub(self.held.len());
        self.held.extend_from_slice(take(bytes, missing));
        self.held.len() >= self.frame + length
    }

    fn release(&mut self) {
        self.ready.extend(&self.held);
        self.held.clear();
        self.frame = 0;
    }
}

const fn payload(left: usize) -> State {
    if left == 0 {
        State::Frame
    } else {
        State::Payload(left)
    }
}

/// What the filter makes of a client's bytes that arrive in pieces of `chunk`
/// bytes. For the fuzz target.
#[doc(hidden)]
#[must_use]
pub fn filtered(bytes: &[u8], chunk: usize) -> Vec<u8> {
    let mut filter = Filter::new();
    for piece in bytes.chunks(chunk.max(1)) {
        filter.push(piece);
    }
    filter.end();
    filter.ready.waiting().to_vec()
}

/// The most that is held of one client: two of the largest frames.
const MAX_BLOCK: usize = 2 * (HEAD + MAX_FRAME as usize);
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frames::tests::{PATH, block, frame};
    use super::*;

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        let settings = frame(4, 0, 0, &[]);
        [PREFACE, &settings, &frames.concat()].concat()
    }

    #[track_caller]
    fn becomes(before: &[Vec<u8>], after: &[Vec<u8>]) {
        assert_eq!(filtered(&connection(before), usize::MAX), connection(after));
    }

    #[track_caller]
    fn passes(frames: &[Vec<u8>]) {
        becomes(frames, frames);
    }

    #[test]
    fn a_path_in_a_headers_frame_becomes_localhost_and_the_frames_around_it_stay() {
        let data = frame(0, 1, 1, PATH);
        becomes(
            &[frame(HEADERS, END_HEADERS, 1, &block(PATH)), data.clone()],
            &[frame(HEADERS, END_HEADERS, 1, &block(b"localhost")), data],
        );
    }

    #[test]
    fn every_request_of_a_connection_is_rewritten() {
        let requests = |authority: &[u8]| -> Vec<_> {
            (0..5)
                .map(|i| frame(HEADERS, END_HEADERS, 2 * i + 1, &block(authority)))
                .collect()
        };
        becomes(&requests(PATH), &requests(b"localhost"));
    }

    #[test]
    fn a_block_that_another_frame_interrupts_passes() {
        for intruder in [
            frame(0, 0, 1, b"data"),
            frame(CONTINUATION, END_HEADERS, 3, b"other stream"),
            frame(HEADERS, END_HEADERS, 1, b""),
        ] {
            passes(&[
                frame(HEADERS, 0, 1, &block(PATH)),
                intruder,
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ]);
        }
    }

    #[test]
    fn a_frame_above_the_limit_passes_and_the_next_is_rewritten() {
        let large = |length| {
            let mut payload = block(PATH);
            payload.resize(length, 0x83);
            frame(HEADERS, END_HEADERS, 1, &payload)
        };
        let next = |authority| frame(HEADERS, END_HEADERS, 3, &block(authority));
        becomes(
            &[large(MAX_FRAME as usize + 1), next(PATH)],
            &[large(MAX_FRAME as usize + 1), next(b"localhost")],
        );
        let at_limit = filtered(&connection(&[large(MAX_FRAME as usize)]), usize::MAX);
        assert!(at_limit.windows(9).any(|window| window == b"localhost"));
    }

    #[test]
    fn a_block_above_the_limit_passes_and_little_is_held() {
        let mut frames = vec![frame(HEADERS, 0, 1, &block(PATH))];
        frames.extend((0..500).map(|_| frame(CONTINUATION, 0, 1, &[0x83; 1000])));
        let mut filter = Filter::new();
        let bytes = connection(&frames);
        for piece in bytes.chunks(700) {
            filter.push(piece);
            assert!(filter.held.len() <= MAX_BLOCK + HEAD);
        }
        filter.end();
        assert_eq!(filter.ready.waiting(), bytes);
    }

    #[test]
    fn another_protocol_passes() {
        let http1 = [
            b"POST / HTTP/1.1\r\n\r\n",
            frame(HEADERS, END_HEADERS, 1, &block(PATH)).as_slice(),
        ]
        .concat();
        let almost = [
            b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
            frame(HEADERS, END_HEADERS, 1, &block(PATH)).as_slice(),
        ]
        .concat();
        for bytes in [http1, almost] {
            for chunk in [1, 3, usize::MAX] {
                assert_eq!(filtered(&bytes, chunk), bytes);
            }
        }
    }

    #[test]
    fn what_is_held_when_the_client_ends_passes() {
        let whole = connection(&[frame(HEADERS, END_HEADERS, 1, &block(PATH))]);
        for end in 0..whole.len() {
            assert_eq!(filtered(&whole[..end], 5), &whole[..end]);
        }
    }

    fn any_frames() -> impl Strategy<Value = Vec<u8>> {
        let payload = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "/[a-z/]{0,40}".prop_map(|path| block(path.as_bytes())),
        ];
        let kind =
            prop::sample::select(vec![0, HEADERS, HEADERS, CONTINUATION, CONTINUATION, 4, 9]);
        let flags = prop::sample::select(vec![0, END_HEADERS, END_HEADERS, 0x0c, 0x24, 0xff]);
        let frame = (kind, flags, 1..3_u32, payload)
            .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload));
        prop::collection::vec(frame, 0..8).prop_map(|frames| connection(&frames))
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_does_not_matter(bytes in any_frames(), chunk in 1..50_usize) {
            prop_assert_eq!(filtered(&bytes, chunk), filtered(&bytes, usize::MAX));
        }

        #[test]
        fn what_was_rewritten_once_passes(bytes in any_frames()) {
            let once = filtered(&bytes, usize::MAX);
            prop_assert_eq!(filtered(&once, usize::MAX), once);
        }

        #[test]
        fn random_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..500), chunk in 1..50_usize) {
            prop_assert_eq!(filtered(&bytes, chunk), bytes);
        }

        #[test]
        fn without_headers_frames_every_byte_passes(
            payloads in prop::collection::vec((2..9_u8, any::<u8>(), prop::collection::vec(any::<u8>(), 0..99)), 0..9),
        ) {
            let frames: Vec<_> = payloads.iter().map(|(kind, flags, payload)| frame(*kind, *flags, 1, payload)).collect();
            prop_assert_eq!(filtered(&connection(&frames), 7), connection(&frames));
        }
    }
}
