//! What was true in Phase at each instant, what Phase said, and what the node said.

use std::time::Duration;

use phase_csi_provider::cause::Cause;

use super::steps::{ACCOUNTS, CLASSES, ENVIRONMENTS, SLOTS, TOKENS};
use crate::snapshot::Files;
use crate::support::model::{Sky, Weather};

/// An instant of a case, since its beginning.
pub(super) type Time = Duration;

/// What Phase holds at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    /// Each slot's value, by the change that it came with.
    pub(super) slots: [Option<u32>; SLOTS.len()],
    /// Which account may read which environment.
    pub(super) access: [[bool; ENVIRONMENTS.len()]; ACCOUNTS.len()],
    /// Whose role may read secrets; the tokens answer does not tell.
    pub(super) roles: [bool; ACCOUNTS.len()],
    pub(super) revoked: [bool; TOKENS.len()],
}

/// One time of Phase in which nothing changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    pub(super) begin: Time,
    pub(super) end: Time,
    pub(super) truth: Truth,
}

/// One request as the node heard the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) token: usize,
    /// Nothing for the tokens answer.
    pub(super) environment: Option<usize>,
    /// Only whether it may be read.
    pub(super) is_probe: bool,
    pub(super) asked: Time,
    /// When Phase looked.
    pub(super) seen: Time,
    pub(super) told: Time,
    pub(super) said: Said,
}

/// What Phase said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    Yes,
    /// It refuses.
    No,
    /// Nothing that is of use.
    Nothing,
}

/// One mount.
#[derive(Clone, Debug)]
pub(super) struct Mounted {
    pub(super) token: usize,
    pub(super) class: usize,
    /// Its place, and the how manyeth there.
    pub(super) pod: (usize, u32),
    pub(super) life: usize,
    pub(super) limit: Duration,
    pub(super) begin: Time,
    pub(super) end: Time,
    /// Nothing if it hung.
    pub(super) said: Option<Result<Files, (Cause, String)>>,
}

/// One life of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) at: Time,
    pub(super) boot: u8,
    /// How far the wall clock was set back, if that can matter because the node
    /// was started anew.
    pub(super) set_back: Duration,
}

/// All that happened.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) epochs: Vec<Epoch>,
    pub(super) skies: Vec<(Time, Sky)>,
    pub(super) lives: Vec<Life>,
    /// In the order in which they were told.
    pub(super) heard: Vec<Heard>,
    /// In the order in which they ended.
    pub(super) mounts: Vec<Mounted>,
}

impl Default for History {
    fn default() -> Self {
        let first = Epoch {
            begin: Time::ZERO,
            end: Time::MAX,
            truth: Truth {
                slots: [Some(1), None, Some(2)],
                access: [[true, true], [false, true], [true, true]],
                roles: [true; ACCOUNTS.len()],
                revoked: [false; TOKENS.len()],
            },
        };
        Self {
            epochs: vec![first],
            skies: Vec::new(),
            lives: vec![Life {
                at: Time::ZERO,
                boot: 1,
                set_back: Duration::ZERO,
            }],
            heard: Vec::new(),
            mounts: Vec::new(),
        }
    }
}

impl History {
    /// Phase changes.
    pub(super) fn becomes(&mut self, now: Time, change: impl FnOnce(&mut Truth)) {
        let last = self.epochs.last_mut().unwrap();
        last.end = now;
        let mut truth = last.truth;
        change(&mut truth);
        self.epochs.push(Epoch {
            begin: now,
            end: Time::MAX,
            truth,
        });
    }

    /// The epochs that have an instant in common with a span.
    pub(super) fn between(&self, first: Time, last: Time) -> impl Iterator<Item = &Epoch> {
        let epochs = self.epochs.iter();
        epochs.filter(move |epoch| epoch.begin <= last && epoch.end >= first)
    }

    /// Whether the weather was fine for both endpoints all the time.
    pub(super) fn is_fine(&self, first: Time, last: Time) -> bool {
        let ends = self.skies.iter().skip(1).map(|(at, _)| *at);
        let spans = self.skies.iter().zip(ends.chain([Time::MAX]));
        let mut bad = spans
            .filter(|((_, sky), _)| sky.tokens != Weather::Fine || sky.secrets != Weather::Fine);
        bad.all(|((begin, _), end)| *begin > last || end < first)
    }
}

impl Truth {
    /// Whether the tokens answer lists an environment.
    pub(super) fn is_listed(&self, token: usize, environment: usize) -> bool {
        !self.revoked[token] && self.access[TOKENS[token].1][environment]
    }

    /// Whether the tokens answer lists all that a class needs.
    pub(super) fn is_open(&self, token: usize, class: usize) -> bool {
        let environments = CLASSES[class].environments.iter();
        environments.copied().all(|one| self.is_listed(token, one))
    }

    /// Whether the role of a token's account may read secrets.
    pub(super) fn has_right(&self, token: usize) -> bool {
        self.roles[TOKENS[token].1]
    }

    /// The files of a class for a token, by the changes that they came with.
    pub(super) fn files(&self, token: usize, class: usize) -> Option<Vec<Option<u32>>> {
        if !self.is_open(token, class) || !self.has_right(token) {
            return None;
        }
        let files = CLASSES[class].files.iter();
        files
            .map(|&(_, slot, may_miss)| match self.slots[slot] {
                None if !may_miss => None,
                value => Some(value),
            })
            .collect()
    }
}
