//! An `EncryptionConfiguration` as the API server understands it, and what a
//! rotation makes of it.

use base64ct::{Base64, Encoding as _};
use secrecy::SecretString;

use super::args::{Name, ProviderKind, Resource, Socket};
use crate::phase::primitives::SecretKey;
use crate::random::random;
use crate::yaml::Place;

/// What is encrypted, and by whom; the first entry for a resource counts.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) entries: Vec<Entry>,
    /// Where the entries stand.
    pub(super) at: Place,
}

/// Resources, and their providers: the first one writes, all of them read.
#[derive(Debug)]
pub(super) struct Entry {
    /// `secrets`, `widgets.shop.example`, or with `*` for any name or group.
    pub(super) resources: Vec<String>,
    pub(super) providers: Vec<Provider>,
}

/// One provider of an entry.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) kind: Kind,
    pub(super) at: Place,
}

/// What a provider does.
#[derive(Debug)]
pub(super) enum Kind {
    /// Encrypts with the first of its keys.
    Local { cipher: Cipher, keys: Vec<Key> },
    /// Has a plugin encrypt.
    Kms(Kms),
    /// Plain text.
    Identity,
}

/// What encrypts with a key of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    Secretbox,
    Aesgcm,
    Aescbc,
}

/// A key of the file; it cannot be printed by accident.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    /// In base64.
    pub(super) secret: SecretString,
}

/// A plugin's fields, as they are written.
#[derive(Debug, Default)]
pub(super) struct Kms {
    pub(super) api_version: Option<String>,
    pub(super) name: String,
    pub(super) endpoint: String,
    pub(super) cachesize: Option<String>,
    pub(super) timeout: Option<String>,
}

/// What comes first in an entry from now on.
pub(super) enum Fresh {
    Key(Cipher, Key),
    Kms(Kms),
}

impl Configuration {
    /// For these resources; what is stored in plain text stays readable.
    pub(super) fn new(resources: &[Resource], fresh: Fresh) -> Self {
        let names = resources
            .iter()
            .map(|resource| resource.as_str().to_owned());
        let mut entry = Entry {
            resources: names.collect(),
            providers: vec![Provider::of(Kind::Identity)],
        };
        entry.put_first(fresh);
        Self {
            entries: vec![entry],
            at: Place::default(),
        }
    }

    /// The number of the entry that says how a resource is written.
    pub(super) fn entry_for(&self, resource: &Resource) -> Option<usize> {
        let takes = |entry: &Entry| entry.resources.iter().any(|name| takes(name, resource));
        self.entries.iter().position(takes)
    }

    /// Every key of every entry.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.providers().flat_map(Provider::keys)
    }

    /// Every plugin of every entry.
    pub(super) fn plugins(&self) -> impl Iterator<Item = &Kms> {
        self.providers()
            .filter_map(|provider| match &provider.kind {
                Kind::Kms(kms) => Some(kms),
                _ => None,
            })
    }

    fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.entries.iter().flat_map(|entry| &entry.providers)
    }

    /// `key-1`, or one more than the highest number so far: a number that was used
    /// once stands in backups of etcd, before what another key encrypted.
    pub(super) fn next_name(&self) -> String {
        let numbers = self.keys().filter_map(|key| number(&key.name));
        format!("key-{}", numbers.max().unwrap_or_default() + 1)
    }
}

impl Entry {
    /// Lets something new write; whatever was there still reads.
    pub(super) fn put_first(&mut self, fresh: Fresh) {
        let kind = match (fresh, self.providers.first_mut()) {
            (
                Fresh::Key(fresh, key),
                Some(Provider {
                    kind: Kind::Local { cipher, keys },
                    ..
                }),
            ) if *cipher == fresh => return keys.insert(0, key),
            (Fresh::Key(cipher, key), _) => Kind::Local {
                cipher,
                keys: vec![key],
            },
            (Fresh::Kms(kms), _) => Kind::Kms(kms),
        };
        self.providers.insert(0, Provider::of(kind));
    }
}

impl Provider {
    const fn of(kind: Kind) -> Self {
        let at = Place { line: 0, column: 0 };
        Self { kind, at }
    }

    fn keys(&self) -> &[Key] {
        match &self.kind {
            Kind::Local { keys, .. } => keys,
            _ => &[],
        }
    }

    /// The name of the field that holds it.
    pub(super) const fn field(&self) -> &'static str {
        match &self.kind {
            Kind::Local { cipher, .. } => cipher.field(),
            Kind::Kms(_) => "kms",
            Kind::Identity => "identity",
        }
    }
}

impl Cipher {
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Secretbox => "secretbox",
            Self::Aesgcm => "aesgcm",
            Self::Aescbc => "aescbc",
        }
    }

    /// Whether it takes keys of this length in bytes.
    pub(super) const fn takes(self, length: usize) -> bool {
        match self {
            Self::Secretbox => length == 32,
            Self::Aesgcm | Self::Aescbc => matches!(length, 16 | 24 | 32),
        }
    }

    /// The lengths that it takes.
    pub(super) const fn lengths(self) -> &'static str {
        match self {
            Self::Secretbox => "32",
            Self::Aesgcm | Self::Aescbc => "16, 24 or 32",
        }
    }
}

impl ProviderKind {
    /// What encrypts with a key of the file; none for a plugin.
    pub(super) const fn cipher(self) -> Option<Cipher> {
        match self {
            Self::Secretbox => Some(Cipher::Secretbox),
            Self::Aesgcm => Some(Cipher::Aesgcm),
            Self::Aescbc => Some(Cipher::Aescbc),
            Self::Kms => None,
        }
    }
}

impl Key {
    /// 32 random bytes, which every cipher takes.
    pub(super) fn fresh(name: String) -> Self {
        let mut key = SecretKey::default();
        random(&mut *key);
        let secret = SecretString::from(Base64::encode_string(&*key));
        Self { name, secret }
    }
}

impl Kms {
    /// A plugin of v2, with the API server's own limits.
    pub(super) fn new(name: &Name, endpoint: &Socket) -> Self {
        Self {
            api_version: Some("v2".to_owned()),
            name: name.as_str().to_owned(),
            endpoint: endpoint.as_str().to_owned(),
            ..Self::default()
        }
    }
}

/// Whether a name of the configuration takes a resource, as the API server splits
/// both: up to the first dot is the plural, the rest is the group.
fn takes(name: &str, resource: &Resource) -> bool {
    let split = |name: &str| match name.split_once('.') {
        Some((plural, group)) => (plural.to_owned(), group.to_owned()),
        None => (name.to_owned(), String::new()),
    };
    let (plural, group) = split(name);
    let wanted = split(resource.as_str());
    (group == "*" || group == wanted.1) && (plural == "*" || plural == wanted.0)
}

/// The number of a name like `key-1`, `key1` or `key_01`.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("key")?.trim_start_matches(['-', '_']);
    let number: u64 = digits.parse().ok()?;
    (number < u64::MAX).then_some(number)
}
