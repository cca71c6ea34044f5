//! Phase, for one test.

use std::sync::Arc;
use std::time::Duration;

use phase_emulator::seed::{Access, Account, App, Environment, Secret, Token};
use phase_emulator::{Emulator, Endpoint, Fault, FaultKind, Garbage, Options, Seed};

const APP: &str = "shop";
const ENVIRONMENT: &str = "Production";
const STAGING: &str = "Staging";
const ACCOUNT: &str = "pods";
/// Another account that may read all, and its token.
const OTHER: &str = "other";

/// Names of the service account's two tokens.
const FIRST: &str = "first";
const SECOND: &str = "second";

/// A Phase server of a test's own, on loopback; clones are the same server.
#[derive(Clone)]
pub struct Phase(Arc<Emulator>);

/// A secret in a folder.
pub fn secret(path: &str, key: &str, value: &str) -> Secret {
    Secret::new(path, key, value)
}

/// A secret at the root with tags.
pub fn tagged(key: &str, value: &str, tags: &[&str]) -> Secret {
    Secret {
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        ..secret("/", key, value)
    }
}

/// A secret at the root whose value nobody can decrypt.
pub fn undecryptable(key: &str) -> Secret {
    Secret {
        stored_value: Some("not encrypted at all".to_owned()),
        ..secret("/", key, "")
    }
}

impl Phase {
    pub(crate) async fn start(production: Vec<Secret>, staging: Vec<Secret>) -> Self {
        let environments = vec![
            Environment::new(ENVIRONMENT, production),
            Environment::new(STAGING, staging),
        ];
        let mut seed = Seed::new(vec![App::new(APP, environments)]);
        let mut account = Account::service(ACCOUNT);
        account.tokens = vec![Token::named(FIRST), Token::named(SECOND)];
        seed.accounts.extend([account, Account::service(OTHER)]);
        Self(Arc::new(Emulator::start(Options::new(seed)).await.unwrap()))
    }

    /// One with an app for each number: each has an account of its own with one token, and
    /// folders of secrets.
    pub async fn fleet(apps: usize, folders: usize, keys: usize) -> Self {
        let secrets = || {
            let folders = (0..folders).map(|folder| format!("/folder-{folder}"));
            let all = folders.flat_map(|folder| {
                let one = move |key| {
                    let value = format!("a value as long as usual, of key {key} in {folder}");
                    secret(&folder, &format!("KEY_{key:02}"), &value)
                };
                (0..keys).map(one)
            });
            all.collect()
        };
        let app = |number| {
            let environments = vec![Environment::new(ENVIRONMENT, secrets())];
            App::new(&Self::app(number), environments)
        };
        let mut seed = Seed::new((0..apps).map(app).collect());
        for number in 0..apps {
            let mut account = Account::service(&Self::app(number));
            account.access = Some(vec![Access {
                app: Self::app(number),
                environments: Vec::new(),
            }]);
            seed.accounts.push(account);
        }
        let emulator = Emulator::start(Options::new(seed)).await.unwrap();
        emulator.control().warm_up();
        Self(Arc::new(emulator))
    }

    /// The name of an app of a fleet, and of its token.
    pub fn app(number: usize) -> String {
        format!("{APP}-{number}")
    }

    /// The token of an app of a fleet.
    pub fn token_of(&self, app: usize) -> String {
        let token = self.0.control().token(&Self::app(app));
        token.expect("the seed names it")
    }

    /// Creates or changes a secret of an app of a fleet.
    pub fn set_of(&self, app: usize, path: &str, key: &str, value: &str) {
        let control = self.0.control();
        control
            .put_secret(&Self::app(app), ENVIRONMENT, path, key, value)
            .unwrap();
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The token that every namespace has from the start.
    pub fn token(&self) -> String {
        self.0.control().token(FIRST).expect("the seed names it")
    }

    /// The app's id.
    pub fn app_id(&self) -> String {
        self.0.control().app_id(APP).unwrap()
    }

    /// Another token of the same account.
    pub fn second_token(&self) -> String {
        self.0.control().token(SECOND).expect("the seed names it")
    }

    /// A token of another account that may read the same.
    pub fn token_of_another_account(&self) -> String {
        self.0.control().token(OTHER).expect("the seed names it")
    }

    /// Revokes the first token.
    pub fn revoke_token(&self) {
        self.0.control().revoke_token(FIRST).unwrap();
    }

    /// Creates or changes a secret.
    pub fn set(&self, path: &str, key: &str, value: &str) {
        self.0
            .control()
            .put_secret(APP, ENVIRONMENT, path, key, value)
            .unwrap();
    }

    /// Lets the account read the environment `Staging`, or no longer.
    pub fn let_read_staging(&self, may_read: bool) {
        let control = self.0.control();
        control.set_access(ACCOUNT, APP, STAGING, may_read).unwrap();
    }

    /// From now on secrets are forbidden, to any account.
    pub fn forbid(&self) {
        self.fault_of_secrets(FaultKind::Refusal {
            code: 403,
            error: "You don't have permission to read secrets in this environment.".to_owned(),
        });
    }

    /// From now on secrets come encrypted for somebody else.
    pub fn mix_keys_up(&self) {
        self.fault_of_secrets(FaultKind::WrongKey);
    }

    /// From now on everybody is asked to come back after a second.
    pub fn limit(&self) {
        let status = FaultKind::Status {
            code: 429,
            retry_after: Some("1".to_owned()),
        };
        self.0.control().set_fault(Fault::always(status));
    }

    /// From now on something else answers for secrets.
    pub fn talk_nonsense(&self) {
        self.fault_of_secrets(FaultKind::Garbage(Garbage::Html));
    }

    fn fault_of_secrets(&self, kind: FaultKind) {
        let fault = Fault::always(kind).on(Endpoint::Secrets);
        self.0.control().set_fault(fault);
    }

    /// Deletes a secret.
    pub fn delete(&self, path: &str, key: &str) {
        self.0
            .control()
            .delete_secret(APP, ENVIRONMENT, path, key)
            .unwrap();
    }

    /// From now on requests get no answer.
    pub fn stall(&self) {
        self.0.control().set_fault(Fault::always(FaultKind::Stall));
    }

    /// From now on every answer takes this much longer.
    pub fn delay(&self, time: Duration) {
        self.0.control().set_latency(time);
    }

    /// From now on connections are closed at once.
    pub fn refuse(&self) {
        self.0.control().set_fault(Fault::always(FaultKind::Refuse));
    }

    /// Everything works again.
    pub fn heal(&self) {
        self.0.control().clear_faults();
    }

    /// Requests so far for tokens: the first one of a token, and every poll, is one.
    pub fn asked(&self) -> u64 {
        self.0.control().requests().tokens
    }

    /// Requests so far for the secrets of an environment: one at its first use, one after each change.
    pub fn fetched(&self) -> u64 {
        self.0.control().requests().secrets
    }

    /// Requests so far of any other kind.
    pub fn others(&self) -> u64 {
        let counted = self.0.control().requests();
        counted.health + counted.other
    }

    /// All requests so far.
    pub fn requests(&self) -> u64 {
        let counted = self.0.control().requests();
        counted.tokens + counted.secrets + counted.health + counted.other
    }

    /// All connections so far, refused ones too.
    pub fn connections(&self) -> u64 {
        self.0.control().requests().connections
    }

    /// All that has reached Phase so far in whatever way, answered or not.
    pub fn attempts(&self) -> u64 {
        self.connections() + self.requests()
    }
}
