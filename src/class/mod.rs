//! What a pod asks for: the SecretProviderClass's parameters as a typed [`Class`].
//!
//! Everything is checked here, so that inside there is nothing left to check;
//! all mistakes are found together. This room knows names and texts, no tokens
//! and no network.

mod attributes;
mod cost;
mod form;
mod mirror;
mod mistake;
mod objects;
mod parameters;
mod refused;
mod rules;
mod texts;

pub use attributes::{Attributes, AttributesError, Pod};
pub use mirror::{KNOWN_MIRROR_FIELDS, Mirror, TOKEN_SECRET};
pub(crate) use mistake::shortened;
pub use mistake::{Mistake, Problem, Spot};
pub use objects::KNOWN_FIELDS;
pub use parameters::KNOWN_PARAMETERS;
pub(crate) use refused::Refused;

use std::time::Duration;

use crate::cause::Cause;
use crate::mistakes::Mistakes;
use crate::phase::Query;
use crate::phase::allowed::AllowedHosts;
use crate::quota::{Stopped, Turn};
use crate::render::Layout;

/// What a pod asks for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Which secrets of Phase: a selection for each object.
    pub query: Query,
    /// What files become of them.
    pub layout: Layout,
    /// How old an answer may be for a new volume while Phase cannot be reached,
    /// where the class says so.
    pub max_stale: Option<Duration>,
    /// Kubernetes Secrets that hold the same; the controller keeps them.
    pub mirrors: Vec<Mirror>,
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
        let read = Self::read(attributes.parameters(), hosts);
        read.map_err(|mistakes| ClassError::of(attributes, mistakes))
    }

    /// The same in a turn of its tenant: it ends when the turn does.
    ///
    /// # Errors
    /// [`Stopped`]; and within, all mistakes at once.
    pub fn parse_in(
        turn: &Turn,
        attributes: &Attributes,
        hosts: &AllowedHosts,
    ) -> Result<Result<Self, ClassError>, Stopped> {
        let goes_on = || turn.checkpoint();
        let read = parameters::parse(attributes.parameters(), hosts, &goes_on)?;
        Ok(read.map_err(|mistakes| ClassError::of(attributes, mistakes)))
    }

    /// The same from bare parameters, for those who show every mistake with its place.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        hosts: &AllowedHosts,
    ) -> Result<Self, Vec<Mistake>> {
        match parameters::parse(parameters, hosts, &|| Ok(())) {
            Ok(read) => read,
            Err(_) => unreachable!("nobody ends it"),
        }
    }

    /// How many bytes reading these parameters may take at most, beside their own.
    #[must_use]
    pub fn reading_bytes<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> usize {
        cost::of_reading(parameters)
    }
}

impl ClassError {
    fn of(attributes: &Attributes, mistakes: Vec<Mistake>) -> Self {
        match Mistakes::none_or(mistakes) {
            Ok(()) => unreachable!("a class is refused with a mistake"),
            Err(mistakes) => Self {
                name: attributes.class_name(),
                mistakes,
            },
        }
    }
}
