//! Lets drivers before 1.6 in: they send the socket's path as `:authority`,
//! which the HTTP/2 library refuses before any code of ours runs.
//!
//! A reader between the socket and the library cuts the client's bytes into
//! frames and, where a header block carries such an `:authority`, puts
//! `localhost` in its place. Everything else passes byte for byte, a frame it
//! does not understand too: the library stays the judge.
//!
//! It can go when the library accepts such authorities, or when drivers before
//! 1.6 are out of use.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroize;

use super::filter::Filter;
use super::frames::{HEAD, MAX_FRAME};
use super::wiped::Passing;

/// A connection whose client may send a path as `:authority`.
pub(super) struct LocalAuthority<T> {
    io: T,
    filter: Filter,
    ended: bool,
}

impl<T> LocalAuthority<T> {
    /// Wraps `io`; without `rewrite` every byte passes.
    pub(super) fn new(io: T, rewrite: bool) -> Self {
        let filter = if rewrite {
            Filter::new()
        } else {
            Filter::open()
        };
        Self {
            io,
            filter,
            ended: false,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for LocalAuthority<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.filter.ready.waiting().is_empty() && !this.ended {
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut chunk))?;
            match chunk.filled() {
                [] => {
                    this.ended = true;
                    let is_whole = this.filter.is_between_frames();
                    this.filter.end();
                    if is_whole {
                        blank(&mut this.filter.ready);
                    }
                }
                bytes => this.filter.push(bytes),
            }
            // There may be tokens in it.
            chunk.filled_mut().zeroize();
        }
        let waiting = this.filter.ready.waiting();
        let n = buf.remaining().min(waiting.len());
        buf.put_slice(&waiting[..n]);
        this.filter.ready.leave(n);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for LocalAuthority<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Frames of a kind that nobody knows, which the library must pass over, after the last one
/// of a client: their zeros lie where its requests have lain, before the library gives its
/// buffer back. The first is as long as that buffer is at first, and does not make it grow.
fn blank(ready: &mut Passing) {
    for length in [CHUNK - HEAD, MAX_FRAME as usize] {
        let [_, high, middle, low] = u32::try_from(length).unwrap_or(MAX_FRAME).to_be_bytes();
        ready.extend(&[high, middle, low, UNKNOWN, 0, 0, 0, 0, 0]);
        ready.extend(&vec![0; length]);
    }
}

/// A kind of frame that HTTP/2 does not have (RFC 9113, section 5.5).
const UNKNOWN: u8 = 0xf5;
/// As much as the library reads at once.
const CHUNK: usize = 8192;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const BEFORE: &[u8] =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x0d\x01\x04\0\0\0\x01\x41\x0b/phase.sock";
    const AFTER: &[u8] =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x0b\x01\x04\0\0\0\x01\x41\x09localhost";

    async fn read(rewrite: bool, bytes: &[u8]) -> Vec<u8> {
        let (mut client, server) = duplex(7);
        let mut server = LocalAuthority::new(server, rewrite);
        let mut read = Vec::new();
        let write = async {
            client.write_all(bytes).await.unwrap();
            client.shutdown().await.unwrap();
        };
        tokio::join!(write, async {
            server.read_to_end(&mut read).await.unwrap()
        });
        read
    }

    #[tokio::test]
    async fn a_path_is_read_as_localhost_if_rewriting_is_on() {
        assert_eq!(read(false, BEFORE).await, BEFORE);
        let read = read(true, BEFORE).await;
        assert!(read.starts_with(AFTER));
    }

    #[tokio::test]
    async fn after_the_last_whole_frame_come_zeros_in_frames_of_an_unknown_kind() {
        let read = read(true, BEFORE).await;
        let mut rest = &read[AFTER.len()..];
        let mut lengths = Vec::new();
        while let Some((head, after)) = rest.split_at_checked(HEAD) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            assert_eq!(head[3..], [UNKNOWN, 0, 0, 0, 0, 0]);
            let (payload, after) = after.split_at(length as usize);
            assert!(payload.iter().all(|byte| *byte == 0));
            lengths.push(length);
            rest = after;
        }
        assert_eq!(lengths, [8183, MAX_FRAME]);
    }

    #[tokio::test]
    async fn a_client_that_ends_within_a_frame_is_read_to_its_end() {
        let cut = &BEFORE[..BEFORE.len() - 1];
        assert_eq!(read(true, cut).await, cut);
    }

    #[tokio::test]
    async fn what_the_server_writes_is_not_touched() {
        let (mut client, server) = duplex(200);
        let mut server = LocalAuthority::new(server, true);
        server.write_all(BEFORE).await.unwrap();
        server.shutdown().await.unwrap();
        let mut written = Vec::new();
        client.read_to_end(&mut written).await.unwrap();
        assert_eq!(written, BEFORE);
    }
}
