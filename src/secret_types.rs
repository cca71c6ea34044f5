//! The types of Secrets that Kubernetes knows, and what its API server demands of each.

/// A type with the keys of which it needs one of each row.
pub(crate) struct SecretType {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [&'static [&'static str]],
}

pub(crate) const TLS: &str = "kubernetes.io/tls";
pub(crate) const TLS_KEYS: [&str; 2] = ["tls.crt", "tls.key"];
pub(crate) const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account-token";
pub(crate) const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
pub(crate) const DOCKER_CONFIG: (&str, &str) =
    ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
pub(crate) const OLD_DOCKER_CONFIG: (&str, &str) = ("kubernetes.io/dockercfg", ".dockercfg");

pub(crate) const BOOTSTRAP: &str = "bootstrap.kubernetes.io/token";

/// Types that are credentials of the cluster itself.
pub(crate) const PRIVILEGED: [&str; 2] = [SERVICE_ACCOUNT, BOOTSTRAP];

pub(crate) const TYPES: [SecretType; 8] = [
    SecretType {
        name: "Opaque",
        needs: &[],
    },
    SecretType {
        name: TLS,
        needs: &[&[TLS_KEYS[0]], &[TLS_KEYS[1]]],
    },
    SecretType {
        name: DOCKER_CONFIG.0,
        needs: &[&[DOCKER_CONFIG.1]],
    },
    SecretType {
        name: OLD_DOCKER_CONFIG.0,
        needs: &[&[OLD_DOCKER_CONFIG.1]],
    },
    SecretType {
        name: "kubernetes.io/basic-auth",
        needs: &[&["username", "password"]],
    },
    SecretType {
        name: "kubernetes.io/ssh-auth",
        needs: &[&["ssh-privatekey"]],
    },
    SecretType {
        name: SERVICE_ACCOUNT,
        needs: &[],
    },
    SecretType {
        name: BOOTSTRAP,
        needs: &[&["token-id"], &["token-secret"]],
    },
];

/// The keys that a Secret of a type needs: one of each row.
pub(crate) fn needs(kind: &str) -> &'static [&'static [&'static str]] {
    let known = TYPES.iter().find(|known| known.name == kind);
    known.map_or(&[][..], |known| known.needs)
}

/// The keys that a Secret of a type must have, where there is no choice.
pub(crate) fn required(kind: &str) -> impl Iterator<Item = &'static str> {
    let needs = needs(kind).iter();
    needs
        .filter(|any_of| any_of.len() == 1)
        .map(|any_of| any_of[0])
}

/// Whether a Secret may have a key of this name.
pub(crate) fn is_key(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !key.is_empty()
        && key.len() <= 253
        && key.chars().all(allowed)
        && key != "."
        && !key.starts_with("..")
}

/// Whether Kubernetes takes it for the name of an object: lower-case letters,
/// digits, `-` and `.`, at most 253.
#[must_use]
pub fn is_object_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let ends =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        label
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && ends(label.chars().next())
            && ends(label.chars().last())
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
