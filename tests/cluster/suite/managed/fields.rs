//! Fields of a `PhaseSecret`, one by one, where another test does not show them.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use phase_csi_cluster::{Controller, eventually, secret};
use serde_json::{Value, json};

use super::named;

#[tokio::test]
async fn token_and_secret_may_be_in_another_namespace() {
    let secrets = vec![secret("/", "KEY", "canary-far")];
    let mut controller = Controller::defined("managed-near", secrets).await;
    let far = controller.namespace.another("managed-far").await;
    controller.further = vec![far.name.clone()];
    controller.allows = &["--allow-cross-namespace-refs"];
    far.token("token-there", &controller.phase.token()).await;
    controller.add_replica();
    let there = json!({"serviceToken": {"serviceTokenSecretReference": {"secretName": "token-there", "secretNamespace": "managed-far"}}});
    let outputs =
        json!([{"secretName": "shop", "secretNamespace": "managed-far"}, {"secretName": "own"}]);
    controller
        .resource_with("shop", outputs, json!({"authentication": there}))
        .await;
    controller.shows("own", "KEY", "canary-far").await;
    controller.synced("shop", "Synced").await;
    let data = async || far.secret_data("shop").await;
    assert_eq!(data().await.unwrap()["KEY"], b"canary-far");
    // It is looked after there, too.
    let secrets = far.api::<Secret>();
    secrets
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the Secret again", async || data().await.map(drop)).await;
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_fails_or_stays_as_text_and_is_told_once() {
    let secrets = vec![
        secret("/", "GOOD", "canary-good"),
        secret("/", "BAD", "before-${NOPE}-after"),
    ];
    let controller = Controller::start("managed-references", secrets).await;
    controller.resource("fails", named("fails")).await;
    let message = controller.synced("fails", "NotFound").await;
    assert!(
        message.contains("${NOPE}") && message.contains("BAD"),
        "key and reference: {message}"
    );
    assert!(
        controller.namespace.secret("fails").await.is_none(),
        "all or nothing"
    );
    let warn = json!({"onSecretReferenceError": "Warn"});
    controller
        .resource_with("warns", named("warns"), warn)
        .await;
    controller
        .shows("warns", "BAD", "before-${NOPE}-after")
        .await;
    controller.shows("warns", "GOOD", "canary-good").await;
    controller.synced("warns", "Synced").await;
    let told = eventually("the event", async || {
        let told = controller.notes("ReferenceUnresolved").await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    assert!(
        told[0].contains("\"BAD\"") && told[0].contains("${NOPE}"),
        "{told:?}"
    );
    assert!(!told[0].contains("before-"), "no value: {told:?}");
    // Another content is another event; being looked at again is none.
    let asked = controller.phase.asked();
    eventually("some more looks", async || {
        (controller.phase.asked() > asked + 4).then_some(())
    })
    .await;
    assert_eq!(controller.notes("ReferenceUnresolved").await, told);
    let again = controller.kubectl("kubectl get events.events.k8s.io -o 'jsonpath={.items[?(@.reason==\"ReferenceUnresolved\")].series}'");
    assert_eq!(again.await.unwrap(), "", "the same event does not count up");
    controller.phase.set("/", "WORSE", "${GONE}");
    eventually("an event of both", async || {
        let told = controller.notes("ReferenceUnresolved").await;
        told.iter()
            .any(|note| note.contains("WORSE") && note.contains("BAD"))
            .then_some(())
    })
    .await;
    controller.phase.set("/", "NOPE", "canary-found");
    controller
        .shows("warns", "BAD", "before-canary-found-after")
        .await;
    // With `Fail`, what was written stays.
    controller.phase.delete("/", "WORSE");
    controller
        .shows("fails", "BAD", "before-canary-found-after")
        .await;
    controller.phase.delete("/", "NOPE");
    controller.synced("fails", "NotFound").await;
    controller
        .shows("fails", "BAD", "before-canary-found-after")
        .await;
}

#[tokio::test]
async fn what_the_schema_does_not_list_is_refused_where_it_is_written() {
    let controller = Controller::start("managed-schema", vec![secret("/", "KEY", "canary")]).await;
    for (field, output) in [
        ("nameTransformer", json!({"nameTransformer": "kebab"})),
        ("secretType", json!({"secretType": "kubernetes.io/tsl"})),
        (
            "processors.KEY.type",
            json!({"processors": {"KEY": {"type": "base46"}}}),
        ),
        (
            "processors.KEY.nameTransformer",
            json!({"processors": {"KEY": {"nameTransformer": "Camel"}}}),
        ),
        ("onConflict", json!({"onConflict": "Force"})),
        ("onTypeChange", json!({"onTypeChange": "Delete"})),
    ] {
        let mut entry = json!({"secretName": "shop"});
        entry
            .as_object_mut()
            .unwrap()
            .extend(output.as_object().unwrap().clone());
        let refused = create(&controller, json!({"managedSecretReferences": [entry]}))
            .await
            .unwrap_err();
        assert!(
            refused.contains(&format!("spec.managedSecretReferences[0].{field}")),
            "{refused}"
        );
        assert!(refused.contains("Unsupported value"), "{refused}");
    }
    let wrong =
        json!({"managedSecretReferences": named("shop"), "onSecretReferenceError": "Ignore"});
    let refused = create(&controller, wrong).await.unwrap_err();
    assert!(refused.contains("spec.onSecretReferenceError"), "{refused}");
}

#[tokio::test]
async fn a_value_that_is_no_base64_names_its_key() {
    let controller =
        Controller::start("managed-base64", vec![secret("/", "CERT", "canary?")]).await;
    let outputs = json!([{"secretName": "shop", "processors": {"CERT": {"type": "base64"}}}]);
    controller.resource("shop", outputs).await;
    let message = controller.synced("shop", "InvalidData").await;
    assert!(
        message.starts_with("Secret managed-base64/shop: key \"CERT\": "),
        "{message}"
    );
    assert!(!message.contains("canary"), "{message}");
}

#[tokio::test]
async fn what_is_taken_out_of_a_template_goes_and_the_secret_outlives_its_resource() {
    let controller =
        Controller::start("managed-template", vec![secret("/", "KEY", "canary")]).await;
    let template = |labels: Value| json!([{"secretName": "shop", "template": {"metadata": {"labels": labels}}}]);
    controller
        .resource("shop", template(json!({"keeps": "a", "goes": "b"})))
        .await;
    let labels = async || {
        let found = controller.namespace.secret("shop").await?;
        found.metadata.labels
    };
    eventually("both labels", async || {
        labels().await?.contains_key("goes").then_some(())
    })
    .await;
    controller
        .resource("shop", template(json!({"keeps": "c"})))
        .await;
    eventually("one label", async || {
        let labels = labels().await?;
        (labels["keeps"] == "c" && !labels.contains_key("goes")).then_some(())
    })
    .await;
    controller
        .resource(
            "owned",
            json!([{"secretName": "owned", "ownerReference": true}]),
        )
        .await;
    controller.synced("owned", "Synced").await;
    let owner = controller.resources().get("owned").await.unwrap();
    let found = controller.namespace.secret("owned").await.unwrap();
    // The garbage collector, which does not run here, goes by this.
    let references = found.metadata.owner_references.unwrap();
    assert_eq!(references.len(), 1);
    assert_eq!(
        (references[0].kind.as_str(), Some(&references[0].uid)),
        ("PhaseSecret", owner.metadata.uid.as_ref())
    );
    let found = controller.namespace.secret("shop").await.unwrap();
    assert_eq!(found.metadata.owner_references, None);
    controller
        .resources()
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the resource's end", async || {
        controller
            .resources()
            .get_opt("shop")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    // Another round of everything, and it is still there, as it was.
    controller.phase.set("/", "KEY", "canary-later");
    controller.shows("owned", "KEY", "canary-later").await;
    controller.shows("shop", "KEY", "canary").await;
}

async fn create(controller: &Controller, extra: Value) -> Result<(), String> {
    let mut spec = json!({"phaseApp": "shop",
        "authentication": {"serviceToken": {"serviceTokenSecretReference": {}}}});
    spec.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let resource = json!({"apiVersion": "secrets.phase.dev/v1alpha1", "kind": "PhaseSecret", "metadata": {"name": "wrong"}, "spec": spec});
    let resource = serde_json::from_value(resource).unwrap();
    let created = controller
        .resources()
        .create(&PostParams::default(), &resource)
        .await;
    created.map(drop).map_err(|error| error.to_string())
}
