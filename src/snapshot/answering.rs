//! Whether a host of Phase answers, for all credentials that are asked there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::lock;
use crate::phase::host::Host;

/// Whether a host answers.
#[derive(Debug, Default)]
pub(super) struct Answering {
    is_silent: AtomicBool,
    returns: AtomicU64,
    trials: Mutex<Trials>,
    /// A question was answered, or was not.
    told: Notify,
}

/// Who tries whether a silent host answers again.
#[derive(Debug, Default)]
struct Trials {
    /// Until when others wait for the end of the one that is under way.
    under_way: Option<Instant>,
    /// When as many have passed as there were.
    paid: Option<Instant>,
}

/// What whoever comes while a host is silent does.
enum Turn {
    /// It asks.
    Ask,
    /// Somebody asks for it, and has until then.
    Wait(Instant),
    /// Too many have asked for nothing lately.
    Stay,
}

/// A trial comes back in this time, jittered up to twice that, so that trials leave most of
/// the request budget to others.
const PAUSE: Duration = Duration::from_secs(1);
/// So many may be made one after the other.
const AT_ONCE: u32 = 4;
/// How long others wait for the end of a trial before one more begins.
const TRIAL: Duration = Duration::from_secs(5);

/// The hosts that credentials are asked at.
#[derive(Default)]
pub(super) struct Hosts(Mutex<HashMap<Host, Weak<Answering>>>);

impl Answering {
    /// A question had no answer.
    pub(super) fn is_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
        self.ended();
    }

    /// A question was answered; after silence, everybody may ask again.
    pub(super) fn answers(&self) {
        if self.is_silent.swap(false, Ordering::Relaxed) {
            self.returns.fetch_add(1, Ordering::Relaxed);
            self.ended();
        }
    }

    fn ended(&self) {
        lock(&self.trials).under_way = None;
        self.told.notify_waiters();
    }

    /// Whether whoever comes now may ask, before its own pause is over: the first one does,
    /// for all, and others wait for what comes of it.
    pub(super) async fn may_be_asked(&self) -> bool {
        let told = self.told.notified();
        match self.turn(Instant::now()) {
            Turn::Ask => true,
            Turn::Stay => false,
            Turn::Wait(until) => match timeout_at(until, told).await {
                Ok(()) => !self.is_silent.load(Ordering::Relaxed),
                Err(_) => matches!(self.turn(Instant::now()), Turn::Ask),
            },
        }
    }

    fn turn(&self, now: Instant) -> Turn {
        if !self.is_silent.load(Ordering::Relaxed) {
            return Turn::Ask;
        }
        let mut trials = lock(&self.trials);
        if let Some(until) = trials.under_way
            && now < until
        {
            return Turn::Wait(until);
        }
        let paid = trials.paid.map_or(now, |paid| paid.max(now));
        if paid > now + PAUSE * (AT_ONCE - 1) {
            return Turn::Stay;
        }
        trials.paid = Some(paid + PAUSE.mul_f64(1.0 + fastrand::f64()));
        trials.under_way = Some(now + TRIAL);
        Turn::Ask
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
    async fn one_at_a_time_tries_whether_it_answers_again_and_others_wait_for_it() {
        let host = Arc::new(Answering::default());
        assert!(host.may_be_asked().await, "it was never silent");
        for is_back in [false, true] {
            host.is_silent();
            assert!(host.may_be_asked().await, "the first one asks");
            let others: Vec<_> = (0..10)
                .map(|_| {
                    let host = Arc::clone(&host);
                    tokio::spawn(async move { host.may_be_asked().await })
                })
                .collect();
            tokio::time::sleep(TRIAL / 2).await;
            assert!(others.iter().all(|other| !other.is_finished()));
            match is_back {
                true => host.answers(),
                false => host.is_silent(),
            }
            for other in others {
                assert_eq!(other.await.unwrap(), is_back);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trials_for_nothing_become_rare() {
        let (host, begun) = (Answering::default(), Instant::now());
        let mut trials = 0;
        host.is_silent();
        while begun.elapsed() < PAUSE * 60 {
            if host.may_be_asked().await {
                trials += 1;
                host.is_silent();
            }
            tokio::time::advance(PAUSE / 10).await;
        }
        assert!((30..=60 + AT_ONCE).contains(&trials), "{trials}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_does_not_end_is_followed_by_another() {
        let (host, begun) = (Answering::default(), Instant::now());
        host.is_silent();
        assert!(host.may_be_asked().await);
        assert!(host.may_be_asked().await);
        assert_eq!(begun.elapsed(), TRIAL);
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
