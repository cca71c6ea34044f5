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

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::filter::Filter;

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
        while this.filter.ready.is_empty() && !this.ended {
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut chunk))?;
            match chunk.filled() {
                [] => {
                    this.ended = true;
                    this.filter.end();
                }
                bytes => this.filter.push(bytes),
            }
        }
        let n = buf.remaining().min(this.filter.ready.len());
        buf.put_slice(&this.filter.ready[..n]);
        this.filter.ready.advance(n);
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
        assert_eq!(read(true, BEFORE).await, AFTER);
        assert_eq!(read(false, BEFORE).await, BEFORE);
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
