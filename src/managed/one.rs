//! One Secret: written if it is not as it should be.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use tracing::info;

use super::apply::{Applier, ApplyError, Contested, Write};
use super::followed::Followed;
use super::ledger::Written;
use super::owner::Owner;
use super::plan::{Output, SecretName};
use super::reconcile::Context;
use super::seen;
use super::status::{Reason, Trouble};
use crate::digest;
use crate::telemetry::metrics;

/// What was done for one Secret.
#[derive(Default)]
pub(super) struct Done {
    pub(super) has_written: bool,
    /// Whether it was Phase's own operator's until now.
    pub(super) is_adopted: bool,
    /// What of it was not written, since others have set it to something else.
    pub(super) conflict: Option<Contested>,
}

/// Writes one Secret if it is not as it should be.
pub(super) async fn one<U, K: Owner>(
    context: &Context<U, K>,
    write: &Write<'_>,
    followed: &Followed,
) -> Result<Done, Trouble> {
    let secret = &write.output.secret;
    let owner = write.annotations.get(K::ANNOTATION).copied().unwrap_or("");
    let live = context.ledger.live(secret);
    let claimed = context
        .owners
        .claim(secret, live.as_deref(), (K::ANNOTATION, owner.to_owned()));
    claimed.map_err(|rival| {
        let secret = secret.clone();
        let error = ApplyError::Rival { secret, rival };
        Trouble::new((&error).into(), error)
    })?;
    let said = |live: &PartialObjectMeta<Secret>| live.annotations().get(K::ANNOTATION).cloned();
    let text = followed.to_string();
    let mut write = Write {
        is_kept: live.is_some_and(|live| said(&live).as_deref() == Some(owner)),
        ..write.clone()
    };
    if let Some(annotation) = K::FOLLOWED {
        write.annotations.insert(annotation, &text);
    }
    context.write(&write, followed).await
}

impl<U, K: Owner> Context<U, K> {
    /// Writes a Secret if it is not there as it should be.
    async fn write(&self, write: &Write<'_>, followed: &Followed) -> Result<Done, Trouble> {
        let secret = &write.output.secret;
        let live = self.ledger.live(secret);
        let is_so = live.as_ref().is_some_and(|live| seen::is_so(live, write));
        let live = live.and_then(|live| live.resource_version());
        let wish = wish(write);
        let known = self.ledger.written(secret);
        if known.is_none() && is_so {
            // Another replica, or another life of this one, has written it.
            let written = Written {
                wish,
                resource_version: live,
                followed: followed.clone(),
            };
            self.ledger.write(secret.clone(), written);
            return Ok(Done::default());
        }
        if known.as_ref().is_some_and(|known| {
            known.wish == wish && live.is_some() && known.resource_version == live
        }) {
            return Ok(Done::default());
        }
        let _being_written = self.ledger.begin(secret);
        let applied = Applier::new(self.client.clone()).write(write).await;
        let figures = &self.states.figures;
        let applied = applied.map_err(|error| {
            let reason = (&error).into();
            figures.wrote(match reason {
                Reason::Conflict => metrics::Write::Conflict,
                _ => metrics::Write::Failed,
            });
            Trouble::new(reason, error)
        })?;
        let metadata = applied.metadata;
        // What is watched may come late.
        let known = known.and_then(|known| known.resource_version);
        let has_written = ![live, known].contains(&metadata.resource_version);
        figures.wrote(match (&applied.conflict, has_written) {
            (Some(_), _) => metrics::Write::Conflict,
            (None, true) => metrics::Write::Changed,
            (None, false) => metrics::Write::Unchanged,
        });
        if has_written {
            info!(
                object = write.annotations.get(K::ANNOTATION).copied(),
                %secret,
                content = write.hash,
                "written"
            );
        }
        let written = Written {
            // What is contested is tried again.
            wish: applied.conflict.as_ref().map_or(wish, |_| [0; 32]),
            resource_version: metadata.resource_version,
            followed: followed.clone(),
        };
        self.ledger.write(secret.clone(), written);
        Ok(Done {
            has_written,
            is_adopted: applied.is_adopted,
            conflict: applied.conflict,
        })
    }

    /// For which content the users of a Secret have been restarted; nothing where it was
    /// never written.
    pub(super) fn followed(&self, object: &K, secret: &SecretName) -> Option<Followed> {
        let Some(annotation) = K::FOLLOWED else {
            return object.followed(secret);
        };
        let live = self.ledger.live(secret)?;
        // What was written is known at once, and watched a moment later.
        let known = self.ledger.written(secret);
        known.map(|known| known.followed).or_else(|| {
            live.annotations()
                .get(annotation)
                .map(|it| Followed::read(it))
        })
    }
}

/// Everything that is written of a Secret.
fn wish(write: &Write<'_>) -> [u8; 32] {
    let Output {
        form,
        labels,
        annotations,
        ..
    } = write.output;
    let head = serde_json::to_vec(&(
        &form.kind,
        labels,
        annotations,
        write.owner,
        &write.annotations,
    ));
    let head = head.unwrap_or_default();
    digest::of_parts([head.as_slice(), write.hash.as_bytes()])
}
