//! The class as a resource: what the API server and the driver demand of it.

use super::finding::{Findings, shortened};
use super::rule::Rule;
use crate::manifest::{API_GROUP, CLASS_KIND, Manifest, ProviderClass, Scalar, is_object_name};
use crate::yaml::Node;

/// Fields of `spec` that the driver knows.
const SPEC: [&str; 3] = ["parameters", "provider", "secretObjects"];
/// Fields at the top of every object.
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
const SERVED: &str = "secrets-store.csi.x-k8s.io/v1";
const DEPRECATED: &str = "secrets-store.csi.x-k8s.io/v1alpha1";

/// Whether a manifest is a class with its kind misspelt, by its group.
pub(super) fn is_nearly_class(manifest: &Manifest) -> bool {
    manifest.api_version.starts_with(API_GROUP)
        && !["SecretProviderClassPodStatus", CLASS_KIND].contains(&manifest.kind.as_str())
}

/// A kind that the driver's group does not have.
pub(super) fn kind(manifest: &Manifest, findings: &mut Findings) {
    let at = manifest
        .get(&["kind"])
        .map_or(manifest.node.at, |kind| kind.at);
    let kind = shortened(&manifest.kind);
    let message = format!("kind {kind:?} does not exist in {API_GROUP}: write {CLASS_KIND}");
    findings.add(Rule::ApiVersion, at, message);
}

/// Whether it is a class of ours, told from its provider.
pub(super) fn is_ours(class: &ProviderClass, findings: &mut Findings) -> bool {
    let Some(provider) = class.provider.as_ref().filter(|node| !node.is_null()) else {
        let spec = class.manifest.get(&["spec"]);
        let at = spec.map_or(class.at, |spec| spec.at);
        findings.add(
            Rule::Provider,
            at,
            "spec.provider is missing: write provider: phase",
        );
        return true;
    };
    let name = provider.text().unwrap_or_default();
    if name == "phase" {
        return true;
    }
    let name = shortened(name);
    if crate::spelling::near(&name, &["phase"]).is_some() || provider.text().is_none() {
        let message = format!("spec.provider {name:?} is no provider's name: write phase");
        findings.add(Rule::Provider, provider.at, message);
        return true;
    }
    let message = format!("spec.provider is {name:?}: not checked, only classes of phase are");
    findings.add(Rule::OtherProvider, provider.at, message);
    false
}

/// Everything but the meaning of the parameters.
pub(super) fn resource(class: &ProviderClass, findings: &mut Findings) {
    api_version(&class.manifest, findings);
    name(&class.manifest, findings);
    findings.fields(&class.manifest.node, &TOP, CLASS_KIND);
    let Some(spec) = class
        .manifest
        .get(&["spec"])
        .filter(|spec| spec.map().is_some())
    else {
        let message = "spec is missing: add it with provider and parameters";
        return findings.add(Rule::MissingField, class.manifest.node.at, message);
    };
    findings.fields(spec, &SPEC, "spec");
    parameters(class, spec, findings);
}

fn api_version(manifest: &Manifest, findings: &mut Findings) {
    let node = manifest.get(&["apiVersion"]);
    let at = node.map_or(manifest.node.at, |node| node.at);
    let version = shortened(&manifest.api_version);
    match manifest.api_version.as_str() {
        SERVED => {}
        DEPRECATED => findings.add(
            Rule::DeprecatedApiVersion,
            at,
            format!("apiVersion {DEPRECATED} is deprecated: write {SERVED}"),
        ),
        "" => findings.add(
            Rule::ApiVersion,
            at,
            format!("apiVersion is missing: write {SERVED}"),
        ),
        _ => findings.add(
            Rule::ApiVersion,
            at,
            format!("apiVersion {version:?} has no {CLASS_KIND}: write {SERVED}"),
        ),
    }
}

fn name(manifest: &Manifest, findings: &mut Findings) {
    let at = manifest.at();
    let name = shortened(&manifest.name);
    if manifest.name.is_empty() {
        findings.add(
            Rule::Name,
            at,
            "metadata.name is missing: name the class, as the pod's volume names it",
        );
    } else if !is_object_name(&manifest.name) {
        findings.add(
            Rule::Name,
            at,
            format!(
                "metadata.name {name:?} is no name in Kubernetes: use lower-case letters, digits, - and ."
            ),
        );
    }
}

fn parameters(class: &ProviderClass, spec: &Node, findings: &mut Findings) {
    let node = spec.get("parameters");
    let Some(parameters) = node.filter(|node| node.map().is_some_and(|map| !map.is_empty())) else {
        let at = node.map_or(spec.at, |node| node.at);
        let message = "spec.parameters is missing: name at least phaseApp; the driver refuses a class without any";
        return findings.add(Rule::MissingField, at, message);
    };
    findings.repeated(parameters, "spec.parameters");
    for parameter in &class.parameters {
        let path = format!("spec.parameters.{}", shortened(&parameter.name));
        if parameter.written() != Scalar::Text {
            findings.expect_text(&parameter.node, &path);
        }
    }
}
