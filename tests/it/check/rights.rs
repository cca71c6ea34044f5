//! What the controller refuses unless its administrator allows it.

use super::{Case, Files, class, expect_each, found};

fn resource(metadata: &str, rest: &str) -> String {
    format!(
        "apiVersion: secrets.phase.dev/v1alpha1\nkind: PhaseSecret\nmetadata: {metadata}\nspec:\n  phaseApp: payments\n{rest}"
    )
}

pub fn cases() -> Vec<Case> {
    let case = |rule, text, line, message| Case {
        rule,
        text,
        line,
        message,
    };
    let shop = "{name: keys, namespace: shop}";
    let mirror = |fields: &str| class(&format!("    mirror: '[{{secretName: keys, {fields}}}]'\n"));
    vec![
        case(
            "cross-namespace-ref",
            resource(
                shop,
                "  authentication: {serviceToken: {serviceTokenSecretReference: {secretNamespace: till}}}\n  managedSecretReferences: [{secretName: keys, secretNamespace: shop}]\n",
            ),
            6,
            "spec.authentication.serviceToken.serviceTokenSecretReference.secretNamespace names \"till\", which is not the resource's own: leave it out, or start the controller with --allow-cross-namespace-refs",
        ),
        case(
            "cross-namespace-ref",
            resource(
                "{name: keys}",
                "  managedSecretReferences:\n    - {secretName: keys}\n    - {secretName: keys, secretNamespace: till}\n",
            ),
            8,
            "spec.managedSecretReferences[1].secretNamespace names \"till\": apply the resource there, or start the controller with --allow-cross-namespace-refs",
        ),
        case(
            "privileged-secret-type",
            resource(
                shop,
                "  managedSecretReferences:\n    - secretName: keys\n      secretType: kubernetes.io/service-account-token\n",
            ),
            8,
            "spec.managedSecretReferences[0].secretType is kubernetes.io/service-account-token, a credential of the cluster itself: write another type, or start the controller with --allow-privileged-secret-types",
        ),
        case(
            "privileged-secret-type",
            mirror("secretType: bootstrap.kubernetes.io/token"),
            8,
            "secretType of \"keys\" in mirror is bootstrap.kubernetes.io/token, a credential of the cluster itself: write another type, or start the controller with --allow-privileged-secret-types",
        ),
        case(
            "mirror-overwrite",
            mirror("onConflict: Take"),
            8,
            "onConflict: Take of \"keys\" in mirror overwrites Secrets of others: leave it out, or start the controller with --allow-mirror-overwrite",
        ),
        case(
            "mirror-overwrite",
            mirror("onTypeChange: Recreate"),
            8,
            "onTypeChange: Recreate of \"keys\" in mirror overwrites Secrets of others: leave it out, or start the controller with --allow-mirror-overwrite",
        ),
    ]
}

#[test]
fn what_the_controller_refuses_is_told_at_its_line() {
    expect_each(&cases());
}

#[test]
fn a_resource_that_keeps_to_its_namespace_is_fine() {
    let own = "  managedSecretReferences: [{secretName: keys, secretNamespace: shop, secretType: Opaque, onConflict: Take}]\n";
    let files = Files::of(&[&resource("{name: keys, namespace: shop}", own)]);
    assert_eq!(found(&files.json(&[])), []);
    assert_eq!(files.check(&[]).status.code(), Some(0));
}
