//! What one namespace, or one resource, can take of the controller.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::DynamicObject;
use phase_csi_cluster::{Asked, Controller, Fault, Namespace, Phase, Programs, Way};
use phase_csi_cluster::{eventually, http, secret};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{named, uid};

const MANY: usize = 300;

fn resource(controller: &Controller, name: &str) -> DynamicObject {
    let object = json!({
        "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
        "metadata": {"name": name},
        "spec": {
            "phaseApp": "shop", "phaseHost": controller.phase.url(), "pollingInterval": 5,
            "authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": "phase-service-token"}}},
            "managedSecretReferences": [{"secretName": name}],
        },
    });
    serde_json::from_value(object).unwrap()
}

async fn count(namespace: &Namespace) -> usize {
    let label = ListParams::default().labels("secrets.phase.dev/managed=true");
    let found = namespace.api::<Secret>().list_metadata(&label).await;
    found.unwrap().items.len()
}

/// The victim's resource is made once those of the hostile namespace are being worked on,
/// four at once: without turns it would come after all that wait.
#[tokio::test]
async fn three_hundred_resources_of_one_namespace_delay_another_by_a_few_of_them() {
    let secrets = vec![secret("/", "KEY", "canary")];
    let mut controller = Controller::defined("turns-hostile", secrets).await;
    let victim = controller.namespace.another("turns-victim").await;
    victim
        .token("phase-service-token", &controller.phase.token())
        .await;
    controller.further = vec![victim.name.clone()];
    controller.allows = &["--concurrency", "4"];
    let hostile = controller.resources();
    for number in 0..MANY {
        let object = resource(&controller, &format!("hostile-{number:03}"));
        hostile
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }
    // Each of the others takes a moment, so that they last.
    let way = Way::open(&Programs::from_environment(), &controller.folder()).await;
    let is_of_others = |asked: &Asked| asked.is_write() && asked.path.contains("/secrets/hostile-");
    way.disturb(is_of_others, Fault::Slow(Duration::from_millis(100)));
    controller.add_replica_through(&way.kubeconfig);
    let mut begun = 0;
    eventually("the first of the others", async || {
        begun = count(&controller.namespace).await;
        (begun > 0).then_some(())
    })
    .await;
    let victims = controller.resources_of(&victim);
    let object = resource(&controller, "victim");
    victims
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    // While the victim's is not there, the others are counted.
    let mut before = 0;
    eventually("the victim's Secret", async || {
        let there = victim.secret("victim").await;
        before = count(&controller.namespace).await;
        there.map(drop)
    })
    .await;
    let others = before - begun;
    assert!(others <= MANY / 5, "{others} more of the others came first");
    // They come, too.
    eventually("all others", async || {
        (count(&controller.namespace).await == MANY).then_some(())
    })
    .await;
}

/// How often resources were worked on.
async fn rounds(controller: &Controller) -> f64 {
    let replica = &controller.replicas[0];
    let text = eventually("figures", async || {
        let (status, text) = http(&replica.http()?, "GET", "/metrics", "").await?;
        (status == 200).then_some(text)
    })
    .await;
    let all = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("phase_csi_managed_syncs_total{")?;
        rest.rsplit_once(' ')?.1.parse::<f64>().ok()
    });
    all.sum()
}

/// A resource of a fleet's first app that is looked at once an hour.
fn slow(name: &str, secrets: &Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret",
        "metadata": {"name": name},
        "spec": {
            "phaseApp": Phase::app(0), "phaseAppEnvPath": "/folder-0", "pollingInterval": 3_600,
            "authentication": {"serviceToken": {"serviceTokenSecretReference": {"secretName": Phase::app(0)}}},
            "managedSecretReferences": secrets,
        },
    });
    serde_json::from_value(object).unwrap()
}

/// A controller as users have it, with a way to the API server that counts, and a resource
/// for whose sake Phase is asked every five seconds.
async fn usual(name: &str, resources: &[DynamicObject]) -> (Controller, Way) {
    let mut controller = Controller::prepare_usual(name, Phase::fleet(1, 1, 2).await).await;
    let token = controller.phase.token_of(0);
    controller.namespace.token(&Phase::app(0), &token).await;
    let mut pace = slow("pace", &named("pace"));
    pace.data["spec"]["pollingInterval"] = json!(5);
    for object in resources.iter().chain([&pace]) {
        let api = controller.resources();
        api.create(&PostParams::default(), object).await.unwrap();
    }
    let way = Way::open(&Programs::from_environment(), &controller.folder()).await;
    controller.add_replica_through(&way.kubeconfig);
    (controller, way)
}

/// Lists of anything that has a pod template.
fn lists(asked: &[Asked]) -> Vec<&str> {
    let kinds = [
        "deployments",
        "statefulsets",
        "daemonsets",
        "jobs",
        "cronjobs",
    ];
    let is_list = |path: &&str| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        !query.contains("watch=") && kinds.iter().any(|kind| path.ends_with(kind))
    };
    let paths = asked.iter().map(|asked| asked.path.as_str());
    paths.filter(is_list).collect()
}

#[tokio::test]
async fn a_change_of_fifty_resources_is_fifty_rounds_and_no_list() {
    const CHANGES: usize = 50;
    let names: Vec<_> = (0..CHANGES).map(|number| format!("one-{number}")).collect();
    let resources: Vec<_> = names.iter().map(|name| slow(name, &named(name))).collect();
    let (controller, way) = usual("turns-rounds", &resources).await;
    for name in &names {
        controller.synced(name, "Synced").await;
    }
    let first = rounds(&controller).await;
    way.asked();
    let begun = Instant::now();
    controller.phase.set_of(0, "/folder-0", "KEY_00", "canary");
    for name in &names {
        controller.shows(name, "KEY_00", "canary").await;
        let hash = async || controller.status(name).await["secrets"][0]["contentHash"].clone();
        let secret = controller.namespace.secret(name).await.unwrap();
        let written =
            secret.metadata.annotations.unwrap()["secrets.phase.dev/content-hash"].clone();
        eventually("its status", async || {
            (hash().await == written).then_some(())
        })
        .await;
    }
    // What a status would set off comes at once.
    sleep(Duration::from_secs(2)).await;
    let passed = begun.elapsed().as_secs_f64();
    let more = rounds(&controller).await - first;
    // The one that sets the pace goes round by itself.
    let allowed = CHANGES as f64 + 2.0 + passed / 4.0;
    assert!(
        more <= allowed,
        "{more} rounds in {passed} s, not {allowed}"
    );
    let asked = way.asked();
    assert_eq!(lists(&asked), [""; 0]);
}

/// A resource with 300 Secrets, and one with a Secret that somebody deletes meanwhile: what
/// counts is how many of the others are written before it is there again.
#[tokio::test]
async fn a_resource_with_many_secrets_lets_others_go_first() {
    let many: Vec<_> = (0..MANY)
        .map(|number| json!({"secretName": format!("many-{number:03}")}))
        .collect();
    let resources = [slow("many", &json!(many)), slow("one", &named("one"))];
    let (controller, way) = usual("turns-long", &resources).await;
    controller.synced("many", "Synced").await;
    controller.synced("one", "Synced").await;
    way.asked();
    // Each write of the many takes a moment, so that it lasts.
    let is_of_many = |asked: &Asked| asked.is_write() && asked.path.contains("/many-");
    way.disturb(is_of_many, Fault::Slow(Duration::from_millis(50)));
    controller.phase.set_of(0, "/folder-0", "KEY_00", "canary");
    let secrets = controller.namespace.api::<Secret>();
    let written = async || {
        let data = controller.namespace.secret_data("many-299").await;
        data.is_some_and(|data| data["KEY_00"] == b"canary")
    };
    eventually("the first of them", async || {
        let data = controller.namespace.secret_data("many-000").await?;
        (data["KEY_00"] == b"canary").then_some(())
    })
    .await;
    let mut repairs = 0;
    while !written().await {
        let before = uid(&controller, "one").await;
        secrets
            .delete("one", &DeleteParams::default())
            .await
            .unwrap();
        eventually("the Secret again", async || {
            let now = controller.namespace.secret("one").await?.metadata.uid;
            (now != before).then_some(())
        })
        .await;
        repairs += 1;
    }
    // It takes 15 s at least: each repair waits for no more than a few of the others.
    assert!(repairs >= 5, "{repairs}");
}
