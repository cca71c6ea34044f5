//! Buffers that a request passes through, wiped once they have been read: its secrets
//! hold a token in the clear.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use zeroize::Zeroize;

/// Overwrites a buffer of a library's, unless the library still uses it.
pub(super) fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.zeroize();
    }
}

/// A body whose pieces are wiped once the next one is asked for, or none.
pub(super) struct WipedBody<B> {
    body: B,
    /// The piece that was read last: its reader has copied it.
    read: Bytes,
}

impl<B> WipedBody<B> {
    pub(super) const fn new(body: B) -> Self {
        Self {
            body,
            read: Bytes::new(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for WipedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        wipe(std::mem::take(&mut self.read));
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.read = data.clone();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for WipedBody<B> {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.read));
    }
}

/// Bytes on their way, first in, first out; wiped as they leave, and where they grow.
#[derive(Default)]
pub(super) struct Passing {
    bytes: Vec<u8>,
    /// So many have left.
    left: usize,
}

impl Passing {
    /// What has not left yet.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.left..]
    }

    /// Adds bytes at the end.
    pub(super) fn extend(&mut self, more: &[u8]) {
        let needed = self.bytes.len() + more.len();
        if needed > self.bytes.capacity() {
            let room = needed.max(2 * self.bytes.capacity());
            let mut larger = Vec::with_capacity(room);
            larger.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(more);
    }

    /// The first bytes leave.
    pub(super) fn leave(&mut self, count: usize) {
        self.bytes[self.left..][..count].zeroize();
        self.left += count;
        if self.left == self.bytes.len() {
            self.bytes.clear();
            self.left = 0;
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_leaves_in_order_and_nothing_stays_where_it_lay() {
        let mut passing = Passing::default();
        passing.extend(b"canary");
        passing.extend(&[b'x'; 100]);
        assert_eq!(&passing.waiting()[..6], b"canary");
        passing.leave(6);
        assert_eq!(passing.waiting(), &[b'x'; 100]);
        assert_eq!(&passing.bytes[..6], &[0; 6]);
        passing.leave(100);
        assert!(passing.waiting().is_empty());
        passing.extend(b"next");
        assert_eq!(passing.waiting(), b"next");
    }

    #[test]
    fn a_buffer_that_is_still_used_is_left_alone() {
        let bytes = Bytes::from(b"canary".to_vec());
        wipe(bytes.clone());
        assert_eq!(bytes, "canary");
    }
}
