//! The controller with the rights that the chart gives it, and no others: what it needs
//! is there, and what is there it needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use phase_csi_cluster::{Controller, Line, Namespace, OwnApi, Process, Programs};
use phase_csi_cluster::{eventually, secret};
use serde_json::{Value, json};

use super::named;
use super::operation::event_counts;

/// Every request of a service account is written down.
const AUDIT: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, userGroups: [\"system:serviceaccounts\"]}
  - {level: None}
";

/// A right: of which resources, and to do what.
type Right = (String, String);

/// A release of the chart, of which only the controller's rights and flags are there:
/// its name is that of its namespace.
struct Release<'a> {
    api: &'a OwnApi,
    name: &'a str,
    values: String,
}

impl Release<'_> {
    async fn kubectl(&self, command: &str) -> String {
        let said = self.api.kubectl(command).await;
        said.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    async fn json(&self, command: &str) -> Value {
        serde_json::from_str(&self.kubectl(command).await).unwrap()
    }

    fn rendered(&self, template: &str) -> String {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemonset/chart");
        let (name, values, chart) = (self.name, &self.values, chart.display());
        format!(
            "helm template {name} {chart} --namespace {name} --kube-version 1.35.0 --show-only templates/{template}.yaml \
             --set fullnameOverride={name},controller.enabled=true,controller.allowCrossNamespaceRefs=true,http.enabled=false,log.level=trace,{values}"
        )
    }

    /// What the chart gives the controller.
    async fn grant(&self) {
        let rendered = self.rendered("controller-rbac");
        self.kubectl(&format!("{rendered} | kubectl apply -f -"))
            .await;
    }

    fn account(&self) -> String {
        format!("{}-controller", self.name)
    }

    /// The flags that the chart starts it with.
    async fn arguments(&self) -> Vec<String> {
        let rendered = self.rendered("controller");
        let made = format!("{rendered} | kubectl create --dry-run=client -o json -f -");
        let deployment = self.json(&made).await;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        serde_json::from_value(container["args"].clone()).unwrap()
    }

    /// The controller as a pod of the Deployment would have it.
    async fn start(&self, controller: &Controller, replica: &str) -> Process {
        let (name, account) = (self.name, self.account());
        let create = format!("kubectl create token {account} -n {name}");
        let token = self.kubectl(&create).await;
        let mut config = self.json("kubectl config view --raw -o json").await;
        config["users"][0]["user"] = json!({"token": token.trim()});
        let kubeconfig = self.api.path(&format!("{name}.kubeconfig"));
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let mut arguments = self.arguments().await;
        // The folder of a volume of the pod.
        let health = self.api.path(&format!("{replica}-health.sock"));
        for argument in &mut arguments {
            if argument.starts_with("--health-socket=") {
                *argument = format!("--health-socket=unix://{}", health.display());
            }
        }
        arguments.extend(["--test-only-poll-interval=500ms".to_owned()]);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        controller.run_with(replica, &kubeconfig, &arguments)
    }

    /// Everything that the chart has given.
    async fn granted(&self) -> BTreeSet<Right> {
        let label = format!("app.kubernetes.io/instance={}", self.name);
        let roles = self
            .json(&format!(
                "kubectl get role,clusterrole -A -l {label} -o json"
            ))
            .await;
        let mut rights = BTreeSet::new();
        for role in roles["items"].as_array().unwrap() {
            for rule in role["rules"].as_array().unwrap() {
                let texts = |field: &str| -> Vec<String> {
                    serde_json::from_value(rule[field].clone()).unwrap()
                };
                for group in texts("apiGroups") {
                    for resource in texts("resources") {
                        let verbs = texts("verbs").into_iter();
                        rights.extend(verbs.map(|verb| (format!("{group}/{resource}"), verb)));
                    }
                }
            }
        }
        assert!(rights.len() > 15, "{rights:?}");
        rights
    }

    /// What the API server wrote down of its requests: those that it allowed, and those
    /// that it did not.
    fn asked(&self) -> [BTreeSet<Right>; 2] {
        let user = format!("system:serviceaccount:{}:{}", self.name, self.account());
        let log = std::fs::read_to_string(audit(self.api)).unwrap();
        let mut asked = [BTreeSet::new(), BTreeSet::new()];
        for line in log.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            if event["user"]["username"] != user.as_str() {
                continue;
            }
            let of = &event["objectRef"];
            let text = |field: &str| of[field].as_str().unwrap_or_default();
            let below = match text("subresource") {
                "" => String::new(),
                below => format!("/{below}"),
            };
            let resource = format!("{}/{}{below}", text("apiGroup"), text("resource"));
            let verb = event["verb"].as_str().unwrap().to_owned();
            let decision = &event["annotations"]["authorization.k8s.io/decision"];
            asked[usize::from(decision != "allow")].insert((resource, verb));
        }
        asked
    }

    /// Takes the right to create Secrets away, which no request shows: a server-side apply
    /// that creates is a patch.
    async fn let_create_no_secrets(&self) {
        let kinds = match self.is_namespaced() {
            true => "role",
            false => "clusterrole",
        };
        let label = format!("app.kubernetes.io/instance={}", self.name);
        let get = format!("kubectl get {kinds} -A -l {label} -o json");
        let roles = self.kubectl(&get).await.replace("\"create\",", "");
        let file = self.api.path("roles.json");
        std::fs::write(&file, roles).unwrap();
        self.kubectl(&format!("kubectl replace -f {}", file.display()))
            .await;
    }

    fn is_namespaced(&self) -> bool {
        self.values.contains("controller.namespaces")
    }
}

fn audit(api: &OwnApi) -> PathBuf {
    api.path("audit.log")
}

/// No driver has a part in it, so it runs behind one of the two. In cluster mode a
/// controller would meddle with all other tests, so there is an API server for it.
#[tokio::test]
async fn the_charts_rights_are_those_that_are_needed() {
    if Programs::from_environment().line != Line::From16 {
        return;
    }
    let mut api = OwnApi::prepare("rights", 6445);
    let (policy, log) = (api.path("audit-policy.yaml"), audit(&api));
    std::fs::write(&policy, AUDIT).unwrap();
    api = api
        .with(format!("--audit-policy-file={}", policy.display()))
        .with(format!("--audit-log-path={}", log.display()));
    api.restart(None).await;
    let classes = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/crds.yaml");
    let define = format!(
        "kubectl apply -f {} && kubectl wait --for=condition=Established crd --all",
        classes.display()
    );
    api.kubectl(&define).await.unwrap();
    for is_namespaced in [true, false] {
        in_mode(&api, is_namespaced).await;
    }
    api.stop().await;
}

async fn in_mode(api: &OwnApi, is_namespaced: bool) {
    let of = match is_namespaced {
        true => "listed",
        false => "whole",
    };
    let secrets = vec![secret("/", "username", "canary-one")];
    let shop = format!("{of}-shop");
    let controller = Controller::start_at(api, &shop, secrets, 0).await;
    let client = api.client().await;
    let billing = Namespace::create(&client, &format!("{of}-billing")).await;
    let outside = Namespace::create(&client, &format!("{of}-outside")).await;
    Namespace::create(&client, of).await;
    let mut values = format!(
        "phase.host={},phase.requestBudget=100000",
        controller.phase.url()
    );
    if is_namespaced {
        values = format!("'{values},controller.namespaces={{{shop},{of}-billing}}'");
    }
    let release = Release {
        api,
        name: of,
        values,
    };
    release.grant().await;
    let _process = release.start(&controller, "replica-0").await;
    everything_works(&release, &controller, &billing).await;

    let [mut used, refused] = release.asked();
    assert_eq!(refused, BTreeSet::new(), "{of}");
    // Shown below: no request of its own asks for it.
    used.insert(("/secrets".to_owned(), "create".to_owned()));
    assert_eq!(used, release.granted().await, "{of}");

    outside
        .token("phase-service-token", &controller.phase.token())
        .await;
    let elsewhere = json!({"authentication": {"serviceToken": {"serviceTokenSecretReference": {
        "secretName": "phase-service-token", "secretNamespace": outside.name,
    }}}});
    controller
        .resource_with("borrows", named("borrowed"), elsewhere)
        .await;
    let reaches = json!([{"secretName": "reached", "secretNamespace": outside.name}]);
    controller.resource("reaches", reaches).await;
    if is_namespaced {
        let message = controller.synced("borrows", "TokenMissing").await;
        assert!(
            message.contains("may not read Secret listed-outside/"),
            "{message}"
        );
        let message = controller.synced("reaches", "WriteForbidden").await;
        assert!(
            message.contains("may not write Secret listed-outside/"),
            "{message}"
        );
    } else {
        controller.synced("borrows", "Synced").await;
        controller.synced("reaches", "Synced").await;
    }

    release.let_create_no_secrets().await;
    let account = format!("system:serviceaccount:{of}:{}", release.account());
    eventually("a right that is gone", async || {
        let ask = format!("kubectl auth can-i create secrets -n {shop} --as={account}");
        api.kubectl(&ask).await.is_err().then_some(())
    })
    .await;
    let secrets = controller.namespace.api::<Secret>();
    secrets
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    let message = controller.synced("shop", "WriteForbidden").await;
    assert!(
        message.contains("create, patch and delete on secrets"),
        "{message}"
    );
    release
        .kubectl("kubectl delete phasesecrets --all --all-namespaces")
        .await;
}

/// A resource is synced, drift repaired, a type changed, every kind of workload
/// restarted; status, events and Lease are written.
async fn everything_works(release: &Release<'_>, controller: &Controller, billing: &Namespace) {
    let shop = &controller.namespace.name;
    let file = release.api.path("workloads.json");
    std::fs::write(&file, workloads().to_string()).unwrap();
    release
        .kubectl(&format!("kubectl apply -n {shop} -f {}", file.display()))
        .await;
    controller.resource("shop", named("shop")).await;
    controller.synced("shop", "Synced").await;
    controller.phase.set("/", "username", "canary-two");
    controller.shows("shop", "username", "canary-two").await;
    // What Phase's operator leaves on a resource.
    let left = json!({"metadata": {"finalizers": ["kopf.zalando.org/KopfFinalizerMarker"]}});
    let as_anyone = PatchParams::default();
    let resources = controller.resources();
    resources
        .patch("shop", &as_anyone, &Patch::Merge(left))
        .await
        .unwrap();
    eventually("its end", async || {
        (!controller.notes("Adopted").await.is_empty()).then_some(())
    })
    .await;
    eventually("a restart of each kind", async || {
        let get = format!("kubectl get deployments,statefulsets,daemonsets -n {shop} -o json");
        let all = release.json(&get).await;
        let generations = all["items"].as_array()?.iter();
        let generations: Vec<_> = generations
            .map(|one| one["metadata"]["generation"].as_i64())
            .collect();
        (generations == [Some(2); 3]).then_some(())
    })
    .await;
    let secrets = controller.namespace.api::<Secret>();
    secrets
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    controller.shows("shop", "username", "canary-two").await;

    let other = json!([{"secretName": "shop", "secretNamespace": billing.name}]);
    controller.resource("other", other).await;
    controller.synced("other", "Synced").await;
    assert!(billing.secret("shop").await.is_some());

    controller.resource("typed", named("typed")).await;
    controller.shows("typed", "username", "canary-two").await;
    let basic = json!([{"secretName": "typed", "secretType": "kubernetes.io/basic-auth", "onTypeChange": "Recreate"}]);
    controller.resource("typed", basic).await;
    eventually("the other type", async || {
        let found = controller.namespace.secret("typed").await?;
        (found.type_.as_deref() == Some("kubernetes.io/basic-auth")).then_some(())
    })
    .await;

    let class = json!({
        "phaseApp": "shop", "phaseHost": controller.phase.url(), "mirror": "- secretName: mirrored",
    });
    controller.namespace.class("shop", class, json!([])).await;
    controller.shows("mirrored", "username", "canary-two").await;
    controller.namespace.delete_class("shop").await;
    eventually("the mirror to go", async || {
        let found = controller.namespace.secret("mirrored").await;
        found.is_none().then_some(())
    })
    .await;

    controller.phase.forbid();
    controller.phase.set("/", "username", "canary-three");
    controller.synced("shop", "AccessForbidden").await;
    controller.phase.heal();
    controller.shows("shop", "username", "canary-three").await;
    eventually("an event again", async || {
        let counts = event_counts(controller).await;
        (*counts.get("Synced")? >= 2).then_some(())
    })
    .await;

    let renewed = async || {
        let (of, lease) = (release.name, "phase-csi-provider-controller");
        let lease = release
            .json(&format!("kubectl get lease -n {of} {lease} -o json"))
            .await;
        lease["spec"]["renewTime"].clone()
    };
    let before = renewed().await;
    eventually("a renewed Lease", async || {
        (renewed().await != before).then_some(())
    })
    .await;
}

/// One workload of each kind that is restarted.
fn workloads() -> Value {
    let workload = |kind: &str| {
        let labels = json!({"app": kind.to_lowercase()});
        let container =
            json!({"name": "app", "image": "none", "envFrom": [{"secretRef": {"name": "shop"}}]});
        json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": "app", "annotations": {"secrets.phase.dev/redeploy": "true"}},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        })
    };
    let items = ["Deployment", "StatefulSet", "DaemonSet"].map(workload);
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}
