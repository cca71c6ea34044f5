//! A text that costs work, made so often and no more, whoever asks and how often.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// What makes a text, and the last one that it made.
pub(super) struct Latest {
    make: Box<dyn Fn() -> String + Send + Sync>,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Latest {
    pub(super) fn new(make: Box<dyn Fn() -> String + Send + Sync>) -> Self {
        Self {
            make,
            last: Mutex::default(),
        }
    }

    /// A text that was made after this question came: whoever asks too soon after the
    /// last one waits a moment, and shares the next with all who wait.
    pub(super) async fn text(&self) -> Bytes {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((made, text)) = &*last {
            if *made > asked {
                return text.clone();
            }
            sleep_until(*made + GAP).await;
        }
        // Of the moment before it is made: what happens meanwhile may be missing in it.
        let made = Instant::now();
        let text = Bytes::from((self.make)());
        *last = Some((made, text.clone()));
        text
    }
}

/// Between two texts: they take less than a hundredth of it.
const GAP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    fn counting() -> (Arc<AtomicUsize>, Arc<Latest>) {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let make = move || counted.fetch_add(1, Ordering::Relaxed).to_string();
        (made, Arc::new(Latest::new(Box::new(make))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_ask_for_a_second_cost_ten_texts() {
        let (made, latest) = counting();
        let mut askers = JoinSet::new();
        for _ in 0..1_000 {
            let latest = Arc::clone(&latest);
            askers.spawn(async move {
                let end = Instant::now() + Duration::from_secs(1);
                while Instant::now() < end {
                    drop(latest.text().await);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        askers.join_all().await;
        let made = made.load(Ordering::Relaxed);
        assert!((9..=13).contains(&made), "{made}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_hears_what_was_made_before_he_asked() {
        let (made, latest) = counting();
        for _ in 0..5 {
            let before = made.load(Ordering::Relaxed);
            let text = latest.text().await;
            assert_eq!(text, before.to_string());
        }
    }
}
