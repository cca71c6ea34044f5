//! Who was admitted how often in the last minute.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use super::standing::Standing;
use super::{Asker, Priority};
use crate::quota::Tenant;

/// The admissions of the last minute; the newest [`MOST`] of them. Mounts and polls
/// are counted apart: whoever is polled much has no later turn for its mounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    admissions: VecDeque<Admission>,
    tenants: HashMap<(Tenant, bool), u32>,
    askers: HashMap<(Asker, bool), u32>,
    polls: u32,
    strangers: u32,
    doubtful: u32,
}

/// One request that was made.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    pub(super) at: Instant,
    pub(super) asker: Asker,
    pub(super) priority: Priority,
    /// Of a credential that had not worked, of a doubtful tenant.
    pub(super) is_doubtful: bool,
}

/// How many admissions are remembered.
const MOST: usize = 1024;
/// For how long.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

impl Recent {
    /// How often the asker was admitted, to mount or to poll.
    pub(super) fn count(&self, asker: &Asker, priority: Priority) -> u32 {
        let key = (asker.clone(), priority.is_poll());
        self.askers.get(&key).copied().unwrap_or_default()
    }

    /// How often anybody of the tenant was admitted, to mount or to poll.
    pub(super) fn of_tenant(&self, tenant: &Tenant, priority: Priority) -> u32 {
        let key = (tenant.clone(), priority.is_poll());
        self.tenants.get(&key).copied().unwrap_or_default()
    }

    /// How many polls were admitted.
    pub(super) const fn polls(&self) -> u32 {
        self.polls
    }

    /// How many were admitted whose credential had not worked yet, but those of doubtful
    /// tenants.
    pub(super) const fn strangers(&self) -> u32 {
        self.strangers
    }

    /// How many of doubtful tenants were admitted whose credential had not worked yet.
    pub(super) const fn doubtful(&self) -> u32 {
        self.doubtful
    }

    /// What was admitted last, if that counts.
    pub(super) fn last(&self) -> Option<Priority> {
        self.admissions.back().map(|last| last.priority)
    }

    /// All that count, the oldest first.
    pub(super) fn admissions(&self) -> impl Iterator<Item = &Admission> {
        self.admissions.iter()
    }

    /// Remembers an admission; they come in the order of time. What a doubtful tenant had
    /// counts as such where its credential had not worked.
    pub(super) fn add(
        &mut self,
        at: Instant,
        asker: &Asker,
        priority: Priority,
        standing: Standing,
    ) {
        self.expire(at);
        if self.admissions.len() == MOST {
            self.drop_oldest();
        }
        let tenant = (asker.tenant.clone(), priority.is_poll());
        *self.tenants.entry(tenant).or_default() += 1;
        let key = (asker.clone(), priority.is_poll());
        *self.askers.entry(key).or_default() += 1;
        let is_doubtful = priority.is_stranger() && standing == Standing::Doubtful;
        self.polls += u32::from(priority.is_poll());
        self.strangers += u32::from(priority.is_stranger() && !is_doubtful);
        self.doubtful += u32::from(is_doubtful);
        self.admissions.push_back(Admission {
            at,
            asker: asker.clone(),
            priority,
            is_doubtful,
        });
    }

    /// Forgets what is a minute old.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(first) = self.admissions.front()
            && first.at + MINUTE <= now
        {
            self.drop_oldest();
        }
    }

    /// Forgets the newest admission of an asker: it came to nothing.
    pub(super) fn undo(&mut self, asker: &Asker) {
        let newest = self.admissions.iter().rposition(|one| one.asker == *asker);
        if let Some(admission) = newest.and_then(|newest| self.admissions.remove(newest)) {
            self.discount(admission);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(admission) = self.admissions.pop_front() {
            self.discount(admission);
        }
    }

    fn discount(&mut self, admission: Admission) {
        let Admission {
            asker,
            priority,
            is_doubtful,
            ..
        } = admission;
        decrease(
            &mut self.tenants,
            &(asker.tenant.clone(), priority.is_poll()),
        );
        decrease(&mut self.askers, &(asker, priority.is_poll()));
        self.polls -= u32::from(priority.is_poll());
        self.strangers -= u32::from(priority.is_stranger() && !is_doubtful);
        self.doubtful -= u32::from(is_doubtful);
    }
}

fn decrease<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(tenant: &str, credential: u8) -> Asker {
        Asker {
            tenant: Tenant::new(tenant),
            credential: [credential; 16],
        }
    }

    #[test]
    fn admissions_count_for_a_minute() {
        let now = Instant::now();
        let (a, b) = (asker("a", 1), asker("b", 1));
        let mut recent = Recent::default();
        recent.add(now, &a, Priority::Mount, Standing::Known);
        recent.add(
            now + Duration::from_secs(1),
            &a,
            Priority::Mount,
            Standing::Known,
        );
        recent.expire(now + MINUTE - Duration::from_nanos(1));
        let count = |recent: &Recent, asker| recent.count(asker, Priority::Mount);
        assert_eq!((count(&recent, &a), count(&recent, &b)), (2, 0));
        recent.expire(now + MINUTE);
        assert_eq!(count(&recent, &a), 1);
    }

    #[test]
    fn a_tenant_has_what_its_askers_have_and_polls_are_counted_apart() {
        let now = Instant::now();
        let mut recent = Recent::default();
        recent.add(now, &asker("a", 1), Priority::Mount, Standing::Known);
        recent.add(now, &asker("a", 2), Priority::Stranger, Standing::Known);
        recent.add(now, &asker("a", 2), Priority::Poll, Standing::Known);
        recent.add(now, &asker("b", 2), Priority::Stranger, Standing::Known);
        let of = |name, priority| recent.of_tenant(&Tenant::new(name), priority);
        assert_eq!((of("a", Priority::Mount), of("a", Priority::Poll)), (2, 1));
        assert_eq!((of("b", Priority::Mount), of("b", Priority::Poll)), (1, 0));
        assert_eq!((recent.polls(), recent.strangers()), (1, 2));
    }

    #[test]
    fn an_admission_that_came_to_nothing_does_not_count() {
        let now = Instant::now();
        let (a, b) = (asker("a", 1), asker("b", 1));
        let mut recent = Recent::default();
        recent.add(now, &a, Priority::Stranger, Standing::Known);
        recent.add(now, &b, Priority::Poll, Standing::Known);
        recent.undo(&a);
        recent.undo(&a);
        assert_eq!(recent.count(&a, Priority::Stranger), 0);
        assert_eq!(recent.count(&b, Priority::Poll), 1);
        assert_eq!((recent.polls(), recent.strangers()), (1, 0));
    }

    #[test]
    fn beyond_the_limit_the_oldest_is_forgotten() {
        let now = Instant::now();
        let (a, b) = (asker("a", 1), asker("b", 1));
        let mut recent = Recent::default();
        recent.add(now, &a, Priority::Mount, Standing::Known);
        (0..MOST).for_each(|_| recent.add(now, &b, Priority::Mount, Standing::Known));
        assert_eq!(recent.admissions.len(), MOST);
        assert_eq!(recent.count(&b, Priority::Mount), 1024);
        assert_eq!((recent.askers.len(), recent.tenants.len()), (1, 1));
    }
}
