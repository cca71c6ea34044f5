//! What Phase holds: small environments of victims, and whatever an attacker puts in his.

use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};

/// Secrets of a victim's environment.
pub const SECRETS: usize = 10;
/// Accounts of victims, each with a token that nobody used yet.
pub const VICTIMS: usize = 120;

/// Accounts of attackers who do the same.
pub const GANG: usize = 10;

/// An emulator with the victims' app `shop` and these others, each an app with its
/// environments and accounts that may read it and nothing else: one of its name, and a
/// gang.
pub async fn start(hostile: &[(&str, Value)]) -> Emulator {
    let secrets = (0..SECRETS).map(|n| secret(&format!("KEY_{n}"), "a value of ordinary length"));
    let shop = json!([{"name": "Production", "secrets": secrets.collect::<Vec<_>>()}]);
    let app =
        |(name, environments): (&str, &Value)| json!({"name": name, "environments": environments});
    let account = |name: &str, app: &str| json!({"name": name, "access": [{"app": app}]});
    let mut apps = vec![app(("shop", &shop))];
    let mut accounts: Vec<Value> = (0..VICTIMS)
        .map(|number| account(&victim(number), "shop"))
        .collect();
    for (name, environments) in hostile {
        apps.push(app((name, environments)));
        accounts.push(account(name, name));
        accounts.extend((0..GANG).map(|number| account(&member(name, number), name)));
    }
    let seed = json!({"apps": apps, "accounts": accounts});
    // JSON is YAML, and parsed at once.
    let seed: Seed = serde_json::from_value(seed).unwrap();
    let emulator = Emulator::start(Options::new(seed)).await.unwrap();
    emulator.control().warm_up();
    emulator
}

/// The account and token of one of a gang.
pub fn member(name: &str, number: usize) -> String {
    format!("{name}-{number}")
}

/// The account and token of a victim.
pub fn victim(number: usize) -> String {
    format!("victim-{number}")
}

/// One environment `Production` with these secrets.
pub fn production(secrets: impl IntoIterator<Item = Value>) -> Value {
    json!([{"name": "Production", "secrets": secrets.into_iter().collect::<Vec<_>>()}])
}

/// A secret of the top folder.
pub fn secret(key: &str, value: &str) -> Value {
    json!({"key": key, "value": value})
}

/// A secret that takes room, and whose value nobody could open: it costs its attacker no
/// sealing.
pub fn ballast(key: &str, bytes: usize) -> Value {
    json!({"key": key, "stored_value": "x".repeat(bytes)})
}

/// A token of the right shape that Phase does not know.
pub fn made_up() -> String {
    let hex = || -> String {
        (0..64)
            .map(|_| {
                char::from(
                    fastrand::choice(b"0123456789abcdef".iter())
                        .copied()
                        .unwrap(),
                )
            })
            .collect()
    };
    format!("pss_service:v2:{}:{}:{}:{}", hex(), hex(), hex(), hex())
}
