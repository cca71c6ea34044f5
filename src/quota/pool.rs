//! Heavy work in turns: a bounded number of threads, shared out by processor time.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::Tenant;
use crate::awaited::{Awaited, waiting};
use crate::cause::Cause;

/// A bounded number of threads for heavy work; clones share them.
///
/// Whoever waits is let in by tenant: the one that has used the least processor time
/// first (start-time fair queueing). A tenant that was away does not save up time.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Processor time of one job.
    limit: Duration,
}

struct State {
    free: usize,
    accounts: HashMap<Tenant, Account>,
    waiting: usize,
    /// The account of whoever was let in last: nobody who comes begins below it.
    clock: Duration,
}

#[derive(Default)]
struct Account {
    spent: Duration,
    running: usize,
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

/// The right to run on one thread.
struct Slot {
    pool: Arc<Shared>,
    tenant: Tenant,
    is_held: bool,
}

/// One piece of work of a tenant, such as a mount: its processor time is bounded over
/// all that it runs. Clones are the same job.
#[derive(Clone)]
pub struct Job(Arc<JobState>);

struct JobState {
    pool: Pool,
    tenant: Tenant,
    /// Nanoseconds of processor time.
    spent: AtomicU64,
}

/// A thread's turn; work in chunks calls [`Turn::checkpoint`] between them.
pub struct Turn {
    job: Job,
    is_over: Arc<AtomicBool>,
    slot: RefCell<Option<Slot>>,
    /// The thread's processor time when it was last accounted for.
    since: Cell<Duration>,
}

/// Why work was not begun, or not brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Nobody waits for it any more.
    #[error("nobody waits for it any more")]
    Ended,
    /// It took more processor time than one piece of work may.
    #[error(
        "processor time: at most {} s for one class, and it needs more: select fewer secrets, use fewer references and templates, or make two classes",
        limit.as_secs()
    )]
    TooLong {
        /// The limit.
        limit: Duration,
    },
    /// Too many wait already.
    #[error(
        "too much work at once: {MAX_WAITING} mounts wait for a processor already: retry is automatic; if this stays, raise the provider's share of processors"
    )]
    Crowded,
}

/// So many may wait for a thread, all tenants together.
const MAX_WAITING: usize = 2_048;
/// Shorter work is not interrupted.
const SLICE: Duration = Duration::from_millis(2);
/// Processor time of one job: a class of ten thousand secrets takes a second.
const JOB_LIMIT: Duration = Duration::from_secs(20);

impl Pool {
    /// So many threads, and the processor time of one job.
    #[must_use]
    pub fn new(threads: usize, limit: Duration) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                free: threads.max(1),
                accounts: HashMap::new(),
                waiting: 0,
                clock: Duration::ZERO,
            }),
            limit,
        }))
    }

    /// A job of a tenant, which has used nothing yet.
    #[must_use]
    pub fn job(&self, tenant: &Tenant) -> Job {
        Job(Arc::new(JobState {
            pool: self.clone(),
            tenant: tenant.clone(),
            spent: AtomicU64::new(0),
        }))
    }

    /// How many wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting
    }
}

/// As many threads as there are processors.
impl Default for Pool {
    fn default() -> Self {
        Self::new(available_parallelism().map_or(1, Into::into), JOB_LIMIT)
    }
}

impl Job {
    /// Runs work on a thread of the pool, once it is the tenant's turn. When the future
    /// is dropped the work ends at its next checkpoint.
    ///
    /// # Errors
    /// [`Stopped::Crowded`], or [`Stopped::TooLong`] if earlier work of the job has used
    /// all its time. What the work itself says of its checkpoints is in `T`.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Turn) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.within_limit()?;
        let slot = {
            let _waiting = waiting(Awaited::Turn);
            self.slot().await?
        };
        let is_over = Arc::new(AtomicBool::new(false));
        let guard = EndOnDrop(Arc::clone(&is_over));
        let job = self.clone();
        let done = spawn_blocking(move || {
            let turn = Turn {
                job,
                is_over,
                slot: RefCell::new(Some(slot)),
                since: Cell::new(processor_time()),
            };
            work(&turn)
        });
        let done = done.await;
        drop(guard);
        match done {
            Ok(done) => Ok(done),
            // A panic in our code is for whoever asked, as if no thread stood between.
            Err(error) => resume_unwind(error.into_panic()),
        }
    }

    /// Processor time that it has used, as far as it is accounted for.
    #[must_use]
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.0.spent.load(Ordering::Relaxed))
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    fn within_limit(&self) -> Result<(), Stopped> {
        let limit = self.0.pool.0.limit;
        match self.spent() > limit {
            true => Err(Stopped::TooLong { limit }),
            false => Ok(()),
        }
    }

    async fn slot(&self) -> Result<Slot, Stopped> {
        let waits = match self.0.pool.0.enter(&self.0.tenant)? {
            Entered::Now(slot) => return Ok(slot),
            Entered::Later(waits) => waits,
        };
        // The sender is dropped with the pool only, which this job keeps.
        waits.await.map_err(|_| Stopped::Ended)
    }

    fn account(&self, used: Duration) {
        let nanoseconds = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        self.0.spent.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Turn {
    /// Between two chunks of work: lets others in whose turn it is, and waits for the
    /// next turn.
    ///
    /// # Errors
    /// The work is to end here.
    pub fn checkpoint(&self) -> Result<(), Stopped> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(Stopped::Ended);
        }
        if processor_time().saturating_sub(self.since.get()) < SLICE {
            return Ok(());
        }
        self.account();
        self.job.within_limit()?;
        let (pool, tenant) = (&self.job.0.pool.0, &self.job.0.tenant);
        if let Some(waits) = pool.make_way(tenant) {
            drop(self.slot.take());
            let slot = waits.blocking_recv().map_err(|_| Stopped::Ended)?;
            self.slot.replace(Some(slot));
        }
        Ok(())
    }

    /// Whose turn it is.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.job
    }

    fn account(&self) {
        let now = processor_time();
        let used = now.saturating_sub(self.since.replace(now));
        self.job.account(used);
        self.job.0.pool.0.account(&self.job.0.tenant, used);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.account();
    }
}

enum Entered {
    Now(Slot),
    Later(oneshot::Receiver<Slot>),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, tenant: &Tenant) -> Result<Entered, Stopped> {
        let mut state = self.lock();
        if state.waiting >= MAX_WAITING {
            return Err(Stopped::Crowded);
        }
        if state.free > 0 {
            state.free -= 1;
            state.account(tenant).running += 1;
            return Ok(Entered::Now(self.held(tenant)));
        }
        Ok(Entered::Later(state.wait(tenant)))
    }

    /// Puts a tenant that runs in line, if somebody waits who has used less than it.
    fn make_way(&self, tenant: &Tenant) -> Option<oneshot::Receiver<Slot>> {
        let mut state = self.lock();
        let spent = state.accounts.get(tenant)?.spent;
        let waits = |(other, account): (&Tenant, &Account)| {
            !account.waiting.is_empty() && (account.spent < spent || other == tenant)
        };
        state.accounts.iter().any(waits).then(|| state.wait(tenant))
    }

    fn account(&self, tenant: &Tenant, used: Duration) {
        if let Some(account) = self.lock().accounts.get_mut(tenant) {
            account.spent += used;
        }
    }

    fn held(self: &Arc<Self>, tenant: &Tenant) -> Slot {
        Slot {
            pool: Arc::clone(self),
            tenant: tenant.clone(),
            is_held: true,
        }
    }

    /// A thread is free: it goes to whoever has used least of those who still wait.
    fn release(self: &Arc<Self>, tenant: &Tenant) {
        let mut state = self.lock();
        if let Some(account) = state.accounts.get_mut(tenant) {
            account.running = account.running.saturating_sub(1);
        }
        state.free += 1;
        while state.free > 0
            && let Some((tenant, sender)) = state.next()
        {
            let mut slot = self.held(&tenant);
            // Nobody's, if the receiver has gone: then it must not be given back.
            slot.is_held = !sender.is_closed();
            if !slot.is_held {
                continue;
            }
            state.free -= 1;
            state.account(&tenant).running += 1;
            if let Err(mut slot) = sender.send(slot) {
                slot.is_held = false;
                state.free += 1;
                state.account(&tenant).running -= 1;
            }
        }
        let clock = state.clock;
        state.accounts.retain(|_, account| {
            account.running > 0 || !account.waiting.is_empty() || account.spent > clock
        });
        if state.accounts.values().all(Account::is_idle) {
            state.accounts.clear();
            state.clock = Duration::ZERO;
        }
    }
}

impl State {
    /// The account of a tenant; one that was away begins where the others are.
    fn account(&mut self, tenant: &Tenant) -> &mut Account {
        let clock = self.clock;
        let account = self.accounts.entry(tenant.clone()).or_default();
        if account.is_idle() {
            account.spent = account.spent.max(clock);
        }
        account
    }

    fn wait(&mut self, tenant: &Tenant) -> oneshot::Receiver<Slot> {
        let (sender, waits) = oneshot::channel();
        self.waiting += 1;
        self.account(tenant).waiting.push_back(sender);
        waits
    }

    /// The next who waits, by the least processor time of its tenant.
    fn next(&mut self) -> Option<(Tenant, oneshot::Sender<Slot>)> {
        let waiting = self
            .accounts
            .iter_mut()
            .filter(|(_, account)| !account.waiting.is_empty());
        let (tenant, account) = waiting.min_by_key(|(_, account)| account.spent)?;
        let (tenant, sender) = (tenant.clone(), account.waiting.pop_front()?);
        self.clock = self.clock.max(account.spent);
        self.waiting -= 1;
        Some((tenant, sender))
    }
}

impl Account {
    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_held {
            self.pool.release(&self.tenant);
        }
    }
}

/// Ends the work of whoever went away.
struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

impl Stopped {
    /// Too large in any case, or too much for now.
    #[must_use]
    pub const fn cause(self) -> Cause {
        match self {
            Self::TooLong { .. } => Cause::TooLarge,
            Self::Crowded | Self::Ended => Cause::Busy,
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Pool")
            .field("free", &state.free)
            .field("waiting", &state.waiting)
            .finish()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("tenant", &self.0.tenant)
            .field("spent", &self.spent())
            .finish()
    }
}

#[cfg(test)]
mod tests;
