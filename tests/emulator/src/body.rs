//! Bodies that do not simply come: chunked, cut, dripping, endless.

use crate::answer::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::io;
use std::time::Duration;

/// What an endless body is made of: white space, so that it stays well-formed JSON so far.
const FILLER: [u8; 16 * 1024] = [b' '; 16 * 1024];

/// The whole body, its length not said.
pub(crate) fn in_chunks(body: Bytes) -> Body {
    streamed(stream::iter([Ok(body)]))
}

/// The first half of the body, then the end of the connection.
pub(crate) fn cut(body: &Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    streamed(stream::unfold(Some(half), |half| async {
        let Some(half) = half else {
            // Gives way once, so that the half is on the wire before the connection ends.
            tokio::task::yield_now().await;
            return Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None));
        };
        Some((Ok(half), None))
    }))
}

/// The body one byte at a time.
pub(crate) fn drip(body: Bytes, interval: Duration) -> Body {
    streamed(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(interval).await;
        let byte = rest.split_to(1);
        Some((Ok(byte), rest))
    }))
}

/// The start of a list, and white space without end.
pub(crate) fn endless() -> Body {
    let start = stream::iter([Ok(Bytes::from_static(b"["))]);
    let filler = stream::repeat_with(|| Ok(Bytes::from_static(&FILLER)));
    streamed(stream::StreamExt::chain(start, filler))
}

fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static) -> Body {
    StreamBody::new(stream::StreamExt::map(chunks, |chunk| {
        chunk.map(Frame::data)
    }))
    .boxed()
}
