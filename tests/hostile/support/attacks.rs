//! What hostile tenants do: their classes, and what they put into Phase.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use phase_csi_provider::provider::MountResponse;
use serde_json::{Value, json};
use tokio::time::sleep;
use tonic::Status;

use super::phase::{ballast, made_up, production, secret};
use super::tenant::{Tenant, Volume};

/// What attackers got of their first mounts.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Mounts all of these, in a new pod each, waits, and does it again for ever.
pub async fn again(tenant: Tenant, volumes: Vec<Volume>, pause: Duration) {
    let mut volumes = volumes;
    for round in 0_u64.. {
        let pods = volumes.iter_mut().enumerate();
        pods.for_each(|(number, volume)| volume.pod = format!("pod-{round}-{number}"));
        let answers = join_all(volumes.iter().map(|volume| tenant.mount(volume))).await;
        if round == 0 {
            SAID.lock().unwrap().extend(answers.iter().map(text));
        }
        sleep(pause).await;
    }
}

/// What attackers got since this was asked last.
pub fn said() -> BTreeSet<String> {
    std::mem::take(&mut SAID.lock().unwrap())
}

fn text(answer: &Result<MountResponse, Status>) -> String {
    match answer {
        Ok(answer) => format!("{} files", answer.files.len()),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// One text of so many bytes, and so many aliases of it.
pub fn aliases(bytes: usize, count: usize) -> Value {
    let mut objects = format!("- secretKey: &a \"{}\"\n", "x".repeat(bytes));
    objects.push_str(&"- secretKey: *a\n".repeat(count));
    json!({"phaseApp": "hostile", "objects": objects})
}

/// One template of so many bytes that so many files are made from.
pub fn templates(app: &str, bytes: usize, count: usize) -> Value {
    let template = "{{ KEY }}".repeat(bytes / 9);
    let mut objects =
        format!("- objectName: file-0\n  secretKey: KEY\n  template: &t \"{template}\"\n");
    for number in 1..count {
        objects.push_str(&format!(
            "- objectName: file-{number}\n  secretKey: KEY\n  template: *t\n"
        ));
    }
    json!({"phaseApp": app, "objects": objects})
}

/// What [`templates`] are filled with.
pub fn one_key() -> Value {
    production([secret("KEY", "value")])
}

/// A value of so many bytes, and so many secrets that each refer to it so often.
pub fn references(bytes: usize, secrets: usize, each: usize) -> Value {
    let referring = (0..secrets).map(|number| secret(&format!("R_{number}"), &"${A}".repeat(each)));
    production(
        [secret("A", &"a".repeat(bytes))]
            .into_iter()
            .chain(referring),
    )
}

/// Environments of so many bytes, in rows of a megabyte, each with one key of use.
pub fn fat(environments: usize, megabytes: usize) -> Value {
    let environment = |number| {
        let rows = (0..megabytes).map(|row| ballast(&format!("FAT_{row}"), 1 << 20));
        let rows = rows.chain([secret("KEY", "value")]);
        json!({"name": format!("e{number}"), "secrets": rows.collect::<Vec<_>>()})
    };
    (0..environments).map(environment).collect()
}

/// A class of one key of each of these environments.
pub fn one_of_each(app: &str, environments: usize) -> Value {
    let entry = |number| format!("- {{secretKey: KEY, env: e{number}, objectName: k{number}}}\n");
    let objects: String = (0..environments).map(entry).collect();
    json!({"phaseApp": app, "phaseAppEnv": "e0", "objects": objects})
}

/// One file of all keys in a format, so many times.
pub fn formats(app: &str, count: usize) -> Value {
    let entry = |number| format!("- {{objectName: all-{number}.json, format: json}}\n");
    let objects: String = (0..count).map(entry).collect();
    json!({"phaseApp": app, "objects": objects})
}

/// So many bytes of values.
pub fn values(bytes: usize) -> Value {
    const EACH: usize = 10_000;
    production((0..bytes / EACH).map(|number| secret(&format!("V_{number}"), &"v".repeat(EACH))))
}

/// So many keys that a glob of many stars tries in many ways.
pub fn long_keys(count: usize) -> Value {
    production((0..count).map(|number| secret(&format!("{}_{number}", "A".repeat(100)), "value")))
}

/// So many globs that take none of these keys.
pub fn globs(app: &str, count: usize) -> Value {
    let glob = "*A".repeat(24);
    let list = |number: usize| format!("\"{glob}Z{number}\", ");
    let globs: String = (0..count).map(list).collect();
    let objects = format!("- include: [{globs}]\n");
    json!({"phaseApp": app, "objects": objects, "allowEmpty": "true"})
}

/// A secret of so many references, each to another app.
pub fn lookups(count: usize) -> Value {
    let reference = |number| format!("${{app-{number}::production.KEY}}");
    let all: String = (0..count).map(reference).collect();
    production([secret("ALL", &all)])
}

/// A secret of so many references that lead nowhere.
pub fn dangling(count: usize) -> Value {
    production([secret("ALL", &"${NOT_THERE}".repeat(count))])
}

/// Volumes with tokens that Phase does not know.
pub fn strangers(count: usize) -> Vec<Volume> {
    let class = json!({"phaseApp": "shop"});
    let stranger = |_| Volume::new(Some(&made_up()), "", &class);
    (0..count).map(stranger).collect()
}
