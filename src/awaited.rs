//! What a piece of work waits for at each instant: so that only Phase uses up the patience
//! of who waits for it, and whoever comes too late blames what was waited for.
//!
//! A task that is [`watched`] has a place for it. What it waits for is held by a guard
//! ([`waiting`]), wherever in the program that happens; several parts of one task may wait
//! for several things.

use tokio::sync::watch;

use crate::phase::client::Endpoint;

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Awaited {
    /// Nothing: this node works at it.
    #[default]
    Work,
    /// A turn among those for whom this node works.
    Turn,
    /// A place in this node's request budget.
    Budget(Endpoint),
    /// Phase's answer.
    Phase(Endpoint),
}

/// How many parts of a task wait for what: the last that is not zero counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts([u32; WAITS.len()]);

const WAITS: [Awaited; 5] = [
    Awaited::Turn,
    Awaited::Budget(Endpoint::Tokens),
    Awaited::Budget(Endpoint::Secrets),
    Awaited::Phase(Endpoint::Tokens),
    Awaited::Phase(Endpoint::Secrets),
];

tokio::task_local! {
    static CURRENT: watch::Sender<Counts>;
}

/// Held while something is waited for.
#[must_use = "the wait ends when this is dropped"]
pub struct Waiting(Option<(watch::Sender<Counts>, usize)>);

impl Counts {
    /// What is waited for: Phase before all else, since nothing ends without it.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        let last = self.0.iter().rposition(|count| *count > 0);
        last.map_or(Awaited::Work, |place| WAITS[place])
    }
}

/// This work, and a view on what it waits for.
pub fn watched<F: Future>(work: F) -> (impl Future<Output = F::Output>, watch::Receiver<Counts>) {
    let (sender, receiver) = watch::channel(Counts::default());
    (CURRENT.scope(sender, work), receiver)
}

/// From here on this task waits for something, until the guard is dropped.
pub fn waiting(awaited: Awaited) -> Waiting {
    let place = WAITS.iter().position(|wait| *wait == awaited);
    let Some((place, sender)) = place.zip(CURRENT.try_with(watch::Sender::clone).ok()) else {
        return Waiting(None);
    };
    sender.send_modify(|counts| counts.0[place] += 1);
    Waiting(Some((sender, place)))
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((sender, place)) = &self.0 {
            sender.send_modify(|counts| counts.0[*place] -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_waits_for_phase_as_long_as_a_part_of_it_does() {
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (work, seen) = watched(async {
            let now = || CURRENT.with(|counts| counts.borrow().awaited());
            assert_eq!(now(), Awaited::Work);
            let turn = waiting(Awaited::Turn);
            let phase = waiting(Awaited::Phase(Endpoint::Secrets));
            let budget = waiting(Awaited::Budget(Endpoint::Secrets));
            assert_eq!(now(), Awaited::Phase(Endpoint::Secrets));
            drop(phase);
            assert_eq!(now(), Awaited::Budget(Endpoint::Secrets));
            drop((turn, budget));
            assert_eq!(now(), Awaited::Work);
            let _phase = waiting(Awaited::Phase(Endpoint::Tokens));
            begin.send(()).unwrap_or_default();
            tokio::task::yield_now().await;
        });
        let work = tokio::spawn(work);
        drop(begun.await);
        assert_eq!(seen.borrow().awaited(), Awaited::Phase(Endpoint::Tokens));
        assert!(work.await.is_ok());
        assert_eq!(seen.borrow().awaited(), Awaited::Work);
    }

    #[test]
    fn who_is_not_watched_waits_all_the_same() {
        drop(waiting(Awaited::Turn));
    }
}
