//! Classes with `mirror`: what they would mount, as Secrets that need no pod.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use phase_csi_cluster::{Asked, Controller, Fault, Namespace, Programs, Way, eventually, secret};
use serde_json::{Value, json};

use super::operation::{deployment, generations};

const MANAGED: &str = "secrets.phase.dev/managed";

/// Writes a class of app `shop` with this `mirror`.
async fn class(controller: &Controller, name: &str, mirror: &str, more: Value) {
    let mut parameters = json!({
        "phaseApp": "shop", "phaseHost": controller.phase.url(), "mirror": mirror,
    });
    let (Value::Object(all), Value::Object(more)) = (&mut parameters, more) else {
        panic!("an object");
    };
    all.extend(more);
    controller
        .namespace
        .class(name, parameters, json!([]))
        .await;
}

async fn gone(namespace: &Namespace, name: &str) {
    eventually("the Secret to go", async || {
        namespace.secret(name).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_class_becomes_a_secret_without_a_pod_or_a_list_of_keys() {
    let secrets = vec![
        secret("/", "DB_HOST", "canary-host"),
        secret("/", "CERT", "Y2FuYXJ5LWJ5dGVz"),
        secret("/cache", "URL", "canary-cache"),
    ];
    let controller = Controller::start("mirror-follows", secrets).await;
    let mirror = "- secretName: shop\n  metadata: {labels: {team: shop}, annotations: {why: tests}}\n\
        - {secretName: shop-again, tokenSecretName: second-token}\n";
    controller
        .namespace
        .token("second-token", &controller.phase.second_token())
        .await;
    let rules = json!({
        "nameTransformer": "lower-kebab", "recursive": "true", "processors": "CERT: {asName: cert.der, type: base64}",
    });
    class(&controller, "shop", mirror, rules).await;
    controller.shows("shop", "db-host", "canary-host").await;
    controller.shows("shop", "cert.der", "canary-bytes").await;
    controller
        .shows("shop-again", "db-host", "canary-host")
        .await;
    let found = controller.namespace.secret("shop").await.unwrap();
    let (labels, annotations) = (found.labels(), found.annotations());
    assert_eq!((&*labels[MANAGED], &*labels["team"]), ("true", "shop"));
    assert_eq!(
        (
            &*annotations["secrets.phase.dev/class"],
            &*annotations["why"]
        ),
        ("mirror-follows/shop", "tests")
    );
    assert_eq!(found.type_.as_deref(), Some("Opaque"));
    controller.phase.set("/", "DB_HOST", "canary-moved");
    controller.phase.set("/", "NEW", "canary-new");
    controller.shows("shop", "db-host", "canary-moved").await;
    controller.shows("shop", "new", "canary-new").await;
    let now = controller.namespace.secret("shop").await.unwrap();
    assert_eq!(now.uid(), found.uid(), "in place");
    // What is edited or deleted comes back.
    let secrets = controller.namespace.api::<Secret>();
    secrets
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    controller.shows("shop", "new", "canary-new").await;
}

#[tokio::test]
async fn what_a_class_does_not_name_any_more_goes_unless_others_use_it() {
    let mut controller =
        Controller::start("mirror-goes", vec![secret("/", "KEY", "canary-1")]).await;
    let four = "[{secretName: stays}, {secretName: goes}, {secretName: taken}, {secretName: lost}]";
    class(&controller, "shop", four, json!({})).await;
    for name in ["stays", "goes", "taken", "lost"] {
        controller.shows(name, "KEY", "canary-1").await;
    }
    let secrets = controller.namespace.api::<Secret>();
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"THEIRS": "canary-theirs"},
    });
    let apply = PatchParams::apply("somebody");
    secrets
        .patch("taken", &apply, &Patch::Apply(theirs))
        .await
        .unwrap();
    // Whoever takes our label or annotation away keeps the Secret, too.
    let without = json!({"metadata": {"labels": {(MANAGED): null}}});
    controller.replicas[0].kill().await;
    secrets
        .patch("lost", &PatchParams::default(), &Patch::Merge(without))
        .await
        .unwrap();
    class(&controller, "shop", "[{secretName: stays}]", json!({})).await;
    controller.restart(0).await;
    gone(&controller.namespace, "goes").await;
    eventually("the label to go", async || {
        let taken = controller.namespace.secret("taken").await.unwrap();
        let is_ours = taken.labels().contains_key(MANAGED)
            || taken.annotations().contains_key("secrets.phase.dev/class");
        (!is_ours).then_some(())
    })
    .await;
    controller.shows("taken", "KEY", "canary-1").await;
    controller.shows("taken", "THEIRS", "canary-theirs").await;
    controller.shows("lost", "KEY", "canary-1").await;
    let text = controller.namespace.class_event("shop", "Left").await;
    assert_eq!(
        text,
        "Secret mirror-goes/taken is not deleted: somebody has put something in it, and it is theirs now"
    );
    let text = controller.namespace.class_event("shop", "Deleted").await;
    assert_eq!(text, "Secret mirror-goes/goes: nothing names it any more");
    controller.shows("stays", "KEY", "canary-1").await;
    controller.namespace.delete_class("shop").await;
    gone(&controller.namespace, "stays").await;
}

#[tokio::test]
async fn a_class_that_is_deleted_while_nobody_looks_takes_its_secret_along() {
    let mut controller =
        Controller::start("mirror-unseen", vec![secret("/", "KEY", "canary-1")]).await;
    class(&controller, "shop", "[{secretName: shop}]", json!({})).await;
    controller.shows("shop", "KEY", "canary-1").await;
    controller.replicas[0].kill().await;
    controller.namespace.delete_class("shop").await;
    controller.restart(0).await;
    gone(&controller.namespace, "shop").await;
}

#[tokio::test]
async fn a_mistake_is_an_event_and_the_secrets_stay() {
    let controller =
        Controller::start("mirror-mistakes", vec![secret("/", "KEY", "canary-1")]).await;
    class(&controller, "shop", "[{secretName: shop}]", json!({})).await;
    controller.shows("shop", "KEY", "canary-1").await;
    class(&controller, "shop", "[{secretName: Shop}]", json!({})).await;
    let text = controller
        .namespace
        .class_event("shop", "InvalidSpec")
        .await;
    assert_eq!(
        text,
        "mirror[0].secretName (line 1, column 15): secretName \"Shop\" is no name of a Kubernetes object: use lower-case letters, digits, \"-\" and \".\""
    );
    class(
        &controller,
        "tokenless",
        "[{secretName: other, tokenSecretName: none}]",
        json!({}),
    )
    .await;
    let text = controller
        .namespace
        .class_event("tokenless", "TokenMissing")
        .await;
    assert_eq!(
        text,
        "Secret mirror-mistakes/none does not exist: create it with the service token under the key token"
    );
    let objects = "[{secretKey: KEY, objectName: a b}, {secretKey: KEY, objectName: db/key}, {secretKey: KEY, objectName: db.key}]";
    let objects = json!({"objects": objects});
    class(&controller, "misfit", "[{secretName: misfit}]", objects).await;
    let text = controller
        .namespace
        .class_event("misfit", "InvalidData")
        .await;
    assert_eq!(
        text,
        "Secret mirror-mistakes/misfit: 2 mistakes: file \"a b\" cannot be a key of a Secret: give it another objectName (letters, digits, \"-\", \"_\", \".\"); \
         files \"db.key\" and \"db/key\" would both be the key \"db.key\": give one of them another objectName"
    );
    controller.shows("shop", "KEY", "canary-1").await;
}

#[tokio::test]
async fn of_two_who_name_one_secret_the_second_is_told() {
    let controller = Controller::start("mirror-rival", vec![secret("/", "KEY", "canary-1")]).await;
    controller.resource("first", super::named("shop")).await;
    controller.synced("first", "Synced").await;
    controller.resource("second", super::named("shop")).await;
    let text = controller.synced("second", "Conflict").await;
    assert_eq!(
        text,
        "Secret mirror-rival/shop is kept for PhaseSecret mirror-rival/first already: name it in one of the two alone"
    );
    class(&controller, "third", "[{secretName: shop}]", json!({})).await;
    controller.namespace.class_event("third", "Conflict").await;
    controller.synced("first", "Synced").await;
    // It is free once the first lets go of it.
    controller.resource("first", super::named("another")).await;
    controller.namespace.delete_class("third").await;
    controller.synced("second", "Synced").await;
}

#[tokio::test]
async fn workloads_that_use_a_mirrored_secret_restart_once() {
    let mut controller =
        Controller::start("mirror-restart", vec![secret("/", "KEY", "canary-1")]).await;
    let wish = json!({"secrets.phase.dev/redeploy": "true"});
    let uses = json!({"envFrom": [{"secretRef": {"name": "shop"}}]});
    deployment(&controller, "shop", wish, uses).await;
    class(&controller, "shop", "[{secretName: shop}]", json!({})).await;
    controller.shows("shop", "KEY", "canary-1").await;
    for (text, generation) in [("canary-2", 2), ("canary-3", 3)] {
        controller.phase.set("/", "KEY", text);
        controller.shows("shop", "KEY", text).await;
        eventually("the restart", async || {
            (generations(&controller).await["shop"] == generation).then_some(())
        })
        .await;
        controller.restart(0).await;
    }
    let content = eventually("what was done to be written down", async || {
        let found = controller.namespace.secret("shop").await.unwrap();
        let annotations = found.annotations();
        let content = annotations["secrets.phase.dev/content-hash"].clone();
        (annotations["secrets.phase.dev/restarted-for"] == content).then_some(content)
    })
    .await;
    let found = controller.namespace.api::<Deployment>().get("shop").await;
    let template = found.unwrap().spec.unwrap().template.metadata.unwrap();
    assert_eq!(
        template.annotations.unwrap()["content.secrets.phase.dev/shop"],
        content
    );
}

/// A deletion takes a moment to reach the API server, and meanwhile the Secret becomes
/// another, or somebody else's, too.
#[tokio::test]
async fn what_changes_while_it_is_being_deleted_stays() {
    let secrets = vec![secret("/", "KEY", "canary")];
    let mut controller = Controller::defined("mirror-changes", secrets).await;
    let way = Way::open(&Programs::from_environment(), &controller.folder()).await;
    controller.add_replica_through(&way.kubeconfig);
    let both = "[{secretName: replaced}, {secretName: edited}]";
    class(&controller, "shop", both, json!({})).await;
    let mut left = vec!["replaced", "edited"];
    for name in &left {
        controller.shows(name, "KEY", "canary").await;
    }
    let is_deletion = |asked: &Asked| asked.method == "DELETE" && asked.path.contains("/secrets/");
    way.disturb(is_deletion, Fault::Slow(Duration::from_secs(3)));
    way.asked();
    controller.namespace.delete_class("shop").await;
    let api = controller.namespace.api::<Secret>();
    while !left.is_empty() {
        let name = eventually("a deletion on its way", async || {
            let asked = way.asked();
            let mut deletions = asked.iter().filter(|asked| is_deletion(asked));
            deletions.find_map(|asked| left.iter().find(|name| asked.path.contains(**name)))
        })
        .await;
        let name = *name;
        if name == "replaced" {
            api.delete(name, &DeleteParams::default()).await.unwrap();
            controller
                .namespace
                .foreign_secret(name, "THEIRS", "canary-theirs")
                .await;
        } else {
            let theirs = json!({
                "apiVersion": "v1", "kind": "Secret", "stringData": {"THEIRS": "canary-theirs"},
            });
            let apply = PatchParams::apply("somebody");
            api.patch(name, &apply, &Patch::Apply(theirs))
                .await
                .unwrap();
        }
        left.retain(|one| *one != name);
    }
    // Told of both at once.
    for name in ["replaced", "edited"] {
        let refused = format!(
            "Secret mirror-changes/{name}, which nothing names any more, could not be deleted"
        );
        let replica = &controller.replicas[0];
        eventually("its refusal", async || {
            replica.output().contains(&refused).then_some(())
        })
        .await;
        let data = controller.namespace.secret_data(name).await;
        assert_eq!(data.unwrap()["THEIRS"], b"canary-theirs", "{name}");
    }
    eventually("what is theirs", async || {
        let left = controller.namespace.secret("edited").await.unwrap();
        let is_theirs = !left.annotations().contains_key("secrets.phase.dev/class");
        is_theirs.then_some(())
    })
    .await;
}
