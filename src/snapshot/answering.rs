//! Whether a host of Phase answers, for all credentials that are asked there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use crate::phase::host::Host;

/// Whether a host answers.
#[derive(Debug, Default)]
pub(super) struct Answering {
    is_silent: AtomicBool,
    returns: AtomicU64,
    /// From when on somebody may try whether it answers again.
    next_trial: Mutex<Option<Instant>>,
}

/// How long a host that gave no answer is left alone by all its credentials, jittered up
/// to twice that.
const PAUSE: Duration = Duration::from_secs(1);
/// How long others wait for the end of a trial before one more begins.
const TRIAL: Duration = Duration::from_secs(5);

/// The hosts that credentials are asked at.
#[derive(Default)]
pub(super) struct Hosts(Mutex<HashMap<Host, Weak<Answering>>>);

impl Answering {
    /// A question had no answer.
    pub(super) fn is_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
        let pause = PAUSE.mul_f64(1.0 + fastrand::f64());
        *lock(&self.next_trial) = Some(Instant::now() + pause);
    }

    /// A question was answered; after silence, everybody may ask again.
    pub(super) fn answers(&self) {
        if self.is_silent.swap(false, Ordering::Relaxed) {
            self.returns.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether whoever comes now may try whether it answers again, before its own pause
    /// is over: one does, for all.
    pub(super) fn may_be_tried(&self) -> bool {
        let mut next = lock(&self.next_trial);
        let now = Instant::now();
        let may = next.is_some_and(|next| next <= now) && self.is_silent.load(Ordering::Relaxed);
        if may {
            *next = Some(now + TRIAL);
        }
        may
    }

    /// How often it answered after silence.
    pub(super) fn returns(&self) -> u64 {
        self.returns.load(Ordering::Relaxed)
    }
}

impl Hosts {
    /// What all credentials of a host share; it goes with the last of them.
    pub(super) fn of(&self, host: &Host) -> Arc<Answering> {
        let mut hosts = lock(&self.0);
        if let Some(known) = hosts.get(host).and_then(Weak::upgrade) {
            return known;
        }
        hosts.retain(|_, known| known.strong_count() > 0);
        let new = Arc::default();
        hosts.insert(host.clone(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_answer_counts_once_after_silence_at_its_own_host() {
        let hosts = Hosts::default();
        let one = hosts.of(&"https://one".parse().unwrap());
        let other = hosts.of(&"https://other".parse().unwrap());
        one.answers();
        assert_eq!(one.returns(), 0, "it was never silent");
        one.is_silent();
        one.is_silent();
        hosts.of(&"https://one".parse().unwrap()).answers();
        one.answers();
        assert_eq!((one.returns(), other.returns()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_tries_whether_it_answers_again() {
        let host = Answering::default();
        assert!(!host.may_be_tried(), "it was never silent");
        host.is_silent();
        assert!(!host.may_be_tried());
        tokio::time::advance(PAUSE * 2).await;
        let tries: Vec<_> = (0..10).map(|_| host.may_be_tried()).collect();
        assert_eq!(tries.iter().filter(|tried| **tried).count(), 1);
        host.answers();
        tokio::time::advance(TRIAL).await;
        assert!(!host.may_be_tried(), "there is nothing to find out");
    }

    #[test]
    fn a_host_is_forgotten_with_its_last_credential() {
        let hosts = Hosts::default();
        for n in 0..100 {
            drop(hosts.of(&format!("https://h{n}").parse().unwrap()));
        }
        assert_eq!(lock(&hosts.0).len(), 1);
    }
}
