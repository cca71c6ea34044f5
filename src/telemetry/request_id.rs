//! The id of one call, on every line and every request to Phase that belongs to it.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::Either;
use tracing::{Instrument, Span, error_span};

/// The id of one call of the driver: random, and of no other meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u64);

tokio::task_local! {
    static CURRENT: RequestId;
}

impl RequestId {
    /// Another one than all others.
    #[must_use]
    pub fn random() -> Self {
        Self(fastrand::u64(..))
    }

    /// The id of the call that this is a part of, if it is one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|id| *id).ok()
    }

    /// What belongs to this call: each line that it logs has the id.
    pub fn of<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        // Of the highest level, so that the lines of any level have it.
        let span = error_span!("call", request_id = %self);
        CURRENT.scope(self, call.instrument(span))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Work for another task, as a part of the call that begins it.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    match RequestId::current() {
        Some(id) => CURRENT
            .scope(id, work.instrument(Span::current()))
            .left_future(),
        None => Either::Right(work),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_is_sixteen_hexadecimal_digits() {
        assert_eq!(RequestId(0xab).to_string(), "00000000000000ab");
        let id = RequestId::random().to_string();
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[tokio::test]
    async fn it_is_known_inside_its_call_and_where_work_was_carried() {
        assert_eq!(RequestId::current(), None);
        let id = RequestId::random();
        id.of(async {
            assert_eq!(RequestId::current(), Some(id));
            let work = carried(async { RequestId::current() });
            assert_eq!(tokio::spawn(work).await.unwrap(), Some(id));
            let apart = tokio::spawn(async { RequestId::current() });
            assert_eq!(apart.await.unwrap(), None);
        })
        .await;
        assert_eq!(carried(async { RequestId::current() }).await, None);
    }
}
