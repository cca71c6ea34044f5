//! What whoever writes a resource gets of the controller's rights, and what he does not.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use phase_csi_cluster::{Controller, Namespace, Programs, eventually, secret};
use serde_json::{Value, json};

use super::{named, uid};

/// Writes a class of app `shop` with this `mirror`.
async fn class(controller: &Controller, name: &str, mirror: &str) {
    let parameters = json!({
        "phaseApp": "shop", "phaseHost": controller.phase.url(), "mirror": mirror,
    });
    controller
        .namespace
        .class(name, parameters, json!([]))
        .await;
}

/// A Secret of somebody else's.
async fn foreign(controller: &Controller, secret: Value) {
    let secrets = controller.namespace.api::<Secret>();
    let secret = serde_json::from_value(secret).unwrap();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_resource_that_reaches_elsewhere_is_refused_unless_that_is_allowed() {
    let secrets = vec![secret("/", "KEY", "canary")];
    let controller = Controller::start("managed-own", secrets).await;
    let client = Programs::from_environment().client().await;
    let outside = Namespace::create(&client, "managed-own-outside").await;
    outside
        .token("phase-service-token", &controller.phase.token())
        .await;
    let token = json!({"authentication": {"serviceToken": {"serviceTokenSecretReference": {
        "secretName": "phase-service-token", "secretNamespace": outside.name,
    }}}});
    let outputs = json!([
        {"secretName": "here", "secretNamespace": controller.namespace.name},
        {"secretName": "there", "secretNamespace": outside.name},
    ]);
    controller.resource_with("both", outputs, token).await;
    let message = controller.synced("both", "InvalidSpec").await;
    let told = |field: &str| {
        format!(
            "spec.{field}.secretNamespace names \"managed-own-outside\", which is not its own: \
             leave it out, or start the controller with --allow-cross-namespace-refs"
        )
    };
    let fields = [
        "authentication.serviceToken.serviceTokenSecretReference",
        "managedSecretReferences[1]",
    ];
    let [token, output] = fields.map(told);
    assert_eq!(message, format!("2 mistakes: {token}; {output}"));
    let system = json!([{"secretName": "phase-canary", "secretNamespace": "kube-system"}]);
    controller.resource("system", system).await;
    let message = controller.synced("system", "InvalidSpec").await;
    assert!(message.contains("kube-system"), "{message}");
    controller.resource("own", named("own")).await;
    controller.synced("own", "Synced").await;
    assert!(outside.secret("there").await.is_none());
    assert!(controller.namespace.secret("here").await.is_none());
}

#[tokio::test]
async fn tokens_of_the_cluster_are_neither_written_nor_deleted() {
    let controller =
        Controller::start("managed-privileged", vec![secret("/", "KEY", "canary")]).await;
    let account = json!({"kubernetes.io/service-account.name": "default"});
    let made = "kubectl create serviceaccount default || true";
    controller.kubectl(made).await.unwrap();
    for (robot, kind) in [
        ("robot", "kubernetes.io/service-account-token"),
        ("joiner", "bootstrap.kubernetes.io/token"),
    ] {
        let template = json!({"metadata": {"annotations": account}});
        let output = json!([{"secretName": robot, "secretType": kind, "template": template}]);
        controller.resource(robot, output).await;
        let message = controller.synced(robot, "InvalidSpec").await;
        assert_eq!(
            message,
            format!(
                "Secret managed-privileged/{robot} would be of type {kind}, a credential of the cluster itself: \
                 write another type, or start the controller with --allow-privileged-secret-types"
            )
        );
        let mirror = format!(
            "- {{secretName: mirrored, secretType: {kind}, metadata: {{annotations: {account}}}}}"
        );
        class(&controller, robot, &mirror).await;
        let told = controller.namespace.class_event(robot, "InvalidSpec");
        let text = told.await;
        assert!(text.contains("--allow-privileged-secret-types"), "{text}");
    }
    for name in ["robot", "joiner", "mirrored"] {
        assert!(controller.namespace.secret(name).await.is_none(), "{name}");
    }
    // One that is there is not deleted for another type, whoever allows that.
    let there = json!({
        "metadata": {"name": "there", "annotations": account},
        "type": "kubernetes.io/service-account-token",
    });
    foreign(&controller, there).await;
    let before = uid(&controller, "there").await;
    let output = json!([{"secretName": "there", "onTypeChange": "Recreate", "onConflict": "Take"}]);
    controller.resource("taker", output).await;
    let message = controller.synced("taker", "TypeImmutable").await;
    assert_eq!(
        message,
        "Secret managed-privileged/there is a credential of the cluster itself, which is not deleted for another type: \
         delete it by hand, or write another Secret"
    );
    assert_eq!(uid(&controller, "there").await, before);
}

#[tokio::test]
async fn a_class_overwrites_no_secret_of_somebody_else_unless_that_is_allowed() {
    let secrets = vec![secret("/", "KEY", "canary-ours")];
    let mut controller = Controller::start("mirror-overwrite", secrets).await;
    let theirs = json!({"metadata": {"name": "theirs"}, "stringData": {"KEY": "canary-theirs"}});
    foreign(&controller, theirs).await;
    let mirror = "- {secretName: theirs, onConflict: Take, onTypeChange: Recreate}";
    class(&controller, "taker", mirror).await;
    let text = controller
        .namespace
        .class_event("taker", "InvalidSpec")
        .await;
    for field in ["onConflict: Take", "onTypeChange: Recreate"] {
        let part = format!(
            "Secret mirror-overwrite/theirs has {field} in mirror, by which whoever may write a class overwrites Secrets of others: \
             leave it out, or start the controller with --allow-mirror-overwrite"
        );
        assert!(text.contains(&part), "{text}");
    }
    controller.shows("theirs", "KEY", "canary-theirs").await;
    controller.allows = &["--allow-mirror-overwrite"];
    controller.restart(0).await;
    controller.shows("theirs", "KEY", "canary-ours").await;
}

/// Refuses Secrets of one type in one namespace, as a policy of the cluster does.
async fn refuse(controller: &Controller, kind: &str) {
    let namespace = &controller.namespace.name;
    let policy = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": namespace},
            "spec": {
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"],
                }]},
                "validations": [{"expression": format!("object.type != '{kind}'"), "message": "not of this type"}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": namespace},
            "spec": {
                "policyName": namespace, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        },
    ]});
    std::fs::write(controller.folder().join("policy.json"), policy.to_string()).unwrap();
    let applied = controller.kubectl("kubectl apply -f policy.json").await;
    applied.unwrap();
    let trial = format!(
        "kubectl create secret generic trial --type={kind} --from-literal=username=canary --dry-run=server"
    );
    eventually("the policy", async || {
        let refused = controller.kubectl(&trial).await.err();
        refused?.contains("not of this type").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_made_anew_is_not_deleted() {
    let secrets = vec![secret("/", "username", "canary-user")];
    let controller = Controller::start("managed-recreate", secrets).await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    let before = uid(&controller, "shop").await;
    refuse(&controller, "kubernetes.io/basic-auth").await;
    let output = json!([{
        "secretName": "shop", "secretType": "kubernetes.io/basic-auth", "onTypeChange": "Recreate",
    }]);
    controller.resource("shop", output).await;
    let message = controller.synced("shop", "WriteRefused").await;
    assert!(
        message.contains("Secret managed-recreate/shop") && message.contains("not of this type"),
        "{message}"
    );
    assert!(!message.contains("trial"), "{message}");
    assert_eq!(uid(&controller, "shop").await, before, "it is still there");
    controller.shows("shop", "username", "canary-user").await;
    controller
        .kubectl("kubectl delete -f policy.json")
        .await
        .unwrap();
    eventually("the other type", async || {
        let found = controller.namespace.secret("shop").await?;
        (found.type_.as_deref() == Some("kubernetes.io/basic-auth")).then_some(())
    })
    .await;
}
