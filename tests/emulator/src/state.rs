//! What all connections share.

use crate::fault::{Faults, Suffering};
use crate::file::SeedFile;
use crate::organisation::Organisation;
use crate::request::Route;
use crate::throttle::Throttle;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::watch;

/// The state of one emulator.
pub(crate) struct State {
    pub(crate) counters: Tally,
    pub(crate) file: Option<SeedFile>,
    /// Milliseconds added to every answer.
    pub(crate) latency_ms: AtomicU64,
    /// Grows when open connections shall end after their present request.
    pub(crate) reconnect: watch::Sender<u64>,
    faults: Mutex<Faults>,
    organisation: RwLock<Organisation>,
    throttle: Mutex<Throttle>,
}

/// Requests so far, by endpoint; refused and faulty ones count, too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Requests to the tokens endpoint.
    pub tokens: u64,
    /// Requests to the secrets endpoint.
    pub secrets: u64,
    /// Health checks.
    pub health: u64,
    /// Everything else.
    pub other: u64,
    /// Rows of the audit log: one for each secret that was sent.
    pub audited: u64,
}

/// The running counts.
#[derive(Default)]
pub(crate) struct Tally {
    connections: AtomicU64,
    tokens: AtomicU64,
    secrets: AtomicU64,
    health: AtomicU64,
    other: AtomicU64,
    audited: AtomicU64,
}

impl State {
    pub(crate) fn new(
        organisation: Organisation,
        throttle: Throttle,
        file: Option<SeedFile>,
        latency: Duration,
    ) -> Self {
        Self {
            counters: Tally::default(),
            file,
            latency_ms: AtomicU64::new(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
            reconnect: watch::Sender::new(0),
            faults: Mutex::default(),
            organisation: RwLock::new(organisation),
            throttle: Mutex::new(throttle),
        }
    }

    pub(crate) fn organisation(&self) -> RwLockReadGuard<'_, Organisation> {
        self.organisation
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn organisation_mut(&self) -> RwLockWriteGuard<'_, Organisation> {
        self.organisation
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request to `endpoint` suffers, the latency of every answer included.
    pub(crate) fn suffering(&self, endpoint: crate::fault::Endpoint) -> Suffering {
        let mut suffering = self.faults().of_request(endpoint);
        suffering.latency += Duration::from_millis(self.latency_ms.load(Ordering::Relaxed));
        suffering
    }
}

impl Tally {
    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, route: Route) {
        let counter = match route {
            Route::Health | Route::HealthById => &self.health,
            Route::Secrets => &self.secrets,
            Route::Tokens => &self.tokens,
            Route::Identity | Route::NotServed | Route::Public | Route::Unknown => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// So many secrets were sent.
    pub(crate) fn audit(&self, rows: usize) {
        self.audited.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            connections: read(&self.connections),
            tokens: read(&self.tokens),
            secrets: read(&self.secrets),
            health: read(&self.health),
            other: read(&self.other),
            audited: read(&self.audited),
        }
    }

    pub(crate) fn reset(&self) {
        for counter in [
            &self.connections,
            &self.tokens,
            &self.secrets,
            &self.health,
            &self.other,
            &self.audited,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}
