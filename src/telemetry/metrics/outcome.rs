//! How something ended, as a label.

use crate::cause::Cause;

/// How a mount or a request ended: well, or for one of the closed list of causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome(Option<Cause>);

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = Cause::ALL.len() + 1;

    /// It ended well.
    pub const OK: Self = Self(None);

    /// Every outcome, in the order of its place.
    pub fn all() -> impl Iterator<Item = Self> {
        let failed = Cause::ALL.into_iter().map(|cause| Self(Some(cause)));
        std::iter::once(Self::OK).chain(failed)
    }

    /// The value of the label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self.0 {
            None => "ok",
            Some(cause) => cause.label(),
        }
    }

    /// Its place among all.
    pub(super) const fn place(self) -> usize {
        match self.0 {
            None => 0,
            Some(cause) => 1 + cause as usize,
        }
    }
}

impl From<Cause> for Outcome {
    fn from(cause: Cause) -> Self {
        Self(Some(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_place_of_its_own() {
        let places: Vec<_> = Outcome::all().map(Outcome::place).collect();
        assert_eq!(places, (0..Outcome::COUNT).collect::<Vec<_>>());
    }
}
