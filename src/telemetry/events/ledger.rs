//! Which volumes go well, and when it is time to say something.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::snapshot::VolumeId;

/// Which volumes go well, and what their pods were told.
#[derive(Default)]
pub(super) struct Ledger {
    volumes: HashMap<VolumeId, Volume>,
    /// When a pod was last told of a failure, by a hash of its UID.
    pods: HashMap<u64, Instant>,
    hasher: RandomState,
    allowance: Option<Allowance>,
}

struct Volume {
    /// When its pod was told of a failure that was not taken back yet.
    told: Option<Instant>,
    seen: Instant,
}

/// What the whole node may say.
struct Allowance {
    left: u32,
    since: Instant,
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

impl Ledger {
    /// A mount went so; what is to be said of it.
    pub(super) fn hear(
        &mut self,
        volume: VolumeId,
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
                self.is_allowed(now).then_some(())?;
                self.volume(volume, now).told = None;
                Some(Due::Recovery)
            }
            (Heard::Bad { .. }, Some(told)) if now < told + REMIND => None,
            (Heard::Bad { .. }, _) => {
                let pod = self.hasher.hash_one(pod);
                let last = self.pods.get(&pod);
                if last.is_some_and(|last| now < *last + PAUSE) || !self.is_allowed(now) {
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

    /// Takes one from what the node may say.
    fn is_allowed(&mut self, now: Instant) -> bool {
        let allowance = self.allowance.get_or_insert(Allowance {
            left: BURST,
            since: now,
        });
        let passed = now.saturating_duration_since(allowance.since);
        let come = u32::try_from(passed.as_nanos() / EACH.as_nanos()).unwrap_or(u32::MAX);
        allowance.left = allowance.left.saturating_add(come).min(BURST);
        allowance.since = match allowance.left {
            BURST => now,
            _ => allowance.since + EACH * come,
        };
        let is_allowed = allowance.left > 0;
        allowance.left = allowance.left.saturating_sub(1);
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
/// So many of a node at once, and then one in so long: an outage concerns all its pods.
const BURST: u32 = 20;
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

    fn volume(number: usize) -> VolumeId {
        let mut id = VolumeId::default();
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    #[test]
    fn a_pod_that_starts_is_told_nothing() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert_eq!(ledger.hear(V, "a", BAD, now), None);
        assert_eq!(ledger.hear(V, "a", BAD, now), None);
        assert_eq!(ledger.hear(V, "a", Heard::Good, now), None);
        assert!(ledger.volumes.len() == 1 && ledger.pods.is_empty());
    }

    #[test]
    fn each_change_is_told_once() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let heard = [Heard::Good, BAD, BAD, BAD, Heard::Good, Heard::Good];
        let due = heard.map(|heard| ledger.hear(V, "a", heard, now));
        let (failure, recovery) = (Some(Due::Failure), Some(Due::Recovery));
        assert_eq!(due, [None, failure, None, None, recovery, None]);
    }

    #[test]
    fn a_volume_of_an_earlier_life_is_no_new_one() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let bad = Heard::Bad { is_old: true };
        assert_eq!(ledger.hear(V, "a", bad, now), Some(Due::Failure));
        assert_eq!(ledger.hear(V, "a", BAD, now), None);
        let good = ledger.hear(V, "a", Heard::Good, now);
        assert_eq!(good, Some(Due::Recovery));
    }

    #[test]
    fn a_pod_whose_volumes_flap_hears_of_one_failure_in_ten_minutes() {
        let (mut ledger, mut now) = (Ledger::default(), Instant::now());
        for id in [1, 2] {
            ledger.hear(volume(id), "a", Heard::Good, now);
        }
        let mut failures = 0;
        for _ in 0..60 {
            for id in [1, 2] {
                let due = ledger.hear(volume(id), "a", BAD, now);
                failures += usize::from(due == Some(Due::Failure));
                ledger.hear(volume(id), "a", Heard::Good, now);
            }
            now += 30 * SECOND;
        }
        assert_eq!(failures, 3, "in half an hour");
    }

    #[test]
    fn a_failure_that_lasts_is_told_again_before_kubernetes_forgets_it() {
        let (mut ledger, mut now) = (Ledger::default(), Instant::now());
        ledger.hear(V, "a", Heard::Good, now);
        let mut failures = 0;
        for _ in 0..=60 {
            let due = ledger.hear(V, "a", BAD, now);
            failures += usize::from(due == Some(Due::Failure));
            now += 60 * SECOND;
        }
        assert_eq!(failures, 3, "in an hour");
    }

    #[test]
    fn what_the_node_may_not_say_yet_is_said_later() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let pods: Vec<_> = (0..30).map(|number| number.to_string()).collect();
        for (number, pod) in pods.iter().enumerate() {
            ledger.hear(volume(number), pod, Heard::Good, now);
        }
        let mut all = |heard, now| {
            let due = pods.iter().enumerate();
            due.filter_map(|(number, pod)| ledger.hear(volume(number), pod, heard, now))
                .count()
        };
        assert_eq!(all(BAD, now), 20);
        assert_eq!(all(BAD, now + 4 * SECOND), 0);
        assert_eq!(all(BAD, now + 11 * SECOND), 2);
        assert_eq!(all(BAD, now + 1_000 * SECOND), 8);
        assert_eq!(all(Heard::Good, now + 1_000 * SECOND), 12);
        assert_eq!(all(Heard::Good, now + 2_000 * SECOND), 18);
    }

    #[test]
    fn it_grows_no_further() {
        let (mut ledger, mut now) = (Ledger::default(), Instant::now());
        for number in 0..MOST_VOLUMES + 5 {
            ledger.hear(volume(number), "a", Heard::Good, now);
            now += Duration::from_nanos(1);
        }
        assert_eq!(ledger.volumes.len(), MOST_VOLUMES);
        assert!(!ledger.volumes.contains_key(&volume(4)));
    }
}
