//! A bounded amount of something that tenants share.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::Tenant;
use crate::cause::Cause;

/// The bounds of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What is counted, as an error names it.
    pub what: &'static str,
    /// In what it is counted.
    pub unit: Unit,
    /// The most for one piece of work, such as a mount.
    pub each: u64,
    /// The most for one tenant, also when nobody else is there.
    pub tenant: u64,
    /// The most for all together.
    pub total: u64,
}

/// How amounts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown as KiB or MiB.
    Bytes,
    /// A number of things.
    Count,
}

/// A bounded amount of something that tenants share; clones share it.
#[derive(Clone)]
pub struct Budget(Arc<Inner>);

struct Inner {
    limits: Limits,
    used: Mutex<Used>,
    reclaim: OnceLock<Box<Reclaim>>,
}

/// Gives up something that can be made again: of this tenant, or of whoever has most.
/// Whether there was anything.
type Reclaim = dyn Fn(Option<&Tenant>) -> bool + Send + Sync;

#[derive(Default)]
struct Used {
    total: u64,
    by_tenant: HashMap<Tenant, u64>,
}

/// What one piece of work has taken of a budget; given back when the last clone is dropped.
#[derive(Clone)]
pub struct Meter(Arc<Charge>);

struct Charge {
    budget: Budget,
    tenant: Tenant,
    /// Changed under the budget's lock only.
    used: AtomicU64,
}

/// Which bound was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// That of one piece of work: trying again does not help.
    Each,
    /// The share of this tenant: it helps when its other work has ended.
    Tenant(Tenant),
    /// What all have together.
    Total,
}

/// A budget has not enough left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Exceeded {
    /// What is counted.
    pub what: &'static str,
    /// In what.
    pub unit: Unit,
    /// Which bound was met.
    pub scope: Scope,
    /// That bound, at this moment.
    pub limit: u64,
    /// What is in use already, within that bound.
    pub used: u64,
    /// What was asked for beyond it.
    pub wanted: u64,
}

impl Budget {
    /// A budget with these bounds, of which nothing is used.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            used: Mutex::default(),
            reclaim: OnceLock::new(),
        }))
    }

    /// A meter for one piece of work of a tenant; it has taken nothing yet.
    #[must_use]
    pub fn meter(&self, tenant: &Tenant) -> Meter {
        Meter(Arc::new(Charge {
            budget: self.clone(),
            tenant: tenant.clone(),
            used: AtomicU64::new(0),
        }))
    }

    /// Sets, once, how room is made when there is not enough left: by giving up something
    /// of the tenant that asks, or, where the total is met, of the one that has most. It
    /// is called without any lock of the budget, again and again while that helps.
    pub fn reclaim_by(&self, reclaim: impl Fn(Option<&Tenant>) -> bool + Send + Sync + 'static) {
        // A second one is a defect, and the first goes on working.
        let _ = self.0.reclaim.set(Box::new(reclaim));
    }

    /// Its bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// What all use together.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().total
    }

    /// What one tenant uses.
    #[must_use]
    pub fn used_by(&self, tenant: &Tenant) -> u64 {
        let used = self.lock();
        used.by_tenant.get(tenant).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    /// Takes so much more, or nothing at all. Where the budget can make room it does: no
    /// lock may be held that this needs.
    ///
    /// # Errors
    /// [`Exceeded`], with the narrowest bound that was met.
    pub fn take(&self, amount: u64) -> Result<(), Exceeded> {
        loop {
            let exceeded = match self.try_take(amount) {
                Ok(()) => return Ok(()),
                Err(exceeded) => exceeded,
            };
            let whose = match &exceeded.scope {
                Scope::Each => return Err(exceeded),
                Scope::Tenant(tenant) => Some(tenant),
                Scope::Total => None,
            };
            let reclaim = self.0.budget.0.reclaim.get();
            if !reclaim.is_some_and(|reclaim| reclaim(whose)) {
                return Err(exceeded);
            }
        }
    }

    /// The same without making room.
    ///
    /// # Errors
    /// See [`take`](Self::take).
    pub fn try_take(&self, amount: u64) -> Result<(), Exceeded> {
        let Charge {
            budget,
            tenant,
            used: own,
        } = &*self.0;
        let limits = budget.limits();
        let mut used = budget.lock();
        let of_tenant = used.by_tenant.get(tenant).copied().unwrap_or_default();
        let mine = own.load(Ordering::Relaxed);
        let exceeded = |scope, limit, used| Exceeded {
            what: limits.what,
            unit: limits.unit,
            scope,
            limit,
            used,
            wanted: amount,
        };
        if mine.saturating_add(amount) > limits.each {
            return Err(exceeded(Scope::Each, limits.each, mine));
        }
        let total = used.total.saturating_add(amount);
        if total > limits.total {
            return Err(exceeded(Scope::Total, limits.total, used.total));
        }
        // No tenant holds more than what is left free for all others.
        let fair = (limits.total - used.total + of_tenant) / 2;
        let share = limits.tenant.min(fair);
        let tenants = of_tenant.saturating_add(amount);
        if tenants > share {
            return Err(exceeded(Scope::Tenant(tenant.clone()), share, of_tenant));
        }
        used.total = total;
        used.by_tenant.insert(tenant.clone(), tenants);
        own.store(mine + amount, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back so much, at most all that it took.
    pub fn give_back(&self, amount: u64) {
        self.0.give_back(amount);
    }

    /// What it has taken and not given back.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// Another meter of the same tenant, for what outlives this piece of work.
    #[must_use]
    pub fn sibling(&self) -> Self {
        self.0.budget.meter(&self.0.tenant)
    }
}

impl Charge {
    fn give_back(&self, amount: u64) {
        let mut used = self.budget.lock();
        let mine = self.used.load(Ordering::Relaxed);
        let amount = amount.min(mine);
        self.used.store(mine - amount, Ordering::Relaxed);
        used.total = used.total.saturating_sub(amount);
        if let Some(of_tenant) = used.by_tenant.get_mut(&self.tenant) {
            *of_tenant = of_tenant.saturating_sub(amount);
            if *of_tenant == 0 {
                used.by_tenant.remove(&self.tenant);
            }
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(u64::MAX);
    }
}

impl Exceeded {
    /// Too large in any case, or too much for now.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self.scope {
            Scope::Each => Cause::TooLarge,
            Scope::Tenant(_) | Scope::Total => Cause::Busy,
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, .. } = self;
        let (limit, used, wanted) = (
            unit.of(self.limit),
            unit.of(self.used),
            unit.of(self.wanted),
        );
        match &self.scope {
            Scope::Each => write!(
                f,
                "{what}: at most {limit} for one class, {used} are in use and {wanted} more are needed: select fewer secrets, or make two classes"
            ),
            Scope::Tenant(tenant) => write!(
                f,
                "{what}: at most {limit} for namespace \"{tenant}\" now, {used} are in use and {wanted} more are needed: retry is automatic; if this stays, let pods of the namespace mount less at once"
            ),
            Scope::Total => write!(
                f,
                "{what}: at most {limit} on this node, {used} are in use and {wanted} more are needed: retry is automatic; if this stays, raise the provider's memory limit"
            ),
        }
    }
}

impl Unit {
    /// An amount as people write it, rounded up.
    #[must_use]
    pub fn of(self, amount: u64) -> String {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        match self {
            Self::Count => amount.to_string(),
            Self::Bytes if amount < 10 * KIB => format!("{amount} bytes"),
            Self::Bytes if amount < 10 * MIB => format!("{} KiB", amount.div_ceil(KIB)),
            Self::Bytes => format!("{} MiB", amount.div_ceil(MIB)),
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limits", self.limits())
            .field("used", &self.used())
            .finish()
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("what", &self.0.budget.limits().what)
            .field("tenant", &self.0.tenant)
            .field("used", &self.used())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn budget(each: u64, tenant: u64, total: u64) -> Budget {
        Budget::new(Limits {
            what: "memory",
            unit: Unit::Count,
            each,
            tenant,
            total,
        })
    }

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name)
    }

    #[test]
    fn what_is_taken_is_given_back_with_the_last_clone() {
        let budget = budget(50, 50, 100);
        let meter = budget.meter(&tenant("a"));
        meter.take(30).unwrap();
        let clone = meter.clone();
        drop(meter);
        assert_eq!((budget.used(), budget.used_by(&tenant("a"))), (30, 30));
        clone.give_back(10);
        assert_eq!((budget.used(), clone.used()), (20, 20));
        clone.give_back(1_000);
        assert_eq!(budget.used(), 0, "never more than it took");
        clone.take(5).unwrap();
        drop(clone);
        assert_eq!(budget.used(), 0);
        assert!(budget.lock().by_tenant.is_empty(), "nothing stays behind");
    }

    #[test]
    fn one_piece_of_work_has_a_limit_and_takes_nothing_beyond_it() {
        let budget = budget(40, 90, 200);
        let meter = budget.meter(&tenant("a"));
        meter.take(30).unwrap();
        let error = meter.take(11).unwrap_err();
        assert_eq!(error.cause(), Cause::TooLarge);
        assert_eq!(
            error.to_string(),
            "memory: at most 40 for one class, 30 are in use and 11 more are needed: select fewer secrets, or make two classes"
        );
        assert_eq!(budget.used(), 30);
        meter.take(10).unwrap();
    }

    #[test]
    fn a_tenant_has_a_share() {
        let budget = budget(100, 40, 200);
        let (one, two) = (budget.meter(&tenant("a")), budget.meter(&tenant("a")));
        one.take(30).unwrap();
        let error = two.take(11).unwrap_err();
        assert_eq!(error.cause(), Cause::Busy);
        assert_eq!(
            error.to_string(),
            "memory: at most 40 for namespace \"a\" now, 30 are in use and 11 more are needed: retry is automatic; if this stays, let pods of the namespace mount less at once"
        );
        drop(one);
        two.take(11).unwrap();
    }

    #[test]
    fn nobody_holds_more_than_what_is_left_for_all_others() {
        let budget = budget(1_000, 1_000, 1_000);
        let greedy: Vec<_> = (0..9)
            .map(|number| budget.meter(&tenant(&number.to_string())))
            .collect();
        let mut takes = true;
        while takes {
            takes = greedy.iter().filter(|meter| meter.take(1).is_ok()).count() > 0;
        }
        for meter in &greedy {
            assert!((99..=101).contains(&meter.used()), "{}", meter.used());
        }
        let newcomer = budget.meter(&tenant("new"));
        newcomer.take(45).unwrap();
        let meter = Budget::new(*budget.limits()).meter(&tenant("a"));
        meter.take(500).unwrap();
        let error = meter.take(1).unwrap_err();
        assert_eq!(error.scope, Scope::Tenant(tenant("a")));
        assert_eq!((error.limit, error.used), (500, 500));
    }

    #[test]
    fn all_together_have_a_total() {
        let budget = budget(100, 100, 100);
        let meters = ["a", "b", "c", "d"].map(|name| budget.meter(&tenant(name)));
        for (meter, amount) in meters.iter().zip([50, 25, 12, 6]) {
            meter.take(amount).unwrap();
        }
        let error = meters[3].take(8).unwrap_err();
        assert_eq!(error.cause(), Cause::Busy);
        assert_eq!(
            error.to_string(),
            "memory: at most 100 on this node, 93 are in use and 8 more are needed: retry is automatic; if this stays, raise the provider's memory limit"
        );
    }

    #[test]
    fn room_is_made_where_that_helps() {
        let budget = budget(100, 60, 100);
        let kept = Arc::new(Mutex::new(Vec::new()));
        for (name, amount) in [("a", 20), ("a", 20), ("b", 15)] {
            let meter = budget.meter(&tenant(name));
            meter.take(amount).unwrap();
            kept.lock().unwrap().push(meter);
        }
        let all = Arc::clone(&kept);
        budget.reclaim_by(move |whose| {
            let mut kept = all.lock().unwrap();
            let found = kept
                .iter()
                .position(|meter| whose.is_none_or(|whose| meter.tenant() == whose));
            found.map(|place| kept.remove(place)).is_some()
        });
        let names = || {
            let kept = kept.lock().unwrap();
            kept.iter()
                .map(|meter| meter.tenant().to_string())
                .collect::<Vec<_>>()
        };
        let meter = budget.meter(&tenant("a"));
        meter.take(20).unwrap();
        assert_eq!(names(), ["a", "b"], "one of its own was enough");
        assert!(meter.try_take(40).is_err());
        assert_eq!(names(), ["a", "b"], "nobody made room");
        assert!(meter.take(40).is_err(), "more than its share");
        assert_eq!(names(), ["b"], "what is another's stays");
        let error = budget.meter(&tenant("c")).take(101).unwrap_err();
        assert_eq!(error.scope, Scope::Each);
    }

    #[test]
    fn huge_amounts_do_not_wrap() {
        let budget = budget(u64::MAX, u64::MAX, u64::MAX);
        let meter = budget.meter(&tenant("a"));
        meter.take(10).unwrap();
        assert!(meter.take(u64::MAX).is_err());
        assert_eq!(budget.used(), 10);
    }

    #[test]
    fn amounts_are_written_as_people_read_them() {
        let bytes = [0, 9_000, 10_240, 300 << 10, (10 << 20) - 1, (10 << 20) + 1];
        assert_eq!(
            bytes.map(|amount| Unit::Bytes.of(amount)),
            [
                "0 bytes",
                "9000 bytes",
                "10 KiB",
                "300 KiB",
                "10240 KiB",
                "11 MiB"
            ]
        );
    }
}
