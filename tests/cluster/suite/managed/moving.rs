//! Moving from Phase's operator and back, by the commands of the page. The operator is
//! played: its definition, its objects, and its writes, as its two generations make
//! them. It has an API server of its own, since the definition is one for all.

mod played;

use std::os::unix::fs::symlink;
use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use phase_csi_cluster::{Controller, Line, OwnApi, Programs, Way, eventually, secret};
use serde_json::json;

use super::uid;
use played::{FINALIZER, OPERATOR, Operator, Watch, managers};

const PAGE: &str = include_str!("../../../../docs/moving-from-the-operator.md");
const CRD_V1: &str = include_str!("operator/crd-v1.yaml");
const CRD_V2: &str = include_str!("operator/crd-v2.yaml");

/// About a minute: an API server starts, and Helm installs into it.
#[tokio::test]
async fn the_operators_secrets_are_taken_over_without_a_moment_without_them_and_given_back() {
    if Programs::from_environment().line != Line::From16 {
        return; // no driver has a part in it
    }
    let mut api = OwnApi::prepare("moving", 6446);
    api.restart(None).await;
    let secrets = vec![
        secret("/", "KEY", "canary-key"),
        secret("/", "LATER", "canary-later"),
        secret("/", "GOES", "canary-goes"),
    ];
    let mut controller = Controller::prepare(api.programs(), "moving", secrets).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemonset");
    symlink(root, controller.folder().join("daemonset")).unwrap();
    Operator::chart(&controller);
    // Through a way that knows what was asked.
    controller.way = Some(Way::open(&api.programs(), &controller.folder()).await);
    // Somebody's application beside the operator.
    let beside = "kubectl --namespace default create deployment shop --image=none";
    run(&controller, beside).await;
    there_from_v1(&mut controller).await;
    back_to_v1(&mut controller).await;
    there_from_v2(&mut controller).await;
    assert_eq!(
        replicas(&controller, "shop").await,
        "1",
        "nobody touched it"
    );
    api.stop().await;
}

async fn there_from_v1(controller: &mut Controller) {
    define(controller, CRD_V1).await;
    let operator = Operator::of_python(controller).await;
    operator
        .resource("shop", &["shop", "second"], json!({}))
        .await;
    operator.resource("leaving", &["leaving"], json!({})).await;
    // Without LATER, which came since, and with one that has gone, and another value.
    let data = [
        ("KEY", "canary-old"),
        ("GOES", "canary-goes"),
        ("GONE", "canary-gone"),
    ];
    for name in ["shop", "second", "leaving"] {
        operator.create(name, &data).await;
    }
    run(controller, "kubectl label secret shop team=shop").await;
    let edit = r#"kubectl patch secret shop -p '{"stringData":{"FOREIGN":"canary-foreign"}}'"#;
    run(controller, edit).await;
    run(
        controller,
        "kubectl delete phasesecret leaving --wait=false",
    )
    .await;
    let before = uid(controller, "shop").await;
    let watch = Watch::start(&controller.namespace).await;
    moved(controller).await;
    controller.synced("shop", "Synced").await;

    // Everything is Phase's now, and what others have set is theirs.
    for (key, text) in [
        ("KEY", "canary-key"),
        ("LATER", "canary-later"),
        ("FOREIGN", "canary-foreign"),
    ] {
        controller.shows("shop", key, text).await;
    }
    let found = controller.namespace.secret("shop").await.unwrap();
    assert_eq!(found.labels()["team"], "shop");
    assert!(!found.data.as_ref().unwrap().contains_key("GONE"));
    assert_eq!(
        managers(&found),
        [
            "kubectl-label Update",
            "kubectl-patch Update",
            "phase-csi-provider Apply"
        ]
    );
    classes_are_looked_at_once_they_are_defined(controller).await;
    let note = adopted(controller, "moving/shop").await;
    assert_eq!(
        note,
        format!(
            "taken over from Phase's operator: Secrets moving/shop, moving/second; the finalizer {FINALIZER}, which is off now"
        )
    );
    assert!(
        controller.replicas[0]
            .output()
            .contains("taken over from Phase's operator: Secrets moving/shop")
    );
    // No other finalizer goes; and what was being deleted is gone, but for its Secret.
    let shop = controller.resources().get("shop").await.unwrap();
    assert_eq!(shop.finalizers(), ["example.com/keep"]);
    eventually("the end of what was being deleted", async || {
        controller
            .resources()
            .get_opt("leaving")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    assert!(controller.namespace.secret("leaving").await.is_some());

    // A key that goes in Phase goes: nobody who has left holds it.
    controller.phase.delete("/", "GOES");
    eventually("the key to go", async || {
        let data = controller.namespace.secret_data("shop").await.unwrap();
        (!data.contains_key("GOES")).then_some(())
    })
    .await;
    for name in ["shop", "second"] {
        watch.never_without(name, &["KEY"]).await;
    }
    assert_eq!(uid(controller, "shop").await, before);
    watch
        .no_value_but("shop", "KEY", &["canary-old", "canary-key"])
        .await;
}

async fn back_to_v1(controller: &mut Controller) {
    let fields = json!([{"secretName": "ours", "secretNamespace": "moving", "onConflict": "Take"}]);
    controller.resource("ours", fields).await;
    let watch = Watch::start(&controller.namespace).await;
    // As whoever upgrades without Helm does it: then Helm's own notes are gone from it.
    run(controller, "kubectl replace -f daemonset/crd.yaml").await;
    let before = run(controller, "kubectl get phasesecrets -o name").await;
    for command in commands("## Back") {
        if command.contains(" rollout status ") {
            assert_eq!(replicas(controller, OPERATOR).await, "1");
            continue; // nobody runs pods here
        }
        if command.contains("--server-side") {
            std::fs::write(controller.folder().join("operator-crd.yaml"), CRD_V1).unwrap();
        }
        run(controller, &command).await;
        if command.starts_with("helm upgrade ") {
            let [replica] = controller.replicas.as_mut_slice() else {
                panic!("one");
            };
            assert!(replica.stop().await, "it stops as it should");
            controller.replicas.clear();
            if command.contains("controller.enabled=false") {
                let left = run(controller, "kubectl -n kube-system get deployments -o name").await;
                assert_eq!(left, "");
                let after = run(controller, "kubectl get phasesecrets -o name").await;
                assert_eq!(after, before, "no resource has gone with the definition");
            }
        }
    }
    watch.never_without("shop", &["KEY", "LATER"]).await;
    // Its definition: what only ours has is not read any more, and not taken either.
    eventually("the operator's definition", async || {
        let read = run(controller, "kubectl get phasesecret ours -o yaml").await;
        assert!(read.contains("secretName: ours"), "{read}");
        (!read.contains("onConflict") && !read.contains("ownerReference")).then_some(())
    })
    .await;
    let operator = Operator::of_python(controller).await;
    operator
        .resource("shop", &["shop", "second"], json!({}))
        .await;
    let refused = operator.applied(
        "ours",
        json!([{"secretName": "ours", "secretNamespace": "moving", "onConflict": "Take"}]),
        json!({}),
    );
    let refused = refused.await.unwrap_err();
    assert!(
        refused.contains("unknown field") && refused.contains("onConflict"),
        "{refused}"
    );
    run(controller, "kubectl delete phasesecret ours").await;
    // The operator at its next change.
    operator.delete("shop").await;
    operator
        .create(
            "shop",
            &[("KEY", "canary-of-the-operator"), ("STALE", "canary")],
        )
        .await;
    let found = controller.namespace.secret("shop").await.unwrap();
    assert_eq!(managers(&found), ["OpenAPI-Generator Update"]);
}

async fn there_from_v2(controller: &mut Controller) {
    define(controller, CRD_V2).await;
    // It has no finalizer, and takes off none: that of 1.4 is still there.
    let operator = Operator::of_go(controller).await;
    let template = json!({"metadata": {"labels": {"team": "shop"}}});
    operator.resource("go", &["go"], template).await;
    operator.resource("odd", &["odd"], json!({})).await;
    let now = [("KEY", "canary-key"), ("LATER", "canary-later")];
    operator.create("go", &now).await;
    run(
        controller,
        "kubectl label secret go team=shop another=label --field-manager=manager",
    )
    .await;
    operator.create("odd", &[("KEY", "canary-odd")]).await;
    let before = uid(controller, "go").await;
    let watch = Watch::start(&controller.namespace).await;
    controller
        .kubectl("kubectl delete events.events.k8s.io --all")
        .await
        .unwrap();
    let helm = commands("## There")
        .into_iter()
        .find(|command| command.starts_with("helm upgrade "));
    run(controller, &helm.unwrap()).await;
    controller.add_replica();
    let operator = Operator::of_go(controller).await;
    controller.synced("go", "Synced").await;
    let note = adopted(controller, "moving/go").await;
    assert_eq!(note, "taken over from Phase's operator: Secrets moving/go");
    let found = controller.namespace.secret("go").await.unwrap();
    assert_eq!(
        (
            found.labels()["team"].as_str(),
            found.labels()["another"].as_str()
        ),
        ("shop", "label")
    );
    assert_eq!(
        managers(&found),
        ["manager Update", "phase-csi-provider Apply"],
        "its other label is still its own"
    );
    let message = controller.synced("odd", "Conflict").await;
    assert!(
        message.contains("data.KEY") && message.contains("manager"),
        "{message}"
    );
    let taking = json!([{"secretName": "odd", "secretNamespace": "moving", "onConflict": "Take"}]);
    operator.applied("odd", taking, json!({})).await.unwrap();
    controller.shows("odd", "KEY", "canary-key").await;
    controller.phase.delete("/", "LATER");
    eventually("the key to go", async || {
        let data = controller.namespace.secret_data("go").await.unwrap();
        (!data.contains_key("LATER")).then_some(())
    })
    .await;
    watch.never_without("go", &["KEY"]).await;
    watch.never_without("shop", &["KEY"]).await;
    assert_eq!(uid(controller, "go").await, before);
    // And back: it replaces the Secret, as it ever did.
    controller.replicas.clear();
    let operator = Operator::of_go(controller).await;
    operator.replace("go", &[("KEY", "canary-back")]).await;
    let found: Secret = controller.namespace.secret("go").await.unwrap();
    assert_eq!(found.data.unwrap()["KEY"].0, b"canary-back");
    watch.never_without("go", &["KEY"]).await;
}

/// Runs the commands of the way there; our program starts where its Deployment is made.
async fn moved(controller: &mut Controller) {
    for command in commands("## Before") {
        let said = run(controller, &command).await;
        assert!(
            !command.contains(" grep ") || said.contains(OPERATOR),
            "{said}"
        );
    }
    for command in commands("## There") {
        run(controller, &command).await;
        if command.starts_with("helm upgrade ") {
            let made = run(controller, "kubectl -n kube-system get deployments -o name").await;
            assert_eq!(made, "deployment.apps/phase-csi-provider-controller\n");
            controller.add_replica();
        }
        if command.contains(" scale ") {
            assert_eq!(replicas(controller, OPERATOR).await, "0");
        }
    }
}

/// The commands of the page below a heading.
fn commands(heading: &str) -> Vec<String> {
    let (_, section) = PAGE.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    lines.map(str::to_owned).collect()
}

async fn run(controller: &Controller, command: &str) -> String {
    let said = controller.kubectl(command).await;
    said.unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// Defines the resource as the operator does.
async fn define(controller: &Controller, definition: &str) {
    std::fs::write(controller.folder().join("operator-crd.yaml"), definition).unwrap();
    run(
        controller,
        "kubectl apply --server-side --force-conflicts -f operator-crd.yaml",
    )
    .await;
    run(
        controller,
        "kubectl wait --for=condition=Established crd/phasesecrets.secrets.phase.dev --timeout=60s",
    )
    .await;
}

/// The text of the event that names a Secret.
async fn adopted(controller: &Controller, secret: &str) -> String {
    eventually("the event", async || {
        let events = controller.namespace.events().await;
        let is_it =
            |(reason, note): &(String, String)| reason == "Adopted" && note.contains(secret);
        events.into_iter().find(is_it).map(|(_, note)| note)
    })
    .await
}

/// How many replicas a Deployment of `default` is to have.
async fn replicas(controller: &Controller, deployment: &str) -> String {
    let get =
        format!("kubectl -n default get deployment {deployment} -o jsonpath={{.spec.replicas}}");
    run(controller, &get).await
}

/// The driver's definitions are not there yet, and are not asked for over and over.
async fn classes_are_looked_at_once_they_are_defined(controller: &Controller) {
    let asked = controller.way.as_ref().unwrap().asked();
    let asked = asked
        .iter()
        .filter(|asked| asked.path.contains("/secretproviderclasses"));
    let count = asked.count();
    assert!((1..=10).contains(&count), "{count} questions");
    let classes = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/crds.yaml");
    let define = format!("kubectl apply -f {}", classes.display());
    run(controller, &define).await;
    run(
        controller,
        "kubectl wait --for=condition=Established crd --all",
    )
    .await;
    let parameters = json!({
        "phaseApp": "shop", "phaseHost": controller.phase.url(), "mirror": "- secretName: mirrored",
    });
    let namespace = &controller.namespace;
    namespace.class("mirrored", parameters, json!([])).await;
    controller.shows("mirrored", "KEY", "canary-key").await;
    namespace.delete_class("mirrored").await;
    eventually("the mirror to go", async || {
        namespace.secret("mirrored").await.is_none().then_some(())
    })
    .await;
}
