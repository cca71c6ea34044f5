//! Each workload is restarted for itself, and once for all that has changed.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use phase_csi_cluster::{Controller, Programs, eventually, secret};
use serde_json::json;
use tokio::time::sleep;

use super::named;
use super::operation::{deployment, generations};

/// The policy that lets nobody change the Deployment `fixed` of the namespace of this name.
struct Fixed(&'static str);

impl Fixed {
    async fn make(&self, controller: &Controller) {
        let client = Programs::from_environment().client().await;
        let name = self.0;
        let policy = json!({
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
                    "resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                        "operations": ["UPDATE"], "resources": ["deployments"]}],
                },
                "validations": [{"expression": "object.metadata.name != 'fixed'", "message": "frozen for the audit"}],
            },
        });
        let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
        let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
        let policy = serde_json::from_value(policy).unwrap();
        let parameters = PostParams::default();
        policies.create(&parameters, &policy).await.unwrap();
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client);
        let binding = serde_json::from_value(binding).unwrap();
        bindings.create(&parameters, &binding).await.unwrap();
        self.waits_until(controller, true).await;
    }

    async fn remove(&self, controller: &Controller) {
        let client = Programs::from_environment().client().await;
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client);
        let parameters = DeleteParams::default();
        bindings.delete(self.0, &parameters).await.unwrap();
        self.waits_until(controller, false).await;
    }

    /// A policy counts a moment after it was made.
    async fn waits_until(&self, controller: &Controller, is_refused: bool) {
        let deployments = controller.namespace.api::<Deployment>();
        let dry = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"metadata": {"labels": {"try": "it"}}}));
        eventually("the policy", async || {
            let tried = deployments.patch("fixed", &dry, &patch).await;
            (tried.is_err() == is_refused).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_workload_that_may_not_be_changed_holds_up_no_other_and_is_named() {
    let secrets = vec![secret("/", "KEY", "canary-1")];
    let controller = Controller::start("managed-fixed", secrets).await;
    let wish = json!({"secrets.phase.dev/redeploy": "true"});
    let uses = json!({"envFrom": [{"secretRef": {"name": "shop"}}]});
    // In the order in which they are listed, it is neither the first nor the last.
    for name in ["api", "fixed", "web"] {
        deployment(&controller, name, wish.clone(), uses.clone()).await;
    }
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    let fixed = Fixed("managed-fixed");
    fixed.make(&controller).await;
    controller.phase.set("/", "KEY", "canary-2");
    let message = controller.synced("shop", "WriteRefused").await;
    assert!(
        message.starts_with(
            "Deployment managed-fixed/fixed uses a changed Secret and was not restarted: the API server refuses it (status 422): "
        ) && message.contains("frozen for the audit"),
        "{message}"
    );
    let of = |api, fixed, web| [("api", api), ("fixed", fixed), ("web", web)];
    let are = async |wanted: [(&str, i64); 3]| {
        let now = generations(&controller).await;
        let now: Vec<_> = now
            .iter()
            .map(|(name, now)| (name.as_str(), *now))
            .collect();
        (now == wanted).then_some(())
    };
    assert_eq!(are(of(2, 1, 2)).await, Some(()));
    let is_told = |note: &String| note.contains("Deployment managed-fixed/fixed");
    let told = controller.notes("NotRestarted").await;
    assert!(told.len() == 1 && told.iter().all(is_told), "{told:?}");
    // Tried again and again, it is told once, and no other restarts.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(are(of(2, 1, 2)).await, Some(()));
    assert_eq!(controller.notes("NotRestarted").await, told);
    // What comes back is a change for whoever has started with the one between.
    controller.phase.set("/", "KEY", "canary-1");
    eventually("the way back", async || are(of(3, 1, 3)).await).await;
    fixed.remove(&controller).await;
    controller.synced("shop", "Synced").await;
    // It has never started with anything else, and who could know?
    assert_eq!(are(of(3, 2, 3)).await, Some(()));
}

#[tokio::test]
async fn secrets_that_change_together_restart_whoever_uses_them_once() {
    let secrets = vec![secret("/", "KEY", "canary-1")];
    let controller = Controller::start("managed-together", secrets).await;
    let wish = json!({"secrets.phase.dev/redeploy": "true"});
    let both =
        json!({"envFrom": [{"secretRef": {"name": "shop"}}, {"secretRef": {"name": "camel"}}]});
    let one = json!({"envFrom": [{"secretRef": {"name": "camel"}}]});
    deployment(&controller, "both", wish.clone(), both).await;
    deployment(&controller, "one", wish, one).await;
    let outputs =
        json!([{"secretName": "shop"}, {"secretName": "camel", "nameTransformer": "camel"}]);
    controller.resource("shop", outputs).await;
    controller.synced("shop", "Synced").await;
    for (round, text) in [(2, "canary-2"), (3, "canary-3")] {
        controller.phase.set("/", "KEY", text);
        let told = format!("canary-{round}");
        controller.shows("camel", "key", &told).await;
        eventually("the restarts", async || {
            (controller.notes("Redeployed").await.len() == round - 1).then_some(())
        })
        .await;
        sleep(Duration::from_secs(2)).await;
        let now = generations(&controller).await;
        let wanted = i64::try_from(round).unwrap();
        assert_eq!((now["both"], now["one"]), (wanted, wanted));
    }
    let found = controller.namespace.api::<Deployment>().get("both").await;
    let template = found.unwrap().spec.unwrap().template.metadata.unwrap();
    let status = controller.status("shop").await;
    for (number, name) in ["shop", "camel"].into_iter().enumerate() {
        let key = format!("content.secrets.phase.dev/{name}");
        let started = &template.annotations.as_ref().unwrap()[&key];
        assert_eq!(status["secrets"][number]["contentHash"], json!(started));
    }
}
