//! The id of one call, on every line and every request to Phase that belongs to it; and
//! for whom it is, once that is known.

use std::fmt;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::Either;
use tracing::{Instrument, Span, error_span};

/// The id of one call of the driver: random, and of no other meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u64);

/// One call, or other work that is done for a namespace.
#[derive(Clone)]
struct Call {
    /// Nothing where the driver has not called.
    id: Option<RequestId>,
    /// The namespace of the pod.
    namespace: Arc<OnceLock<Box<str>>>,
}

tokio::task_local! {
    static CURRENT: Call;
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
        CURRENT.try_with(|call| call.id).ok().flatten()
    }

    /// What belongs to this call: each line that it logs has the id.
    pub fn of<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        // Of the highest level, so that the lines of any level have it.
        let span = error_span!("call", request_id = %self);
        let current = Call {
            id: Some(self),
            namespace: Arc::default(),
        };
        CURRENT.scope(current, call.instrument(span))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Work for another task, as a part of the call that begins it.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    match CURRENT.try_with(Call::clone) {
        Ok(call) => CURRENT
            .scope(call, work.instrument(Span::current()))
            .left_future(),
        Err(_) => Either::Right(work),
    }
}

/// Work for this namespace that nobody has called for: its lines are counted as those of a
/// call.
pub fn for_namespace<F: Future>(
    namespace: &str,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    let current = Call {
        id: None,
        namespace: Arc::new(OnceLock::from(Box::from(namespace))),
    };
    CURRENT.scope(current, work)
}

/// The call that this is a part of is for a pod of this namespace.
pub fn is_for(namespace: &str) {
    let _ = CURRENT.try_with(|call| drop(call.namespace.set(namespace.into())));
}

/// Does something with the namespace that the call is for: empty where that is not
/// known yet. Nothing outside of a call.
pub(super) fn with_namespace<T>(work: impl FnOnce(&str) -> T) -> Option<T> {
    let work = |call: &Call| work(call.namespace.get().map_or("", Box::as_ref));
    CURRENT.try_with(work).ok()
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
    async fn whom_a_call_is_for_is_known_in_all_of_it() {
        let known = || with_namespace(str::to_owned);
        assert_eq!(known(), None);
        let call = RequestId::random().of(async {
            assert_eq!(known().as_deref(), Some(""));
            let work = carried(async move { with_namespace(str::to_owned) });
            async { is_for("shop") }.await;
            is_for("other");
            assert_eq!(known().as_deref(), Some("shop"));
            tokio::spawn(work).await.unwrap()
        });
        assert_eq!(call.await.as_deref(), Some("shop"));
    }

    #[tokio::test]
    async fn work_for_a_namespace_has_no_id_and_is_known_where_it_was_carried() {
        let work = for_namespace("shop", async {
            assert_eq!(RequestId::current(), None);
            let work = carried(async { with_namespace(str::to_owned) });
            tokio::spawn(work).await.unwrap()
        });
        assert_eq!(work.await.as_deref(), Some("shop"));
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
