//! Rate limits: a sliding window for each caller.

use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Callers remembered at once; a client can invent addresses by header, so there must be an end.
const CALLERS: usize = 4096;

/// Most requests a rate may name; each is remembered for one period.
const MOST: usize = 100_000;

/// A rate limit in the server's own form: `120/min`, `5/sec`, `1000/hour`, `10/day`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    requests: usize,
    unit: Unit,
}

/// What a rate counts by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unit {
    Day,
    Hour,
    Minute,
    Second,
}

/// A text that is no rate.
#[derive(Debug, thiserror::Error)]
#[error(
    "rate cannot be read: {0:?}: write a number of requests, a slash and sec, min, hour or day, such as 120/min"
)]
pub struct RateError(String);

/// The requests of every caller within the window.
pub(crate) struct Throttle {
    rate: Option<Rate>,
    callers: HashMap<String, VecDeque<Instant>>,
}

impl Rate {
    fn period(self) -> Duration {
        Duration::from_secs(match self.unit {
            Unit::Day => 86_400,
            Unit::Hour => 3600,
            Unit::Minute => 60,
            Unit::Second => 1,
        })
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let refuse = || RateError(text.to_owned());
        let (count, unit) = text.split_once('/').ok_or_else(refuse)?;
        let requests = count
            .parse()
            .ok()
            .filter(|count| (1..=MOST).contains(count))
            .ok_or_else(refuse)?;
        // The server looks at the first letter only.
        let unit = match unit.bytes().next() {
            Some(b'd') => Unit::Day,
            Some(b'h') => Unit::Hour,
            Some(b'm') => Unit::Minute,
            Some(b's') => Unit::Second,
            _ => return Err(refuse()),
        };
        Ok(Self { requests, unit })
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Day => "day",
            Unit::Hour => "hour",
            Unit::Minute => "min",
            Unit::Second => "sec",
        };
        write!(formatter, "{}/{unit}", self.requests)
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl Throttle {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            callers: HashMap::new(),
        }
    }

    /// Changes the limit and forgets all requests so far.
    pub(crate) fn set_rate(&mut self, rate: Option<Rate>) {
        *self = Self::new(rate);
    }

    /// Counts a request of `caller`, or says in how many seconds to come back. Refused requests are not counted.
    pub(crate) fn admit(&mut self, caller: &str, now: Instant) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        if !self.callers.contains_key(caller) {
            self.make_room(rate, now);
        }
        let history = self.callers.entry(caller.to_owned()).or_default();
        expire(history, rate, now);
        if let Some(oldest) = history.front().filter(|_| history.len() >= rate.requests) {
            let wait = rate.period().saturating_sub(now.duration_since(*oldest));
            return Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        }
        history.push_back(now);
        Ok(())
    }

    fn make_room(&mut self, rate: Rate, now: Instant) {
        if self.callers.len() < CALLERS {
            return;
        }
        self.callers.retain(|_, history| {
            expire(history, rate, now);
            !history.is_empty()
        });
        if self.callers.len() >= CALLERS {
            self.callers.clear();
        }
    }
}

fn expire(history: &mut VecDeque<Instant>, rate: Rate, now: Instant) {
    while history
        .front()
        .is_some_and(|oldest| now.duration_since(*oldest) >= rate.period())
    {
        history.pop_front();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn limited(rate: &str) -> (Throttle, Instant) {
        (Throttle::new(Some(rate.parse().unwrap())), Instant::now())
    }

    #[test]
    fn the_window_slides() {
        let (mut throttle, start) = limited("2/min");
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(throttle.admit("a", at(0)), Ok(()));
        assert_eq!(throttle.admit("a", at(20)), Ok(()));
        assert_eq!(throttle.admit("a", at(20)), Err(40));
        assert_eq!(throttle.admit("a", at(59)), Err(1));
        assert_eq!(throttle.admit("a", at(60)), Ok(()));
        assert_eq!(throttle.admit("a", at(61)), Err(19));
        assert_eq!(throttle.admit("a", at(80)), Ok(()));
    }

    #[test]
    fn part_of_a_second_counts_as_one() {
        let (mut throttle, start) = limited("1/min");
        throttle.admit("a", start).unwrap();
        assert_eq!(
            throttle.admit("a", start + Duration::from_millis(1)),
            Err(60)
        );
    }

    #[test]
    fn callers_do_not_share_a_window() {
        let (mut throttle, start) = limited("1/sec");
        assert_eq!(throttle.admit("a", start), Ok(()));
        assert_eq!(throttle.admit("b", start), Ok(()));
        assert_eq!(throttle.admit("a", start), Err(1));
    }

    #[test]
    fn invented_callers_do_not_fill_the_memory() {
        let (mut throttle, start) = limited("1/min");
        for number in 0..3 * CALLERS {
            throttle.admit(&number.to_string(), start).unwrap();
        }
        assert!(throttle.callers.len() <= CALLERS);
    }

    #[test]
    fn rates_are_read_in_the_servers_form() {
        for text in ["120/min", "5/sec", "1000/hour", "1/day"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["", "5", "0/min", "x/min", "5/year", "100001/s", "-1/min"] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.starts_with("rate cannot be read: "), "{error}");
        }
    }
}
