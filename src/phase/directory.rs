//! The apps and environments of a tokens answer, in order: each name is found in a few
//! steps, however many there are.

use std::cmp::Ordering;

use serde::Deserialize;

use super::wire::{App, EnvironmentKey, TokensAnswer};

/// The apps and environments of a tokens answer, in order.
#[derive(Debug, Deserialize)]
#[serde(from = "TokensAnswer")]
pub struct Directory {
    answer: TokensAnswer,
    /// Apps by name, then by id.
    by_name: Vec<u32>,
    /// Apps by folded name, then by id.
    by_folded: Vec<u32>,
    /// Apps by id in lower case.
    by_id: Vec<u32>,
    /// Usable environments by app, then by name, then by id.
    environments: Vec<Key>,
    /// The same by folded name.
    folded: Vec<Key>,
}

/// An environment of an app, each by its index in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The app.
    pub app: u32,
    /// The environment's key among those of the app.
    pub key: u32,
}

impl From<TokensAnswer> for Directory {
    fn from(answer: TokensAnswer) -> Self {
        let apps = &answer.apps;
        let app = |&app: &u32| &apps[app as usize];
        let key = |key: &Key| &app(&key.app).environment_keys[key.key as usize].environment;
        let mut by_name: Vec<u32> = (0..).take(apps.len()).collect();
        let (mut by_folded, mut by_id) = (by_name.clone(), by_name.clone());
        by_name.sort_by_key(|one| (&app(one).name, &app(one).id));
        by_folded.sort_by_cached_key(|one| (fold(&app(one).name), &app(one).id));
        by_id.sort_by(|a, b| same_id(&app(a).id, &app(b).id));
        let mut environments: Vec<_> = keys(apps).collect();
        let mut folded = environments.clone();
        environments.sort_by_key(|one| (one.app, &key(one).name, &key(one).id));
        folded.sort_by_cached_key(|one| (one.app, fold(&key(one).name), &key(one).id));
        Self {
            by_name,
            by_folded,
            by_id,
            environments,
            folded,
            answer,
        }
    }
}

impl Directory {
    /// The answer.
    #[must_use]
    pub fn answer(&self) -> &TokensAnswer {
        &self.answer
    }

    pub(super) fn app(&self, index: u32) -> &App {
        &self.answer.apps[index as usize]
    }

    pub(super) fn key(&self, at: Key) -> &EnvironmentKey {
        &self.app(at.app).environment_keys[at.key as usize]
    }

    /// All apps, by name.
    pub(super) fn apps_by_name(&self) -> &[u32] {
        &self.by_name
    }

    /// The apps with an id, in any case.
    pub(super) fn apps_with_id(&self, id: &str) -> &[u32] {
        range(&self.by_id, |&app| same_id(&self.app(app).id, id))
    }

    /// The apps whose name is written so; else those that differ in case alone.
    pub(super) fn apps_named(&self, name: &str) -> &[u32] {
        let exact = range(&self.by_name, |&app| self.app(app).name.as_str().cmp(name));
        let wanted = fold(name);
        if !exact.is_empty() || wanted.is_empty() {
            return exact;
        }
        range(&self.by_folded, |&app| {
            fold(&self.app(app).name).cmp(&wanted)
        })
    }

    /// The environments of an app that the account can read, by name.
    pub(super) fn environments_of(&self, app: u32) -> &[Key] {
        range(&self.environments, |key| key.app.cmp(&app))
    }

    /// Those whose name is written so; else those that differ in case alone.
    pub(super) fn environments_named(&self, app: u32, name: &str) -> &[Key] {
        let of = |key: &Key| self.key(*key).environment.name.as_str();
        let exact = range(&self.environments, |key| {
            key.app.cmp(&app).then_with(|| of(key).cmp(name))
        });
        let wanted = fold(name);
        if !exact.is_empty() || wanted.is_empty() {
            return exact;
        }
        range(&self.folded, |key| {
            key.app.cmp(&app).then_with(|| fold(of(key)).cmp(&wanted))
        })
    }
}

/// Phase's own limit is 64 characters; a longer name counts only as it is written.
const LONGEST: usize = 1024;

/// A name as names are compared in any case.
fn fold(name: &str) -> String {
    match name.len() <= LONGEST {
        true => name.to_lowercase(),
        false => String::new(),
    }
}

/// Ids are compared in any case.
fn same_id(a: &str, b: &str) -> Ordering {
    let [a, b] = [a, b].map(|text| text.bytes().map(|byte| byte.to_ascii_lowercase()));
    a.cmp(b)
}

fn keys(apps: &[App]) -> impl Iterator<Item = Key> {
    (0..).zip(apps).flat_map(|(app, its)| {
        let usable = (0..)
            .zip(&its.environment_keys)
            .filter(|(_, key)| key.is_usable());
        usable.map(move |(key, _)| Key { app, key })
    })
}

/// The part of what is in order that compares equal.
fn range<T>(sorted: &[T], order: impl Fn(&T) -> Ordering) -> &[T] {
    let begin = sorted.partition_point(|one| order(one).is_lt());
    let rest = &sorted[begin..];
    &rest[..rest.partition_point(|one| order(one).is_eq())]
}
