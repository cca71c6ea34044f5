//! What every mount, poll and question has in common.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::agreements::Agreements;
use super::answering::Hosts;
use super::credential::{Credential, Saved};
use super::disk::{Image, Loaded, Mark, Moment, Store};
use super::entry::{Entry, EntryId, Good, Recipe};
use super::flight::Flights;
use super::footprint::footprint;
use super::gate::Gate;
use super::memory::{Kept, Memory};
use super::pins::Pins;
use super::refusal::Refusal;
use super::tables::Tables;
use super::upstream::Upstream;
use super::vault::Vault;
use super::view::{Confirmed, Listing, Rows, View, amount};
use super::{Figures, News, Settings, Source, Tally, digest, poll};
use crate::phase::Error;
use crate::phase::agreed::Agreed;
use crate::phase::directory::Directory;
use crate::phase::token::Token;
use crate::quota::{Allowance, Budget, Exceeded, Meter, Pool, Stopped, Tenant};
use crate::random::random;

/// What every mount, poll and question has in common.
pub(super) struct Shared<U> {
    pub(super) upstream: U,
    pub(super) settings: Settings,
    pub(super) gate: Gate,
    pub(super) hosts: Hosts,
    pub(super) vault: Vault,
    pub(super) memory: Memory,
    /// Bytes of all that is fetched, opened, made and remembered.
    pub(super) budget: Budget,
    pub(super) pool: Pool,
    pub(super) tables: Tables,
    pub(super) agreements: Agreements,
    pub(super) store: Option<Store>,
    pub(super) tally: Tally,
    pub(super) flights: Flights,
    pub(super) news: broadcast::Sender<News>,
}

impl<U> Shared<U> {
    pub(super) fn new(upstream: U, settings: Settings, store: Option<Store>) -> Self {
        Self {
            upstream,
            gate: Gate::new(settings.request_budget),
            hosts: Hosts::default(),
            vault: Vault::new(),
            memory: Memory::new(settings.limits),
            budget: Budget::new(settings.limits.memory()),
            pool: Pool::default(),
            tables: Tables::default(),
            agreements: Agreements::default(),
            settings,
            store,
            tally: Tally::default(),
            flights: Flights::default(),
            news: broadcast::Sender::new(MOST_NEWS),
        }
    }

    /// The entry of this name, new from now on.
    pub(super) fn add_entry(
        &self,
        id: EntryId,
        tenant: &Tenant,
        token: Token,
        recipe: Recipe,
    ) -> Result<Arc<Entry>, Refusal> {
        let host = recipe.query.host.clone();
        let mut name = Context::new(&SHA256);
        name.update(&*token.name());
        name.update(host.as_str().as_bytes());
        // A host that only `*` allows is asked in another way.
        name.update(&[u8::from(host.is_screened())]);
        let name = digest(name);
        let interval = self.settings.poll_interval;
        let entry_memory = self.paid(tenant, ENTRY_BYTES + recipe.bytes as u64)?;
        let memory = self.paid(tenant, CREDENTIAL_BYTES)?;
        let make = || {
            let answering = self.hosts.of(&host);
            Credential::new(name, tenant, token, host, answering, interval, memory)
        };
        let credential = self.memory.credential(name, make).map_err(Error::from)?;
        if recipe
            .poll_interval
            .is_some_and(|wish| credential.hurries(wish))
        {
            credential.sooner.notify_one();
        }
        let entry = Entry::new(recipe, credential, entry_memory);
        Ok(self.memory.add_entry(id, entry))
    }

    /// A meter of a tenant that has taken so much.
    fn paid(&self, tenant: &Tenant, amount: u64) -> Result<Meter, Exceeded> {
        let memory = self.budget.meter(tenant);
        memory.take(amount)?;
        Ok(memory)
    }

    /// What one answer of a tenant may use while it is made.
    pub(super) fn allowance(&self, tenant: &Tenant) -> Allowance {
        Allowance {
            job: self.pool.job(tenant),
            memory: self.budget.meter(tenant),
        }
    }

    /// Reads so many bytes, or does whatever takes as long, in a turn of the tenant's.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        tenant: &Tenant,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        // Below this size it takes less than a switch of threads.
        if bytes <= READ_AT_ONCE {
            return Ok(work());
        }
        self.pool.job(tenant).run(move |_| work()).await
    }

    /// The moment for the disk, if there is one.
    pub(super) fn moment(&self) -> Option<Moment> {
        self.store.as_ref().map(Store::now)
    }

    /// Recalls what lies on disk, once for each credential.
    pub(super) async fn load(&self, credential: &Credential) {
        let Some(store) = &self.store else { return };
        let load = async || {
            if let Some(mut loaded) = store.load(&credential.disk).await {
                // Nothing was opened before it is known what lay there.
                credential.state().pins = Pins::recalled(std::mem::take(&mut loaded.pins));
                let tokens = loaded.tokens.clone();
                let read = move || serde_json::from_slice(&tokens);
                let (tenant, bytes) = (&credential.tenant, loaded.tokens.len());
                // What Phase sent was read before it was kept; a later version may know
                // better.
                if let Ok(Ok(directory)) = self.in_turn(tenant, bytes, read).await {
                    self.take(credential, directory, loaded);
                }
            }
        };
        credential.loaded.get_or_init(load).await;
    }

    fn take(&self, credential: &Credential, directory: Directory, loaded: Loaded) {
        // What has no room is asked for again, when there is some.
        let Ok((listing, rows)) = self.recalled(
            credential,
            directory,
            loaded.tokens,
            loaded.environments,
            loaded.age,
        ) else {
            return;
        };
        let saved = Saved {
            image: loaded.id,
            listing: Arc::clone(&listing),
            rows: serials(&rows),
        };
        self.memory.recall_volumes(credential.id, &loaded.volumes);
        let mut state = credential.state();
        if state.view.is_some() {
            return;
        }
        let generation = state.next();
        state.saved = Some(saved);
        state.has_worked = true;
        state.replace(View {
            generation,
            listing,
            rows,
            confirmed: Arc::new(Confirmed::before(loaded.age, Some(loaded.confirmed))),
        });
    }

    fn recalled(
        &self,
        credential: &Credential,
        directory: Directory,
        tokens: Bytes,
        environments: Vec<(String, Bytes)>,
        age: Option<Duration>,
    ) -> Result<Recalled, Exceeded> {
        let wanted = amount(&tokens) + footprint(&tokens);
        let memory = self.paid(&credential.tenant, wanted)?;
        let listing = Arc::new(Listing::new(directory, tokens, memory));
        let mut rows = HashMap::new();
        for (id, body) in environments {
            if let Some(stamp) = listing.stamp(&id) {
                let memory = self.paid(&credential.tenant, amount(&body))?;
                let agreed = self.agreed(credential, &listing, &id);
                let recalled = Rows::from_disk(*stamp, body, agreed, age, memory);
                rows.insert(id, Arc::new(recalled));
            }
        }
        Ok((listing, rows))
    }

    /// Where the keys of the fields of an environment are remembered.
    pub(super) fn agreed(
        &self,
        credential: &Credential,
        listing: &Listing,
        id: &str,
    ) -> Arc<Agreed> {
        let key = listing.identity_key(id).unwrap_or_default();
        self.agreements.of(&credential.host, id, key)
    }

    /// Puts the newest view on disk if it is whole and other than what lies there;
    /// else that it was confirmed.
    pub(super) fn persist(&self, credential: &Credential) {
        let Some(store) = &self.store else { return };
        if self.mark(credential) {
            return;
        }
        let volumes = self.memory.volumes_of(&credential.id);
        let mut state = credential.state();
        let Some(view) = state.view.clone().filter(|_| state.fallback.is_none()) else {
            return;
        };
        let Some(confirmed) = view.confirmed.moment() else {
            return;
        };
        let mut id = [0; 16];
        random(&mut id);
        state.saved = Some(Saved {
            image: id,
            listing: Arc::clone(&view.listing),
            rows: serials(&view.rows),
        });
        let environments = view.rows.iter();
        let environments = environments.map(|(id, rows)| (id.clone(), rows.body.clone()));
        let image = Image {
            id,
            tokens: view.listing.body.clone(),
            environments: environments.collect(),
            pins: state.pins.kept(),
        };
        store.save(&credential.disk, image, confirmed, volumes);
    }

    /// Writes beside the set on disk when it was confirmed and which volumes were
    /// answered; whether what lies there is the newest view.
    pub(super) fn mark(&self, credential: &Credential) -> bool {
        let Some(store) = &self.store else {
            return false;
        };
        let volumes = self.memory.volumes_of(&credential.id);
        let state = credential.state();
        let (Some(saved), Some(view)) = (&state.saved, &state.view) else {
            return false;
        };
        let is_same = saved.rows == serials(&view.rows) && saved.listing.is_same(&view.listing);
        if let Some(confirmed) = view.confirmed.moment()
            && is_same
        {
            let image = saved.image;
            let mark = Mark {
                image,
                confirmed,
                volumes,
            };
            store.mark(&credential.disk, mark);
        }
        is_same
    }

    /// Forgets all that a credential opened, here and on disk.
    pub(super) async fn drop_credential(&self, credential: &Credential) {
        credential.drop_views();
        for entry in self.memory.entries_of(&credential.id) {
            entry.drop_answers();
        }
        if let Some(store) = &self.store {
            store.forget(&credential.disk).await;
        }
    }

    /// The environments that anything remembered of a credential is made of.
    pub(super) fn known_environments(&self, credential: &Credential) -> BTreeSet<String> {
        let mut known = BTreeSet::new();
        {
            let state = credential.state();
            for view in [&state.view, &state.fallback].into_iter().flatten() {
                known.extend(view.rows.keys().cloned());
            }
            known.extend(
                state
                    .saved
                    .iter()
                    .flat_map(|saved| saved.rows.keys().cloned()),
            );
        }
        for entry in self.memory.entries_of(&credential.id) {
            let state = entry.state();
            let basis = state.good.iter().flat_map(|good| good.basis.iter());
            known.extend(basis.map(|(id, _)| id.clone()));
        }
        known
    }

    /// Forgets environments of a credential, here and on disk.
    pub(super) async fn drop_environments(&self, credential: &Credential, lost: &[String]) {
        if lost.is_empty() {
            return;
        }
        {
            let mut state = credential.state();
            state.losses += 1;
            for id in lost {
                if let Some(view) = state.view.clone().filter(|view| view.rows_of(id).is_some()) {
                    state.replace(view.without(id));
                }
            }
            state.fallback = None;
            state.saved = None;
        }
        for entry in self.memory.entries_of(&credential.id) {
            let is_of = |good: &Arc<Good>| lost.iter().any(|id| good.is_of(id));
            let concerns = entry.state().good.as_ref().is_some_and(is_of);
            if concerns {
                entry.drop_answers();
            }
        }
        if let Some(store) = &self.store {
            store.forget(&credential.disk).await;
            self.persist(credential);
        }
    }

    /// Forgets what nobody uses.
    pub(super) fn sweep(&self) {
        self.memory.sweep(&Kept {
            entry: UNUSED_ENTRY,
            credential: UNUSED_CREDENTIAL,
            volume: UNSEEN_VOLUME,
            by_disk: self.store.is_some(),
        });
        self.tables.sweep();
        self.gate.sweep();
    }

    pub(super) fn figures(&self) -> Figures {
        let (entries, volumes) = self.memory.figures();
        Figures {
            from_backend: self.tally.of(Source::Backend),
            from_disk: self.tally.of(Source::Disk),
            from_memory: self.tally.of(Source::Memory),
            stale: self.tally.of(Source::Stale),
            entries,
            volumes,
            bytes: usize::try_from(self.budget.used()).unwrap_or(usize::MAX),
            flights: self.flights.count(),
            oldest: self
                .memory
                .oldest(Settings::polled(self.settings.poll_interval)),
            budget: self.gate.remaining(),
            turned_away: self.gate.turned_away(),
            key_changes: self.tally.key_changes.load(Ordering::Relaxed),
        }
    }
}

impl<U: Upstream> Shared<U> {
    /// Somebody mounts: what is used is not forgotten, and asked for change.
    pub(super) fn is_used(self: &Arc<Self>, entry: &Entry) {
        entry.state().used = Instant::now();
        let own = entry.recipe.max_stale;
        let max_stale = own.unwrap_or(self.settings.max_stale);
        if entry.credential.is_used(max_stale) {
            let credential = Arc::downgrade(&entry.credential);
            tokio::spawn(poll::poll(Arc::downgrade(self), credential));
        }
    }
}

/// What an entry takes beside its recipe and its answer, about.
const ENTRY_BYTES: u64 = 1 << 10;
/// What a credential takes beside what it sees, its poll and its places in maps included.
const CREDENTIAL_BYTES: u64 = 4 << 10;

/// What is read without another thread.
const READ_AT_ONCE: usize = 16 << 10;

/// So many news may wait for a reader.
const MOST_NEWS: usize = 1_024;
/// A volume that lives is republished every 60 to 90 s: ten times missed, it is gone.
const UNSEEN_VOLUME: Duration = Duration::from_secs(15 * 60);
/// Longer than its volumes, so that a pod that starts again finds it.
const UNUSED_ENTRY: Duration = Duration::from_secs(20 * 60);
/// At least; as long as any of its classes accepts what it would answer.
const UNUSED_CREDENTIAL: Duration = Duration::from_secs(30 * 60);

/// What lay on disk of one credential.
type Recalled = (Arc<Listing>, HashMap<String, Arc<Rows>>);

fn serials(rows: &HashMap<String, Arc<Rows>>) -> HashMap<String, u64> {
    let serials = rows.iter().map(|(id, rows)| (id.clone(), rows.serial));
    serials.collect()
}
