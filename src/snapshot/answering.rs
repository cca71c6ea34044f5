//! Whether a host of Phase answers, for all credentials that are asked there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::lock;
use crate::phase::host::Host;

/// Whether a host answers.
#[derive(Debug, Default)]
pub(super) struct Answering {
    is_silent: AtomicBool,
    returns: AtomicU64,
}

/// The hosts that credentials are asked at.
#[derive(Default)]
pub(super) struct Hosts(Mutex<HashMap<Host, Weak<Answering>>>);

impl Answering {
    /// A question had no answer.
    pub(super) fn is_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }

    /// A question was answered; after silence, everybody may ask again.
    pub(super) fn answers(&self) {
        if self.is_silent.swap(false, Ordering::Relaxed) {
            self.returns.fetch_add(1, Ordering::Relaxed);
        }
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

    #[test]
    fn a_host_is_forgotten_with_its_last_credential() {
        let hosts = Hosts::default();
        for n in 0..100 {
            drop(hosts.of(&format!("https://h{n}").parse().unwrap()));
        }
        assert_eq!(lock(&hosts.0).len(), 1);
    }
}
