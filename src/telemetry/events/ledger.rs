//! Which volumes go well, and when it is time to say something.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::quota::{Budget, Limits, Meter, Tenant, Unit};
use crate::snapshot::VolumeId;

/// Which volumes go well, and what their pods were told.
pub(super) struct Ledger {
    volumes: HashMap<VolumeId, Volume>,
    /// When a pod was last told of a failure, by a hash of its UID.
    pods: HashMap<u64, Instant>,
    hasher: RandomState,
    said: Said,
}

struct Volume {
    /// When its pod was told of a failure that was not taken back yet.
    told: Option<Instant>,
    seen: Instant,
}

/// What was said lately. One of it is forgotten at a time, the oldest first; until then it
/// counts against what its namespace, and the whole node, may say.
struct Said {
    budget: Budget,
    meters: VecDeque<Meter>,
    /// When one was forgotten last, or there was none.
    since: Option<Instant>,
}

/// How a mount went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Good,
    Bad {
        /// Whether the volume is known to have been answered before.
        is_old: bool,
    },
}

/// What the pod is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Failure,
    Recovery,
}

impl Default for Ledger {
    fn default() -> Self {
        let limits = Limits {
            what: "events on pods",
            unit: Unit::Count,
            each: 1,
            tenant: BURST,
            total: BURST,
        };
        Self {
            volumes: HashMap::new(),
            pods: HashMap::new(),
            hasher: RandomState::new(),
            said: Said {
                budget: Budget::new(limits),
                meters: VecDeque::new(),
                since: None,
            },
        }
    }
}

impl Ledger {
    /// A mount went so; what is to be said of it.
    pub(super) fn hear(
        &mut self,
        volume: VolumeId,
        tenant: &Tenant,
        pod: &str,
        heard: Heard,
        now: Instant,
    ) -> Option<Due> {
        let is_known = self.volumes.contains_key(&volume);
        if !is_known && heard == (Heard::Bad { is_old: false }) {
            // A pod that starts: kubelet tells it.
            return None;
        }
        let told = self.volume(volume, now).told;
        match (heard, told) {
            (Heard::Good, None) => None,
            (Heard::Good, Some(_)) => {
                self.said.is_allowed(tenant, now).then_some(())?;
                self.volume(volume, now).told = None;
                Some(Due::Recovery)
            }
            (Heard::Bad { .. }, Some(told)) if now < told + REMIND => None,
            (Heard::Bad { .. }, _) => {
                let pod = self.hasher.hash_one(pod);
                let last = self.pods.get(&pod);
                if last.is_some_and(|last| now < *last + PAUSE)
                    || !self.said.is_allowed(tenant, now)
                {
                    return None;
                }
                make_room(&mut self.pods, MOST_PODS, |at| *at);
                self.pods.insert(pod, now);
                self.volume(volume, now).told = Some(now);
                Some(Due::Failure)
            }
        }
    }

    fn volume(&mut self, volume: VolumeId, now: Instant) -> &mut Volume {
        if !self.volumes.contains_key(&volume) {
            make_room(&mut self.volumes, MOST_VOLUMES, |one| one.seen);
        }
        let new = Volume {
            told: None,
            seen: now,
        };
        let one = self.volumes.entry(volume).or_insert(new);
        one.seen = now;
        one
    }
}

impl Said {
    /// Takes one from what the namespace, and the node, may say.
    fn is_allowed(&mut self, tenant: &Tenant, now: Instant) -> bool {
        let since = self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(*since);
        let gone = usize::try_from(passed.as_nanos() / EACH.as_nanos()).unwrap_or(usize::MAX);
        match gone >= self.meters.len() {
            true => {
                self.meters.clear();
                *since = now;
            }
            false => {
                self.meters.drain(..gone);
                *since += EACH * u32::try_from(gone).unwrap_or(u32::MAX);
            }
        }
        let meter = self.budget.meter(tenant);
        let is_allowed = meter.take(1).is_ok();
        if is_allowed {
            self.meters.push_back(meter);
        }
        is_allowed
    }
}

/// Takes out whatever is oldest until one more fits.
fn make_room<K: Copy + Eq + Hash, V>(
    map: &mut HashMap<K, V>,
    most: usize,
    age: impl Fn(&V) -> Instant,
) {
    while map.len() >= most {
        let oldest = map.iter().min_by_key(|(_, value)| age(value));
        let Some(oldest) = oldest.map(|(key, _)| *key) else {
            return;
        };
        map.remove(&oldest);
    }
}

/// Between two failures that one pod is told of.
const PAUSE: Duration = Duration::from_secs(10 * 60);
/// Kubernetes forgets events after an hour.
const REMIND: Duration = Duration::from_secs(30 * 60);
/// So many of a node at once, and of one namespace no more than are left for all others;
/// then one in so long: an outage concerns all its pods.
const BURST: u64 = 20;
const EACH: Duration = Duration::from_secs(5);
/// As many as the memory has.
const MOST_VOLUMES: usize = 8_192;
const MOST_PODS: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    const V: VolumeId = [1; 16];
    const BAD: Heard = Heard::Bad { is_old: false };
    const SECOND: Duration = Duration::from_secs(1);

    fn a() -> Tenant {
        Tenant::new("a")
    }

    fn volume(number: usize) -> VolumeId {
        let mut id = VolumeId::default();
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    #[test]
    fn a_pod_that_starts_is_told_nothing() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert_eq!(ledger.hear(V, &a(), "a", BAD, now), None);
        assert_eq!(ledger.hear(V, &a(), "a", BAD, now), None);
        assert_eq!(ledger.hear(V, &a(), "a", Heard::Good, now), None);
        assert!(ledger.volumes.len() == 1 && ledger.pods.is_empty());
    }

    #[test]
    fn each_change_is_told_once() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let heard = [Heard::Good, BAD, BAD, BAD, Heard::Good, Heard::Good];
        let due = heard.map(|heard| ledger.hear(V, &a(), "a", heard, now));
        let (failure, recovery) = (Some(Due::Failure), Some(Due::Recovery));
        assert_eq!(due, [None, failure, None, None, recovery, None]);
    }

    #[test]
    fn a_volume_of_an_earlier_life_is_no_new_one() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let bad = Heard::Bad { is_old: true };
        assert_eq!(ledger.hear(V, &a(), "a", bad, now), Some(Due::Failure));
        assert_eq!(ledger.hear(V, &a(), "a", BAD, now), None);
        let good = ledger.hear(V, &a(), "a", Heard::Good, now);
        assert_eq!(good, Some(Due::Recovery));
    }

    #[test]
    fn a_pod_whose_volumes_flap_hears_of_one_failure_in_ten_minutes() {
        let (mut ledger, mut now) = (Ledger::default(), Instant::now());
        for id in [1, 2] {
            ledger.hear(volume(id), &a(), "a", Heard::Good, now);
        }
        let mut failures = 0;
        for _ in 0..60 {
            for id in [1, 2] {
                let due = ledger.hear(volume(id), &a(), "a", BAD, now);
                failures += usize::from(due == Some(Due::Failure));
                ledger.hear(volume(id), &a(), "a", Heard::Good, now);
            }
            now += 30 * SECOND;
        }
        assert_eq!(failures, 3, "in half an hour");
    }

    #[test]
    fn a_failure_that_lasts_is_told_again_before_kubernetes_forgets_it() {
        let (mut ledger, mut now) = (Ledger::default(), Instant::now());
        ledger.hear(V, &a(), "a", Heard::Good, now);
        let mut failures = 0;
        for _ in 0..=60 {
            let due = ledger.hear(V, &a(), "a", BAD, now);
            failures += usize::from(due == Some(Due::Failure));
            now += 60 * SECOND;
        }
        assert_eq!(failures, 3, "in an hour");
    }

    /// What comes of it when so many volumes of each of these namespaces are heard of.
    fn told(
        ledger: &mut Ledger,
        namespaces: &[&str],
        each: usize,
        heard: Heard,
        now: Instant,
    ) -> Vec<usize> {
        let of = |(place, name): (usize, &&str)| {
            let pods = (0..each).map(|number| volume(100 * place + number));
            let told = pods.filter(|id| {
                let pod = format!("{name}-{id:?}");
                let due = ledger.hear(*id, &Tenant::new(name), &pod, heard, now);
                due.is_some()
            });
            told.count()
        };
        namespaces.iter().enumerate().map(of).collect()
    }

    #[test]
    fn what_a_namespace_may_not_say_yet_is_said_later() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let mut all = |heard, now| told(&mut ledger, &["a"], 30, heard, now)[0];
        all(Heard::Good, now);
        assert_eq!(all(BAD, now), 10, "as many as are left for all others");
        assert_eq!(all(BAD, now + 4 * SECOND), 0);
        assert_eq!(all(BAD, now + 11 * SECOND), 2);
        assert_eq!(all(BAD, now + 1_000 * SECOND), 10);
        assert_eq!(all(BAD, now + 1_300 * SECOND), 8);
        assert_eq!(all(Heard::Good, now + 2_000 * SECOND), 10);
    }

    #[test]
    fn a_namespace_with_many_pods_leaves_events_to_others() {
        let (mut ledger, mut now) = (Ledger::default(), Instant::now());
        let names = ["noisy", "b", "c"];
        told(&mut ledger, &names, 90, Heard::Good, now);
        assert_eq!(told(&mut ledger, &["noisy"], 90, BAD, now), [10]);
        // It says whatever it may for as long as it likes.
        for _ in 0..20 {
            now += 5 * SECOND;
            assert_eq!(told(&mut ledger, &["noisy"], 90, BAD, now), [1]);
        }
        assert_eq!(told(&mut ledger, &names, 90, BAD, now), [0, 5, 2]);
    }

    #[test]
    fn the_node_says_no_more_than_it_may() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let names: Vec<_> = (0..50).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        told(&mut ledger, &names, 2, Heard::Good, now);
        let all: usize = told(&mut ledger, &names, 2, BAD, now).iter().sum();
        assert!((18..=20).contains(&all), "{all}");
    }

    #[test]
    fn it_grows_no_further() {
        let (mut ledger, mut now) = (Ledger::default(), Instant::now());
        for number in 0..MOST_VOLUMES + 5 {
            ledger.hear(volume(number), &a(), "a", Heard::Good, now);
            now += Duration::from_nanos(1);
        }
        assert_eq!(ledger.volumes.len(), MOST_VOLUMES);
        assert!(!ledger.volumes.contains_key(&volume(4)));
    }
}
