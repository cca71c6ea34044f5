//! Who may read what.

use serde_json::json;

use crate::cluster::{PROVIDER, SYSTEM, kubectl, provider_may};
use crate::team::{CLASS, TOKEN, Team};

#[tokio::test]
async fn a_token_without_access_shows_phases_reason_and_mounts_nothing() {
    let team = Team::new("strangers", &[("KEY", "canary-strangers")]).await;
    team.usual_class().await;
    // Somebody else's pod has just read the same class with a better token.
    team.pod("friend").await.ready().await;
    team.namespace
        .token(TOKEN, &team.phase.token("limited").await)
        .await;
    let pod = team.pod("stranger").await;
    let event = pod.event("production").await;
    assert!(
        event.contains("has no access") || event.contains("not found"),
        "{event}"
    );
    assert!(!pod.is("Ready").await);
    let uid = pod.uid().await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts
            .lines()
            .any(|line| line.contains(&uid) && line.contains("kubernetes.io~csi")),
        "{uid}"
    );
}

#[tokio::test]
async fn a_token_that_phase_does_not_know_is_an_event_without_the_token() {
    let team = Team::new("unknown", &[("KEY", "canary-unknown")]).await;
    team.usual_class().await;
    let part = "5e".repeat(32);
    team.namespace
        .token(
            TOKEN,
            &format!("pss_service:v2:{part}:{part}:{part}:{part}"),
        )
        .await;
    let pod = team.pod("web").await;
    let event = pod.event("token").await;
    assert!(!event.contains(&part), "{event}");
}

#[tokio::test]
async fn a_pod_that_names_no_secret_is_told_how_to() {
    let team = Team::new("nameless", &[("KEY", "canary-nameless")]).await;
    team.usual_class().await;
    let mut spec = crate::team::pod_spec(&[CLASS], json!({}));
    spec["volumes"][0]["csi"]["nodePublishSecretRef"].take();
    team.apply(
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}),
    )
    .await;
    let pod = crate::pod::Pod::named(&team, "web");
    pod.event("nodePublishSecretRef").await;
}

/// The admin admits `*`, which admits no address of the node.
#[tokio::test]
async fn a_class_that_leads_to_the_node_itself_is_told_what_would_admit_it() {
    let team = Team::new("inward", &[("KEY", "canary-inward")]).await;
    let host = "https://10.99.0.1:9999";
    team.class(CLASS, json!({"phaseHost": host}), json!([]))
        .await;
    let pod = team.pod("web").await;
    let event = pod.event("is an address of the node").await;
    assert!(event.contains(&format!("--allowed-host {host}")), "{event}");
}

/// Point 18, as far as it goes before pod identities: kubelet hands the driver tokens
/// for the audience `phase`, which reach us and stay unused; and what the provider may
/// do at the API server is nothing, tokens least of all.
#[tokio::test]
async fn the_providers_account_may_do_nothing_at_the_api_server() {
    for (verb, what) in [
        ("create", "serviceaccounts/token"),
        ("get", "secrets"),
        ("list", "pods"),
        ("create", "events"),
    ] {
        assert!(!provider_may(verb, what).await, "{verb} {what}");
    }
    let mounted = kubectl([
        "--namespace",
        SYSTEM,
        "get",
        "daemonset",
        PROVIDER,
        "--output",
        "jsonpath={.spec.template.spec.automountServiceAccountToken}",
    ])
    .await;
    assert_eq!(mounted, "false");
}
