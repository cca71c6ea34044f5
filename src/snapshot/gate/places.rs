//! Who has a request of one host under way.

use std::collections::HashMap;

use tokio::time::Instant;

use super::limit::{Limit, Outcome};
use super::standing::Standings;
use super::{Asker, Priority};
use crate::quota::Tenant;

/// Who has a request of one host under way. No tenant has more than are left free for
/// all others, so that one whose requests hang leaves places.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) limit: Limit,
    /// What became of the requests that they had.
    pub(super) standings: Standings,
    taken: usize,
    tenants: HashMap<Tenant, usize>,
    askers: HashMap<Asker, usize>,
}

/// The most for one asker.
pub(super) const PER_ASKER: usize = 4;

impl Places {
    pub(super) fn new(limit: Limit) -> Self {
        Self {
            limit,
            standings: Standings::default(),
            taken: 0,
            tenants: HashMap::new(),
            askers: HashMap::new(),
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.taken >= self.limit.places()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// How many a tenant has.
    pub(super) fn of_tenant(&self, tenant: &Tenant) -> usize {
        self.tenants.get(tenant).copied().unwrap_or_default()
    }

    /// Whether the asker, or its tenant, has all that one may have, so that it waits for
    /// its own requests only.
    pub(super) fn is_held(&self, asker: &Asker) -> bool {
        self.has_its_own(asker) || {
            let held = self.of_tenant(&asker.tenant);
            held > 0 && held >= self.limit.places().saturating_sub(self.taken)
        }
    }

    /// Whether the asker has all that one may have, however many places there are.
    pub(super) fn has_its_own(&self, asker: &Asker) -> bool {
        self.askers.get(asker).is_some_and(|own| *own >= PER_ASKER)
    }

    pub(super) fn take(&mut self, asker: &Asker, priority: Priority, now: Instant) {
        self.standings.begun(&asker.tenant, priority, now);
        self.taken += 1;
        *self.tenants.entry(asker.tenant.clone()).or_default() += 1;
        *self.askers.entry(asker.clone()).or_default() += 1;
    }

    pub(super) fn give_back(
        &mut self,
        asker: &Asker,
        priority: Priority,
        outcome: Outcome,
        now: Instant,
    ) {
        self.standings.ended(&asker.tenant, priority, outcome, now);
        let Some(own) = self.askers.get_mut(asker) else {
            return;
        };
        self.taken -= 1;
        *own -= 1;
        if *own == 0 {
            self.askers.remove(asker);
        }
        if let Some(of_tenant) = self.tenants.get_mut(&asker.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                self.tenants.remove(&asker.tenant);
            }
        }
    }
}
