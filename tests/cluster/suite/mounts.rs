//! What a pod finds in its volume after the first mount.

use futures_util::future::join_all;
use phase_csi_cluster::{Node, Pod, eventually, secret};
use serde_json::json;

use crate::support::texts;

#[tokio::test]
async fn the_first_mount_puts_every_secret_into_a_file_named_after_its_key() {
    let node = Node::with(
        "first-mount",
        vec![
            secret("/", "DATABASE_URL", "postgres://shop:pa55@db/shop"),
            secret("/", "STRIPE_KEY", "sk_live_0815"),
            secret("/elsewhere", "OTHER", "not asked for"),
        ],
    );
    let node = node.start().await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    assert!(pod.volume().is_mounted());
    assert_eq!(pod.volume().names(), ["DATABASE_URL", "STRIPE_KEY"]);
    assert_eq!(
        pod.volume().texts(),
        texts([
            ("DATABASE_URL", "postgres://shop:pa55@db/shop"),
            ("STRIPE_KEY", "sk_live_0815")
        ])
    );
    assert_eq!(
        pod.volume().text("STRIPE_KEY").as_deref(),
        Some("sk_live_0815"),
        "by the path a container uses"
    );
}

#[tokio::test]
async fn the_driver_records_one_opaque_version_for_every_file() {
    let node = Node::with(
        "recorded",
        vec![
            secret("/", "A", "alpha-4711"),
            secret("/", "B", "beta-4711"),
        ],
    );
    let node = node.start().await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    let status = pod.status().await.unwrap();
    assert!(status.mounted);
    assert_eq!(status.pod_name, "web");
    assert_eq!(status.secret_provider_class_name, "app-secrets");
    assert_eq!(status.target_path, pod.target().to_str().unwrap());
    let versions = status.versions();
    assert_eq!(versions.keys().collect::<Vec<_>>(), ["A", "B"]);
    assert_ne!(versions["A"], versions["B"]);
    assert!(
        versions
            .values()
            .all(|version| !version.is_empty() && !version.contains("4711"))
    );
}

#[tokio::test]
async fn files_are_readable_by_everyone_unless_the_class_says_otherwise() {
    let node = Node::with(
        "modes",
        vec![
            secret("/", "KEY", "value"),
            secret("/deep", "INNER", "value"),
        ],
    );
    let node = node.start().await;
    node.class(
        "private",
        json!({"recursive": "true", "filePermission": "0400"}),
        json!([]),
    )
    .await;
    let usual = node.pod("usual", json!({"recursive": "true"})).await;
    let private = node.pod_of(&node.namespace, "private", "private").await;
    usual.mount().await.unwrap();
    private.mount().await.unwrap();
    for (pod, mode) in [(&usual, 0o644), (&private, 0o400)] {
        let files = pod.volume().files();
        assert_eq!(files.len(), 2);
        assert!(files.values().all(|file| file.mode == mode), "{files:?}");
    }
}

#[tokio::test]
async fn folders_become_directories() {
    let node = Node::with(
        "folders",
        vec![
            secret("/", "TOP", "at the top"),
            secret("/database", "PASSWORD", "one below"),
            secret("/database/replica", "PASSWORD", "two below"),
            secret("/mail", "USER", "beside"),
        ],
    );
    let node = node.start().await;
    node.class("one", json!({"phaseAppEnvPath": "/database"}), json!([]))
        .await;
    let all = node.pod("all", json!({"recursive": "true"})).await;
    let one = node.pod_of(&node.namespace, "one", "one").await;
    all.mount().await.unwrap();
    one.mount().await.unwrap();
    assert_eq!(
        all.volume().texts(),
        texts([
            ("TOP", "at the top"),
            ("database/PASSWORD", "one below"),
            ("database/replica/PASSWORD", "two below"),
            ("mail/USER", "beside"),
        ])
    );
    assert_eq!(all.volume().names(), ["TOP", "database", "mail"]);
    assert_eq!(
        all.volume().text("database/replica/PASSWORD").as_deref(),
        Some("two below")
    );
    assert_eq!(one.volume().texts(), texts([("PASSWORD", "one below")]));
}

#[tokio::test]
async fn awkward_values_arrive_byte_for_byte() {
    let values = [
        ("EMPTY_LINES", "\n\nfirst\r\nsecond\n\n"),
        ("ESCAPES", r#"<a href="x?y&z">\u0026 \n \\ '</a>"#),
        ("NON_ASCII", "Grüße, 秘密, 🔐, a\u{301}"),
        ("CONTROL", "tab\tbell\u{7}null\u{0}escape\u{1b}[0m"),
        ("SPACES", "  kept at both ends  "),
        ("LOOKS_LIKE_JSON", r#"{"null": null}"#),
        ("BINARY_AS_BASE64", "AAEC/f7/"),
    ];
    let stored = values.map(|(key, value)| secret("/", key, value));
    let node = Node::with("awkward", stored.into()).start().await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().texts(), texts(values));
}

#[tokio::test]
async fn keys_that_are_not_ascii_name_files() {
    let node = Node::with(
        "keys",
        vec![
            secret("/", "schlüssel", "eins"),
            secret("/", ".env", "zwei"),
        ],
    )
    .start()
    .await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    assert_eq!(
        pod.volume().texts(),
        texts([("schlüssel", "eins"), (".env", "zwei")])
    );
}

#[tokio::test]
async fn one_class_name_in_two_namespaces_gives_each_its_own_secrets() {
    let node = Node::with(
        "two-namespaces",
        vec![secret("/a", "KEY", "of a"), secret("/b", "KEY", "of b")],
    );
    let node = node.start().await;
    let other = node.second_namespace("b").await;
    let parameters = |path| phase_csi_cluster::parameters(json!({"phaseAppEnvPath": path}));
    node.namespace
        .class("same", parameters("/a"), json!([]))
        .await;
    other.class("same", parameters("/b"), json!([])).await;
    let first = node.pod_of(&node.namespace, "web", "same").await;
    let second = node.pod_of(&other, "web", "same").await;
    first.mount().await.unwrap();
    second.mount().await.unwrap();
    assert_eq!(first.volume().texts(), texts([("KEY", "of a")]));
    assert_eq!(second.volume().texts(), texts([("KEY", "of b")]));
    assert_ne!(first.version("KEY").await, second.version("KEY").await);
}

#[tokio::test]
async fn a_pod_of_a_namespace_without_the_class_is_told_which_class_is_missing() {
    let node = Node::with("no-class", vec![secret("/", "KEY", "value")])
        .start()
        .await;
    node.class("here", json!({}), json!([])).await;
    let other = node.second_namespace("b").await;
    let pod = node.pod_of(&other, "web", "here").await;
    let error = pod.publish().await.unwrap_err();
    assert!(
        error
            .message()
            .contains("failed to get secretproviderclass no-class-b/here"),
        "{error}"
    );
    assert!(!pod.volume().exists());
}

#[tokio::test]
async fn unmounting_leaves_neither_a_mount_nor_a_folder() {
    let node = Node::with("unmount", vec![secret("/deep/er", "KEY", "value")])
        .start()
        .await;
    let pod = node.pod("web", json!({"recursive": "true"})).await;
    pod.mount().await.unwrap();
    assert!(pod.volume().is_mounted());
    pod.unmount().await.unwrap();
    assert!(!pod.volume().is_mounted());
    assert!(!pod.volume().exists());
    assert!(!node.driver.output().contains("failed to clean and unmount"));
}

#[tokio::test]
async fn twenty_pods_of_twenty_classes_start_at_once_by_two_requests() {
    let secrets = (0..20).map(|n| secret(&format!("/{n}"), "KEY", &format!("value of pod {n}")));
    let node = Node::with("twenty", secrets.collect());
    let node = node.without_polls().start().await;
    let mut pods = Vec::new();
    for n in 0..20 {
        let class = format!("class-{n}");
        node.class(
            &class,
            json!({"phaseAppEnvPath": format!("/{n}")}),
            json!([]),
        )
        .await;
        pods.push(
            node.pod_of(&node.namespace, &format!("pod-{n}"), &class)
                .await,
        );
    }
    for outcome in join_all(pods.iter().map(Pod::mount)).await {
        outcome.unwrap();
    }
    for (n, pod) in pods.iter().enumerate() {
        assert_eq!(pod.volume().text("KEY"), Some(format!("value of pod {n}")));
    }
    let asked = (node.phase.asked(), node.phase.fetched());
    assert_eq!(asked, (1, 1), "one token, one environment");
    assert_eq!(node.phase.requests(), 2, "and nothing else");
}

#[tokio::test]
async fn two_volumes_with_one_content_have_equal_versions_on_two_nodes() {
    let first = Node::with("equal-a", vec![secret("/", "KEY", "the same")])
        .start()
        .await;
    let second = Node::with("equal-b", vec![]).phase_of(&first).start().await;
    let (here, there) = (
        first.pod("web", json!({})).await,
        second.pod("web", json!({})).await,
    );
    here.mount().await.unwrap();
    there.mount().await.unwrap();
    assert_eq!(there.volume().texts(), texts([("KEY", "the same")]));
    let version = here.version("KEY").await;
    assert!(version.is_some());
    assert_eq!(version, there.version("KEY").await);
}

#[tokio::test]
async fn one_pod_has_two_volumes_of_two_classes() {
    let node = Node::with(
        "two-volumes",
        vec![secret("/a", "KEY", "of a"), secret("/b", "KEY", "of b")],
    );
    let node = node.start().await;
    for name in ["a", "b"] {
        let synced = json!([{"secretName": name, "type": "Opaque", "data": [{"objectName": "KEY", "key": "KEY"}]}]);
        node.class(name, json!({"phaseAppEnvPath": format!("/{name}")}), synced)
            .await;
    }
    let volumes = node.pod_of_many("web", &["a", "b"]).await;
    for (volume, name) in volumes.iter().zip(["a", "b"]) {
        volume.mount().await.unwrap();
        assert_eq!(
            volume.volume().texts(),
            texts([("KEY", &format!("of {name}"))])
        );
        let synced = eventually("the synced Secret", async || {
            node.namespace.secret_data(name).await
        })
        .await;
        assert_eq!(synced["KEY"], format!("of {name}").into_bytes());
    }
}

#[tokio::test]
async fn fifty_keys_cost_phase_two_requests() {
    let secrets = (0..50).map(|n| secret("/", &format!("KEY_{n}"), "value"));
    let node = Node::with("two-requests", secrets.collect());
    let node = node.without_polls().start().await;
    let pod = node.pod("web", json!({})).await;
    pod.mount().await.unwrap();
    assert_eq!(pod.volume().files().len(), 50);
    assert_eq!((node.phase.asked(), node.phase.fetched()), (1, 1));
    assert_eq!(node.phase.requests(), 2, "and nothing else");
}
