//! Pods that mount: their files, their mistakes, their end.

use std::collections::BTreeMap;
use std::path::Path;

use phase_csi_cluster::eventually;
use serde_json::json;

use crate::cluster::{DRIVER, SYSTEM, kubectl};
use crate::team::{CLASS, Team, pod_spec};

#[tokio::test]
async fn a_pod_with_an_inline_volume_becomes_ready_and_has_its_files() {
    let team = Team::new(
        "first",
        &[
            ("DB_PASSWORD", "canary-first-1"),
            ("API_KEY", "canary-first-2"),
        ],
    )
    .await;
    team.usual_class().await;
    let pod = team.pod("web").await;
    pod.ready().await;
    assert_eq!(pod.text("/secrets/DB_PASSWORD").await, "canary-first-1");
    assert_eq!(pod.text("/secrets/API_KEY").await, "canary-first-2");
    assert_eq!(pod.sh("ls /secrets").await, "API_KEY\nDB_PASSWORD\n");
}

#[tokio::test]
async fn every_byte_arrives_as_it_is() {
    let lines = "-----BEGIN canary-----\r\nline two\n\n\tlast line without end";
    let awkward = "canary 'single' \"double\" $(id) $X {y} \\n \u{2028}é日本🔑 ";
    let team = Team::new(
        "bytes",
        &[
            ("SINGLE", "canary-bytes"),
            ("LINES", lines),
            ("AWKWARD", awkward),
            ("BINARY", "AAEC/v8KDQo="),
        ],
    )
    .await;
    let objects = "- {secretKey: SINGLE}\n- {secretKey: LINES}\n- {secretKey: AWKWARD}\n- {secretKey: BINARY, encoding: base64}\n";
    team.class(CLASS, json!({"objects": objects}), json!([]))
        .await;
    let pod = team.pod("web").await;
    pod.ready().await;
    assert_eq!(pod.read("/secrets/SINGLE").await, b"canary-bytes");
    assert_eq!(pod.read("/secrets/LINES").await, lines.as_bytes());
    assert_eq!(pod.read("/secrets/AWKWARD").await, awkward.as_bytes());
    assert_eq!(
        pod.read("/secrets/BINARY").await,
        [0, 1, 2, 0xfe, 0xff, b'\n', b'\r', b'\n']
    );
}

#[tokio::test]
async fn files_have_names_folders_and_modes_of_their_own() {
    let team = Team::new(
        "names",
        &[
            ("USERNAME", "canary-names-u"),
            ("PASSWORD", "canary-names-p"),
        ],
    )
    .await;
    let objects = "- {secretKey: USERNAME, objectName: relative/path/username}\n- {secretKey: PASSWORD, objectName: password.txt, filePermission: \"0400\"}\n";
    team.class(CLASS, json!({"objects": objects}), json!([]))
        .await;
    let pod = team.pod("web").await;
    pod.ready().await;
    assert_eq!(
        pod.text("/secrets/relative/path/username").await,
        "canary-names-u"
    );
    assert_eq!(pod.text("/secrets/password.txt").await, "canary-names-p");
    let modes = pod
        .sh("stat -L -c %a /secrets/..data/relative/path/username /secrets/..data/password.txt")
        .await;
    assert_eq!(modes, "644\n400\n");
}

#[tokio::test]
async fn a_pod_of_a_user_that_is_not_root_reads_what_its_class_lets_everyone_read() {
    let team = Team::new(
        "nonroot",
        &[("OPEN", "canary-open"), ("CLOSED", "canary-closed")],
    )
    .await;
    let objects = "- {secretKey: OPEN}\n- {secretKey: CLOSED, filePermission: \"0400\"}\n";
    team.class(CLASS, json!({"objects": objects}), json!([]))
        .await;
    let context = json!({"securityContext": {"runAsUser": 1000, "runAsNonRoot": true, "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}});
    // The strictest level that a namespace can ask for takes the volume.
    team.kubectl(&[
        "label",
        "namespace",
        &team.name,
        "pod-security.kubernetes.io/enforce=restricted",
    ])
    .await;
    let pod = team.pod_with("web", &[CLASS], context).await;
    pod.ready().await;
    assert_eq!(pod.text("/secrets/OPEN").await, "canary-open");
    let refused = pod.try_run(&["cat", "/secrets/CLOSED"]).await.unwrap_err();
    assert!(refused.contains("Permission denied"), "{refused}");
}

#[tokio::test]
async fn a_stateful_set_and_a_job_mount_like_any_pod() {
    let team = Team::new("kinds", &[("KEY", "canary-kinds")]).await;
    team.usual_class().await;
    let labels = json!({"app": "db"});
    let mut spec = pod_spec(&[CLASS], json!({}));
    team.apply(&json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"serviceName": "db", "replicas": 2, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": spec}},
    }))
    .await;
    spec["restartPolicy"] = json!("Never");
    spec["containers"][0]["command"] = json!(["sh", "-c", "test $(wc -c < /secrets/KEY) = 12"]);
    team.apply(&json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }))
    .await;
    team.kubectl(&["rollout", "status", "statefulset/db", "--timeout=120s"])
        .await;
    assert_eq!(
        team.kubectl(&["exec", "db-1", "--", "cat", "/secrets/KEY"])
            .await,
        "canary-kinds"
    );
    team.kubectl(&[
        "wait",
        "--for=condition=Complete",
        "job/migrate",
        "--timeout=120s",
    ])
    .await;
}

#[tokio::test]
async fn a_path_that_leaves_the_volume_is_refused_with_a_readable_event() {
    let team = Team::new("escapes", &[("KEY", "canary-escapes")]).await;
    for (pod, path) in [("dots", "../outside"), ("absolute", "/etc/passwd")] {
        let objects = format!("- {{secretKey: KEY, objectName: {path}}}\n");
        team.class(pod, json!({"objects": objects}), json!([]))
            .await;
        let pod = team.pod_of(pod, &[pod]).await;
        let event = pod.event(path).await;
        assert!(
            event.contains("objectName") && event.contains("FailedMount")
                || event.contains("MountVolume.SetUp failed"),
            "{event}"
        );
        assert!(!pod.is("Ready").await);
    }
}

#[tokio::test]
async fn deleting_a_pod_leaves_no_mount_and_no_complaint() {
    let team = Team::new("leaving", &[("KEY", "canary-leaving")]).await;
    team.usual_class().await;
    let pod = team.pod("web").await;
    pod.ready().await;
    let uid = pod.uid().await;
    let volume = Path::new("/var/lib/kubelet/pods")
        .join(&uid)
        .join("volumes/kubernetes.io~csi")
        .join(CLASS);
    assert!(mounts().contains(&uid), "the volume is a mount of its own");
    pod.delete().await;
    eventually("the volume's end", async || {
        (!mounts().contains(&uid) && !volume.exists()).then_some(())
    })
    .await;
    let logs = kubectl([
        "--namespace",
        SYSTEM,
        "logs",
        &format!("daemonset/{DRIVER}"),
        "--container",
        "driver",
    ])
    .await;
    let complaints: Vec<_> = logs
        .lines()
        .filter(|line| line.contains("failed to clean and unmount"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(
        team.namespace.status("web", CLASS).await.is_none()
            || team
                .kubectl(&["get", "pod", "--output=name"])
                .await
                .is_empty()
    );
}

/// Every mount of the node, as the kernel tells.
fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[tokio::test]
async fn one_class_name_in_two_namespaces_gives_each_its_own() {
    let (one, two) = (
        Team::new("east", &[("WHO", "canary-east")]).await,
        Team::new("west", &[("WHO", "canary-west")]).await,
    );
    for (team, expected) in [(&one, "canary-east"), (&two, "canary-west")] {
        team.usual_class().await;
        let pod = team.pod("web").await;
        pod.ready().await;
        assert_eq!(pod.text("/secrets/WHO").await, expected);
    }
    let without = Team::new("classless", &[]).await;
    let pod = without.pod("web").await;
    let event = pod.event(&format!("classless/{CLASS}")).await;
    assert!(event.contains("not found"), "{event}");
}

#[tokio::test]
async fn one_pod_has_two_volumes_two_secrets_and_two_variables() {
    let team = Team::new("doubles", &[("ONE", "canary-one"), ("TWO", "canary-two")]).await;
    for (class, key) in [("first", "ONE"), ("second", "TWO")] {
        let secret = json!([{"secretName": format!("{class}-secret"), "type": "Opaque", "data": [{"objectName": key, "key": "value"}]}]);
        team.class(
            class,
            json!({"objects": format!("- {{secretKey: {key}}}\n")}),
            secret,
        )
        .await;
    }
    let variable = |name: &str, class: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": format!("{class}-secret"), "key": "value"}}});
    let container = json!({"env": [variable("FIRST", "first"), variable("SECOND", "second")]});
    let pod = team.pod_with("web", &["first", "second"], container).await;
    pod.ready().await;
    assert_eq!(pod.text("/secrets/ONE").await, "canary-one");
    assert_eq!(pod.text("/secrets-1/TWO").await, "canary-two");
    assert_eq!(
        pod.sh("echo $FIRST $SECOND").await,
        "canary-one canary-two\n"
    );
}

#[tokio::test]
async fn an_empty_selection_is_an_event_or_the_documented_marker() {
    let team = Team::new("emptiness", &[]).await;
    team.phase
        .set("/emptiness-elsewhere", "KEY", "canary-elsewhere")
        .await;
    team.class("nothing", json!({}), json!([])).await;
    let pod = team.pod_of("nothing", &["nothing"]).await;
    let event = pod.event("/emptiness").await;
    assert!(event.contains("allowEmpty"), "{event}");
    team.class("allowed", json!({"allowEmpty": "true"}), json!([]))
        .await;
    let pod = team.pod_of("allowed", &["allowed"]).await;
    pod.ready().await;
    assert_eq!(
        pod.sh("ls -A /secrets | grep -v '^[.][.]'").await,
        ".phase-empty\n"
    );
}

#[tokio::test]
async fn an_answer_above_the_drivers_limit_is_an_event_with_the_way_out() {
    let large = "x".repeat(900_000);
    let team = Team::with_own_phase("large", &[]).await;
    for number in 0..5 {
        team.set(&format!("BLOB_{number}"), &large).await;
    }
    team.usual_class().await;
    let pod = team.pod("web").await;
    let event = pod.event("--max-call-recv-msg-size").await;
    assert!(event.contains("larger than the 4194304 bytes"), "{event}");
}

#[tokio::test]
async fn equal_content_has_equal_versions_and_a_change_a_new_one() {
    let team = Team::new(
        "versions",
        &[("SAME", "canary-same"), ("MOVES", "canary-before")],
    )
    .await;
    team.usual_class().await;
    let (one, two) = (team.pod("one").await, team.pod("two").await);
    one.ready().await;
    two.ready().await;
    let before: BTreeMap<_, _> = one.versions(CLASS).await;
    assert_eq!(before.keys().collect::<Vec<_>>(), ["MOVES", "SAME"]);
    let others = two.versions(CLASS).await;
    assert_eq!(before, others);
    team.set("MOVES", "canary-after").await;
    one.shows("/secrets/MOVES", "canary-after").await;
    let after = eventually("new versions", async || {
        let now = one.versions(CLASS).await;
        (now != before).then_some(now)
    })
    .await;
    assert_eq!(before["SAME"], after["SAME"]);
    assert_ne!(before["MOVES"], after["MOVES"]);
}
