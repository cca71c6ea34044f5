//! The body of an answer, with an end that may leave the process.

use std::convert::Infallible;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Extensions, HeaderMap};
use http_body::{Body, Frame};
use tonic::{Code, Status};
use zeroize::Zeroizing;

use super::status::{allowed, internal, panicked};
use super::wiped::wipe;

/// A body that ends in trailers with a status that may leave.
pub(super) struct CheckedBody<B> {
    /// `None` once the trailers are out.
    body: Option<Pin<Box<B>>>,
    /// What it gave, for as long as it may still hold on to it.
    given: Given,
    /// What the answer brought along (its place among the running mounts) lives
    /// until it has been sent.
    _held: Extensions,
}

/// Pieces of an answer in a buffer that the library gives back as it is. What is sent are
/// copies that are wiped.
#[derive(Default)]
struct Given(Vec<Bytes>);

impl Given {
    /// A copy that is wiped once it has been sent.
    fn wiped_copy(&mut self, data: Bytes) -> Bytes {
        let copy = Bytes::from_owner(Zeroizing::new(data.to_vec()));
        self.0.push(data);
        copy
    }
}

impl Drop for Given {
    /// Not before the body, whose buffer it is.
    fn drop(&mut self) {
        self.0.drain(..).for_each(wipe);
    }
}

impl<B> CheckedBody<B> {
    pub(super) fn new(body: B, held: Extensions) -> Self {
        Self {
            body: Some(Box::pin(body)),
            given: Given::default(),
            _held: held,
        }
    }
}

impl<B> Body for CheckedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)));
        let trailers = match polled.map(|poll| poll.map(frame_or_trailers)) {
            Ok(poll) => match ready!(poll) {
                Ok(data) => {
                    let sent = self.given.wiped_copy(data);
                    return Poll::Ready(Some(Ok(Frame::data(sent))));
                }
                Err(trailers) => trailers,
            },
            Err(panic) => trailers(&panicked(panic)),
        };
        self.body = None;
        drop(std::mem::take(&mut self.given));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }
}

/// The data to pass on, or the trailers that end the answer.
fn frame_or_trailers<E: Display>(
    frame: Option<Result<Frame<Bytes>, E>>,
) -> Result<Bytes, HeaderMap> {
    let frame = match frame {
        Some(Ok(frame)) => frame,
        Some(Err(error)) => return Err(trailers(&internal(&error.to_string()))),
        None => return Err(trailers(&internal("the answer has no gRPC status"))),
    };
    let frame = match frame.into_data() {
        Ok(data) => return Ok(data),
        Err(frame) => frame,
    };
    let mut rest = frame.into_trailers().unwrap_or_default();
    let status = match Status::from_header_map(&rest) {
        Some(status) => allowed(&status),
        None => internal("the answer has no gRPC status"),
    };
    clear(&mut rest);
    rest.extend(trailers(&status));
    Err(rest)
}

/// Removes every header that a gRPC client reads a status from. The details
/// repeat the code, and some clients believe them more than the code.
pub(super) fn clear(headers: &mut HeaderMap) {
    for name in [
        Status::GRPC_STATUS,
        Status::GRPC_MESSAGE,
        Status::GRPC_STATUS_DETAILS,
    ] {
        headers.remove(name);
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        let code = http::HeaderValue::from(Code::Internal as i32);
        headers.insert(Status::GRPC_STATUS, code);
    }
    headers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::Arc;

    use http_body_util::{BodyExt, StreamBody};

    use super::super::status::disciplined;
    use super::super::status::tests::{data, ending, frames, grpc, read};
    use super::*;

    #[tokio::test]
    async fn of_two_statuses_one_is_left_and_other_trailers_stay() {
        let answer = frames(vec![ending(&[
            ("grpc-status", "0"),
            ("grpc-status", "14"),
            ("x-kept", "1"),
        ])]);
        let answer = disciplined(async { answer }).await.unwrap();
        let body = answer.into_body().collect().await.unwrap();
        let trailers = body.trailers().unwrap();
        assert_eq!(
            trailers.get_all("grpc-status").iter().collect::<Vec<_>>(),
            ["0"]
        );
        assert_eq!(trailers["x-kept"], "1");
    }

    #[tokio::test]
    async fn an_ok_in_the_headers_does_not_hide_how_the_body_ends() {
        let mut answer = frames(vec![data("x"), ending(&[("grpc-status", "14")])]).unwrap();
        answer
            .headers_mut()
            .insert("grpc-status", "0".parse().unwrap());
        let expected = (
            "x".into(),
            Code::Internal,
            "internal error: UNAVAILABLE: ".into(),
        );
        assert_eq!(read(async { Ok::<_, &str>(answer) }).await, expected);
    }

    #[tokio::test]
    async fn a_body_that_breaks_or_ends_without_a_status_is_internal() {
        let broken = frames(vec![data("x"), Err("cut off")]);
        let expected = ("x".into(), Code::Internal, "internal error: cut off".into());
        assert_eq!(read(async { broken }).await, expected);
        for last in [None, Some(ending(&[("x-other", "1")]))] {
            let silent = frames([data("x")].into_iter().chain(last).collect());
            let expected = (
                "x".into(),
                Code::Internal,
                "internal error: the answer has no gRPC status".into(),
            );
            assert_eq!(read(async { silent }).await, expected);
        }
    }

    #[tokio::test]
    async fn what_an_answer_brought_along_lives_until_its_body_is_gone() {
        let held = Arc::new(());
        let mut answer = frames(vec![data("x")]).unwrap();
        answer.extensions_mut().insert(Arc::clone(&held));
        let answer = disciplined(async { Ok::<_, &str>(answer) }).await.unwrap();
        let (parts, body) = answer.into_parts();
        drop(parts);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_panic_while_the_body_is_made_is_internal() {
        let text = "internal error: the provider panicked: this is a defect, please report it";
        let stream =
            futures_util::stream::poll_fn(|_| -> Poll<Option<Result<Frame<Bytes>, &str>>> {
                panic!("s3cret")
            });
        let answer = grpc(StreamBody::new(stream));
        assert_eq!(
            read(async { answer }).await,
            (Bytes::new(), Code::Internal, text.into())
        );
    }
}
