//! What object versions tell, and whom: equal for every account that may read what a mount
//! read, and guessed by nobody who may not.

use std::collections::BTreeMap;

use phase_emulator::seed::{Account, App, Environment, Secret};
use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;

const ACCOUNTS: [&str; 2] = ["one", "other"];

async fn start() -> (Emulator, Daemon) {
    let production = vec![
        Secret::new("/", "KEY", "value"),
        Secret::new("/", "LINK", "${Staging.KEY}"),
        Secret::new("/plain", "KEY", "value"),
    ];
    let staging = vec![Secret::new("/", "KEY", "value")];
    let environments = vec![
        Environment::new("Production", production),
        Environment::new("Staging", staging),
    ];
    let mut seed = Seed::new(vec![App::new("shop", environments)]);
    seed.accounts = ACCOUNTS.map(Account::service).into();
    let emulator = Emulator::start(Options::new(seed)).await.unwrap();
    let daemon = Daemon::start(&["--phase-host", &emulator.url()]).await;
    (emulator, daemon)
}

async fn versions(
    (emulator, daemon): &(Emulator, Daemon),
    account: &str,
    parameters: &Value,
) -> BTreeMap<String, String> {
    let token = emulator.control().token(account).unwrap();
    let answer = daemon.mount(&token, parameters).await.unwrap();
    let versions = answer.object_version.into_iter();
    versions.map(|of| (of.id, of.version)).collect()
}

#[tokio::test]
async fn equal_files_have_equal_versions_whoever_reads_them() {
    let node = start().await;
    let all = json!({"phaseApp": "shop", "phaseAppEnv": "Production"});
    let [one, other] = ACCOUNTS;
    let first = versions(&node, one, &all).await;
    assert_eq!(first.len(), 2);
    assert_eq!(versions(&node, other, &all).await, first);
}

#[tokio::test]
async fn versions_take_the_keys_of_every_environment_that_was_read() {
    let node = start().await;
    let [account, _] = ACCOUNTS;
    let of = async |environment: &str, path: &str| {
        let parameters =
            json!({"phaseApp": "shop", "phaseAppEnv": environment, "phaseAppEnvPath": path});
        versions(&node, account, &parameters).await["KEY"].clone()
    };
    let linked = of("Production", "/").await;
    let plain = of("Production", "/plain").await;
    let staging = of("Staging", "/").await;
    // The same file of the same bytes each time.
    assert_ne!(linked, plain, "a reference leads into another environment");
    assert_ne!(plain, staging);
    assert_ne!(linked, staging);
}
