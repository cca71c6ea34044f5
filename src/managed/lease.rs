//! One of several replicas works: whoever holds a Lease.
//!
//! Clocks are not compared: a candidate takes the Lease over once it has not seen it
//! change for as long as it lasts, by its own monotonic clock. Whoever holds it stops
//! before that, if it cannot renew it.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::health::Health;

/// The Lease's name.
pub const NAME: &str = "phase-csi-provider-controller";

/// For how long a Lease that is not renewed is held: with [`RETRY`] and one request, a
/// second replica works 15 seconds after the first has died.
const LASTS: Duration = Duration::from_secs(10);
/// Whoever could not renew it for so long stops working.
const RENEWED_WITHIN: Duration = Duration::from_secs(7);
/// How often it is renewed, and looked at by others.
const RETRY: Duration = Duration::from_secs(2);
/// For one request.
const WITHIN: Duration = Duration::from_secs(3);

/// The right to work.
pub struct Election {
    leases: Api<Lease>,
    identity: String,
    health: Arc<Health>,
}

/// A Lease as it was last seen to change.
struct Seen {
    version: Option<String>,
    at: Instant,
}

impl Election {
    /// In this namespace, as this replica: each life of each replica has another identity.
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, replica: &str, health: Arc<Health>) -> Self {
        Self {
            health,
            leases: Api::namespaced(client, namespace),
            identity: format!("{replica}_{:016x}", fastrand::u64(..)),
        }
    }

    /// Works whenever this replica holds the Lease, for as long as it does; never ends.
    pub async fn lead<F: Future<Output = ()>>(&self, work: impl Fn() -> F) {
        loop {
            let held = self.acquired().await;
            info!(lease = NAME, identity = self.identity, "leading");
            let _leading = self.health.leads();
            tokio::select! {
                () = work() => warn!("the work has ended, which it never should"),
                () = self.lost(held) => warn!(lease = NAME, "another replica may lead now"),
            }
        }
    }

    /// Gives the Lease back, so that nobody needs to wait.
    pub async fn release(&self) {
        let released = async {
            let mut lease = self.leases.get(NAME).await?;
            if self.is_ours(&lease) {
                let spec = lease.spec.get_or_insert_default();
                spec.holder_identity = None;
                self.leases
                    .replace(NAME, &PostParams::default(), &lease)
                    .await?;
            }
            Ok::<_, kube::Error>(())
        };
        if !matches!(timeout(WITHIN, released).await, Ok(Ok(()))) {
            debug!(lease = NAME, "not given back: others wait until it is over");
        }
    }

    /// Waits until the Lease is ours.
    async fn acquired(&self) -> Lease {
        let mut seen = Seen {
            version: None,
            at: Instant::now(),
        };
        loop {
            self.health.goes_round();
            match timeout(WITHIN, self.attempt(&mut seen)).await {
                Ok(Ok(Some(lease))) => return lease,
                Ok(Ok(None)) => self.health.begins(),
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => self.health.begins(),
                Ok(Err(error)) => warn!(lease = NAME, %error, "cannot be asked for"),
                Err(_) => warn!(lease = NAME, "cannot be asked for: no answer"),
            }
            sleep(RETRY.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
        }
    }

    async fn attempt(&self, seen: &mut Seen) -> kube::Result<Option<Lease>> {
        let Some(lease) = self.leases.get_opt(NAME).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(NAME.to_owned()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(0)),
            };
            let made = self.leases.create(&PostParams::default(), &lease).await?;
            return Ok(Some(made));
        };
        let holder = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref());
        let is_free = holder.is_none_or(str::is_empty);
        if seen.version != lease.metadata.resource_version {
            seen.version.clone_from(&lease.metadata.resource_version);
            seen.at = Instant::now();
        }
        // Where it is still ours, nobody else works.
        if !is_free && !self.is_ours(&lease) && seen.at.elapsed() < LASTS {
            return Ok(None);
        }
        let changes = lease.spec.as_ref().and_then(|spec| spec.lease_transitions);
        let lease = Lease {
            spec: Some(self.spec(changes.unwrap_or(0).saturating_add(1))),
            ..lease
        };
        // Of two candidates one meets a version that is no longer there.
        self.leases
            .replace(NAME, &PostParams::default(), &lease)
            .await
            .map(Some)
    }

    /// Renews the Lease until that fails for too long, or it is another's.
    async fn lost(&self, mut lease: Lease) {
        let (mut renewed, parameters) = (Instant::now(), PostParams::default());
        loop {
            sleep(RETRY).await;
            self.health.goes_round();
            if let Some(spec) = &mut lease.spec {
                spec.renew_time = Some(MicroTime(Timestamp::now()));
            }
            let at = Instant::now();
            let left = RENEWED_WITHIN.saturating_sub(renewed.elapsed());
            let asked = self.leases.replace(NAME, &parameters, &lease);
            match timeout(left.min(WITHIN), asked).await {
                Ok(Ok(now)) => {
                    lease = now;
                    renewed = at;
                    continue;
                }
                // Our own request may have come through without an answer.
                Ok(Err(kube::Error::Api(status))) if status.code == 409 || status.code == 404 => {
                    match timeout(left.min(WITHIN), self.leases.get(NAME)).await {
                        Ok(Ok(now)) if self.is_ours(&now) => lease = now,
                        Ok(Ok(_)) => return,
                        _ => {}
                    }
                }
                Ok(Err(error)) => debug!(lease = NAME, %error, "not renewed"),
                Err(_) => debug!(lease = NAME, "not renewed: no answer"),
            }
            if renewed.elapsed() >= RENEWED_WITHIN {
                return;
            }
        }
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        let holder = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_ref());
        holder == Some(&self.identity)
    }

    fn spec(&self, changes: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(changes),
            ..LeaseSpec::default()
        }
    }
}
