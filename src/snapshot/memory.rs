//! Everything that is remembered, within bounds.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::credential::{Credential, CredentialId};
use super::entry::{Entry, EntryId};
use super::lock;
use crate::quota::{self, Budget, Tenant, Unit};

/// Names a volume of one credential: a digest.
pub type VolumeId = [u8; 16];

/// How much is remembered at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Classes, each with its answer.
    pub entries: usize,
    /// Credentials, each with what it sees.
    pub credentials: usize,
    /// Volumes.
    pub volumes: usize,
    /// Bytes of answers and of what Phase sent, all together, and of what is under way.
    pub bytes: usize,
}

impl Limits {
    /// Of a process whose memory has this limit: half of it is for secrets, the rest for
    /// the program, for what its allocator cannot give back, and to spare.
    #[must_use]
    pub fn of_memory(limit: u64) -> Self {
        Self {
            bytes: usize::try_from(limit / 2).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }

    /// The bounds of one mount, of one tenant, and of all.
    pub(super) const fn memory(&self) -> quota::Limits {
        let total = self.bytes as u64;
        quota::Limits {
            what: "memory for secrets",
            unit: Unit::Bytes,
            // A tenant alone gets half, and some of it is remembered.
            each: total / 16 * 7,
            tenant: total / 2,
            total,
        }
    }
}

impl Default for Limits {
    /// A node runs 110 pods by default and 500 at the most that anybody supports.
    fn default() -> Self {
        Self {
            entries: 2_048,
            credentials: 1_024,
            volumes: 8_192,
            bytes: 128 << 20,
        }
    }
}

/// Everything that is remembered.
pub(super) struct Memory {
    limits: Limits,
    maps: Mutex<Maps>,
}

#[derive(Default)]
struct Maps {
    entries: HashMap<EntryId, Arc<Entry>>,
    credentials: HashMap<CredentialId, Arc<Credential>>,
    volumes: HashMap<VolumeId, Volume>,
}

/// A volume that was answered.
struct Volume {
    credential: CredentialId,
    version: String,
    seen: Instant,
}

impl Memory {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            maps: Mutex::default(),
        }
    }

    pub(super) fn entry(&self, id: &EntryId) -> Option<Arc<Entry>> {
        lock(&self.maps).entries.get(id).cloned()
    }

    /// The entry of this name, or this one from now on.
    pub(super) fn add_entry(&self, id: EntryId, entry: Entry) -> Arc<Entry> {
        let mut maps = lock(&self.maps);
        if let Some(entry) = maps.entries.get(&id) {
            return Arc::clone(entry);
        }
        make_room(&mut maps.entries, self.limits.entries, |entry| {
            (entry.credential.tenant.clone(), entry.state().used)
        });
        let entry = Arc::new(entry);
        maps.entries.insert(id, Arc::clone(&entry));
        entry
    }

    /// The credential of this name, or the one that is made now.
    pub(super) fn credential<E>(
        &self,
        id: CredentialId,
        make: impl FnOnce() -> Result<Credential, E>,
    ) -> Result<Arc<Credential>, E> {
        let mut maps = lock(&self.maps);
        if let Some(credential) = maps.credentials.get(&id) {
            return Ok(Arc::clone(credential));
        }
        let credential = Arc::new(make()?);
        let full = maps.credentials.len() >= self.limits.credentials;
        make_room(&mut maps.credentials, self.limits.credentials, |one| {
            (one.tenant.clone(), one.state().used)
        });
        if full {
            maps.drop_orphans();
        }
        maps.credentials.insert(id, Arc::clone(&credential));
        Ok(credential)
    }

    /// The entries of one credential.
    pub(super) fn entries_of(&self, id: &CredentialId) -> Vec<Arc<Entry>> {
        let maps = lock(&self.maps);
        let entries = maps.entries.values();
        entries
            .filter(|entry| entry.credential.id == *id)
            .cloned()
            .collect()
    }

    /// How often those of a credential wish Phase to be asked which were used within a
    /// time; nothing for one that leaves it open.
    pub(super) fn poll_intervals(&self, id: &CredentialId, within: Duration) -> Vec<Duration> {
        let entries = self.entries_of(id).into_iter();
        let used = entries.filter(|entry| entry.state().used.elapsed() <= within);
        used.filter_map(|entry| entry.recipe.poll_interval)
            .collect()
    }

    /// The environments that answers of one credential are made of, if anybody
    /// mounted these answers within a time.
    pub(super) fn in_use(&self, id: &CredentialId, within: Duration) -> Vec<String> {
        let mut environments = Vec::new();
        for entry in self.entries_of(id) {
            let state = entry.state();
            if let Some(good) = &state.good
                && state.used.elapsed() <= within
            {
                environments.extend(
                    good.basis
                        .iter()
                        .map(|(environment, _)| environment.clone()),
                );
            }
        }
        environments.sort_unstable();
        environments.dedup();
        environments
    }

    /// Whether a volume was answered before.
    pub(super) fn knows(&self, volume: &VolumeId) -> bool {
        lock(&self.maps).volumes.contains_key(volume)
    }

    /// A volume is answered with a version; what it had before.
    pub(super) fn answered(
        &self,
        volume: VolumeId,
        credential: CredentialId,
        version: &str,
    ) -> Option<String> {
        let mut maps = lock(&self.maps);
        let seen = Instant::now();
        if let Some(known) = maps.volumes.get_mut(&volume) {
            known.seen = seen;
            if known.version == version {
                return Some(version.to_owned());
            }
            return Some(std::mem::replace(&mut known.version, version.to_owned()));
        }
        make_room(&mut maps.volumes, self.limits.volumes, |one| {
            (one.credential, one.seen)
        });
        maps.volumes.insert(
            volume,
            Volume {
                credential,
                version: version.to_owned(),
                seen,
            },
        );
        None
    }

    /// Volumes that an earlier life of this process answered.
    pub(super) fn recall_volumes(&self, credential: CredentialId, volumes: &[VolumeId]) {
        for volume in volumes {
            if !self.knows(volume) {
                self.answered(*volume, credential, "");
            }
        }
    }

    /// The volumes of one credential.
    pub(super) fn volumes_of(&self, id: &CredentialId) -> Vec<VolumeId> {
        let maps = lock(&self.maps);
        let volumes = maps.volumes.iter();
        volumes
            .filter(|(_, volume)| volume.credential == *id)
            .map(|(name, _)| *name)
            .collect()
    }

    /// Forgets what nobody used for long, and what there is too much of.
    pub(super) fn sweep(&self, kept: &Kept) {
        let mut maps = lock(&self.maps);
        maps.volumes
            .retain(|_, volume| volume.seen.elapsed() <= kept.volume);
        maps.entries
            .retain(|_, entry| entry.state().used.elapsed() <= kept.entry);
        maps.credentials.retain(|_, credential| {
            let state = credential.state();
            let longest = match kept.by_disk {
                true => Duration::ZERO,
                false => state.longest_stale,
            };
            state.used.elapsed() <= kept.credential.max(longest)
        });
        maps.drop_orphans();
        maps.entries.shrink_to_fit();
        maps.credentials.shrink_to_fit();
        maps.volumes.shrink_to_fit();
    }

    /// Gives up what was used longest ago: of this tenant, or of the one that uses most of
    /// the budget. What is being made or asked for stays. Whether there was anything.
    pub(super) fn reclaim(&self, budget: &Budget, whose: Option<&Tenant>) -> bool {
        // Dropped after the lock: what is given up may be large.
        let dropped = {
            let mut maps = lock(&self.maps);
            let heaviest = || maps.heaviest(budget);
            match whose.cloned().or_else(heaviest) {
                Some(tenant) => maps.give_up(&tenant),
                None => None,
            }
        };
        dropped.is_some()
    }

    /// Entries and volumes.
    pub(super) fn figures(&self) -> (usize, usize) {
        let maps = lock(&self.maps);
        (maps.entries.len(), maps.volumes.len())
    }

    /// How long ago the view was confirmed that waits longest for it, of credentials
    /// that somebody mounted with within a time: others are not asked for any more.
    pub(super) fn oldest(&self, within: Duration) -> Option<Duration> {
        let maps = lock(&self.maps);
        let age = |one: &Arc<Credential>| {
            let state = one.state();
            let view = state.view.as_ref()?;
            (state.used.elapsed() <= within).then(|| view.confirmed.age())?
        };
        maps.credentials.values().filter_map(age).max()
    }
}

/// What was taken out, to be dropped after the lock.
type GivenUp = (Option<Arc<Entry>>, Option<Arc<Credential>>);

/// How long what nobody uses is kept.
pub(super) struct Kept {
    pub(super) entry: Duration,
    pub(super) credential: Duration,
    pub(super) volume: Duration,
    /// Whether the disk remembers what memory forgets.
    pub(super) by_disk: bool,
}

impl Maps {
    /// Entries whose credential is gone.
    fn drop_orphans(&mut self) {
        let credentials = &self.credentials;
        self.entries
            .retain(|_, entry| credentials.contains_key(&entry.credential.id));
    }

    /// Whoever uses most of a budget, of those who can give up anything.
    fn heaviest(&self, budget: &Budget) -> Option<Tenant> {
        let idle = self.credentials.values().filter(|one| !one.is_busy());
        let tenants = idle.map(|credential| &credential.tenant);
        tenants.max_by_key(|tenant| budget.used_by(tenant)).cloned()
    }

    /// Takes out the entry of a tenant that was used longest ago, and its credential if
    /// that has no other; or else a credential without entries.
    fn give_up(&mut self, tenant: &Tenant) -> Option<GivenUp> {
        let idle = self.entries.iter().filter(|(_, entry)| {
            entry.credential.tenant == *tenant && !entry.is_busy() && !entry.credential.is_busy()
        });
        let oldest = idle.min_by_key(|(_, entry)| entry.state().used);
        let entry = oldest
            .map(|(id, _)| *id)
            .and_then(|id| self.entries.remove(&id));
        let used: HashSet<_> = self
            .entries
            .values()
            .map(|entry| entry.credential.id)
            .collect();
        let lonely = self
            .credentials
            .values()
            .filter(|one| one.tenant == *tenant && !one.is_busy() && !used.contains(&one.id));
        let lonely = lonely.min_by_key(|one| one.state().used).map(|one| one.id);
        let credential = lonely.and_then(|id| self.credentials.remove(&id));
        (entry.is_some() || credential.is_some()).then_some((entry, credential))
    }
}

/// Until one more fits, takes out what was used longest ago of whoever has most.
fn make_room<K: Copy + Eq + Hash, V, O: Eq + Hash>(
    map: &mut HashMap<K, V>,
    most: usize,
    owner_and_use: impl Fn(&V) -> (O, Instant),
) {
    while map.len() >= most.max(1) {
        let mut owners: HashMap<O, (usize, Instant, K)> = HashMap::new();
        for (key, value) in &*map {
            let (owner, used) = owner_and_use(value);
            let (count, oldest, name) = owners.entry(owner).or_insert((0, used, *key));
            *count += 1;
            if used < *oldest {
                (*oldest, *name) = (used, *key);
            }
        }
        let heaviest = owners
            .into_values()
            .max_by_key(|&(count, oldest, _)| (count, Reverse(oldest)));
        let Some((_, _, key)) = heaviest else {
            return;
        };
        map.remove(&key);
    }
}
