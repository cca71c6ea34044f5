//! How many requests of a host may be under way at once, as it bears them.
//!
//! It grows while calls wait for places: by one for each answer at first, then by one
//! for each full round of answers. It is halved when Phase cannot keep up: an error of
//! the server, a timeout, or answers that take twice as long as usual. What is usual is
//! the lower quartile of a round of answers, the lowest that was seen. Where half the
//! requests take nearly as long, they are not what makes Phase slow, and this is usual
//! from now on.

use std::time::Duration;

use tokio::time::Instant;

use super::Lane;

/// How many requests of a host may be under way at once.
#[derive(Debug)]
pub(super) struct Limit {
    places: usize,
    /// Below this many it grows with each answer.
    threshold: usize,
    /// Answers since it last grew.
    answers: usize,
    /// What began before tells nothing any more.
    shrunk: Instant,
    /// Whether a call waits for nothing but a place.
    wanted: bool,
    last_wanted: Instant,
    tokens: Gauge,
    secrets: Gauge,
}

/// How long the answers of one kind take.
#[derive(Debug, Default)]
struct Gauge {
    usual: Option<Duration>,
    round: Vec<Duration>,
    /// How many places there were when the round began.
    began_with: usize,
    /// How long they took when there were twice as many requests.
    before: Option<Duration>,
}

/// How a request ended, as far as it concerns others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// With what was asked for.
    Answered,
    /// Phase has too much to do: 429, an error of the server, no answer in time.
    Overloaded,
    /// Phase says no: it does not know the credential, or that may not have this.
    Refused,
    /// In any other way.
    #[default]
    Neither,
}

/// How many there are at first.
pub(super) const FIRST: usize = 16;
/// How many there are at least, and at most.
pub(super) const FEWEST: usize = 4;
pub(super) const MOST: usize = 96;
/// An answer that takes longer by less than this is not slow.
const SLACK: Duration = Duration::from_millis(10);
/// After so long without need a host is not taken for as strong as it was.
const IDLE: Duration = Duration::from_secs(60);

impl Limit {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            places: FIRST,
            threshold: MOST,
            answers: 0,
            shrunk: now,
            wanted: false,
            last_wanted: now,
            tokens: Gauge::default(),
            secrets: Gauge::default(),
        }
    }

    pub(super) const fn places(&self) -> usize {
        self.places
    }

    /// Whether a call waits for nothing but a place.
    pub(super) fn wanted(&mut self, wanted: bool, now: Instant) {
        if wanted && now >= self.last_wanted + IDLE && self.places > FIRST {
            self.places = FIRST;
        }
        if wanted {
            self.last_wanted = now;
        }
        self.wanted = wanted;
    }

    /// A request of a lane that began at an instant has ended.
    pub(super) fn ended(&mut self, lane: &Lane, begun: Instant, now: Instant, outcome: Outcome) {
        // It says how things were with more requests.
        if begun < self.shrunk {
            return;
        }
        match outcome {
            Outcome::Neither | Outcome::Refused => {}
            Outcome::Overloaded => self.shrink(now, self.places),
            Outcome::Answered => {
                let gauge = match lane {
                    Lane::Address(_) => &mut self.tokens,
                    Lane::Account(..) => &mut self.secrets,
                };
                let took = now.saturating_duration_since(begun);
                if let Some(places) = gauge.slow(took, self.places) {
                    self.shrink(now, places);
                } else if self.wanted {
                    self.grow();
                }
            }
        }
    }

    fn grow(&mut self) {
        self.answers += 1;
        if self.places < self.threshold || self.answers >= self.places {
            self.answers = 0;
            self.places = (self.places + 1).min(MOST);
        }
    }

    /// To half of so many.
    fn shrink(&mut self, now: Instant, from: usize) {
        self.places = (from.min(self.places) / 2).max(FEWEST);
        self.threshold = self.places;
        self.answers = 0;
        self.shrunk = now;
        self.tokens.round.clear();
        self.secrets.round.clear();
    }
}

impl Gauge {
    /// One more answer; with how many places the round began that ends with it, if it
    /// was slow.
    fn slow(&mut self, took: Duration, places: usize) -> Option<usize> {
        if self.round.is_empty() {
            self.began_with = places;
        }
        self.round.push(took);
        if self.round.len() < (places / 2).max(FEWEST) {
            return None;
        }
        let mut round = std::mem::take(&mut self.round);
        round.sort_unstable();
        let (quartile, median) = (round[round.len() / 4], round[round.len() / 2]);
        let mut usual = self.usual.map_or(quartile, |usual| usual.min(quartile));
        if self
            .before
            .take()
            .is_some_and(|before| median > before * 3 / 4)
        {
            usual = usual.max(median);
        }
        self.usual = Some(usual);
        let is_slow = median > usual * 2 + SLACK;
        self.before = is_slow.then_some(median);
        is_slow.then_some(self.began_with)
    }
}
