//! How often a watch that fails is tried again.

use std::time::Duration;

use futures_util::stream::{Stream, StreamExt, unfold};
use kube::runtime::watcher::{Error, Event};
use tokio::time::sleep;

use crate::managed::backoff::spread;

/// After a failure, and at most after many in a row.
const FAILED: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// The same where the kind is not defined at all, which lasts.
const UNDEFINED: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(120)];

/// Events of a watch that begins anew after each failure, ever later until it shows
/// something again.
pub(super) fn patient<K: Send + 'static>(
    events: impl Stream<Item = Result<Event<K>, Error>> + Send + 'static,
) -> impl Stream<Item = Result<Event<K>, Error>> + Send {
    let begun = (events.boxed(), 0_u32, Duration::ZERO);
    unfold(begun, async |(mut events, mut failures, wait)| {
        sleep(wait).await;
        let event = events.next().await?;
        let mut wait = Duration::ZERO;
        match &event {
            Err(error) => {
                let [first, most] = match is_undefined(error) {
                    true => UNDEFINED,
                    false => FAILED,
                };
                wait = spread(most.min(first * 2_u32.pow(failures.min(16))));
                failures += 1;
            }
            // That is said before anything is asked.
            Ok(Event::Init) => {}
            Ok(_) => failures = 0,
        }
        Some((event, (events, failures, wait)))
    })
}

/// Whether the API server does not know such resources at all.
pub(super) fn is_undefined(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::iter;
    use kube::core::Status;
    use tokio::time::Instant;

    use super::*;

    type Item = Result<Event<()>, Error>;

    fn refused(code: u16) -> Item {
        let status = Status::failure("no", "no").with_code(code).boxed();
        Err(Error::InitialListFailed(kube::Error::Api(status)))
    }

    /// How long all of it takes, as a watcher says it: `Init` before each list.
    async fn lasts(lists: impl Iterator<Item = Item>) -> Duration {
        let events: Vec<_> = lists.flat_map(|list| [Ok(Event::Init), list]).collect();
        let begun = Instant::now();
        let events: Vec<_> = patient(iter(events)).collect().await;
        assert!(!events.is_empty());
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_defined_is_asked_for_every_other_minute() {
        let lasted = lasts((0..35).map(|_| refused(404))).await;
        let hour = Duration::from_secs(3_600);
        assert!(lasted > hour.mul_f64(0.8), "35 times in {lasted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn other_failures_are_tried_again_within_ten_seconds() {
        let lasted = lasts((0..14).map(|_| refused(503))).await;
        let (least, most) = (Duration::from_secs(90), Duration::from_secs(135));
        assert!(lasted > least && lasted < most, "{lasted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_shows_something_begins_anew() {
        let lists = (0..10).flat_map(|_| [refused(404), Ok(Event::InitDone)]);
        let lasted = lasts(lists).await;
        assert!(lasted < Duration::from_secs(60), "{lasted:?}");
    }
}
