//! Classes that were refused: none is read again until it changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::quota::{Budget, Limits, Meter, Tenant, Unit};

/// What names a class with all that it says.
pub(crate) type ClassId = [u8; 32];

/// Why classes were refused: the latest of each tenant, and of all together no more than
/// 2 MiB. What is not kept is read again.
pub(crate) struct Refused {
    budget: Budget,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_tenant: HashMap<Tenant, HashMap<ClassId, Refusal>>,
    /// How often a refusal was used or added.
    uses: u64,
}

struct Refusal {
    why: Arc<str>,
    used: u64,
    _memory: Meter,
}

const LIMITS: Limits = Limits {
    what: "memory for refused classes",
    unit: Unit::Bytes,
    each: 16 << 10,
    tenant: 256 << 10,
    total: 2 << 20,
};
/// Beside its text.
const A_REFUSAL: u64 = 256;
/// No error that a pod sees is longer than 500 bytes.
const LONGEST: usize = 2_000;

impl Default for Refused {
    fn default() -> Self {
        Self {
            budget: Budget::new(LIMITS),
            known: Mutex::default(),
        }
    }
}

impl Refused {
    /// Why a class was refused, if it was.
    pub(crate) fn why(&self, tenant: &Tenant, class: &ClassId) -> Option<Arc<str>> {
        let Known { by_tenant, uses } = &mut *self.known();
        let refusal = by_tenant.get_mut(tenant)?.get_mut(class)?;
        *uses += 1;
        refusal.used = *uses;
        Some(Arc::clone(&refusal.why))
    }

    /// A class is refused. In the place of others of its tenant, if need be, or else of
    /// whatever was used longest ago.
    pub(crate) fn add(&self, tenant: &Tenant, class: ClassId, why: &str) {
        let end = why.floor_char_boundary(LONGEST);
        let why: Arc<str> = why[..end].into();
        let memory = self.budget.meter(tenant);
        let mut known = self.known();
        while memory.take(A_REFUSAL + why.len() as u64).is_err() {
            if !known.forget(Some(tenant)) && !known.forget(None) {
                return;
            }
        }
        known.uses += 1;
        let refusal = Refusal {
            why,
            used: known.uses,
            _memory: memory,
        };
        let own = known.by_tenant.entry(tenant.clone()).or_default();
        own.insert(class, refusal);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets the refusal that was used longest ago, of one tenant or of all; whether
    /// there was one.
    fn forget(&mut self, of: Option<&Tenant>) -> bool {
        let tenants = self.by_tenant.iter();
        let own = tenants.filter(|(tenant, _)| of.is_none_or(|of| of == *tenant));
        let all = own.flat_map(|(tenant, own)| {
            own.iter()
                .map(move |(class, one)| (one.used, tenant, class))
        });
        let oldest = all.min().map(|(_, tenant, class)| (tenant.clone(), *class));
        let Some((tenant, class)) = oldest else {
            return false;
        };
        if let Some(own) = self.by_tenant.get_mut(&tenant) {
            own.remove(&class);
            if own.is_empty() {
                self.by_tenant.remove(&tenant);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(number: u32) -> ClassId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        id
    }

    #[test]
    fn a_refusal_is_known_to_its_tenant_until_there_are_many() {
        let refused = Refused::default();
        let (one, two) = (Tenant::new("one"), Tenant::new("two"));
        refused.add(&one, class(0), "first");
        assert_eq!(refused.why(&one, &class(0)).as_deref(), Some("first"));
        assert_eq!(refused.why(&two, &class(0)), None);
        refused.add(&two, class(0), "of two");
        for number in 1..10_000 {
            refused.add(&one, class(number), &"x".repeat(1_000));
            // What is used stays.
            assert!(refused.why(&one, &class(0)).is_some(), "{number}");
        }
        assert_eq!(refused.why(&one, &class(1)), None);
        assert!(refused.why(&one, &class(9_999)).is_some());
        assert!(refused.budget.used_by(&one) <= LIMITS.tenant);
        assert_eq!(refused.why(&two, &class(0)).as_deref(), Some("of two"));
    }

    #[test]
    fn many_tenants_have_a_bound_together() {
        let refused = Refused::default();
        for number in 0..5_000 {
            let tenant = Tenant::new(&number.to_string());
            refused.add(&tenant, class(0), &"x".repeat(5_000));
        }
        assert!(refused.budget.used() <= LIMITS.total);
        let last = Tenant::new("4999");
        assert!(refused.why(&last, &class(0)).is_some(), "the oldest went");
        assert_eq!(refused.why(&Tenant::new("0"), &class(0)), None);
        let known = refused.known();
        assert!(known.by_tenant.len() < 1_200, "{}", known.by_tenant.len());
        assert!(known.by_tenant.values().all(|own| own.len() == 1));
    }
}
