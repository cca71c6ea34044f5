//! Classes as mounts need them: read off the runtime's workers, and one that was refused
//! not again until it changes.

use std::sync::Arc;

use crate::cause::Cause;
use crate::class::{Attributes, Class, Refused};
use crate::digest;
use crate::phase::allowed::AllowedHosts;
use crate::provider::Failure;
use crate::quota::{Allowance, Tenant};
use crate::snapshot::Refusal;

/// Reads the classes of all tenants.
pub(super) struct Classes {
    hosts: Arc<AllowedHosts>,
    refused: Refused,
}

impl Classes {
    /// Classes that name one of these hosts.
    pub(super) fn new(hosts: AllowedHosts) -> Self {
        Self {
            hosts: Arc::new(hosts),
            refused: Refused::default(),
        }
    }

    /// The class of a mount, in a turn of its tenant and out of its tenant's memory.
    ///
    /// # Errors
    /// All its mistakes; or there is no time or memory for it now.
    pub(super) async fn read(
        &self,
        tenant: &Tenant,
        attributes: &Arc<Attributes>,
        allowance: &Allowance,
    ) -> Result<Class, Failure> {
        let id = id(attributes);
        if let Some(why) = self.refused.why(tenant, &id) {
            return Err(Failure::new(Cause::InvalidClass, &*why));
        }
        let (own, hosts) = (Arc::clone(attributes), Arc::clone(&self.hosts));
        let memory = allowance.memory.sibling();
        let read = allowance.job.run(move |turn| {
            memory.take(Class::reading_bytes(own.parameters()) as u64)?;
            Ok::<_, Refusal>(Class::parse_in(turn, &own, &hosts)?)
        });
        let read = read.await.map_err(Refusal::from)?;
        read?.map_err(|error| {
            let text = error.to_string();
            self.refused.add(tenant, id, &text);
            Failure::new(error.cause(), text)
        })
    }
}

/// Its name, which its errors have, and all that it says.
fn id(attributes: &Attributes) -> [u8; 32] {
    let name = attributes.class_name();
    digest::of_parts([name.as_bytes(), &super::inputs(attributes)])
}
