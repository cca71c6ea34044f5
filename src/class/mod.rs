//! What a pod asks for: the SecretProviderClass's parameters as a typed [`Class`].
//!
//! Everything is checked here, so that inside there is nothing left to check;
//! all mistakes are found together. This room knows names and texts, no tokens
//! and no network.

mod attributes;
mod parameters;

pub use attributes::{Attributes, AttributesError, Pod};
pub use parameters::{KNOWN_PARAMETERS, Mistake};

use crate::cause::Cause;
use crate::mistakes::Mistakes;
use crate::phase::Query;
use crate::phase::allowed::AllowedHosts;

/// What a pod asks for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Which secrets of Phase.
    pub query: Query,
    /// The permission bits of every file.
    pub file_mode: u32,
    /// Whether a selection without secrets is mounted as one marker file.
    pub allow_empty: bool,
}

/// All that is wrong with a class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SecretProviderClass {name}: {mistakes}")]
pub struct ClassError {
    name: String,
    mistakes: Mistakes<Mistake>,
}

impl ClassError {
    /// Always a wrong class.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        Cause::InvalidClass
    }
}

impl Class {
    /// Reads the parameters that the driver sent, on a node that admits `hosts`.
    ///
    /// # Errors
    /// All mistakes at once: unknown parameters with a near spelling, missing
    /// ones, wrong values, a host that is not admitted.
    pub fn parse(attributes: &Attributes, hosts: &AllowedHosts) -> Result<Self, ClassError> {
        parameters::parse(attributes, hosts).map_err(|mistakes| ClassError {
            name: attributes.class_name(),
            mistakes,
        })
    }
}
