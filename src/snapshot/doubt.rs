//! Refusals that may be a firewall's, in front of Phase, and not Phase's own.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// A refusal that comes again after this, without any answer between, is believed.
const REPEATED_AFTER: Duration = Duration::from_secs(30);

/// As many environments as one mount may read, and the tokens answer.
const MOST: usize = 65;

/// When each question of a credential was first refused in words that are not known
/// of Phase, since it was last answered. The tokens answer has no environment.
#[derive(Default)]
pub(super) struct Doubts(HashMap<Option<String>, Instant>);

impl Doubts {
    /// A question was refused; how long after the first time, if that was long enough ago.
    pub(super) fn repeated(&mut self, environment: Option<&str>) -> Option<Duration> {
        let question = environment.map(str::to_owned);
        if self.0.len() >= MOST && !self.0.contains_key(&question) {
            self.0.clear();
        }
        let first = self.0.entry(question).or_insert_with(Instant::now);
        Some(first.elapsed()).filter(|after| *after >= REPEATED_AFTER)
    }

    /// A question was answered.
    pub(super) fn settle(&mut self, environment: Option<&str>) {
        if !self.0.is_empty() {
            self.0.remove(&environment.map(str::to_owned));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_believed_when_it_comes_again_half_a_minute_later() {
        let mut doubts = Doubts::default();
        assert_eq!(doubts.repeated(None), None);
        advance(REPEATED_AFTER - Duration::from_millis(1)).await;
        assert_eq!(doubts.repeated(None), None, "the same burst");
        assert_eq!(doubts.repeated(Some("one")), None, "another question");
        advance(Duration::from_millis(1)).await;
        assert_eq!(doubts.repeated(None), Some(REPEATED_AFTER));
        doubts.settle(None);
        assert_eq!(doubts.repeated(None), None, "it was answered meanwhile");
        advance(REPEATED_AFTER).await;
        assert!(doubts.repeated(Some("one")).is_some(), "that one was not");
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_than_a_mount_may_read() {
        let mut doubts = Doubts::default();
        for n in 0..MOST * 10 {
            assert_eq!(doubts.repeated(Some(&n.to_string())), None);
            assert!(doubts.0.len() <= MOST);
        }
    }
}
