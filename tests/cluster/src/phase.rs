//! Phase, for one test.

use std::sync::Arc;
use std::time::Duration;

use phase_emulator::seed::{Account, App, Environment, Secret, Token};
use phase_emulator::{Emulator, Fault, FaultKind, Options, Seed};

const APP: &str = "shop";
const ENVIRONMENT: &str = "Production";

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

impl Phase {
    pub(crate) async fn start(secrets: Vec<Secret>) -> Self {
        let environment = Environment::new(ENVIRONMENT, secrets);
        let mut seed = Seed::new(vec![App::new(APP, vec![environment])]);
        let mut account = Account::service("pods");
        account.tokens = vec![Token::named(FIRST), Token::named(SECOND)];
        seed.accounts.push(account);
        Self(Arc::new(Emulator::start(Options::new(seed)).await.unwrap()))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The token that every namespace has from the start.
    pub fn token(&self) -> String {
        self.0.control().token(FIRST).expect("the seed names it")
    }

    /// Another token of the same account.
    pub fn second_token(&self) -> String {
        self.0.control().token(SECOND).expect("the seed names it")
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

    /// Requests so far for tokens: every call of the provider begins with one.
    pub fn asked(&self) -> u64 {
        self.0.control().requests().tokens
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
}
