//! Manifests of both generations of Phase's operator, as its users have them.

use phase_csi_cluster::{Controller, secret, tagged};

const V1: &str = include_str!("operator/v1.yaml");
const V2: &str = include_str!("operator/v2.yaml");

#[tokio::test]
async fn manifests_of_both_generations_apply_as_they_are() {
    let secrets = vec![
        secret("/", "DB_HOST", "canary-host"),
        secret("/", "API_KEY", "canary-api"),
        secret("/", "CERT", "Y2FuYXJ5LWJ5dGVz"),
        tagged("WEB_KEY", "canary-web", &["web"]),
    ];
    let controller = Controller::start("managed-operator", secrets).await;
    for (file, text) in [("v1.yaml", V1), ("v2.yaml", V2)] {
        let text = text
            .replace("NAMESPACE", "managed-operator")
            .replace("PHASE_HOST", &controller.phase.url())
            .replace("PHASE_APP_ID", &controller.phase.app_id());
        std::fs::write(controller.folder().join(file), text).unwrap();
        let apply = format!("kubectl apply --validate=strict -f {file}");
        let said = controller.kubectl(&apply).await.unwrap();
        assert_eq!(said.matches(" created").count(), 2, "{said}");
        assert!(!said.to_lowercase().contains("warning"), "{said}");
    }
    let wait = "kubectl wait --for=condition=Synced phasesecrets --all --timeout=2m";
    controller.kubectl(wait).await.unwrap();
    for (secret, key, text) in [
        ("v1-plain", "DB_HOST", "canary-host"),
        ("v1-plain", "CERT", "Y2FuYXJ5LWJ5dGVz"),
        ("v1-named", "database-host", "canary-host"),
        ("v1-named", "api-key", "canary-api"),
        ("v1-named", "cert", "canary-bytes"),
        ("v1-named", "webKey", "canary-web"),
        ("v1-tagged", "TF_VAR_web_key", "canary-web"),
        ("v2-by-id", "DB_HOST", "canary-host"),
        ("v2-least", "API_KEY", "canary-api"),
    ] {
        controller.shows(secret, key, text).await;
    }
    let tagged = controller.namespace.secret_data("v1-tagged").await.unwrap();
    assert_eq!(tagged.len(), 1, "those with the tag alone");
    let found = controller.namespace.secret("v2-by-id").await.unwrap();
    assert_eq!(
        found.metadata.labels.unwrap()["app.kubernetes.io/part-of"],
        "shop"
    );
    assert_eq!(
        found.metadata.annotations.unwrap()["example.com/owner"],
        "team-shop"
    );
}
