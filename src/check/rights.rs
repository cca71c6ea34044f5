//! What the controller refuses unless its administrator allows it: how far resources
//! and classes reach by its rights.

use super::finding::{Findings, shortened};
use super::rule::Rule;
use super::workloads::list;
use crate::class::{Class, Mirror};
use crate::manifest::{Manifest, ProviderClass, value};
use crate::secret_types::PRIVILEGED;
use crate::yaml::Node;

/// Whether it is a `PhaseSecret`.
pub(super) fn is_resource(manifest: &Manifest) -> bool {
    manifest.kind == "PhaseSecret" && manifest.api_version.starts_with("secrets.phase.dev/")
}

/// What a `PhaseSecret` reaches for.
pub(super) fn of_resource(manifest: &Manifest, findings: &mut Findings) {
    let Some(spec) = manifest.get(&["spec"]).filter(|_| is_resource(manifest)) else {
        return;
    };
    let own = manifest.namespace.as_deref();
    let token = "authentication.serviceToken.serviceTokenSecretReference";
    let path: Vec<_> = token.split('.').collect();
    if let Some(reference) = value(spec, &path) {
        elsewhere(reference, own, token, findings);
    }
    for (number, output) in list(spec, "managedSecretReferences").iter().enumerate() {
        let path = format!("managedSecretReferences[{number}]");
        elsewhere(output, own, &path, findings);
        let kind = output.get("secretType");
        if let Some((kind, text)) = kind.and_then(|kind| Some((kind, kind.text()?)))
            && PRIVILEGED.contains(&text)
        {
            let message = privileged(&format!("spec.{path}.secretType"), text);
            findings.add(Rule::PrivilegedSecretType, kind.at, message);
        }
    }
}

/// Without a namespace of its own, it may be that of whoever applies it.
fn elsewhere(reference: &Node, own: Option<&str>, path: &str, findings: &mut Findings) {
    let Some(node) = reference.get("secretNamespace") else {
        return;
    };
    let named = node.text().unwrap_or_default();
    if named.is_empty() || Some(named) == own {
        return;
    }
    let named = shortened(named);
    let message = match own {
        Some(_) => format!(
            "spec.{path}.secretNamespace names {named:?}, which is not the resource's own: leave it out, or start the controller with --allow-cross-namespace-refs"
        ),
        None => format!(
            "spec.{path}.secretNamespace names {named:?}: apply the resource there, or start the controller with --allow-cross-namespace-refs"
        ),
    };
    findings.add(Rule::CrossNamespaceRef, node.at, message);
}

/// What `mirror` of a class reaches for.
pub(super) fn of_class(class: &ProviderClass, read: &Class, findings: &mut Findings) {
    let parameter = class.parameters.iter().find(|one| one.name == "mirror");
    let at = parameter.map_or(class.at, |parameter| parameter.node.at);
    for Mirror {
        secret_name,
        secret_type,
        takes,
        recreates,
        ..
    } in &read.mirrors
    {
        let name = shortened(secret_name);
        if PRIVILEGED.contains(&secret_type.as_str()) {
            let message = privileged(&format!("secretType of {name:?} in mirror"), secret_type);
            findings.add(Rule::PrivilegedSecretType, at, message);
        }
        let fields = [
            (*takes, "onConflict: Take"),
            (*recreates, "onTypeChange: Recreate"),
        ];
        for (_, field) in fields.into_iter().filter(|(is_set, _)| *is_set) {
            let message = format!(
                "{field} of {name:?} in mirror overwrites Secrets of others: leave it out, or start the controller with --allow-mirror-overwrite"
            );
            findings.add(Rule::MirrorOverwrite, at, message);
        }
    }
}

fn privileged(path: &str, kind: &str) -> String {
    format!(
        "{path} is {kind}, a credential of the cluster itself: write another type, or start the controller with --allow-privileged-secret-types"
    )
}
