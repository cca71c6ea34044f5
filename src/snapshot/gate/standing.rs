//! Which tenants' new credentials a host has taken lately, and which it has refused.
//!
//! A tenant whose requests brought answers is known; one of which nothing is known is
//! new; one of whose requests more were refused than were answered is doubtful. Both
//! counts halve in five minutes. A request of a credential that has not worked counts as
//! refused until it has ended: what is new has one under way, and as many more as have
//! brought answers.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Priority;
use super::limit::Outcome;
use crate::quota::Tenant;

/// What is known of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// As much was answered as was refused, or more.
    Known,
    /// Nothing yet.
    New,
    /// More was refused than was answered.
    Doubtful,
}

/// What is known of the tenants of a host.
#[derive(Debug, Default)]
pub(super) struct Standings(HashMap<Tenant, Record>);

/// What became of the requests of one tenant.
#[derive(Clone, Copy, Debug)]
struct Record {
    answered: f64,
    refused: f64,
    /// Those of credentials that have not worked.
    under_way: u32,
    at: Instant,
}

/// In this time all counts halve.
const HALF_LIFE: Duration = Duration::from_secs(5 * 60);
/// So much counts at most, so that nothing counts for longer than most of an hour.
const MOST_ANSWERED: f64 = 32.0;
const MOST_REFUSED: f64 = 64.0;
/// Less than this counts for nothing.
const LEAST: f64 = 0.5;
/// Of so many tenants something is remembered.
const MOST: usize = 1024;

impl Standings {
    pub(super) fn of(&self, tenant: &Tenant, now: Instant) -> Standing {
        let record = self.0.get(tenant).copied();
        record.map_or(Standing::New, |record| record.at(now).standing())
    }

    /// A request is made.
    pub(super) fn begun(&mut self, tenant: &Tenant, priority: Priority, now: Instant) {
        if priority.is_stranger() {
            self.record(tenant, now).under_way += 1;
        }
    }

    /// A request has ended.
    pub(super) fn ended(
        &mut self,
        tenant: &Tenant,
        priority: Priority,
        outcome: Outcome,
        now: Instant,
    ) {
        let record = self.record(tenant, now);
        if priority.is_stranger() {
            record.under_way = record.under_way.saturating_sub(1);
        }
        match outcome {
            Outcome::Answered => record.answered = (record.answered + 1.0).min(MOST_ANSWERED),
            Outcome::Refused => record.refused = (record.refused + 1.0).min(MOST_REFUSED),
            Outcome::Overloaded | Outcome::Neither => {}
        }
    }

    /// Forgets what counts for nothing any more.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.0.retain(|_, record| !record.at(now).is_over());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn record(&mut self, tenant: &Tenant, now: Instant) -> &mut Record {
        if !self.0.contains_key(tenant) && self.0.len() >= MOST {
            self.make_room(now);
        }
        let record = self.0.entry(tenant.clone());
        let record = record.or_insert_with(|| Record::new(now));
        *record = record.at(now);
        record
    }

    /// Those who are not known go first, and of these who has been silent for longest.
    fn make_room(&mut self, now: Instant) {
        self.sweep(now);
        if self.0.len() < MOST {
            return;
        }
        let weight = |record: Record| {
            let is_known = record.at(now).standing() == Standing::Known;
            (is_known, record.under_way, record.at)
        };
        let oldest = |(tenant, record): (&Tenant, &Record)| (weight(*record), tenant.clone());
        if let Some((_, tenant)) = self.0.iter().map(oldest).min() {
            self.0.remove(&tenant);
        }
    }
}

impl Record {
    const fn new(at: Instant) -> Self {
        Self {
            answered: 0.0,
            refused: 0.0,
            under_way: 0,
            at,
        }
    }

    /// What is left of it.
    fn at(self, now: Instant) -> Self {
        let age = now.saturating_duration_since(self.at);
        let left = (-age.div_duration_f64(HALF_LIFE)).exp2();
        let of = |count: f64| match count * left {
            left if left < LEAST => 0.0,
            left => left,
        };
        Self {
            answered: of(self.answered),
            refused: of(self.refused),
            under_way: self.under_way,
            at: now,
        }
    }

    fn standing(self) -> Standing {
        let refused = self.refused + f64::from(self.under_way);
        if refused > self.answered {
            Standing::Doubtful
        } else if self.answered > 0.0 {
            Standing::Known
        } else {
            Standing::New
        }
    }

    fn is_over(self) -> bool {
        self.under_way == 0 && self.answered <= 0.0 && self.refused <= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name)
    }

    /// So many requests of new credentials, one after the other.
    fn requests(all: &mut Standings, name: &str, count: u32, outcome: Outcome, now: Instant) {
        for _ in 0..count {
            all.begun(&tenant(name), Priority::Stranger, now);
            all.ended(&tenant(name), Priority::Stranger, outcome, now);
        }
    }

    #[test]
    fn what_is_new_has_one_request_until_that_has_brought_an_answer() {
        let (mut all, now) = (Standings::default(), Instant::now());
        let of = |all: &Standings| all.of(&tenant("a"), now);
        assert_eq!(of(&all), Standing::New);
        all.begun(&tenant("a"), Priority::Stranger, now);
        assert_eq!(of(&all), Standing::Doubtful);
        all.ended(&tenant("a"), Priority::Stranger, Outcome::Answered, now);
        assert_eq!(of(&all), Standing::Known);
        all.begun(&tenant("a"), Priority::Stranger, now);
        assert_eq!(of(&all), Standing::Known, "as many as have worked");
        all.begun(&tenant("a"), Priority::Stranger, now);
        assert_eq!(of(&all), Standing::Doubtful);
    }

    #[test]
    fn what_fails_by_no_fault_of_a_tenant_does_not_count() {
        let (mut all, now) = (Standings::default(), Instant::now());
        requests(&mut all, "a", 9, Outcome::Neither, now);
        requests(&mut all, "a", 9, Outcome::Overloaded, now);
        assert_eq!(all.of(&tenant("a"), now), Standing::New);
    }

    #[test]
    fn refusals_weigh_against_answers_and_are_forgotten() {
        let (mut all, now) = (Standings::default(), Instant::now());
        requests(&mut all, "a", 3, Outcome::Answered, now);
        requests(&mut all, "a", 3, Outcome::Refused, now);
        assert_eq!(all.of(&tenant("a"), now), Standing::Known);
        requests(&mut all, "a", 1, Outcome::Refused, now);
        assert_eq!(all.of(&tenant("a"), now), Standing::Doubtful);
        requests(&mut all, "b", 1_000_000, Outcome::Refused, now);
        let hour = now + Duration::from_secs(3600);
        assert_eq!(all.of(&tenant("b"), hour), Standing::New);
        all.sweep(hour);
        assert!(all.is_empty());
    }

    #[test]
    fn what_works_earns_no_more_than_so_many_refusals() {
        let (mut all, now) = (Standings::default(), Instant::now());
        requests(&mut all, "a", 1_000_000, Outcome::Answered, now);
        requests(&mut all, "a", 33, Outcome::Refused, now);
        assert_eq!(all.of(&tenant("a"), now), Standing::Doubtful);
    }

    #[test]
    fn known_tenants_are_not_forgotten_for_many_that_are_refused() {
        let (mut all, now) = (Standings::default(), Instant::now());
        requests(&mut all, "known", 1, Outcome::Answered, now);
        for number in 0..MOST * 2 {
            let soon = now + Duration::from_millis(u64::try_from(number).unwrap_or_default());
            requests(&mut all, &number.to_string(), 1, Outcome::Refused, soon);
        }
        assert_eq!(all.0.len(), MOST);
        assert_eq!(all.of(&tenant("known"), now), Standing::Known);
        let last = (MOST * 2 - 1).to_string();
        assert_eq!(all.of(&tenant(&last), now), Standing::Doubtful);
    }
}
