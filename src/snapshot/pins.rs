//! The public keys of environments, as they were first seen.
//!
//! Phase makes an environment's keys once, with the environment. An answer with other
//! keys is one of somebody who is not Phase, or of a Phase whose data was exchanged: its
//! values would open, since whoever makes the keys seals what they open.

use std::collections::HashMap;

use tracing::warn;

use super::credential::Credential;
use super::shared::Shared;
use crate::phase::Error;
use crate::phase::keyring::KeyringError;
use crate::phase::wire::EnvironmentKey;

/// As many environments as a credential ever reads, and more.
const MOST: usize = 1_024;

/// An environment's public key.
pub(super) type PublicKey = [u8; 32];

/// The environments that a credential has opened, by id.
#[derive(Default)]
pub(super) struct Pins(HashMap<String, Pin>);

struct Pin {
    key: PublicKey,
    /// Whether it was told that the key is another one now.
    is_told: bool,
}

/// What became of a look at a pin.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The same as at first, or for the first time.
    Same,
    /// Another one, and whether that is news.
    Other { is_news: bool },
}

impl Pins {
    /// Those that were kept on disk.
    pub(super) fn recalled(kept: Vec<(String, PublicKey)>) -> Self {
        let pin = |(id, key)| {
            let is_told = false;
            (id, Pin { key, is_told })
        };
        Self(kept.into_iter().take(MOST).map(pin).collect())
    }

    /// For the disk, in a fixed order.
    pub(super) fn kept(&self) -> Vec<(String, PublicKey)> {
        let pins = self.0.iter().map(|(id, pin)| (id.clone(), pin.key));
        let mut pins: Vec<_> = pins.collect();
        pins.sort_unstable();
        pins
    }

    fn see(&mut self, id: &str, key: PublicKey) -> Seen {
        if let Some(pin) = self.0.get_mut(id) {
            let is_same = pin.key == key;
            let was_told = std::mem::replace(&mut pin.is_told, !is_same);
            return match is_same {
                true => Seen::Same,
                false => Seen::Other { is_news: !was_told },
            };
        }
        if self.0.len() < MOST {
            let is_told = false;
            self.0.insert(id.to_owned(), Pin { key, is_told });
        }
        Seen::Same
    }
}

/// Checks the keys of an environment, which have been opened, against those that were
/// seen first with this credential.
///
/// # Errors
/// [`KeyringError::Changed`].
pub(super) fn check<U>(
    shared: &Shared<U>,
    credential: &Credential,
    key: &EnvironmentKey,
) -> Result<(), Error> {
    let id = &key.environment.id;
    let public = key.public();
    let seen = match public {
        Some(public) => credential.state().pins.see(id, public),
        // Keys that open have one.
        None => Seen::Same,
    };
    let Seen::Other { is_news } = seen else {
        return Ok(());
    };
    let changed = KeyringError::Changed {
        environment: key.environment.name.clone(),
    };
    if is_news {
        shared.tally.key_changed();
        warn!(
            host = credential.host.as_str(),
            environment = %id,
            "{changed}"
        );
    }
    Err(changed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_as_it_was_first_seen() {
        let mut pins = Pins::default();
        assert_eq!(pins.see("a", [1; 32]), Seen::Same);
        assert_eq!(pins.see("b", [2; 32]), Seen::Same);
        assert_eq!(pins.see("a", [3; 32]), Seen::Other { is_news: true });
        assert_eq!(pins.see("a", [3; 32]), Seen::Other { is_news: false });
        assert_eq!(pins.see("a", [1; 32]), Seen::Same);
        assert_eq!(pins.see("a", [4; 32]), Seen::Other { is_news: true });
        let mut recalled = Pins::recalled(pins.kept());
        assert_eq!(
            recalled.kept(),
            [("a".to_owned(), [1; 32]), ("b".to_owned(), [2; 32])]
        );
        assert_eq!(recalled.see("b", [1; 32]), Seen::Other { is_news: true });
    }

    #[test]
    fn there_is_a_bound() {
        let mut pins = Pins::default();
        for number in 0..=MOST {
            assert_eq!(pins.see(&number.to_string(), [1; 32]), Seen::Same);
        }
        assert_eq!(pins.kept().len(), MOST);
    }
}
