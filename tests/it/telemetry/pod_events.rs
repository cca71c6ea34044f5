//! Pods are told when their files cannot be brought up to date, and when they can be.

use super::kubernetes::{Kubernetes, Sent};
use super::*;
use crate::support::daemon::run;

struct Told {
    kubernetes: Kubernetes,
    scene: Scene,
}

impl Told {
    async fn start() -> Self {
        let kubernetes = Kubernetes::start().await;
        let account = kubernetes.account().to_str().unwrap().to_owned();
        let flags = [
            &QUICK[..],
            &["--pod-events", "--test-only-service-account", &account],
        ];
        let variables = [
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", &kubernetes.port),
        ];
        Self {
            scene: Scene::with(&flags.concat(), &variables).await,
            kubernetes,
        }
    }

    /// The first so many events, once they are there.
    async fn events(&self, count: usize) -> Vec<Sent> {
        eventually(async || {
            let events = self.kubernetes.events();
            (events.len() >= count).then_some(events)
        })
        .await
    }

    /// Republishes until another event is there.
    async fn republished_until(&self, class: &Value, pod: &str, count: usize) -> Vec<Sent> {
        eventually(async || {
            drop(self.scene.publish(class, pod).await);
            let events = self.kubernetes.events();
            (events.len() >= count).then_some(events)
        })
        .await
    }
}

#[tokio::test]
async fn a_volume_that_cannot_be_renewed_and_then_can_is_two_events() {
    let told = Told::start().await;
    told.scene.publish(&class(), "a").await.unwrap();
    told.scene.fault(status(500), Endpoint::Any);
    let failed = told.republished_until(&class(), "a", 1).await.remove(0);
    told.scene.emulator.control().clear_faults();
    let recovered = told.republished_until(&class(), "a", 2).await.remove(1);
    for sent in [&failed, &recovered] {
        assert_eq!(sent.path, "/api/v1/namespaces/shop/events");
        assert_eq!(sent.authorization, "Bearer first-token");
    }
    let body = &failed.body;
    let (name, time) = (&body["metadata"]["name"], &body["firstTimestamp"]);
    let (pod, number) = name.as_str().unwrap().rsplit_once('.').unwrap();
    assert!(
        pod == "web-0" && u128::from_str_radix(number, 16).is_ok(),
        "{name}"
    );
    let text = time.as_str().unwrap();
    assert!(
        text.len() == 20 && text.starts_with("20") && text.ends_with('Z'),
        "{text}"
    );
    let message = body["message"].as_str().unwrap();
    let url = told.scene.emulator.url();
    let reason = format!(
        "): {url}/service/secrets/tokens/ failed with status 500: the mount is retried automatically; if this stays, look at the logs of Phase"
    );
    assert!(
        message.starts_with("the files stay as they are (age ") && message.ends_with(&reason),
        "{message}"
    );
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "shop"},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "uid-a",
        },
        "type": "Warning",
        "reason": "PhaseRotationFailed",
        "message": message,
        "source": {"component": "phase-csi-provider"},
        "reportingComponent": "phase-csi-provider",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    });
    assert_eq!(*body, expected);
    let body = &recovered.body;
    assert_eq!(
        (&body["type"], &body["reason"]),
        (&json!("Normal"), &json!("PhaseRotationRecovered"))
    );
    assert_eq!(body["message"], "the volume is up to date with Phase again");
    let sent = "phase_csi_pod_events_total{outcome=\"sent\"}";
    told.scene.reaches(sent, 2.0).await;
    assert_eq!(told.kubernetes.events().len(), 2);
}

#[tokio::test]
async fn the_reason_is_the_mounts_own_and_nothing_secret_is_in_it() {
    let told = Told::start().await;
    let key = json!({"phaseApp": "CANARY_APP", "objects": "- secretKey: CANARY_KEY\n"});
    told.scene.publish(&key, "a").await.unwrap();
    let control = told.scene.emulator.control();
    control
        .delete_secret("CANARY_APP", "production", "/", "CANARY_KEY")
        .unwrap();
    control
        .put_secret("CANARY_APP", "production", "/", "OTHER", "canary value")
        .unwrap();
    let failure = eventually(async || told.scene.publish(&key, "a").await.err()).await;
    let event = told.events(1).await.remove(0);
    assert_eq!(event.body["message"], failure.message());
    let token = told.scene.token();
    for secret in token
        .split(':')
        .filter(|part| part.len() == 64)
        .chain(["canary value"])
    {
        assert!(!event.body.to_string().contains(secret), "{}", event.body);
    }
}

#[tokio::test]
async fn a_new_pod_that_fails_and_a_volume_that_keeps_failing_are_not_repeated() {
    let told = Told::start().await;
    assert!(
        told.scene
            .publish(&json!({"phaseApp": "other"}), "new")
            .await
            .is_err()
    );
    told.scene.publish(&class(), "a").await.unwrap();
    told.scene.publish(&class(), "sentinel").await.unwrap();
    for _ in 0..5 {
        assert!(
            told.scene
                .publish(&json!({"phaseApp": "other"}), "new")
                .await
                .is_err()
        );
        assert!(
            told.scene
                .publish(&json!({"phaseApp": "other"}), "a")
                .await
                .is_err()
        );
    }
    assert!(
        told.scene
            .publish(&json!({"phaseApp": "x"}), "sentinel")
            .await
            .is_err()
    );
    let events = told.events(2).await;
    let pods: Vec<_> = events
        .iter()
        .map(|sent| &sent.body["involvedObject"]["uid"])
        .collect();
    assert_eq!(pods, ["uid-a", "uid-sentinel"]);
}

#[tokio::test]
async fn a_missing_right_is_said_once_and_a_new_token_is_used() {
    let told = Told::start().await;
    told.kubernetes.answers(403);
    for pod in ["a", "b", "c"] {
        told.scene.publish(&class(), pod).await.unwrap();
        assert!(
            told.scene
                .publish(&json!({"phaseApp": "other"}), pod)
                .await
                .is_err()
        );
    }
    told.events(3).await;
    std::fs::write(told.kubernetes.token_file(), "second-token").unwrap();
    told.scene
        .reaches("phase_csi_pod_events_total{outcome=\"failed\"}", 3.0)
        .await;
    told.kubernetes.answers(201);
    told.scene.publish(&class(), "d").await.unwrap();
    assert!(
        told.scene
            .publish(&json!({"phaseApp": "other"}), "d")
            .await
            .is_err()
    );
    let last = told.events(4).await.remove(3);
    assert_eq!(last.authorization, "Bearer second-token");
    told.scene
        .reaches("phase_csi_pod_events_total{outcome=\"sent\"}", 1.0)
        .await;
    let output = told.scene.daemon.stop().await.output;
    let right = "the service account may not create events (status 403), or the pod's namespace is being deleted: grant it create on events, as the chart's podEvents.enabled does";
    assert_eq!(output.matches(right).count(), 1, "{output}");
    assert_eq!(
        output.matches("events on pods are created again").count(),
        1
    );
    for canary in ["UPSTREAM_CANARY", "first-token", "second-token"] {
        assert!(!output.contains(canary), "{canary}");
    }
}

#[tokio::test]
async fn each_other_failure_has_its_words_too() {
    for (status, words) in [
        (
            401,
            "the Kubernetes API does not know the service account (status 401): look at its token",
        ),
        (500, "the Kubernetes API answered with status 500"),
        (302, "the Kubernetes API answered with status 302"),
    ] {
        let told = Told::start().await;
        told.kubernetes.answers(status);
        told.scene.publish(&class(), "a").await.unwrap();
        assert!(
            told.scene
                .publish(&json!({"phaseApp": "other"}), "a")
                .await
                .is_err()
        );
        eventually(async || told.scene.daemon.written().contains(words).then_some(())).await;
    }
    let told = Told::start().await;
    std::fs::remove_file(told.kubernetes.token_file()).unwrap();
    told.scene.publish(&class(), "a").await.unwrap();
    assert!(
        told.scene
            .publish(&json!({"phaseApp": "other"}), "a")
            .await
            .is_err()
    );
    let words = "the mounted service account cannot be read: No such file";
    eventually(async || told.scene.daemon.written().contains(words).then_some(())).await;
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_no_api() {
    let told = Told::start().await;
    crate::phase_http::tls::Authority::new().write_to(&told.kubernetes.account().join("ca.crt"));
    told.scene.publish(&class(), "a").await.unwrap();
    assert!(
        told.scene
            .publish(&json!({"phaseApp": "other"}), "a")
            .await
            .is_err()
    );
    let words = "the Kubernetes API cannot be reached: check the way to KUBERNETES_SERVICE_HOST and its certificate";
    eventually(async || told.scene.daemon.written().contains(words).then_some(())).await;
    assert!(told.kubernetes.events().is_empty());
}

#[tokio::test]
async fn an_api_that_hangs_costs_no_mount() {
    let told = Told::start().await;
    told.kubernetes.answers(0);
    // As many as one namespace may cause at once.
    for pod in 0..10 {
        let pod = pod.to_string();
        told.scene.publish(&class(), &pod).await.unwrap();
        assert!(
            told.scene
                .publish(&json!({"phaseApp": "other"}), &pod)
                .await
                .is_err()
        );
    }
    // A mount that waited for its event would have sent it, and those before it.
    let sent = told.kubernetes.events().len();
    assert!(sent < 10, "{sent} events were sent before the mounts ended");
    let words = "the Kubernetes API gave no answer within 5 s";
    eventually(async || told.scene.daemon.written().contains(words).then_some(())).await;
    assert_eq!(told.scene.daemon.page("/live").await.0, 200);
    told.scene.daemon.stop().await;
}

#[tokio::test]
async fn without_a_service_account_the_start_says_what_to_set() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("phase.sock");
    let ended = run(&socket, &["--pod-events"]).await;
    let no_api = "--pod-events: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name the Kubernetes API: run the provider in a pod, or leave --pod-events off";
    assert!(ended.output.contains(no_api), "{}", ended.output);
    assert_eq!(ended.status.code(), Some(1));
    let kubernetes = Kubernetes::start().await;
    let variables = [
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", kubernetes.port.as_str()),
    ];
    for (file, content, why) in [
        ("token", None, "No such file or directory (os error 2)"),
        ("token", Some(" \n"), "it is empty"),
        ("ca.crt", Some("x"), "it holds no certificate"),
    ] {
        let kubernetes = Kubernetes::start().await;
        let path = kubernetes.account().join(file);
        match content {
            None => std::fs::remove_file(&path).unwrap(),
            Some(content) => std::fs::write(&path, content).unwrap(),
        }
        let account = kubernetes.account().to_str().unwrap();
        let flags = ["--pod-events", "--test-only-service-account", account];
        let ended = crate::support::daemon::run_with(&socket, &flags, &variables).await;
        let expected = format!(
            "--pod-events: no service account is mounted ({}: {why}): set the chart's podEvents.enabled, which mounts one, or leave --pod-events off",
            path.display()
        );
        assert!(ended.output.contains(&expected), "{}", ended.output);
        assert_eq!(ended.status.code(), Some(1));
    }
}

#[tokio::test]
async fn a_namespace_with_many_pods_leaves_events_to_others() {
    let told = Told::start().await;
    for pod in 0..30 {
        let pod = pod.to_string();
        told.scene.publish(&class(), &pod).await.unwrap();
        let other = json!({"phaseApp": "other"});
        assert!(told.scene.publish(&other, &pod).await.is_err());
    }
    let mut other = class();
    other["csi.storage.k8s.io/pod.namespace"] = json!("quiet");
    told.scene.publish(&other, "q").await.unwrap();
    other["phaseApp"] = json!("other");
    assert!(told.scene.publish(&other, "q").await.is_err());
    let of_quiet = "/api/v1/namespaces/quiet/events";
    let events = eventually(async || {
        let events = told.kubernetes.events();
        let is_there = events.iter().any(|sent| sent.path == of_quiet);
        is_there.then_some(events)
    })
    .await;
    // Half of the node's, which come back one by one.
    let noisy = events.iter().filter(|sent| sent.path != of_quiet).count();
    assert!((10..20).contains(&noisy), "{noisy}");
}
