//! Why a seed cannot be served.

/// Why a seed cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Two apps have the name that an account's access gives.
    #[error(
        "app name is ambiguous: {app:?} of account {account:?}: give the id in place of the name"
    )]
    AmbiguousApp {
        /// The account.
        account: String,
        /// The name.
        app: String,
    },
    /// An address or block of a network access policy cannot be read.
    #[error(
        "address cannot be read: {address:?} of account {account:?}: write 10.0.0.1 or 10.0.0.0/8"
    )]
    Address {
        /// The account.
        account: String,
        /// The text.
        address: String,
    },
    /// Two tokens have one name, or one bearer.
    #[error("token is listed twice: {0:?}: give each token a name and text of its own")]
    DuplicateToken(String),
    /// Two secrets have one path and key.
    #[error(
        "secret is listed twice: {key:?} at {path:?} of environment {environment:?}: remove one"
    )]
    DuplicateSecret {
        /// The environment.
        environment: String,
        /// The key.
        key: String,
        /// The folder.
        path: String,
    },
    /// A key is not 64 hex digits.
    #[error("key cannot be read: {0}: write 64 hex digits")]
    Key(String),
    /// A legacy account names no app, or several.
    #[error("legacy account needs one app: {0:?}: list exactly one under access")]
    LegacyApps(String),
    /// A given token's key pair is not the account's.
    #[error(
        "token belongs to another key pair: {0:?}: give the account's private_key, or remove the token to get a new one"
    )]
    TokenKey(String),
    /// A given token has not the form of its account's kind.
    #[error("token cannot be read: {0:?}: it must have the form of its account's kind")]
    TokenForm(String),
    /// An account may read an app that is not there.
    #[error("app is not in the seed: {app:?} of account {account:?}: add it or correct the name")]
    UnknownApp {
        /// The account.
        account: String,
        /// The name or id.
        app: String,
    },
    /// An account may read an environment that is not there.
    #[error(
        "environment is not in the seed: {environment:?} of account {account:?}: add it or correct the name"
    )]
    UnknownEnvironment {
        /// The account.
        account: String,
        /// The name.
        environment: String,
    },
    /// The text is not YAML of this form.
    #[error("seed cannot be read: {0}")]
    Yaml(String),
}
