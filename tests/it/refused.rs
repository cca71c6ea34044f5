//! A class that was refused is not read again until it changes.

use phase_emulator::seed::{App, Environment, Secret};
use phase_emulator::{Emulator, Options, Seed};
use serde_json::{Value, json};
use tonic::Status;

use crate::support::daemon::{Daemon, attributes};

/// Processor time of a process, in ticks of the system's clock.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let spent = fields.split(' ').skip(11).take(2);
    spent.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Some kilobytes that take long to read, and are wrong.
fn heavy(entry: &str) -> Value {
    let text = "{{ A }}{{ B }}\n".repeat(150);
    let first = format!("- {{objectName: f, {entry}: x, template: &t \"{text}\"}}\n");
    let others = (1..100).map(|n| format!("- {{objectName: f{n}, template: *t}}\n"));
    let objects = first + &others.collect::<String>();
    json!({"phaseApp": "shop", "objects": objects})
}

async fn refused(daemon: &Daemon, parameters: &Value, secrets: &Value) -> Status {
    let answer = daemon.call(attributes(parameters), secrets.to_string());
    answer.await.map(drop).unwrap_err()
}

/// The work of one mount, and of fifty more.
async fn work(daemon: &Daemon, parameters: &Value, secrets: &Value) -> (u64, u64) {
    let begun = ticks(daemon.id());
    let first = refused(daemon, parameters, secrets).await;
    let read = ticks(daemon.id());
    for _ in 0..50 {
        let again = refused(daemon, parameters, secrets).await;
        assert_eq!(
            (again.code(), again.message()),
            (first.code(), first.message())
        );
    }
    assert!(first.message().contains("unknown field"), "{first}");
    (read - begun, ticks(daemon.id()) - read)
}

#[tokio::test]
async fn it_is_read_once_whatever_token_comes_with_it() {
    let daemon = Daemon::start(&[]).await;
    let good = json!({"token": format!("pss_service:v2:{0}:{0}:{0}:{0}", "ab".repeat(32))});
    for (secrets, entry) in [
        (good, "b"),
        (json!({}), "c"),
        (json!({"token": "pss_"}), "d"),
    ] {
        let (once, again) = work(&daemon, &heavy(entry), &secrets).await;
        assert!(once >= 5, "it is heavy: {once} ticks");
        assert!(again < 5 * once, "{once} ticks, and {again} for 50 more");
    }
}

#[tokio::test]
async fn once_it_is_changed_it_is_mounted() {
    let secrets = vec![Secret::new("/", "KEY", "value")];
    let seed = Seed::new(vec![App::new(
        "shop",
        vec![Environment::new("Production", secrets)],
    )]);
    let emulator = Emulator::start(Options::new(seed)).await.unwrap();
    let daemon = Daemon::start(&["--phase-host", &emulator.url()]).await;
    let token = emulator.control().token("default").unwrap();
    let class = |objects: &str| json!({"phaseApp": "shop", "objects": objects});
    for _ in 0..2 {
        let error = daemon.mount(&token, &class("- {secretkey: KEY}")).await;
        let error = error.map(drop).unwrap_err();
        assert!(
            error.message().contains("did you mean \"secretKey\"?"),
            "{error}"
        );
        let answer = daemon.mount(&token, &class("- {secretKey: KEY}")).await;
        assert_eq!(answer.unwrap().files.len(), 1);
    }
}
