//! Object versions: keyed, so that they reveal nothing.

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};

/// Makes object versions of what some environments hold.
///
/// Versions stand in the pod's SecretProviderClassPodStatus, which anyone who
/// may view the namespace can read: a bare hash of a short secret could be
/// guessed. The key is derived from the keys of all environments that were read, so
/// that only who may read them all can try guesses, and versions are equal for every
/// token and account, on every node and after every restart, without any state.
pub struct VersionKey(Key);

impl VersionKey {
    /// The key that an answer brought.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }

    /// The version of one file: 32 hex digits, the first half of HMAC-SHA256
    /// over its path, mode and bytes.
    #[must_use]
    pub fn version(&self, path: &str, mode: u32, contents: &[u8]) -> String {
        let mut context = Context::with_key(&self.0);
        // The length keeps path and bytes apart.
        context.update(&(path.len() as u64).to_be_bytes());
        context.update(path.as_bytes());
        context.update(&mode.to_be_bytes());
        context.update(contents);
        base16ct::lower::encode_string(&context.sign().as_ref()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_exactly_with_path_mode_bytes_and_key() {
        let key = VersionKey::new(&[1; 32]);
        let version = key.version("a/b", 0o644, b"value");
        assert_eq!(version.len(), 32);
        assert_eq!(
            version,
            VersionKey::new(&[1; 32]).version("a/b", 0o644, b"value")
        );
        for other in [
            key.version("a/b", 0o644, b"value "),
            key.version("a/b", 0o600, b"value"),
            key.version("a/c", 0o644, b"value"),
            key.version("a", 0o644, b"/bvalue"),
            VersionKey::new(&[2; 32]).version("a/b", 0o644, b"value"),
        ] {
            assert_ne!(version, other);
        }
    }
}
